"""Checks, walks and their handles through the gateway, on a real client and real share stores, with directories that are dead."""
from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from frontends.web import deep_operations, operations
from lafs.capability import Cap, DirectoryCap, ImmutableReadCap, LiteralCap, UnknownCap
from lafs.capability_slots import child_caps
from lafs.interfaces import NewChild
from lafs.node_status import ServerStatus
from tests.memory_grid import Grid, random_bytes
from tests.web.harness import Connection, Gateway, Response, q, request_bytes
from tests.web.test_http2 import Client

CONTENT = random_bytes(2_000, seed=5)


class TenServers(Gateway):
    """A gateway on a grid of ten servers, in virtual time."""

    def __init__(self) -> None:
        self.grid = Grid(servers=10)
        super().__init__(files=self.grid.client, clock=self.grid.clock)
        self.overview.known_servers = (ServerStatus("v0-aaaa", "alpha", True, "Connected", "lafs/1", 1, 1.0),)

    def wait_for(self, connection: Connection) -> None:
        self.grid.time.run_until(lambda: not connection.channel.requests or connection.closed)

    def post(self, cap: Cap, query: str) -> Response:
        return self.request("POST", f"/uri/{q(cap.text)}?{query}", b"")


class Tree(SynchronousTestCase):
    """Start/(dead/(unseen), file, literal, live/(mutable), odd): "dead" is a directory whose shares are lost."""

    def setUp(self) -> None:
        self.gateway = TenServers()
        self.grid = grid = self.gateway.grid
        files = grid.client
        self.file = grid.upload(CONTENT)
        self.mutable = grid.run(files.create_mutable(CONTENT)).cap
        unseen = grid.run(files.create_directory())
        self.dead = grid.run(files.create_directory([link("unseen", unseen.cap)])).cap
        self.live = grid.run(files.create_directory([link("mutable", self.mutable)])).cap
        self.start = grid.run(
            files.create_directory(
                [
                    link("dead", self.dead),
                    link("file", self.file),
                    link("literal", LiteralCap(b"x")),
                    link("live", self.live),
                    NewChild("odd", child_caps(None, "ro.x-future:1")),
                ]
            )
        ).cap

    def lose(self) -> None:
        self.grid.lose_shares(self.dead, range(8))

    def check_nothing_left(self) -> None:
        """But connections that wait for their next request."""
        found = self.grid.leftovers()
        self.assertEqual([each for each in found if "HTTPChannel" not in each and "TimeoutMixin" not in each], [])

    def lines(self, query: str, cap: Cap | None = None) -> tuple[list[dict[str, Any]], str]:
        """The objects of a stream, and its last line if that is an error."""
        response = self.gateway.post(cap or self.start, query)
        self.assertEqual((response.status, response.header("Content-Type")), (200, "text/plain; charset=utf-8"))
        lines = response.text.splitlines()
        error = lines.pop() if lines and lines[-1].startswith("ERROR: ") else ""
        return [json.loads(line) for line in lines], error

    def operation(self, what: str, more: str = "", output: str = "JSON", cap: Cap | None = None) -> Response:
        started = self.gateway.post(cap or self.start, f"t=start-{what}&ophandle=a%2Fb&{more}")
        self.assertEqual((started.status, started.header("Location")), (302, "/operations/a%2Fb"))
        self.grid.time.pass_time(60)
        return self.gateway.get(f"/operations/a%2Fb?output={output}")


def link(name: str, cap: Cap) -> NewChild:
    return NewChild(name, child_caps(cap.text, None))


