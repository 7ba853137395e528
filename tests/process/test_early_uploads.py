"""A node is used in the moment it says it is ready, before it has met its servers."""
from __future__ import annotations

import os

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS

pytestmark = pytest.mark.process


class EarlyUploads(SynchronousTestCase):
    """What is stored at once waits for the servers, and is spread over all of them."""

    def test_what_is_stored_or_checked_at_once_meets_all_servers(self) -> None:
        with Grid([LAFS] * 3, encoding=Encoding(2, 3, 3)) as grid:
            client = grid.make_client()
            client.node.start().wait_running()
            cap = client.put(os.urandom(100_000))
            self.assertEqual(client.check(cap, verify=True)["results"]["count-good-share-hosts"], 3)
            client.node.stop()
            client.node.start().wait_running()
            self.assertTrue(client.check(cap, verify=False)["results"]["healthy"], "nothing seems to be lost")
            client.node.stop()
            client.node.start().wait_running()
            made = client.ask("POST", "/uri?t=mkdir")
            self.assertEqual((made.status, made.text[:9]), (200, "URI:DIR2:"))
