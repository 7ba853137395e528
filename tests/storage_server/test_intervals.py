"""Sets of byte ranges, against sets of integers."""
from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from storage_server.intervals import Intervals

RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


class AsSetsOfIntegers(SynchronousTestCase):
    @given(RANGES, st.integers(0, 40), st.integers(0, 40))
    def test_they_hold_what_was_added_and_nothing_else(
        self, ranges: list[tuple[int, int]], start: int, end: int
    ) -> None:
        intervals, model = Intervals(), set[int]()
        for first, last in ranges:
            intervals.add(first, last)
            model |= set(range(first, last))
        found = list(intervals.within(start, end))
        self.assertEqual({number for first, last in found for number in range(first, last)},
                         model & set(range(start, end)))
        self.assertEqual(intervals.covers(start, end), set(range(start, end)) <= model)
        self.assertTrue(all(first < last for first, last in found))
        self.assertTrue(all(one[1] < other[0] for one, other in itertools.pairwise(found)))
        separate = sum(1 for number in model if number - 1 not in model)
        self.assertEqual(len(intervals), separate)
