"""Five servers, an introducer and a client: what everybody does every day."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile
from http.client import HTTPConnection
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import path_of
from tests.process.grids import Client, Encoding, Grid
from tests.process.harness import LAFS, free_port, run, wait_until

pytestmark = pytest.mark.process

grid: Grid


def setUpModule() -> None:
    global grid
    grid = Grid([LAFS] * 5, encoding=Encoding(needed=2, happy=4, total=5))


def tearDownModule() -> None:
    grid.close()


class Files(SynchronousTestCase):
    """What is stored comes back, whatever its size and whoever asks."""

    def setUp(self) -> None:
        self.client = grid.client()
        self.folder = Path(tempfile.mkdtemp(dir=grid.folder))

    def _file(self, size: int) -> Path:
        path = self.folder / "file"
        path.write_bytes(os.urandom(size))
        return path

    def test_curl_stores_and_fetches(self) -> None:
        for size in (0, 55, 56, 100_000, 3_000_001):
            with self.subTest(size=size):
                path = self._file(size)
                cap = run(["curl", "-sSfT", str(path), f"{self.client.url}/uri"]).text
                self.assertEqual(run(["curl", "-sSf", self.client.url + path_of(cap)]).stdout, path.read_bytes())

    def test_the_command_stores_and_fetches(self) -> None:
        path = self._file(2_500_000)
        cap = LAFS.run("-d", self.client.node.directory, "put", path).text
        there = self.folder / "fetched"
        LAFS.run("-d", self.client.node.directory, "get", cap, there)
        self.assertEqual(there.read_bytes(), path.read_bytes())

    def test_the_command_reads_standard_input_and_writes_standard_output(self) -> None:
        content = os.urandom(70_000)
        cap = LAFS.run("-d", self.client.node.directory, "put", "-", stdin=content).text
        self.assertEqual(LAFS.run("-d", self.client.node.directory, "get", cap, "-").stdout, content)

    def test_a_get_that_was_killed_at_any_moment_is_completed_by_the_next(self) -> None:
        content = os.urandom(20_000_000)
        cap = self.client.put(content)
        there = self.folder / "fetched"
        command = [*LAFS.command, "-d", str(self.client.node.directory), "get", cap, str(there)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as getting:
            wait_until(lambda: any(self.folder.glob("fetched*")), "the first bytes")
            getting.kill()
        LAFS.run("-d", self.client.node.directory, "get", cap, there)
        self.assertEqual(there.read_bytes(), content)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["fetched"])

    def test_ranges_are_parts_of_the_file(self) -> None:
        content = os.urandom(5_000_000)
        cap = self.client.put(content)
        for first, size in ((0, 1), (1_048_570, 20), (2_000_000, 2_999_999)):
            self.assertEqual(self.client.get_range(cap, first, size), content[first : first + size])

    def test_the_same_content_is_the_same_cap_and_stored_once(self) -> None:
        content = os.urandom(200_000)
        cap = self.client.put(content)
        before = self._stored()
        self.assertEqual(self.client.put(content), cap)
        self.assertEqual(self._stored(), before)

    def _stored(self) -> int:
        return sum(path.stat().st_size for server in grid.servers for path in server.directory.glob("storage/shares/*/*/*"))

    def test_another_client_of_the_grid_reads_it(self) -> None:
        content = os.urandom(300_000)
        cap = self.client.put(content)
        other = grid.add_client()
        self.assertEqual(other.get(cap), content)

    def test_without_convergence_every_upload_is_a_file_of_its_own(self) -> None:
        other = grid.add_client(options={"convergence": "none"})
        content = os.urandom(2_000_000)
        caps = {other.put(content), other.put(content)}
        self.assertEqual(len(caps), 2)
        self.assertEqual([self.client.get(cap) for cap in caps], [content] * 2)


class Node(SynchronousTestCase):
    """A node as its owner sees it."""

    def test_status_shows_every_server(self) -> None:
        shown = json.loads(LAFS.run("-d", grid.client().node.directory, "status", "--json").stdout)
        self.assertIn("s5", json.dumps(shown))

    def test_it_says_who_runs_it_and_where_its_gateway_is(self) -> None:
        node = grid.client().node
        self.assertEqual((node.directory / "running.process").read_text().split()[0], str(node.pid))
        self.assertEqual((node.directory / "node.url").read_text().strip(), f"{grid.client().url}/")

    def test_a_second_process_on_its_directory_is_refused(self) -> None:
        refused = LAFS.run("run", grid.client().node.directory, expect=None)
        self.assertNotEqual(refused.status, 0)
        self.assertIn(str(grid.client().node.pid), refused.stderr.decode())

    def test_it_stops_in_order_when_told_and_starts_again(self) -> None:
        server = grid.servers[0]
        self.assertEqual(server.stop(), 0)
        self.assertFalse((server.directory / "running.process").exists())
        grid.wait_connected(4)
        server.start()
        grid.wait_connected()

    def test_it_starts_again_after_a_kill(self) -> None:
        server = grid.servers[1]
        killed = server.pid
        server.kill()
        self.assertTrue((server.directory / "running.process").exists())
        server.start()
        grid.wait_connected()
        self.assertIn(str(killed), server.log)

    def test_its_log_shows_no_cap(self) -> None:
        content = os.urandom(100_000)
        cap = grid.client().put(content)
        grid.client().get(cap)
        key = cap.split(":")[2]
        for node in grid.nodes:
            if node.is_alive:
                self.assertNotIn(key, node.log)


class Uploads(SynchronousTestCase):
    """An upload that does not end leaves nothing behind."""

    streaming: Client
    """Without convergence: what it sends to the servers need not wait for the end of the body."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.streaming = grid.add_client(options={"convergence": "none"})

    def test_a_client_that_hangs_up_before_the_servers_heard_of_it_cancels_its_upload(self) -> None:
        self._half_an_upload(grid.client()).close()
        wait_until(lambda: not self._is_uploading(grid.client()), "the gateway to give up")
        self.assertEqual(grid.incoming(), [])

    def test_a_client_that_hangs_up_later_cancels_its_upload_on_the_servers_too(self) -> None:
        connection = self._half_an_upload(self.streaming)
        wait_until(grid.incoming, "the upload to reach the servers")
        connection.close()
        wait_until(lambda: not grid.incoming(), "the servers to forget")
        self.assertFalse(self._is_uploading(self.streaming))

    def test_a_gateway_that_is_killed_leaves_nothing_on_the_servers(self) -> None:
        connection = self._half_an_upload(self.streaming)
        self.addCleanup(connection.close)
        wait_until(grid.incoming, "the upload to reach the servers")
        self.streaming.node.kill()
        self.addCleanup(grid.heal)
        wait_until(lambda: not grid.incoming(), "the servers to forget")

    def _half_an_upload(self, client: Client) -> HTTPConnection:
        connection = client.connect()
        connection.putrequest("PUT", "/uri")
        connection.putheader("Content-Length", str(50_000_000))
        connection.endheaders()
        connection.send(os.urandom(20_000_000))
        return connection

    def _is_uploading(self, client: Client) -> bool:
        return bool(json.loads(client.ask("GET", "/status?t=json").body)["active"])


class Configuration(SynchronousTestCase):
    """A node with a mistake in its configuration says where it is, and does not start."""

    def test_a_misspelt_option_is_named_with_its_line_and_its_neighbour(self) -> None:
        directory = grid.folder / "misspelt"
        LAFS.run("create-client", f"--webport=tcp:{free_port()}:interface=127.0.0.1", directory)
        path = directory / "lafs.cfg"
        path.write_text(path.read_text().replace("shares.needed", "shares.neded"))
        refused = LAFS.run("run", directory, expect=None)
        self.assertNotEqual(refused.status, 0)
        self.assertIn("shares.needed", refused.stderr.decode())
