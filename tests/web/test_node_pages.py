from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.history import REMEMBERED, History
from frontends.web.node_pages import openmetrics
from frontends.web.pages import readable_age, readable_size
from lafs.errors import NoServers
from lafs.node_status import IntroducerStatus, ServerStatus
from tests.web.harness import Gateway, q, request_bytes

SERVERS = (
    ServerStatus("v0-aaaa", "alpha", True, "Connected to tcp:a:1 via tcp", "tahoe-lafs/1.20.0", 5_000_000_000, 100.0),
    ServerStatus("v0-bbbb", "<b>beta</b>", False, "Trying to connect"),
)


class Welcome(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()
        self.gateway.overview.known_servers = SERVERS
        self.gateway.overview.known_introducers = (IntroducerStatus("home", True, "Connected to tcp:i:1 via tcp"),)
        self.gateway.clock.advance(250)

    def test_the_page_shows_the_servers_and_has_the_forms(self) -> None:
        for path in ("/", "//"):
            page = self.gateway.get(path).text
            for wanted in ("alpha", "v0-aaaa", "5.0 GB", "2 minutes ago", "Connected to tcp:i:1 via tcp", "1 of 2", "v0-thisnode",
                           'uri?t=upload"', 'enctype="multipart/form-data"', 'name="uri"', "&lt;b&gt;beta"):
                self.assertIn(wanted, page)
            self.assertNotIn("<b>beta", page)
            self.assertNotIn("<script>", page)

    def test_the_page_of_a_node_that_knows_nobody(self) -> None:
        page = Gateway().get("/")
        self.assertEqual(page.status, 200)
        self.assertIn("No storage server is known", page.text)

    def test_any_method_but_not_any_path(self) -> None:
        for method in ("GET", "HEAD", "POST", "PUT"):
            self.assertEqual(self.gateway.request(method, "/", b"").status, 200)
        self.assertEqual(self.gateway.get("//x").status, 404)

    def test_for_programs(self) -> None:
        response = self.gateway.get("/?t=JSON")
        self.assertEqual(response.header("Content-Type"), "application/json; charset=utf-8")
        self.assertEqual(
            response.json(),
            {
                "introducers": {"statuses": ["Connected to tcp:i:1 via tcp"]},
                "servers": [
                    {"nodeid": "v0-aaaa", "connection_status": "Connected to tcp:a:1 via tcp", "available_space": 5_000_000_000,
                     "nickname": "alpha", "version": "tahoe-lafs/1.20.0", "last_received_data": 100.0},
                    {"nodeid": "v0-bbbb", "connection_status": "Trying to connect", "available_space": None,
                     "nickname": "<b>beta</b>", "version": None, "last_received_data": None},
                ],
            },
        )

    def test_an_unknown_format(self) -> None:
        response = self.gateway.get("/?t=bogus")
        self.assertEqual((response.status, response.text), (400, "Unknown t value: 'bogus'"))


class Activity(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()

    def test_what_is_under_way_and_what_is_over(self) -> None:
        gate: Deferred[None] = Deferred()
        self.gateway.files.upload_gate = gate
        connection = self.gateway.connect()
        connection.send(request_bytes("PUT", "/uri", b"x" * 2_000_000)[:1_000_000])
        (active,) = self.gateway.get("/status?t=json").json()["active"]
        self.assertEqual((active["type"], active["total-size"], active["status"]), ("upload", 2_000_000, "Uploading"))
        self.assertGreater(active["progress-hash"], 0.1)
        self.assertLess(active["progress-hash"], 0.6)
        self.assertEqual(active["progress-encode-push"], 0.0)
        gate.callback(None)
        connection.send(b"x" * 2_000_000)
        status = self.gateway.get("/status?t=json").json()
        self.assertEqual(status["active"], [])
        self.assertEqual([(each["status"], each["progress-hash"]) for each in status["recent"]], [("Finished", 1.0)])
        self.assertRegex(status["recent"][0]["storage-index-string"], "^[a-z2-7]{26}$")

    def test_downloads_and_failures(self) -> None:
        file = self.gateway.files.add(b"x" * 100)
        self.gateway.get("/uri/" + q(file.cap.text))
        file.fails_after = 50
        self.gateway.connect().send(request_bytes("GET", "/uri/" + q(file.cap.text)))
        self.gateway.files.upload_failure = NoServers("none")
        self.gateway.request("PUT", "/uri", b"x")
        recent = self.gateway.get("/status?t=json").json()["recent"]
        self.assertEqual(
            [(each["type"], each["status"]) for each in recent],
            [("upload", "Failed: NoServers"), ("download", "Failed: NoShares"), ("download", "Finished")],
        )
        self.assertEqual(recent[1]["progress"], 0.5)

    def test_the_page(self) -> None:
        self.gateway.request("PUT", "/uri", b"x" * 100)
        for path in ("/status", "/status/"):
            self.assertIn("Finished · 100 bytes", self.gateway.get(path).text)
        self.assertEqual(self.gateway.get("/status?t=bogus").status, 400)
        self.assertEqual(self.gateway.get("/status/up-abc").status, 404)

    def test_as_the_command_of_the_peer_asks(self) -> None:
        response = self.gateway.request("POST", "/status?t=json", b"t=json&token=anything")
        self.assertEqual(response.json(), {"active": [], "recent": []})

    def test_one_that_is_read_twice_is_half_done_when_its_key_is_known(self) -> None:
        with History().operation("upload", 100) as operation:
            operation.done = 100
            self.assertEqual(operation.progress, 0.5)
            operation.hashed, operation.done = True, 50
            self.assertEqual(operation.progress, 0.75)
            self.assertEqual(operation.summary()["progress-encode-push"], 0.5)
        self.assertEqual(operation.progress, 1.0)

    def test_one_whose_client_went_away_is_cancelled(self) -> None:
        self.gateway.files.upload_gate = Deferred()
        connection = self.gateway.connect()
        connection.send(request_bytes("PUT", "/uri", b"x" * 1000))
        connection.lose()
        self.assertEqual(self.gateway.get("/status?t=json").json()["recent"][0]["status"], "Cancelled")

    def test_only_the_newest_are_remembered(self) -> None:
        history = History()
        for _ in range(3 * REMEMBERED):
            with history.operation("upload"):
                pass
        self.assertEqual([each.number for each in history.recent()], list(range(3 * REMEMBERED - 1, 2 * REMEMBERED - 1, -1)))


class Statistics(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()
        self.gateway.request("PUT", "/uri", b"x" * 100)

    def test_for_programs(self) -> None:
        response = self.gateway.request("POST", "/statistics?t=json", b"t=json&token=anything")
        self.assertEqual(
            response.json(),
            {
                "counters": {"uploader.bytes_uploaded": 100, "uploader.files_uploaded": 1},
                "stats": {"node.uptime": 12.5, "cpu_monitor.total": 0.25},
            },
        )

    def test_for_people(self) -> None:
        self.assertIn("uploader.bytes_uploaded", self.gateway.get("/statistics").text)

    def test_for_monitors(self) -> None:
        response = self.gateway.get("/statistics/?t=OpenMetrics")
        self.assertEqual(response.header("Content-Type"), "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.assertTrue(response.text.endswith("tahoe_stats_node_uptime 12.5\n# EOF\n"))

    def test_metric_names_and_values(self) -> None:
        text = openmetrics(
            {"storage_server.add-lease": 2, "a.b": 1},
            {"storage_server.latencies.get.99_9_percentile": 0.5, "x.01_0_percentile": None, "z": 3},
        )
        self.assertEqual(
            text.splitlines(),
            ["tahoe_counters_a_b 1", "tahoe_counters_storage_server_add_lease 2",
             'tahoe_stats_storage_server_latencies_get{quantile="0.999"} 0.5', 'tahoe_stats_x{quantile="0.010"} NaN',
             "tahoe_stats_z 3", "# EOF"],
        )

    def test_the_gateway_counts_its_requests(self) -> None:
        before = self.gateway.counters.snapshot()["web.requests"]
        self.gateway.get("/nope")
        self.assertEqual(self.gateway.counters.snapshot()["web.requests"], before + 1)


class Assets(SynchronousTestCase):
    def test_only_what_the_pages_use_is_served(self) -> None:
        gateway = Gateway()
        self.assertEqual(gateway.get("/css/lafs.css").header("Content-Type"), "text/css; charset=utf-8")
        self.assertEqual(gateway.get("/img/lafs.svg").header("Content-Type"), "image/svg+xml")
        for path in ("/css/../pages.py", "/css/..%2fpages.py", "/css", "/css/", "/img/lafs.css", "/css//lafs.css"):
            self.assertEqual(gateway.get(path).status, 404, path)

    def test_no_helper(self) -> None:
        self.assertEqual(Gateway().get("/helper_status?t=json").json(), {})

    def test_for_people(self) -> None:
        self.assertEqual([readable_size(size) for size in (None, 0, 999, 1000, 5 * 10**12, 10**16)],
                         ["unknown", "0 bytes", "999 bytes", "1.0 kB", "5.0 TB", "10.0 PB"])
        self.assertEqual([readable_age(age) for age in (0, 60, 7300, 86400)],
                         ["just now", "1 minute ago", "2 hours ago", "1 day ago"])
