"""The small parts that a running node is made of: log, status, orderly end, the embedded grid's plans."""

from __future__ import annotations

import json
import resource
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import NodeError, ServerGone
from lafs.node import embedded, logs, ports
from lafs.node.config import read
from lafs.node.introducer_page import make_site
from lafs.node.lifetime import Lifetime
from lafs.node.no_connections import NoConnections
from lafs.node.process import exposures, raise_file_limit
from lafs.node.status import SAMPLE_SECONDS, ClientStatus, CpuMonitor
from lafs.node.web import Door
from lafs.statistics import Counters
from lafs.tasks import spawn


class Log(SynchronousTestCase):
    def test_no_line_opens_a_file_or_reaches_a_node(self) -> None:
        key, name = "y2k" * 9, "s" * 32
        for secret in (
            f"URI:CHK:{key}:{key}:3:10:99",
            f"URI%3ADIR2%3A{key}%3A{key}",
            f"pb://{'a' * 32}@tcp:h:1/{name}",
            f"priv-v0-{key}",
        ):
            for text in (f"GET /uri/{secret}", f"bad '{secret}'", f"({secret}, 1)"):
                washed = logs.washed(text)
                self.assertNotIn(key, washed)
                self.assertNotIn(name, washed)
                self.assertEqual(washed.count("[CENSORED]"), 1)
        self.assertEqual(logs.washed("web: 127.0.0.1 GET / 200 5"), "web: 127.0.0.1 GET / 200 5")

    def test_lines_have_time_source_and_text(self) -> None:
        line = logs._line({"log_time": 0.0, "log_namespace": "lafs.node", "log_level": None, "log_format": "hello"})
        self.assertRegex(line or "", r"^\d{4}-\d\d-\d\dT[\d:+-]+ \[lafs\.node#[^\]]*\] hello\n$")


