"""A grid of lafs: its introducer, its servers."""
from __future__ import annotations

import pytest

from tests.interop.exchange import Exchange, grid_of
from tests.process.harness import LAFS

pytestmark = pytest.mark.peer


class LafsGrid(Exchange.Tests):
    @classmethod
    def setUpClass(cls) -> None:
        cls.grid = grid_of([LAFS] * 3, introducer=LAFS)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.grid.close()
