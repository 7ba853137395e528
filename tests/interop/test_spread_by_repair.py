"""A mutable file that lay on too few servers, and was spread by a repair, is one that the real peer can read and write."""
from __future__ import annotations

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import path_of
from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS, peer

pytestmark = pytest.mark.peer


class Spread(SynchronousTestCase):
    def test_copies_are_read_and_overwritten_by_the_peer(self) -> None:
        with Grid([LAFS, LAFS], encoding=Encoding(1, 1, 2), clients=[LAFS, peer()]) as grid:
            careless, theirs = grid.client(LAFS), grid.client(peer())
            grid.servers[1].stop()
            careless.wait_connected(1)
            cap = careless.ask("PUT", "/uri?format=sdmf", b"first").text
            grid.heal()
            careful = grid.add_client(options={"shares.happy": "2"})
            self.assertFalse(careful.check(cap, verify=False)["results"]["healthy"])
            repaired = careful.ask("POST", f"{path_of(cap)}?t=check&repair=true&output=JSON").text
            self.assertIn('"repair-successful": true', repaired)
            self.assertTrue(careful.check(cap, verify=True)["results"]["healthy"])

            self.assertEqual(theirs.get(cap), b"first")
            self.assertTrue(theirs.check(cap, verify=True)["results"]["healthy"])
            self.assertEqual(theirs.ask("PUT", path_of(cap), b"second, by the peer").status, 200)
            self.assertEqual(careful.get(cap), b"second, by the peer")
            found = careful.check(cap, verify=True)["results"]
            self.assertEqual((found["healthy"], found["count-wrong-shares"]), (True, 0))
            grid.servers[0].stop()
            careful.wait_connected(1)
            self.assertEqual(careful.get(cap), b"second, by the peer")
