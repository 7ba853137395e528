"""Blocks to plaintext: the bytes wanted come out, whichever blocks went in."""
from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.aes import ctr
from lafs.crypto.hashes import block_hash, ciphertext_segment_hash
from lafs.erasure import Coder
from lafs.errors import BadCiphertext
from lafs.immutable.segment import Block, SegmentPlan, first_bad, recover

KEY = bytes(range(16))


class Recovering(SynchronousTestCase):
    """`recover` is the opposite of encrypting and coding."""

    @settings(max_examples=60)
    @given(st.binary(min_size=1, max_size=200), st.integers(1, 4), st.integers(0, 3), st.integers(0, 10_000), st.data())
    def test_any_blocks_give_any_part(self, text: bytes, needed: int, spare: int, offset: int, data: st.DataObject) -> None:
        coder = Coder(needed, needed + spare)
        ciphertext = ctr(KEY, text, offset)
        blocks = dict(enumerate(coder.encode(ciphertext.ljust(-(-len(text) // needed) * needed, b"\0"))))
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        expected = ciphertext_segment_hash(ciphertext)
        plan = SegmentPlan(number=3, size=len(text), offset=offset, start=start, end=end, segment_hash=expected, file="f")
        for numbers in combinations(blocks, needed):
            pieces = recover(plan, {number: memoryview(blocks[number]) for number in numbers}, coder, KEY)
            self.assertEqual(b"".join(pieces), text[start:end])

    def test_a_segment_that_is_not_what_its_hash_says_is_refused(self) -> None:
        coder = Coder(1, 1)
        plan = SegmentPlan(number=7, size=4, offset=0, start=0, end=4, segment_hash=bytes(32), file="abcdefghijkl")
        error = self.assertRaises(BadCiphertext, recover, plan, {0: b"text"}, coder, KEY)
        self.assertIn("hash failure in ciphertext_hash_tree: segnum=7, SI=abcdefghijkl", str(error))

    def test_the_first_bad_block_is_pointed_out(self) -> None:
        good = [Block(number, 0, b"%d" % number, block_hash(b"%d" % number), b"") for number in range(3)]
        self.assertIsNone(first_bad(good))
        bad = Block(1, 0, b"x", block_hash(b"y"), b"")
        self.assertIs(first_bad([good[0], bad, good[2]]), bad)

    def test_neither_keys_nor_contents_show_in_a_repr(self) -> None:
        self.assertNotIn("secret", repr(Block(0, 0, b"secret", b"secret", b"secret")))
