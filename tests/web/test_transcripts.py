from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lafs.immutable.parameters import EncodingParameters
from lafs.node_status import ServerStatus
from tests.memory_grid import Grid
from tests.vectors_loader import load
from tests.web.harness import Connection, Gateway
from tests.web.transcripts import Replay

PAGES = ("status-down-events", "storage-json", "report-incident", "private-401")
"""Pages about what there is not in memory; tested for themselves, as far as there are any."""

DIFFERENT = {
    "get-chk-gz": "The name does not make the bytes a content coding, which browsers would undo while they save the file.",
    "statistics-json": "The counters of mutable files are absent until one is used.",
}
"""Where lafs answers otherwise, on purpose."""


class GridGateway(Gateway):
    """A gateway on the real client and a real share store, in virtual time."""

    def __init__(self) -> None:
        self.grid = Grid(servers=1, encoding=EncodingParameters(1, 1, 1))
        super().__init__(files=self.grid.client, clock=self.grid.clock)
        self.overview.known_servers = (ServerStatus("v0-aaaa", "alpha", True, "Connected", "lafs/1", 1, 1.0),)

    def wait_for(self, connection: Connection) -> None:
        self.grid.time.run_until(lambda: not connection.channel.requests or connection.closed)


class Transcripts(SynchronousTestCase):
    """What was recorded with the real peer holds for this gateway, but for the differences named above."""

    def setUp(self) -> None:
        self.cases = {case["id"]: case for case in load("webapi_transcripts")["cases"]}
        self.gateway = GridGateway()
        self.replay = Replay()

    def play(self, name: str) -> None:
        self.gateway.grid.time.pass_time(self.cases[name].get("delay_before", 0))
        method, path, body, headers, chunked = self.replay.request(self.cases[name])
        response = self.gateway.request(method, path, body, headers, chunked)
        try:
            self.replay.check(self.cases[name], response)
        except AssertionError as problem:
            self.fail(f"{name}: {problem}")

    def test_all_that_this_gateway_serves(self) -> None:
        left_out = {*PAGES, *DIFFERENT}
        played = [name for name in self.cases if name not in left_out]
        for name in played:
            self.play(name)
        self.assertGreater(len(played), 110)

    def test_what_is_left_out_is_there_to_be_left_out(self) -> None:
        self.assertLessEqual({*PAGES, *DIFFERENT}, self.cases.keys())

    def test_a_name_makes_no_content_coding(self) -> None:
        self.play("put-chk")
        response = self.gateway.get(self.replay.fill(self.cases["get-chk-gz"]["request"]["path"]))
        self.assertEqual((response.status, response.header("Content-Encoding")), (200, None))
        self.assertEqual((response.header("Content-Type"), len(response.body)), ("application/gzip", 100))

    def test_the_counters_of_immutable_files_are_those_of_the_peer(self) -> None:
        self.play("put-chk")
        self.gateway.get(self.replay.fill("/uri/${CHK|q}"))
        counters = self.gateway.get("/statistics?t=json").json()["counters"]
        wanted = {
            name
            for name in self.cases["statistics-json"]["expect"]["body"]["json"]["counters"]
            if name.startswith(("uploader.", "downloader."))
        }
        self.assertLessEqual(wanted, counters.keys())
