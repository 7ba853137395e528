"""What a deep walk has met, counted and measured: grows with every visit, so that progress can be shown. Spec: 04 §9."""
from __future__ import annotations

from bisect import bisect_left
from itertools import count
from math import sqrt
from typing import Any

from lafs.capability import DirectoryCap, ImmutableReadCap, LiteralCap
from lafs.directory.deep_walk import Visit


class DeepStatistics:
    """Sizes in bytes. Mutable files are counted, not measured: that would take asking for each."""

    def __init__(self) -> None:
        self._immutable_files = 0
        self._mutable_files = 0
        self._literal_files = 0
        self._directories = 0
        self._unknown = 0
        self._immutable_bytes = 0
        self._literal_bytes = 0
        self._directory_bytes = 0
        self._largest_directory = 0
        self._most_children = 0
        self._largest_immutable_file = 0
        self._histogram: dict[tuple[int, int], int] = {}

    def add(self, visit: Visit) -> None:
        """Count one object."""
        cap = visit.cap
        if cap is None:
            self._unknown += 1
        elif isinstance(cap, DirectoryCap):
            self._add_directory(visit)
        elif isinstance(cap, LiteralCap):
            size = len(cap.content)
            self._literal_files += 1
            self._literal_bytes += size
            self._add_size(size)
        elif isinstance(cap, ImmutableReadCap):
            self._immutable_files += 1
            self._immutable_bytes += cap.size
            self._largest_immutable_file = max(self._largest_immutable_file, cap.size)
            self._add_size(cap.size)
        else:
            self._mutable_files += 1

    def _add_directory(self, visit: Visit) -> None:
        self._directories += 1
        if visit.listing is not None:
            self._directory_bytes += visit.listing.size
            self._largest_directory = max(self._largest_directory, visit.listing.size)
            self._most_children = max(self._most_children, len(visit.listing.children))

    def _add_size(self, size: int) -> None:
        bounds = bucket(size)
        self._histogram[bounds] = self._histogram.get(bounds, 0) + 1

    def as_json(self) -> dict[str, Any]:
        """The statistics object, with its keys in order."""
        return {
            "api-version": 1,
            "count-immutable-files": self._immutable_files,
            "count-mutable-files": self._mutable_files,
            "count-literal-files": self._literal_files,
            "count-files": self._immutable_files + self._mutable_files + self._literal_files,
            "count-directories": self._directories,
            "count-unknown": self._unknown,
            "size-immutable-files": self._immutable_bytes,
            "size-literal-files": self._literal_bytes,
            "size-directories": self._directory_bytes,
            "largest-directory": self._largest_directory,
            "largest-directory-children": self._most_children,
            "largest-immutable-file": self._largest_immutable_file,
            "size-files-histogram": [[*bounds, number] for bounds, number in sorted(self._histogram.items())],
        }


_UPPER_BOUNDS = [0, 3]
_FACTOR = sqrt(10)


def bucket(size: int) -> tuple[int, int]:
    """The least and the greatest size that are counted together with `size`. Spec: 04 §9.2."""
    bounds = _UPPER_BOUNDS
    while bounds[-1] < size:
        bounds.append(_next_bound(bounds[-1] + 1))
    index = bisect_left(bounds, size)
    return (bounds[index - 1] + 1 if index else 0), bounds[index]


def _next_bound(lower: int) -> int:
    # Multiplied up from one each time: the rounding of just these steps shows in the bounds beyond 10^15.
    power = 1.0
    for _ in count():
        if power >= lower:
            break
        power *= _FACTOR
    return int(power)
