"""A grid of the peer: its introducer, its servers."""
from __future__ import annotations

import pytest

from tests.interop.exchange import Exchange, grid_of
from tests.process.harness import peer

pytestmark = pytest.mark.peer


class PeerGrid(Exchange.Tests):
    @classmethod
    def setUpClass(cls) -> None:
        cls.grid = grid_of([peer()] * 3, introducer=peer())

    @classmethod
    def tearDownClass(cls) -> None:
        cls.grid.close()