class Streams(Tree):
    """What is found is sent as it is found; a dead directory is told of, and the walk goes on."""

    def test_a_whole_manifest_ends_with_statistics(self) -> None:
        objects, error = self.lines("t=stream-manifest")
        self.assertEqual(error, "")
        paths = ["/".join(each["path"]) for each in objects[:-1]]
        self.assertEqual(paths, ["", "odd", "file", "literal", "dead", "dead/unseen", "live", "live/mutable"])
        self.assertEqual(objects[-1]["stats"]["count-directories"], 4)

    def test_a_manifest_goes_on_past_a_dead_directory_and_ends_with_an_error(self) -> None:
        self.lose()
        objects, error = self.lines("t=stream-manifest")
        self.assertEqual(["/".join(each["path"]) for each in objects][-3:], ["dead", "live", "live/mutable"])
        self.assertTrue(error.startswith("ERROR: UnrecoverableFileError(the directory (or mutable file) could not be"), error)

    def test_a_deep_check_has_a_line_for_a_dead_directory(self) -> None:
        self.lose()
        objects, error = self.lines("t=stream-deep-check")
        self.assertEqual((error, objects[-1]["type"]), ("", "stats"))
        found = {"/".join(each["path"]): each for each in objects[:-1]}
        self.assertEqual(found["literal"]["check-results"], {"storage-index": "", "results": {"healthy": True}})
        dead = found["dead"]
        self.assertEqual((dead["check-results"]["results"]["recoverable"], "error" in dead), (False, True))
        self.assertTrue(found["live/mutable"]["check-results"]["results"]["healthy"])

    def test_a_directory_that_is_no_directory_is_not_healthy(self) -> None:
        broken = DirectoryCap(self.mutable)
        objects, error = self.lines("t=stream-deep-check", broken)
        self.assertEqual((error, len(objects)), ("", 2))
        results = objects[0]["check-results"]
        self.assertEqual((results["results"]["healthy"], results["results"]["recoverable"]), (False, True))
        self.assertIn("BadDirectory", results["summary"])

    def test_repair_in_a_walk(self) -> None:
        self.grid.lose_shares(self.file, (0, 1))
        self.grid.lose_shares(self.live, (2,))
        self.lose()
        objects, error = self.lines("t=stream-deep-check&repair=true")
        self.assertEqual(error, "")
        found = {"/".join(each["path"]): each["check-and-repair-results"] for each in objects[:-1]}
        self.assertEqual(
            {path: (each["repair-attempted"], each.get("repair-successful")) for path, each in found.items()},
            {
                "": (False, False), "odd": (False, None), "file": (True, True), "literal": (False, None),
                "dead": (True, False), "live": (True, True), "live/mutable": (False, False),
            },
        )  # fmt: skip
        self.assertIn("repair-trouble", found["dead"])

    def test_a_client_of_http_1_0_gets_no_chunks(self) -> None:
        connection = self.gateway.connect()
        connection.send(request_bytes("POST", f"/uri/{q(self.live.text)}?t=stream-manifest", b"").replace(b"HTTP/1.1", b"HTTP/1.0"))
        self.gateway.wait_for(connection)
        head, _, body = connection.received.partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head)
        self.assertEqual(len([json.loads(line) for line in body.splitlines()]), 3)
        self.assertTrue(connection.closed)

    def test_a_client_of_http_2_gets_no_chunks_either(self) -> None:
        client = Client(self.gateway)
        number = client.send("POST", f"/uri/{q(self.live.text)}?t=stream-manifest")
        while not client.answers[number].ended:
            self.grid.time.pass_time(0.1)
            client.talk()
        answer = client.answers[number]
        self.assertEqual(answer.status, 200)
        self.assertEqual(len([json.loads(line) for line in answer.body.splitlines()]), 3)
        self.assertIsNone(client.goodbye)

    def test_a_client_that_goes_away_ends_the_walk(self) -> None:
        connection = self.gateway.connect()
        connection.send(request_bytes("POST", f"/uri/{q(self.start.text)}?t=stream-deep-check", b""))
        self.grid.time.pass_time(0.06)
        connection.lose()
        self.assertEqual(self.grid.leftovers(), [])

    def test_the_walk_waits_for_a_slow_client(self) -> None:
        many = [link(f"{number:04}", LiteralCap(b"%d" % number)) for number in range(500)]
        directory = self.grid.run(self.grid.client.create_directory(many)).cap
        connection = self.gateway.connect()
        connection.send(request_bytes("POST", f"/uri/{q(directory.text)}?t=stream-manifest", b""))
        self.grid.time.run_until(lambda: bool(connection.received))
        connection.channel.pauseProducing()
        sent = len(connection.received)
        self.grid.time.pass_time(60)
        self.assertLess(len(connection.received) - sent, 2_000)
        connection.channel.resumeProducing()
        self.gateway.wait_for(connection)
        (response,) = connection.responses("POST")
        self.assertEqual(len(response.text.splitlines()), 502)


