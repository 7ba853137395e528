"""A node directory belongs to its owner, not to a program: either runs what the other made, and finds what the other stored."""
from __future__ import annotations

import hashlib
import os

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS, Program, peer

pytestmark = pytest.mark.peer

CONTENTS = [os.urandom(size) for size in (1000, 2_000_000)]


class Directories(SynchronousTestCase):
    def test_a_server_and_a_client_of_the_peer_are_run_by_lafs_and_by_the_peer_again(self) -> None:
        with Grid([peer()], encoding=Encoding(2, 1, 3), clients=[peer()], introducer=peer()) as grid:
            configurations = [node.directory / "tahoe.cfg" for node in grid.nodes]
            before = [hashlib.sha256(path.read_bytes()).digest() for path in configurations]
            caps = [grid.clients[0].put(each) for each in CONTENTS]
            identities = self._identities(grid)

            self._run_all_by(LAFS, grid)
            self.assertEqual([grid.clients[0].get(each) for each in caps], CONTENTS)
            self.assertEqual(grid.clients[0].put(CONTENTS[0]), caps[0])
            new = os.urandom(300_000)
            new_cap = grid.clients[0].put(new)
            self.assertEqual(self._identities(grid), identities)
            self.assertEqual([hashlib.sha256(path.read_bytes()).digest() for path in configurations], before)

            self._run_all_by(peer(), grid)
            self.assertEqual([grid.clients[0].get(each) for each in [*caps, new_cap]], [*CONTENTS, new])
            self.assertTrue(grid.clients[0].check(new_cap, verify=True)["results"]["healthy"])
            self.assertEqual(self._identities(grid), identities)
            self.assertEqual([hashlib.sha256(path.read_bytes()).digest() for path in configurations], before)

    def _run_all_by(self, program: Program, grid: Grid) -> None:
        """Stop every process, and start each on its directory with `program`. The introducer too."""
        for node in grid.nodes:
            node.stop()
        for node in grid.nodes:
            node.change_program(program)
            node.start()
        grid.wait_connected()

    def _identities(self, grid: Grid) -> list[str]:
        """What others know the servers by, as far as the client can see."""
        return sorted(grid.clients[0].server_ids())