class End(SynchronousTestCase):
    def test_everything_is_undone_backwards_though_one_fails(self) -> None:
        undone: list[str] = []
        waiting: Deferred[None] = Deferred()
        lifetime = Lifetime()
        lifetime.then(lambda: undone.append("first"))

        def bad() -> None:
            raise ValueError("cannot")

        lifetime.then(bad)
        lifetime.then(lambda: waiting.addCallback(lambda _: undone.append("slow")))
        lifetime.then(lambda: undone.append("last"))
        ending = spawn(lifetime.end())
        self.assertEqual(undone, ["last"])
        waiting.callback(None)
        self.successResultOf(ending)
        self.assertEqual(undone, ["last", "slow", "first"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.successResultOf(spawn(lifetime.end()))


class Status(SynchronousTestCase):
    def test_averages_appear_when_their_minutes_have_passed(self) -> None:
        clock, used = Clock(), 0.0
        monitor = CpuMonitor(clock, lambda: used)
        self.assertEqual(monitor.stats(), {"cpu_monitor.total": 0.0})
        for _minute in range(20):
            clock.advance(SAMPLE_SECONDS)
            used += 30
            monitor.sample()
        self.assertEqual(
            monitor.stats(),
            {
                "cpu_monitor.total": 600,
                "cpu_monitor.1min_avg": 0.5,
                "cpu_monitor.5min_avg": 0.5,
                "cpu_monitor.15min_avg": 0.5,
            },
        )

    def test_it_tells_of_uptime_counters_and_storage(self) -> None:
        clock, counters = Clock(), Counters()
        status = ClientStatus(nickname="n", node_id="v0-x", clock=clock, counters=counters, servers=list, introducers=list)
        counters.count("a", 2)
        status.storage = {"storage_server.allocated": 3}
        clock.advance(5)
        self.assertEqual(status.counters(), {"a": 2})
        self.assertEqual(status.stats()["node.uptime"], 5)
        self.assertEqual(status.stats()["storage_server.allocated"], 3)
        self.assertNotIn("cpu_monitor.1min_avg", status.stats())


class Connections(SynchronousTestCase):
    def test_disabled_connections_are_refused(self) -> None:
        connector: Any = NoConnections()
        self.successResultOf(spawn(connector.start()))
        self.assertIn("Disabled", connector.refusal(None))
        self.failureResultOf(spawn(connector.connect(None)), ServerGone)

    def test_a_closed_door_cuts_what_is_open(self) -> None:
        door = Door(make_site(FakeIntroducer(), ()))  # type: ignore[arg-type]
        open_one, closed_one = door.buildProtocol(None), door.buildProtocol(None)
        transports = [StringTransport(), StringTransport()]
        open_one.makeConnection(transports[0])
        closed_one.makeConnection(transports[1])
        door.close()
        self.assertTrue(transports[0].disconnected or transports[0].aborting)
        for protocol in (open_one, closed_one):  # their idle timers are the real reactor's
            protocol.connectionLost(Failure(ConnectionAborted()))


class FakeIntroducer:
    """What the page asks of an introducer."""

    def summary(self) -> dict[str, dict[str, int]]:
        return {"subscription_summary": {"storage": 1}, "announcement_summary": {"storage": 0}}

    def announced(self, service_name: str) -> list[Any]:
        return []

    def subscribers(self, service_name: str) -> list[Any]:
        from lafs.introducer.subscriptions import SubscriberInfo

        return [SubscriberInfo("<script>", "lafs/1", 0)]


class IntroducerPage(SynchronousTestCase):
    def ask(self, request: str, host: str = "localhost") -> tuple[int, str, str]:
        transport = StringTransport()
        protocol = Door(make_site(FakeIntroducer(), ["grid.example"])).buildProtocol(None)  # type: ignore[arg-type]
        protocol.makeConnection(transport)
        protocol.dataReceived(f"{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = transport.value().decode().partition("\r\n\r\n")
        return int(head.split()[1]), head, body

    def test_the_summary_is_json_for_programs(self) -> None:
        status, _, body = self.ask("GET /?t=json")
        self.assertEqual((status, json.loads(body)["subscription_summary"]), (200, {"storage": 1}))

    def test_what_nodes_say_of_themselves_is_shown_as_text(self) -> None:
        status, _, body = self.ask("GET /", "grid.example:80")
        self.assertEqual(status, 200)
        self.assertIn("&lt;script&gt;", body)
        self.assertNotIn("<script>", body)

    def test_foreign_hosts_and_other_paths_get_nothing(self) -> None:
        self.assertEqual(self.ask("GET /", "evil.example")[0], 403)
        self.assertEqual(self.ask("GET /x")[0], 404)
        self.assertEqual(self.ask("DELETE /")[0], 404)

    def test_every_answer_has_the_safe_headers(self) -> None:
        for request in ("GET /", "GET /?t=json", "GET /x"):
            head = self.ask(request)[1]
            for header in ("X-Frame-Options: DENY", "Content-Security-Policy: ", "nosniff", "Server: lafs"):
                self.assertIn(header.lower(), head.lower())


class Process(SynchronousTestCase):
    def test_the_limit_of_open_files_is_raised_and_never_lowered(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
        raise_file_limit()
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(raised[0], min(65_536, hard) if hard != resource.RLIM_INFINITY else 65_536)
        raise_file_limit()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), raised)

    def test_a_private_folder_that_others_may_enter_is_noticed(self) -> None:
        directory = Path(self.mktemp())
        (directory / "private").mkdir(parents=True, mode=0o700)
        self.assertEqual(list(exposures(directory)), [])
        (directory / "private").chmod(0o755)
        self.assertEqual(["chmod 700" in each for each in exposures(directory)], [True])


class Embedded(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.directory = self.base / "up"
        self.numbers = count(1)
        self.said: list[str] = []
        self.patch(embedded, "run", lambda directory, **_: 0)

    def up(self, *storage: Path, **options: Any) -> None:
        options.setdefault("web_port", ports.free_port())
        embedded.up(
            self.directory, storage, say=self.said.append, random=lambda size: bytes([next(self.numbers)]) * size, **options
        )

    def folders(self) -> dict[str, str]:
        return {name: str(folder.directory) for name, folder in read(self.directory).folders.items()}

    def test_five_folders_without_being_told(self) -> None:
        self.up()
        self.assertEqual(self.folders(), {str(n): f"storage/{n}" for n in range(1, 6)})
        encoding = read(self.directory).encoding
        self.assertEqual((encoding.needed, encoding.total), (3, 5))
        self.assertFalse(read(self.directory).listens)

    def test_named_folders_get_names_of_their_own_and_count_once(self) -> None:
        disks = [self.base / "a" / "lafs [1]", self.base / "b" / "lafs [1]"]
        for disk in disks:
            disk.parent.mkdir()
        self.up(*disks, disks[0])
        self.assertEqual(self.folders(), {"lafs-1": str(disks[0]), "lafs-1-2": str(disks[1])})
        before = (self.directory / "lafs.cfg").read_text()
        self.up(disks[1], web_port=None)
        self.assertEqual((self.directory / "lafs.cfg").read_text(), before)

    def test_more_folders_are_added_without_touching_what_the_owner_wrote(self) -> None:
        self.up(self.base / "one")
        config = self.directory / "lafs.cfg"
        config.write_text(config.read_text() + "# mine\n")
        self.up(self.base / "two%", web_port=None)
        self.assertEqual(list(self.folders()), ["one", "two"])
        self.assertEqual(read(self.directory).folders["two"].reserved_space, 10**9)
        self.assertIn("# mine\n", config.read_text())

    def test_another_kind_of_node_is_left_alone(self) -> None:
        self.directory.mkdir()
        (self.directory / "lafs.cfg").write_text("[node]\nnickname = mine\n")
        self.assertIn("lafs run", str(self.assertRaises(NodeError, self.up)))
        (self.directory / "lafs.cfg").unlink()
        (self.directory / "holiday.jpg").write_text("")
        self.assertIn("not a recognizable node", str(self.assertRaises(NodeError, self.up)))

    def test_an_unmounted_disk_is_not_adopted_anew(self) -> None:
        disk = self.base / "disk"
        self.up(disk)
        (disk / "lafs-folder").unlink()
        self.up(disk, web_port=None)
        self.assertEqual(list(disk.iterdir()), [])
