"""How many servers to ask at first, learned from how often those asked had a share.

On a grid where every server holds a share of every file it is enough to ask as many as shares are wanted; on a large one, or
one whose shares lie where another program put them, more must be asked to find as many. One for a whole client. Pure.
"""
from __future__ import annotations

from math import ceil
from typing import Final

WEIGHT: Final = 0.05
"""Of the newest answer in the average."""

LEAST: Final = 0.2
"""Never expect less than this: waves grow by themselves when they come short."""


class ShareDensity:
    """The part of the servers asked that had something."""

    def __init__(self) -> None:
        self._density = 0.5

    def saw(self, found: bool) -> None:
        """A server answered: whether it had a share of the file."""
        self._density += WEIGHT * (found - self._density)

    def servers_for(self, shares: int) -> int:
        """How many servers to ask so as to find about so many shares."""
        return ceil(shares / max(LEAST, self._density) - 0.01)
