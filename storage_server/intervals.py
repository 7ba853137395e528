"""A set of byte ranges: which bytes of a share being uploaded were written. Pure. Used by `uploads.py`."""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Intervals:
    """Disjoint, sorted, half-open ranges [start, end) of integers; touching ones are one."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add [start, end); empty ones change nothing."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of [start, end) that are in the set, in order."""
        if start >= end:
            return
        for index in range(bisect_right(self._ends, start), bisect_left(self._starts, end)):
            yield max(start, self._starts[index]), min(end, self._ends[index])

    def covers(self, start: int, end: int) -> bool:
        """Whether all of [start, end) is in the set."""
        return start >= end or next(self.within(start, end), None) == (start, end)

    def __len__(self) -> int:
        """The number of separate ranges."""
        return len(self._starts)