class Slow(Tree):
    """Operations behind handles."""

    def test_a_deep_check_goes_on_past_a_dead_directory(self) -> None:
        self.lose()
        found = self.operation("deep-check").json()
        self.assertEqual((found["finished"], found["count-objects-checked"], found["count-objects-unhealthy"]), (True, 5, 1))
        (unhealthy,) = found["list-unhealthy-files"]
        self.assertEqual((unhealthy[0], unhealthy[1]["results"]["recoverable"]), (["dead"], False))
        self.assertEqual(found["list-unreadable-directories"][0][0], ["dead"])

    def test_a_deep_check_that_repairs_tells_before_and_after(self) -> None:
        self.grid.lose_shares(self.file, (0, 1))
        self.grid.corrupt(self.file, lambda share: share[:40], (2,))
        found = self.operation("deep-check", "repair=true&verify=true").json()
        numbers = {key: value for key, value in found.items() if key.startswith("count-")}
        self.assertEqual(
            numbers,
            {
                "count-objects-checked": 6,
                "count-objects-healthy-pre-repair": 5,
                "count-objects-unhealthy-pre-repair": 1,
                "count-objects-healthy-post-repair": 6,
                "count-objects-unhealthy-post-repair": 0,
                "count-repairs-attempted": 1,
                "count-repairs-successful": 1,
                "count-repairs-unsuccessful": 0,
                "count-corrupt-shares-pre-repair": 1,
                "count-corrupt-shares-post-repair": 1,
            },
        )
        detail = self.gateway.get(f"/operations/a%2Fb/{index(self.file)}?output=JSON").json()
        self.assertEqual((detail["repair-successful"], detail["pre-repair-results"]["results"]["count-shares-good"]), (True, 7))
        self.assertEqual(self.gateway.get("/operations/a%2Fb/aaaa?output=JSON").status, 404)
        for path in ("/operations/a%2Fb", f"/operations/a%2Fb/{index(self.file)}"):
            shown = self.gateway.get(path)
            self.assertEqual((shown.status, shown.header("Content-Type")), (200, "text/html; charset=utf-8"))
            self.assertIn("ealthy", shown.text)

    def test_manifest_size_and_statistics_tell_what_they_could_not_see(self) -> None:
        self.lose()
        for what in ("manifest", "deep-size", "deep-stats"):
            found = self.operation(what).json()
            self.assertEqual((found["finished"], found["count-unreadable-directories"]), (True, 1), what)
        self.assertIn("dead", self.operation("manifest", output="html").text)
        self.assertRegex(self.operation("deep-size", output="text").text, r"\Afinished: yes\nsize: \d+\n\Z")

    def test_a_start_that_cannot_be_read_is_an_error(self) -> None:
        self.lose()
        for what in ("manifest", "deep-size", "deep-stats"):
            self.assertEqual(self.operation(what, cap=self.dead).status, 410)
        self.assertEqual(self.operation("deep-check", cap=self.dead).json()["count-objects-unhealthy"], 1)

    def test_progress_is_shown(self) -> None:
        self.gateway.post(self.start, "t=start-deep-stats&ophandle=h")
        self.assertFalse(self.gateway.get("/operations/h").json()["finished"])
        self.gateway.post(self.start, "t=start-manifest&ophandle=h")
        self.assertIn("Still going on", self.gateway.get("/operations/h").text)
        self.assertEqual(self.gateway.get("/operations/h?output=text").text, "finished: no\n")

    def test_what_is_kept_is_bounded_and_what_is_counted_is_not(self) -> None:
        self.patch(deep_operations, "MOST_RESULTS", 2)
        for cap in (self.file, self.mutable, self.live, self.start):
            self.grid.lose_shares(cap, (0,))
        found = self.operation("deep-check").json()
        self.assertEqual((found["count-objects-unhealthy"], len(found["list-unhealthy-files"])), (4, 2))

    def test_a_manifest_that_is_too_large_to_keep_is_told(self) -> None:
        self.patch(operations, "LARGEST", 2000)
        refused = self.operation("manifest")
        self.assertEqual((refused.status, "t=stream-manifest" in refused.text), (413, True))

    def test_cancelled(self) -> None:
        self.gateway.post(self.start, "t=start-deep-check&ophandle=h&output=json")
        cancelled = self.gateway.request("POST", "/operations/h?t=cancel&output=json", b"")
        self.assertEqual((cancelled.status, cancelled.json()["finished"]), (200, False))
        self.assertEqual(self.gateway.get("/operations/h").status, 404)
        self.check_nothing_left()

    def test_what_makes_no_sense_is_refused(self) -> None:
        for query, status in (
            ("t=start-manifest", 400), ("t=start-manifest&ophandle=h&retain-for=soon", 400),
            ("t=start-manifest&ophandle=h&retain-for=-1", 400), ("t=start-deep-check&ophandle=h&verify=perhaps", 400),
            ("t=stream-deep-check&repair=", 400),
        ):  # fmt: skip
            self.assertEqual(self.gateway.post(self.start, query).status, status, query)
        self.assertEqual(self.gateway.post(self.file, "t=start-manifest&ophandle=h").status, 400)
        for path, status in (("/operations", 405), ("/operations/h", 404), ("/operations/h/junk", 404)):
            self.assertEqual(self.gateway.get(path).status, status, path)
        self.operation("manifest")
        refused = self.gateway.get("/operations/a%2Fb?output=%3Cscript%3E")
        self.assertEqual((refused.status, refused.header("Content-Type")), (400, "text/plain; charset=utf-8"))
        self.assertEqual(self.gateway.get("/operations/a%2Fb?retain-for=x").status, 400)

    def test_the_gateway_ends_and_so_do_its_operations(self) -> None:
        self.operation("manifest")
        self.gateway.post(self.start, "t=start-manifest&ophandle=2")
        self.gateway.site.stopFactory()
        self.check_nothing_left()


