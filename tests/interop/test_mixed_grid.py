"""A grid of both: one introducer of lafs, servers of lafs and of the peer."""
from __future__ import annotations

import pytest

from tests.interop.exchange import Exchange, grid_of
from tests.process.harness import LAFS, peer

pytestmark = pytest.mark.peer


class MixedGrid(Exchange.Tests):
    @classmethod
    def setUpClass(cls) -> None:
        cls.grid = grid_of([LAFS, peer(), LAFS], introducer=LAFS)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.grid.close()
