"""The share state machine: any bytes at all, and it asks for a bounded number of bounded reads, then believes only
what is true.
"""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import CorruptShare
from lafs.immutable.file_facts import FileFacts
from lafs.immutable.fragments import Fragments
from lafs.immutable.layout import VERSIONS
from lafs.immutable.segment import Block, first_bad
from lafs.immutable.share_fetch import MOST_ROUNDS
from lafs.immutable.share_state import LARGEST_OFFSET, ShareState
from lafs.interfaces import ByteRange
from tests.immutable.fake_servers import CodedFile, coded, some_bytes

FILE = coded(some_bytes(3_000), needed=2, total=5, max_segment_size=200)
LARGE = coded(some_bytes(40_000), needed=1, total=1, max_segment_size=50)
"""800 segments: hash trees of two levels of rows."""


def read_all(share: bytes, state: ShareState, goal: ByteRange) -> tuple[list[Block], int]:
    """Play the one who reads: the blocks, and the number of rounds."""
    fragments, rounds = Fragments(), 0
    while wanted := state.step(goal, fragments):
        rounds += 1
        assert rounds <= MOST_ROUNDS, "goes round in circles"
        assert len(wanted) < 20, "asks for too much"
        for each in wanted:
            assert 0 <= each.offset <= 2 * LARGEST_OFFSET
            assert 0 < each.length <= 200_000
            fragments.add(each, share[each.offset : each.offset + each.length])
    return state.blocks(goal, fragments), rounds


def fresh(file: CodedFile, number: int) -> ShareState:
    return ShareState(number, FileFacts(file.cap.verifier()))


class GoodShares(SynchronousTestCase):
    """A good share is understood in as few rounds as its form allows."""

    def test_any_range_of_any_share_comes_with_its_hashes(self) -> None:
        for file in (FILE, LARGE):
            for number, share in file.shares.items():
                for offset in range(0, len(file.content), 997):
                    goal = ByteRange(offset, min(10, len(file.content) - offset))
                    blocks, _ = read_all(share, fresh(file, number), goal)
                    self.assertEqual(blocks[0].segment, offset // file.segmentation.segment_size)
                    self.assertIsNone(first_bad(blocks))

    def test_what_one_share_taught_serves_the_others(self) -> None:
        facts = FileFacts(FILE.cap.verifier())
        read_all(FILE.shares[0], ShareState(0, facts), ByteRange(0, 1))
        for number in range(1, 5):
            _, rounds = read_all(FILE.shares[number], ShareState(number, facts), ByteRange(2_000, 500))
            self.assertEqual(rounds, 1)

    def test_what_is_known_is_not_asked_for_again(self) -> None:
        state = fresh(LARGE, 0)
        read_all(LARGE.shares[0], state, ByteRange(0, 1))
        wanted = state.step(ByteRange(20_000, 1), Fragments())
        self.assertEqual(wanted, [ByteRange(36 + 400 * 50, 50)])

    def test_a_header_that_differs_from_the_guess_costs_one_round(self) -> None:
        header = VERSIONS[1].header
        share = FILE.shares[0]
        moved = [number + 1000 if place > 2 else number for place, number in enumerate(header.unpack_from(share))]
        _, rounds = read_all(header.pack(*moved) + bytes(1000) + share[36:], fresh(FILE, 0), ByteRange(0, 1))
        self.assertEqual(rounds, 2)


class AnyBytes(SynchronousTestCase):
    """Whatever a share contains, the machine ends: with an error, or with blocks that are the true ones."""

    def survives(self, file: CodedFile, share: bytes, number: int) -> None:
        try:
            blocks, _ = read_all(share, fresh(file, number), ByteRange(1_000, 500))
        except CorruptShare:
            return
        if first_bad(blocks) is None:
            honest, _ = read_all(file.shares[number], fresh(file, number), ByteRange(1_000, 500))
            self.assertEqual([bytes(b.content) for b in blocks], [bytes(b.content) for b in honest])

    @given(st.binary(max_size=400))
    def test_junk(self, junk: bytes) -> None:
        self.survives(FILE, junk, 0)

    @given(st.sampled_from((1, 2)), st.data())
    def test_a_header_of_any_numbers(self, version: int, data: st.DataObject) -> None:
        header = VERSIONS[version].header
        top = 2**32 if version == 1 else 2**64
        near = st.integers(0, 3_000)
        numbers = [data.draw(st.one_of(near, st.integers(0, top - 1))) for _ in range(8)]
        self.survives(FILE, header.pack(version, *numbers) + FILE.shares[0][36:], 0)

    @settings(max_examples=200)
    @given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 3_000), st.binary(min_size=1, max_size=40)), max_size=4))
    def test_overwritten_parts(self, number: int, patches: list[tuple[int, bytes]]) -> None:
        share = bytearray(FILE.shares[number])
        for offset, patch in patches:
            share[offset : offset + len(patch)] = patch
        self.survives(FILE, bytes(share), number)

    @settings(max_examples=50)
    @given(st.lists(st.tuples(st.integers(0, 120_000), st.binary(min_size=1, max_size=40)), max_size=4))
    def test_overwritten_parts_of_a_share_of_many_segments(self, patches: list[tuple[int, bytes]]) -> None:
        share = bytearray(LARGE.shares[0])
        for offset, patch in patches:
            share[offset : offset + len(patch)] = patch
        self.survives(LARGE, bytes(share), 0)

    @given(st.integers(0, len(FILE.shares[0])), st.integers(0, 50))
    def test_cuts_and_junk_at_the_end(self, size: int, junk: int) -> None:
        self.survives(FILE, FILE.shares[0][:size] + bytes(junk), 0)

    @given(st.integers(1, 2**63 - 1), st.integers(1, 5))
    def test_a_file_of_any_claimed_size_is_asked_about_modestly(self, size: int, needed: int) -> None:
        cap = coded(some_bytes(100), needed, 5).cap
        facts = FileFacts(type(cap)(cap.key, cap.ueb_hash, needed, 5, size).verifier())
        wanted = ShareState(0, facts).step(ByteRange(size - 1, 1), Fragments())
        # A block of 1 MiB, two rows of hashes of each of two trees, and the small parts.
        self.assertLess(sum(each.length for each in wanted), 4 * 1024 * 1024)
