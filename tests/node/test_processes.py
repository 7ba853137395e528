"""Nodes as their owners start and stop them: real processes, real signals, real ports."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lafs.node.ports import free_port
from tests.node.running import LAFS, Node, run, until

CONTENTS = bytes(range(256)) * 1000


class ProcessTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()

    def start(self, name: str, *arguments: str) -> Node:
        return self.launch(name, "run", *arguments, str(self.base / name)).until_says("\nready")

    def launch(self, name: str, *arguments: str) -> Node:
        node = Node(LAFS, *arguments, directory=self.base / name)
        self.addCleanup(node.kill)
        return node

    def up(self, *arguments: str) -> Node:
        return self.launch("up", "up", "-C", str(self.base / "up"), "--no-open", *arguments).until_says("Ctrl-C stops")

    def lafs(self, *arguments: str) -> str:
        return run(LAFS, *arguments, home=self.base)

    def create(self, command: str, name: str, *arguments: str) -> Path:
        self.lafs(command, *arguments, str(self.base / name))
        return self.base / name


@pytest.mark.process
class GridOfOneMachine(ProcessTestCase):
    """`lafs up`."""

    def test_a_second_start_finds_everything_again_and_a_stop_is_clean(self) -> None:
        port = free_port()
        node = self.up(f"--webport={port}")
        self.assertIn(f"http://127.0.0.1:{port}/", node.output)
        cap = node.put(CONTENTS)
        self.assertEqual(node.stop(), 0)
        self.assertFalse((self.base / "up" / "node.url").exists())
        self.assertFalse((self.base / "up" / "running.process").exists())

        node = self.up()
        self.assertEqual(node.url, f"http://127.0.0.1:{port}/")
        self.assertEqual(node.get(cap), CONTENTS)

    def test_what_was_acknowledged_survives_a_kill(self) -> None:
        node = self.up(f"--webport={free_port()}")
        cap = node.put(CONTENTS)
        node.kill()
        self.assertTrue((self.base / "up" / "running.process").exists())

        node = self.up()
        self.assertIn("that isn't running", node.output)
        self.assertEqual(node.get(cap), CONTENTS)

    def test_named_disks_are_remembered_and_a_missing_one_is_left_alone(self) -> None:
        disks = [self.base / f"disk{number}" for number in range(3)]
        node = self.up(f"--webport={free_port()}", *(f"--storage={disk}" for disk in disks[:2]))
        self.assertIn("over 2 folders; any 1", node.output)
        node.stop()
        node = self.up(f"--storage={disks[2]}", f"--storage={disks[0]}")
        self.assertIn("over 3 folders; any 2", node.output)
        cap = node.put(CONTENTS)
        node.stop()

        shutil.rmtree(disks[0])
        disks[0].mkdir()  # the mount point of a disk that is not there
        node = self.up()
        self.assertIn("is its disk mounted?", node.output)
        self.assertEqual(node.get(cap), CONTENTS)
        self.assertEqual(list(disks[0].iterdir()), [])

    def test_a_port_in_use_is_avoided_and_the_new_one_remembered(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            first = self.up(f"--webport={taken}")
            url = first.url
            self.assertNotIn(f":{taken}/", url)
            self.assertEqual(first.stop(), 0)
        self.assertEqual(self.up().url, url)

    def test_it_is_an_ordinary_node_that_is_started_once(self) -> None:
        node = self.up(f"--webport={free_port()}")
        second = self.launch("up", "up", "-C", str(self.base / "up"), "--no-open")
        self.assertEqual(second.wait(), 0)
        self.assertIn(f"already running: {node.url}", second.output)
        third = self.launch("up", "run", str(self.base / "up"))
        self.assertEqual(third.wait(), 1)
        self.assertIn(f"A process is already running as PID {node.pid}", third.output)
        node.stop()
        self.start("up")


@pytest.mark.process
class Ending(ProcessTestCase):
    def test_every_orderly_way_to_stop_ends_with_success(self) -> None:
        self.create("create-client", "client", f"--webport={free_port()}")
        for number in (signal.SIGTERM, signal.SIGINT):
            node = self.start("client", "--allow-stdin-close")
            node.tell(signal.SIGHUP)
            self.assertEqual(node.ask("GET", "/?t=json")[0], 200)
            node.tell(number)
            self.assertEqual(node.wait(), 0, node.output)
            self.assertNotIn("Traceback", node.output)

    def test_stopping_in_the_middle_of_an_upload_leaves_nothing_of_it(self) -> None:
        self.up(f"--webport={free_port()}").stop()
        config = self.base / "up" / "lafs.cfg"
        config.write_text(config.read_text() + "\n[client]\nconvergence = none\n")
        node = self.start("up")
        with socket.create_connection(("127.0.0.1", urlsplit(node.url).port or 0)) as client:
            client.sendall(b"PUT /uri HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n" + bytes(20_000_000))
            self.assertEqual(node.stop(), 0)
        self.assertNotIn("Traceback", node.output)
        self.assertEqual([path for path in self.base.glob("up/storage/*/shares/*/*/*") if path.is_file()], [])

    def test_what_cannot_start_says_why_in_one_line_and_fails(self) -> None:
        directory = self.create("create-client", "client", "--webport=none")
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            for file, text, words in (
                ("lafs.cfg", f"[node]\nweb.port = {port}\n[storage]\nenabled = no\n", "[node] web.port): Address already in use"),
                ("lafs.cfg", "[node]\nweb.prot = 1\n", "lafs.cfg:2: "),
                ("lafs.cfg", "[node]\nweb.port = nonsense:1\n", "'nonsense:1' is not an endpoint"),
                ("private/introducers.yaml", "introducers:\n  x: {furl: y}\n", "introducer x: must be a FURL"),
                ("private/node.pem", "", "private/node.pem is damaged"),
                ("private/node.privkey", "", "private/node.privkey is damaged"),
            ):
                before = (directory / file).read_text() if (directory / file).exists() else None
                (directory / file).write_text(text)
                node = self.launch("client", "run", str(directory))
                self.assertEqual(node.wait(), 1, node.output)
                self.assertIn(f"\nlafs: {'' if 'lafs.cfg:' not in words else str(directory) + '/'}", node.output)
                self.assertIn(words, node.output)
                self.assertNotIn("Traceback", node.output)
                self.assertFalse((directory / "running.process").exists())
                if before is None:
                    (directory / file).unlink()
                else:
                    (directory / file).write_text(before)
        self.start("client")


@pytest.mark.process
class SmallGrid(ProcessTestCase):
    def test_nodes_find_each_other_through_an_introducer(self) -> None:
        port = free_port()
        self.create("create-introducer", "introducer", f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}")
        furl = (self.base / "introducer" / "private" / "introducer.furl").read_text().strip()
        config = self.base / "introducer" / "lafs.cfg"
        config.write_text(config.read_text().replace("web.port =", f"web.port = {free_port()}"))
        introducer = self.start("introducer")
        self.assertEqual((self.base / "introducer" / "private" / "introducer.furl").read_text().strip(), furl)

        for name in ("server-1", "server-2"):
            self.create("create-node", name, f"--introducer={furl}", "--hostname=127.0.0.1", "--webport=none", f"--nickname={name}")
            self.start(name)
        self.create(
            "create-client", "client", f"--introducer={furl}", f"--webport={free_port()}",
            "--shares-needed=1", "--shares-happy=2", "--shares-total=2",
        )  # fmt: skip
        client = self.start("client")
        self.assertEqual(client.get(client.put(CONTENTS)), CONTENTS)

        overview = json.loads(client.ask("GET", "/?t=json")[1])
        self.assertEqual([server["nickname"] for server in overview["servers"]], ["server-1", "server-2"])
        self.assertTrue(overview["introducers"]["statuses"][0].startswith("Connected to tcp:127.0.0.1:"))
        summary = {"subscription_summary": {"storage": 3}, "announcement_summary": {"storage": 2}}
        until(lambda: json.loads(introducer.ask("GET", "/?t=json")[1]) == summary, "the introducer's summary")
        status, page = introducer.ask("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn(b"server-1", page)
        self.assertEqual(introducer.ask("GET", "/other")[0], 404)
        for name in ("introducer", "client"):
            self.assertNotIn(furl.rpartition("/")[2], (introducer if name == "introducer" else client).output)
