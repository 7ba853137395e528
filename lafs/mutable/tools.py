"""What all work on the mutable files of one client needs: the grid, the workers, the clock, randomness and memory of servers."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from attrs import field, frozen

from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import Grid, GridServer, LeaseSecrets
from lafs.mutable.advisories import Advisories
from lafs.mutable.patience import Patience
from lafs.mutable.share_layout import MOST_SHARES
from lafs.statistics import Counters
from lafs.tasks import Clock, Window
from lafs.workers import Workers

BYTES_IN_FLIGHT: Final = 48 * 1024 * 1024
"""Of shares that are being written, all files together. On their way into a connection they take three times as much memory."""


@frozen
class Coding:
    """How new files are coded, and how widely any change must be spread to count as done.

    Files that exist keep their own `needed` and `total`. Raises ValueError for numbers that no mutable file can have.
    """

    needed: int = 3
    happy: int = 7
    total: int = 10

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.needed <= self.total <= MOST_SHARES or self.happy < 1:
            raise ValueError(f"a mutable file has from 1 to {MOST_SHARES} shares, of which no more than all are needed")


@frozen(eq=False)
class Tools:
    """One for each client. `lease_secrets_for` says what to show a server about a file."""

    grid: Grid
    workers: Workers
    clock: Clock
    coding: Coding
    lease_secrets_for: Callable[[StorageIndex, GridServer], LeaseSecrets] = field(repr=False)
    counters: Counters
    random_bytes: Callable[[int], bytes]
    spool: Path | None = None
    """Where blocks of large files wait, encrypted, until they are sent."""
    sending: Window = field(factory=lambda: Window(BYTES_IN_FLIGHT))
    patience: Patience = field(factory=Patience)
    advisories: Advisories = field(factory=Advisories)

    def chance(self) -> float:
        """A random number from 0 to below 1."""
        return int.from_bytes(self.random_bytes(4), "big") / 2**32
