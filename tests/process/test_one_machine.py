"""`lafs up`: one process, five folders, nothing to configure."""
from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Node, free_port

pytestmark = pytest.mark.process


class Up(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lafs-up-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.directory = self.folder / "node"
        self.port = free_port()
        self.gateway = Gateway(self.port)

    def _up(self, *storage: Path) -> Node:
        options = [f"--storage={each}" for each in storage]
        node = Node(self.directory, LAFS, ["up", "-C", self.directory, "-p", str(self.port), "--no-open", *options])
        self.addCleanup(lambda: node.kill() if node.is_alive else None)
        return node.start().wait_running()

    def test_files_are_there_again_after_a_second_start(self) -> None:
        node = self._up()
        contents = [os.urandom(size) for size in (10, 1000, 4_000_000)]
        caps = [self.gateway.put(each) for each in contents]
        self.assertEqual(node.stop(), 0)
        self._up()
        self.assertEqual([self.gateway.get(each) for each in caps], contents)

    def test_the_commands_need_no_more_than_the_directory(self) -> None:
        self._up()
        content = os.urandom(100_000)
        cap = LAFS.run("-d", self.directory, "put", "-", stdin=content).text
        self.assertEqual(LAFS.run("-d", self.directory, "get", cap, "-").stdout, content)

    def test_two_folders_of_five_may_be_lost(self) -> None:
        node = self._up()
        content = os.urandom(2_000_000)
        cap = self.gateway.put(content)
        node.stop()
        for lost in sorted((self.directory / "storage").iterdir())[:2]:
            shutil.rmtree(lost / "shares")
        self._up()
        self.assertEqual(self.gateway.get(cap), content)

    def test_shares_go_to_the_folders_that_were_named(self) -> None:
        disks = [self.folder / f"disk{number}" for number in range(3)]
        for disk in disks:
            disk.mkdir()
        node = self._up(*disks)
        content = os.urandom(300_000)
        cap = self.gateway.put(content)
        for disk in disks:
            self.assertTrue(any(path.is_file() for path in disk.rglob("shares/*/*/*")), disk.name)
        node.stop()
        self._up()
        self.assertEqual(self.gateway.get(cap), content)

    def test_an_answered_upload_survives_a_kill_of_everything(self) -> None:
        node = self._up()
        content = os.urandom(3_000_000)
        cap = self.gateway.put(content)
        node.kill()
        self._up()
        self.assertEqual(self.gateway.get(cap), content)

    def test_when_it_runs_already_it_says_where(self) -> None:
        self._up()
        told = LAFS.run("up", "-C", self.directory, "--no-open")
        self.assertIn(self.gateway.url, told.text)
