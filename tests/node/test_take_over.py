"""A node directory of the peer, taken over as it is, and given back."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Node, Program, free_port, peer, set_options, wait_until

pytestmark = [pytest.mark.process, pytest.mark.peer]

OLD, NEW = b"stored by the peer" * 10_000, b"stored by lafs" * 10_000
IDENTITY = (
    "my_nodeid", "node.pubkey", "permutation-seed", "private/node.pem", "private/node.privkey", "private/secret",
    "private/convergence", "private/storage.furl",
)  # fmt: skip


class TakeOver(SynchronousTestCase):
    def setUp(self) -> None:
        base = Path(tempfile.mkdtemp(prefix="lafs-take-over-"))
        self.addCleanup(shutil.rmtree, base, ignore_errors=True)
        self.introducer, self.directory = base / "introducer", base / "node"
        self.gateway = Gateway(free_port())

    def start(self, program: Program, directory: Path) -> Node:
        node = Node(directory, program)
        self.addCleanup(lambda: node.kill() if node.is_alive else None)
        return node.start().wait_running()

    def take(self, program: Program) -> Node:
        """The node, run by `program`, and connected to its own storage server."""
        node = self.start(program, self.directory)
        wait_until(lambda: self.gateway.connected() == 1, f"{node} to find its storage server")
        return node

    def identity(self) -> dict[str, bytes]:
        return {name: (self.directory / name).read_bytes() for name in IDENTITY}

    def configuration(self) -> bytes:
        return hashlib.sha256((self.directory / "tahoe.cfg").read_bytes()).digest()

    def test_it_keeps_identity_and_shares_and_its_configuration_is_never_written(self) -> None:
        port = free_port()
        peer().run(
            "create-introducer", f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}", self.introducer
        )  # fmt: skip
        self.start(LAFS, self.introducer)
        furl = (self.introducer / "private" / "introducer.furl").read_text().strip()
        peer().run(
            "create-node", f"--introducer={furl}", "--hostname=127.0.0.1", "--nickname=taken over",
            f"--webport=tcp:{self.gateway.port}:interface=127.0.0.1",
            "--shares-needed=1", "--shares-happy=1", "--shares-total=1", self.directory,
        )  # fmt: skip
        # So that the peer speaks of its connections in the words that lafs uses too.
        set_options(self.directory / "tahoe.cfg", "client", {"force_foolscap": "true"})

        node = self.take(peer())
        old_cap = self.gateway.put(OLD)
        node.stop()
        identity, configuration = self.identity(), self.configuration()

        node = self.take(LAFS)
        self.assertEqual(self.gateway.get(old_cap), OLD)
        self.assertEqual(self.gateway.put(OLD), old_cap)
        new_cap = self.gateway.put(NEW)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(self.identity(), identity)
        self.assertEqual(self.configuration(), configuration)
        self.assertFalse((self.directory / "lafs.cfg").exists())

        self.take(peer())
        self.assertEqual(self.gateway.get(new_cap), NEW)
        self.assertEqual(self.identity(), identity)
