"""Erasure coding: any k blocks of N give the segment back."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.erasure import Coder


@st.composite
def segments(draw: st.DrawFn) -> tuple[Coder, bytes]:
    needed = draw(st.integers(1, 20))
    total = draw(st.integers(needed, 30))
    block = draw(st.integers(0, 40))
    return Coder(needed, total), draw(st.binary(min_size=needed * block, max_size=needed * block))


class Coding(SynchronousTestCase):
    """`Coder` gives back what it was given."""

    @given(segments(), st.data())
    def test_any_k_blocks_give_the_segment_back(self, made: tuple[Coder, bytes], data: st.DataObject) -> None:
        coder, segment = made
        blocks = coder.encode(segment)
        self.assertEqual(len(blocks), coder.total)
        numbers = data.draw(st.permutations(range(coder.total)))[: coder.needed]
        self.assertEqual(coder.decode({number: blocks[number] for number in numbers}), segment)

    @given(segments())
    def test_the_first_k_blocks_are_the_segment_itself(self, made: tuple[Coder, bytes]) -> None:
        coder, segment = made
        self.assertEqual(b"".join(coder.encode(segment)[: coder.needed]), segment)

    @given(segments(), st.data())
    def test_more_blocks_than_needed_do_no_harm(self, made: tuple[Coder, bytes], data: st.DataObject) -> None:
        coder, segment = made
        self.assertEqual(coder.decode(dict(enumerate(coder.encode(segment)))), segment)

    def test_primary_blocks_are_views_and_no_copies(self) -> None:
        segment = bytearray(range(30))
        blocks = Coder(3, 10).encode(segment)
        for block in blocks[:3]:
            assert isinstance(block, memoryview)
            self.assertIs(block.obj, segment)

    def test_any_kind_of_bytes_codes_the_same(self) -> None:
        segment = bytes(range(240))
        for coder in (Coder(3, 10), Coder(1, 1), Coder(3, 3), Coder(1, 4)):
            expected = [bytes(block) for block in coder.encode(segment)]
            for same in (bytearray(segment), memoryview(segment), memoryview(b"xx" + segment)[2:]):
                self.assertEqual([bytes(block) for block in coder.encode(same)], expected)
            views: dict[int, memoryview] = {number: memoryview(block) for number, block in enumerate(expected)}
            last = {number: views[number] for number in range(coder.total - coder.needed, coder.total)}
            self.assertEqual(coder.decode(last), segment)

    def test_the_largest_code_works(self) -> None:
        coder = Coder(255, 256)
        segment = bytes(range(255))
        blocks = coder.encode(segment)
        self.assertEqual(coder.decode({number: blocks[number] for number in range(1, 256)}), segment)


class Refusals(SynchronousTestCase):
    """What cannot be coded is refused before the library sees it."""

    def test_impossible_parameters(self) -> None:
        for needed, total in ((0, 1), (2, 1), (1, 257), (-1, 3), (257, 257)):
            self.assertRaises(ValueError, Coder, needed, total)

    def test_a_segment_that_does_not_divide(self) -> None:
        self.assertRaises(ValueError, Coder(3, 10).encode, b"four")

    def test_too_few_blocks(self) -> None:
        self.assertRaises(ValueError, Coder(3, 10).decode, {0: b"a", 1: b"b"})

    def test_blocks_of_different_lengths(self) -> None:
        for numbers in ((0, 1, 2), (0, 1, 7)):
            self.assertRaises(ValueError, Coder(3, 10).decode, dict(zip(numbers, (b"aa", b"bb", b"c"), strict=True)))

    def test_block_numbers_outside_the_code(self) -> None:
        for numbers in ((0, 1, 10), (-1, 1, 2), (256, 257, 258)):
            self.assertRaises(ValueError, Coder(3, 10).decode, dict.fromkeys(numbers, b"a"))
