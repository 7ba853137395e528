"""Counters of what a node has done since it started, as shown on its statistics page.

Names are those of the spec (05 §10, 07 §13.2, 08 §22). A counter is absent until it is first counted.
"""
from __future__ import annotations

from collections.abc import Mapping


class Counters:
    """Named integers that only grow. Used from the reactor thread only."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add `by` to the counter `name`."""
        self._counts[name] = self._counts.get(name, 0) + by

    def snapshot(self) -> Mapping[str, int]:
        """A copy of all counters, sorted by name."""
        return dict(sorted(self._counts.items()))