class Checks(Tree):
    """`t=check` of one object."""

    def check(self, cap: Cap, query: str = "output=JSON") -> Response:
        return self.gateway.post(cap, f"t=check&{query}")

    def test_an_unrecoverable_object_is_a_result(self) -> None:
        self.grid.lose_shares(self.file, range(8))
        for query in ("output=JSON", "output=json&repair=true"):
            self.assertEqual(self.check(self.file, query).status, 200)
        found = self.check(self.file, "output=JSON&repair=1").json()
        self.assertEqual((found["repair-attempted"], found["repair-successful"]), (True, False))
        self.assertIn("Not Recoverable!", self.check(self.file, "").text)

    def test_pages(self) -> None:
        self.grid.lose_shares(self.file, (0,))
        page = self.check(self.file, "return_to=.")
        self.assertIn("Not Healthy!", page.text)
        self.assertIn('href="."', page.text)
        self.assertIn("Repair successful", self.check(self.file, "repair=true").text)
        self.assertIn("<h1>Healthy</h1>", self.check(self.file, "").text)
        self.assertIn("<h1>Healthy</h1>", self.check(LiteralCap(b"x"), "repair=true").text)
        self.assertEqual(self.check(self.file, "return_to=javascript:alert(1)").status, 400)
        self.assertEqual(self.check(self.file, "output=xml").status, 400)

    def test_a_verify_cap_can_be_checked_and_the_unknown_cannot(self) -> None:
        assert isinstance(self.file, ImmutableReadCap)
        self.assertTrue(self.check(self.file.verifier()).json()["results"]["healthy"])
        self.assertTrue(self.check(self.mutable.verifier()).json()["results"]["healthy"])
        self.assertEqual(self.check(UnknownCap("x-future:abc")).status, 400)

    def test_where_to_go_when_done(self) -> None:
        done = self.check(self.file, "when_done=.")
        self.assertEqual((done.status, done.header("Location")), (302, "."))


def index(cap: Cap) -> str:
    assert cap.storage_index is not None
    return cap.storage_index.text
