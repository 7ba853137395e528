"""A node directory of the peer, taken over as it is, and given back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lafs.node.ports import free_port
from tests.node.running import LAFS, PEER, Node, run, until

OLD, NEW = b"stored by the peer" * 10_000, b"stored by lafs" * 10_000
IDENTITY = (
    "my_nodeid", "node.pubkey", "permutation-seed", "private/node.pem", "private/node.privkey", "private/secret",
    "private/convergence", "private/storage.furl",
)  # fmt: skip


@pytest.mark.peer
@pytest.mark.process
@pytest.mark.skipif(PEER is None, reason="LAFS_PEER does not name the peer's command")
class TakeOver(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.directory = self.base / "node"

    def start(self, command: tuple[str, ...], directory: Path, ready: str) -> Node:
        (directory / "node.url").unlink(missing_ok=True)
        node = Node(command, "run", "--allow-stdin-close", str(directory), directory=directory)
        self.addCleanup(node.kill)
        node.until_says(ready)
        until(lambda: (directory / "node.url").exists() or "introducer" in directory.name, "node.url")
        return node

    def identity(self) -> dict[str, bytes]:
        return {name: (self.directory / name).read_bytes() for name in IDENTITY}

    def test_it_keeps_identity_and_shares_and_its_configuration_is_never_written(self) -> None:
        peer = (PEER or "",)
        port = free_port()
        introducer = self.base / "introducer"
        run(
            LAFS,
            "create-introducer",
            f"--port=tcp:{port}:interface=127.0.0.1",
            f"--location=tcp:127.0.0.1:{port}",
            str(introducer),
            home=self.base,
        )
        self.start(LAFS, introducer, "\nready")
        furl = (introducer / "private" / "introducer.furl").read_text().strip()
        run(
            peer, "create-node", f"--introducer={furl}", "--hostname=127.0.0.1", "--nickname=50 percent",
            f"--webport=tcp:{free_port()}:interface=127.0.0.1",
            "--shares-needed=1", "--shares-happy=1", "--shares-total=1", str(self.directory), home=self.base,
        )  # fmt: skip

        node = self.start(peer, self.directory, "client running")
        old_cap = node.put(OLD)
        node.stop()
        identity = self.identity()
        configuration = hashlib.sha256((self.directory / "tahoe.cfg").read_bytes()).digest()

        node = self.start(LAFS, self.directory, "\nready")
        self.assertEqual(node.get(old_cap), OLD)
        self.assertEqual(node.put(OLD), old_cap)
        new_cap = node.put(NEW)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(self.identity(), identity)
        self.assertEqual(hashlib.sha256((self.directory / "tahoe.cfg").read_bytes()).digest(), configuration)
        self.assertFalse((self.directory / "lafs.cfg").exists())

        node = self.start(peer, self.directory, "client running")
        self.assertEqual(node.get(new_cap), NEW)
        self.assertEqual(self.identity(), identity)
