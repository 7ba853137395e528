"""Nodes as their owners start and stop them: real signals, ports in use, disks that are away.

What becomes of files is the business of tests/process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Node, free_port, set_options, wait_until

pytestmark = pytest.mark.process

CONTENTS = bytes(range(256)) * 1000


class ProcessTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="lafs-node-"))
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)

    def node(self, name: str, command: Sequence[str | Path] | None = None) -> Node:
        node = Node(self.base / name, LAFS, command)
        self.addCleanup(lambda: node.kill() if node.is_alive else None)
        return node

    def start(self, name: str) -> Node:
        return self.node(name).start().wait_running()

    def up(self, *options: str) -> Node:
        return self.node("up", ["up", "-C", self.base / "up", "--no-open", *options]).start().wait_running()

    def refused(self, node: Node) -> str:
        """The output of a node that cannot start."""
        self.assertEqual(self.status(node.start()), 1, node.log)
        self.assertNotIn("Traceback", node.log)
        return node.log

    def status(self, node: Node) -> int:
        """The exit status of a node that ends by itself, or has been told to."""
        wait_until(lambda: not node.is_alive, f"{node} to end")
        return node.stop()

    def gateway(self, name: str) -> Gateway:
        return Gateway(int((self.base / name / "node.url").read_text().rstrip("/\n").rpartition(":")[2]))


class GridOfOneMachine(ProcessTestCase):
    """`lafs up`."""

    def test_a_missing_disk_is_said_to_be_missing_and_left_alone(self) -> None:
        disks = [self.base / f"disk{number}" for number in range(3)]
        node = self.up(f"--webport={free_port()}", *(f"--storage={disk}" for disk in disks[:2]))
        self.assertIn("over 2 folders; any 1", node.log)
        node.stop()
        node = self.up(f"--storage={disks[2]}", f"--storage={disks[0]}")
        self.assertIn("over 3 folders; any 2", node.log)
        cap = self.gateway("up").put(CONTENTS)
        node.stop()

        shutil.rmtree(disks[0])
        disks[0].mkdir()  # the mount point of a disk that is not there
        node = self.up()
        self.assertIn("is its disk mounted?", node.log)
        self.assertEqual(self.gateway("up").get(cap), CONTENTS)
        self.assertEqual(list(disks[0].iterdir()), [])

    def test_a_port_in_use_is_avoided_and_the_new_one_remembered(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            node = self.up(f"--webport={taken}")
            port = self.gateway("up").port
            self.assertNotEqual(port, taken)
            self.assertEqual(node.stop(), 0)
        self.up()
        self.assertEqual(self.gateway("up").port, port)

    def test_it_is_an_ordinary_node_that_runs_once(self) -> None:
        node = self.up(f"--webport={free_port()}")
        self.assertIn(f"A process is already running as PID {node.pid}", self.refused(self.node("up")))
        self.assertTrue(node.is_alive)
        node.kill()
        self.assertIn("that isn't running", self.start("up").log)


class Ending(ProcessTestCase):
    def test_every_orderly_way_to_stop_ends_with_success(self) -> None:
        directory = self.base / "client"
        LAFS.run("create-client", f"--webport={free_port()}", directory)
        for number in (signal.SIGTERM, signal.SIGINT):
            node = self.start("client")
            os.kill(node.pid, signal.SIGHUP)
            self.assertEqual(self.gateway("client").ask("GET", "/?t=json").status, 200)
            os.kill(node.pid, number)
            self.assertEqual(self.status(node), 0, node.log)
            self.assertNotIn("Traceback", node.log)
            self.assertFalse((directory / "node.url").exists())
            self.assertFalse((directory / "running.process").exists())

    def test_stopping_in_the_middle_of_an_upload_leaves_nothing_of_it(self) -> None:
        node = self.up(f"--webport={free_port()}")
        wait_until((self.base / "up" / "private" / "aliases").exists, "the root directory")
        node.stop()
        before = self.shares()
        set_options(self.base / "up" / "lafs.cfg", "client", {"convergence": "none"})
        node = self.start("up")
        with socket.create_connection(("127.0.0.1", self.gateway("up").port)) as client:
            client.sendall(b"PUT /uri HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n" + bytes(20_000_000))
            self.assertEqual(node.stop(), 0)
        self.assertNotIn("Traceback", node.log)
        self.assertEqual(self.shares(), before)

    def shares(self) -> set[Path]:
        return {path for path in self.base.glob("up/storage/*/shares/*/*/*") if path.is_file()}

    def test_what_cannot_start_says_why_in_one_line(self) -> None:
        directory = self.base / "client"
        LAFS.run("create-client", "--webport=none", directory)
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            for file, text, words in (
                ("lafs.cfg", f"[node]\nweb.port = {port}\n[storage]\nenabled = no\n", "[node] web.port): Address already in use"),
                ("lafs.cfg", f"[node]\ntub.port = tcp:{port}:interface=127.0.0.1\n", "[node] tub.port): Address already in use"),
                ("lafs.cfg", "[node]\nweb.prot = 1\n", f"lafs: {directory}/lafs.cfg:2: "),
                ("lafs.cfg", "[node]\nweb.port = nonsense:1\n", "'nonsense:1' is not an endpoint"),
                ("private/introducers.yaml", "introducers:\n  x: {furl: y}\n", "introducer x: must be a FURL"),
                ("private/node.pem", "", "private/node.pem is damaged"),
                ("private/node.privkey", "", "private/node.privkey is damaged"),
            ):
                before = (directory / file).read_bytes() if (directory / file).exists() else None
                (directory / file).write_text(text)
                output = self.refused(self.node("client"))
                self.assertIn(words, output)
                self.assertEqual(output.count("lafs: "), 1)
                self.assertFalse((directory / "running.process").exists())
                if before is None:
                    (directory / file).unlink()
                else:
                    (directory / file).write_bytes(before)
        self.start("client")


class StaticServers(ProcessTestCase):
    def test_a_server_that_is_written_down_needs_no_introducer(self) -> None:
        LAFS.run("create-node", "--hostname=127.0.0.1", "--webport=none", self.base / "server")
        server = self.start("server")
        furl = (self.base / "server" / "private" / "storage.furl").read_text().strip()
        server_id = (self.base / "server" / "node.pubkey").read_text().strip().removeprefix("pub-")
        LAFS.run("create-client", f"--webport={free_port()}", "--shares-needed=1", "--shares-total=1", self.base / "client")
        (self.base / "client" / "private" / "servers.yaml").write_text(
            f"storage:\n  {server_id}:\n    ann: {{anonymous-storage-FURL: '{furl}', nickname: mine}}\n  v0-odd: {{ann: 3}}\n"
        )
        client = self.start("client")
        self.assertIn("Warning: private/servers.yaml", client.log)
        gateway = self.gateway("client")
        wait_until(lambda: gateway.connected() == 1, "the client to find the server")
        cap = gateway.put(CONTENTS)
        server.kill()
        server.start().wait_running()
        wait_until(lambda: gateway.connected() == 1, "the client to find the server again")
        self.assertEqual(gateway.get(cap), CONTENTS)
        self.assertEqual((self.base / "server" / "private" / "storage.furl").read_text().strip(), furl)


class Introducer(ProcessTestCase):
    def test_its_page_counts_who_found_it_and_its_furl_stays_secret(self) -> None:
        port = free_port()
        location = [f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}"]
        LAFS.run("create-introducer", *location, self.base / "introducer")
        furl = (self.base / "introducer" / "private" / "introducer.furl").read_text().strip()
        set_options(self.base / "introducer" / "lafs.cfg", "node", {"web.port": str(free_port())})
        introducer = self.start("introducer")
        LAFS.run(
            "create-node", f"--introducer={furl}", "--hostname=127.0.0.1", "--webport=none", "--nickname=one", self.base / "one"
        )
        server = self.start("one")

        page = self.gateway("introducer")
        summary = {"subscription_summary": {"storage": 1}, "announcement_summary": {"storage": 1}}
        wait_until(lambda: json.loads(page.ask("GET", "/?t=json").body) == summary, "the server to be announced")
        self.assertIn(b"one (v0-", page.ask("GET", "/").body)
        self.assertEqual((self.base / "introducer" / "private" / "introducer.furl").read_text().strip(), furl)
        for node in (introducer, server):
            self.assertEqual(node.stop(), 0)
            self.assertNotIn(furl.rpartition("/")[2], node.log)
