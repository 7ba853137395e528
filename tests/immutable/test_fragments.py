"""Pieces of a share: what is at hand, what is missing, where the share ends."""
from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.immutable.fragments import Fragments, TruncatedShare, merged
from lafs.interfaces import ByteRange

RANGES = st.builds(ByteRange, st.integers(0, 300), st.integers(1, 100))


class Pieces(SynchronousTestCase):
    """Fragments give back what was read, and nothing that was not."""

    @given(st.binary(max_size=200), st.lists(RANGES, max_size=5), RANGES)
    def test_what_is_at_hand_is_what_the_share_holds(self, share: bytes, read: list[ByteRange], wanted: ByteRange) -> None:
        fragments = Fragments()
        for each in read:
            fragments.add(each, share[each.offset : each.offset + each.length])
        start, end = wanted.offset, wanted.offset + wanted.length
        found = fragments.get(start, wanted.length)
        covered = any(each.offset <= start and end <= each.offset + each.length for each in read) and end <= len(share)
        self.assertEqual(found is not None, covered)
        if found is not None:
            self.assertEqual(bytes(found), share[start:end])
        some = fragments.up_to(start, wanted.length)
        if some is not None:
            self.assertEqual(bytes(some), share[start:end])
        if end <= len(share):
            fragments.check_end(start, wanted.length)

    def test_a_short_answer_tells_the_end(self) -> None:
        fragments = Fragments()
        fragments.add(ByteRange(10, 20), b"12345")
        fragments.check_end(0, 15)
        self.assertRaises(TruncatedShare, fragments.check_end, 0, 16)
        self.assertEqual(fragments.up_to(12, 100), b"345")
        self.assertEqual(fragments.up_to(40, 100), b"")

    def test_more_than_was_asked_for_is_cut_off(self) -> None:
        fragments = Fragments()
        fragments.add(ByteRange(0, 3), b"abcdef")
        self.assertIsNone(fragments.get(0, 4))
        self.assertEqual(fragments.get(0, 3), b"abc")

    def test_taking_a_range_copies_nothing(self) -> None:
        answer, fragments = bytes(1000), Fragments()
        fragments.add(ByteRange(0, 1000), answer)
        piece = fragments.get(10, 100)
        assert piece is not None
        self.assertIs(piece.obj, answer)


class Merging(SynchronousTestCase):
    """The fewest reads that cover everything."""

    @given(st.lists(RANGES, max_size=10), st.integers(0, 50))
    def test_reads_cover_what_is_wanted_in_order_and_apart(self, wanted: list[ByteRange], gap: int) -> None:
        reads = merged(wanted, gap)
        for each in wanted:
            self.assertTrue(any(
                read.offset <= each.offset and each.offset + each.length <= read.offset + read.length for read in reads
            ))
        for one, next_one in pairwise(reads):
            self.assertGreater(next_one.offset, one.offset + one.length + gap)
        for read in reads:
            self.assertIn(read.offset, [each.offset for each in wanted])
            self.assertIn(read.offset + read.length, [each.offset + each.length for each in wanted])
