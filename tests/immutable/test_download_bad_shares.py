"""No share content, of any kind, makes a read deliver a wrong byte, hang, or fail while enough good shares are there."""
from __future__ import annotations

from collections.abc import Callable
from struct import pack

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.hashes import ueb_hash
from lafs.errors import BadCiphertext, NoShares, NotEnoughShares
from lafs.immutable import ueb
from lafs.immutable.layout import VERSIONS
from tests.immutable.fake_servers import CodedFile, DownloadWorld, coded, some_bytes

SMALL = coded(some_bytes(400), needed=2, total=4, max_segment_size=128)
"""Four segments, of which the last is short."""


def damaged(file: CodedFile, number: int, damage: Callable[[bytes], bytes]) -> DownloadWorld:
    """Share `number` is damaged and the first to be tried, and there are just enough others to do without it."""
    world = DownloadWorld(file, servers=len(file.shares))
    for server in world.servers:
        if number in server.shares:
            server.shares[number] = damage(server.shares[number])
            server.latency = 0.01
        elif server is world.servers[-1]:
            server.shares.clear()
    return world


def only_damaged(file: CodedFile, number: int, damage: Callable[[bytes], bytes]) -> DownloadWorld:
    """Share `number` is damaged and cannot be done without."""
    world = DownloadWorld(file, servers=len(file.shares))
    needed = file.cap.needed
    keep = {number, *[other for other in file.shares if other != number][: needed - 1]}
    for server in world.servers:
        server.shares = {n: damage(share) if n == number else share for n, share in server.shares.items() if n in keep}
    return world


class DamagedShares(SynchronousTestCase):
    """One bad share costs itself."""

    def test_a_flip_of_any_byte_is_harmless_or_found_out(self) -> None:
        share = SMALL.shares[0]
        harmless = 0
        for position in range(len(share)):

            def flip(share: bytes, position: int = position) -> bytes:
                return share[:position] + bytes([share[position] ^ 0x55]) + share[position + 1 :]

            self.assertEqual(damaged(SMALL, 0, flip).read(), SMALL.content, position)
            alone = only_damaged(SMALL, 0, flip)
            try:
                self.assertEqual(alone.read(), SMALL.content, position)
                harmless += 1
            except NotEnoughShares:
                pass
            alone.assert_quiet()
        offsets = SMALL.layout.offsets
        self.assertLess(harmless, len(share) - SMALL.segmentation.share_data_size - offsets.chain_size)
        self.assertGreater(harmless, SMALL.layout.tree_size)

    def test_a_share_cut_at_any_byte_is_passed_over(self) -> None:
        for size in range(len(SMALL.shares[0])):

            def cut(share: bytes, size: int = size) -> bytes:
                return share[:size]

            world = damaged(SMALL, 0, cut)
            self.assertEqual(world.read(), SMALL.content, size)
            self.assertLess(len(world.reads), 20, size)
            if size % 7 == 0:
                self.assertRaises(NotEnoughShares, only_damaged(SMALL, 0, cut).read)

    def test_absurd_offsets_are_passed_over(self) -> None:
        for field in range(3, 9):
            for value in (0, 1, 35, 2**31, 2**32 - 1):

                def forge(share: bytes, field: int = field, value: int = value) -> bytes:
                    return share[: 4 * field] + pack(">L", value) + share[4 * field + 4 :]

                world = damaged(SMALL, 0, forge)
                self.assertEqual(world.read(), SMALL.content)
                self.assertLess(max(length for _, _, length in world.reads), 20_000)

    def test_absurd_offsets_of_version_2_are_passed_over(self) -> None:
        file = coded(some_bytes(400), needed=2, total=4, max_segment_size=128, version=2)
        for field in range(2, 8):
            for value in (0, 2**32, 2**62, 2**63, 2**64 - 34, 2**64 - 1):

                def forge(share: bytes, field: int = field, value: int = value) -> bytes:
                    start = 4 + 8 * field
                    return share[:start] + pack(">Q", value) + share[start + 8 :]

                world = damaged(file, 0, forge)
                self.assertEqual(world.read(), file.content)
                self.assertLess(max(length for _, _, length in world.reads), 20_000)
                self.assertLess(max(offset for _, offset, _ in world.reads), 2**62 + 10_000)

    def test_a_chain_longer_than_the_tree_is_never_asked_for(self) -> None:
        header = VERSIONS[1].header
        numbers = list(header.unpack_from(SMALL.shares[0]))
        for entries in (8, 1_000):
            numbers[8] = numbers[7] + 34 * entries
            forged = header.pack(*numbers)
            world = damaged(SMALL, 0, lambda share, forged=forged: forged + share[36:])  # type: ignore[misc]
            # The server hides where the share ends, so that nothing but the tree bounds the chain.
            world.servers[0].lie = lambda offset, length, answer: answer.ljust(length, b"\0")
            self.assertEqual(world.read(), SMALL.content)
            self.assertEqual(len(world.servers[0].reads), 1)

    def test_a_forged_length_of_the_ueb_is_never_asked_for(self) -> None:
        where = SMALL.layout.offsets.ueb
        for length in (0, 1, 1999, 2000, 2**31, 2**32 - 1):
            world = damaged(SMALL, 0, lambda share, n=length: share[:where] + pack(">L", n) + share[where + 4 :])  # type: ignore[misc]
            self.assertEqual(world.read(), SMALL.content)
            self.assertLess(max(length for _, _, length in world.reads), 8_000)

    def test_junk_of_any_size_is_passed_over(self) -> None:
        for size in (0, 1, 3, 4, 35, 36, 100, 5_000):
            for junk in (bytes(size), b"\xff" * size, some_bytes(size), b"\0\0\0\1" + some_bytes(size)):
                self.assertEqual(damaged(SMALL, 0, lambda _, junk=junk: junk).read(), SMALL.content)  # type: ignore[misc]

    def test_a_share_in_the_place_of_another_is_found_out(self) -> None:
        world = damaged(SMALL, 0, lambda _: SMALL.shares[1])
        self.assertEqual(world.read(), SMALL.content)

    def test_a_share_of_another_file_is_found_out(self) -> None:
        other = coded(some_bytes(400, "other"), needed=2, total=4, max_segment_size=128)
        world = damaged(SMALL, 0, lambda _: other.shares[0])
        self.assertEqual(world.read(), SMALL.content)
        self.assertEqual(len(world.reports), 1)


class Reports(SynchronousTestCase):
    """The server of a corrupt share is told where and why; nothing else is said, and nobody waits for it."""

    def flipped(self, offset: int) -> DownloadWorld:
        world = damaged(SMALL, 0, lambda share: share[:offset] + bytes([share[offset] ^ 1]) + share[offset + 1 :])
        self.assertEqual(world.read(), SMALL.content)
        return world

    def test_a_bad_block_is_reported_with_its_range(self) -> None:
        self.assertEqual(self.flipped(36).reports, [(0, "corruption in share[36-100): bad hash of block 0")])

    def test_a_bad_ueb_is_reported_with_its_range_alone(self) -> None:
        offsets = SMALL.layout.offsets
        start, end = offsets.ueb + 4, SMALL.layout.share_size
        self.assertEqual(self.flipped(start + 20).reports, [(0, f"corruption in share[{start}-{end}): ")])

    def test_a_bad_chain_is_reported_with_its_range(self) -> None:
        offsets = SMALL.layout.offsets
        (report,) = self.flipped(offsets.chain + 5).reports
        self.assertTrue(report[1].startswith(f"corruption in share[{offsets.chain}-{offsets.ueb}): "), report)

    def test_a_bad_block_hash_is_reported_with_its_range(self) -> None:
        offsets = SMALL.layout.offsets
        (report,) = self.flipped(offsets.block_tree + 3 * 32).reports
        self.assertTrue(report[1].startswith(f"corruption in share[{offsets.block_tree + 3 * 32}-"), report)

    def test_an_unknown_version_is_not_reported(self) -> None:
        self.assertEqual(self.flipped(3).reports, [])

    def test_a_truncated_share_is_not_reported(self) -> None:
        world = damaged(SMALL, 0, lambda share: share[:-1])
        self.assertEqual(world.read(), SMALL.content)
        self.assertEqual(world.reports, [])

    def test_a_corrupt_share_is_not_read_again(self) -> None:
        world = self.flipped(36)
        world.forget_calls()
        self.assertEqual(world.read(), SMALL.content)
        self.assertNotIn(0, [number for number, _, _ in world.reads])
        self.assertEqual(len(world.reports), 1)


class LyingServers(SynchronousTestCase):
    """What a server says is no better than what it stores."""

    def test_share_numbers_outside_the_file_are_ignored(self) -> None:
        world = DownloadWorld(SMALL, servers=4)
        world.servers[0].shares = dict.fromkeys((4, 5, 99, 255, 256, 2 ** 40, -1), SMALL.shares[0])
        self.assertEqual(world.read(), SMALL.content)
        self.assertTrue(all(0 <= number < 4 for number, _, _ in world.reads))

    def test_short_long_empty_and_impossible_answers_cost_the_share_only(self) -> None:
        lies: list[Callable[[int, int, bytes], object]] = [
            lambda offset, length, answer: b"",
            lambda offset, length, answer: answer[:-1],
            lambda offset, length, answer: answer[: len(answer) // 2],
            lambda offset, length, answer: None,
            lambda offset, length, answer: 17,
            lambda offset, length, answer: some_bytes(length),
        ]
        for lie in lies:
            world = DownloadWorld(SMALL, servers=4)
            world.servers[0].lie = lie
            self.assertEqual(world.read(), SMALL.content)
            self.assertLess(len(world.servers[0].reads), 10)

    def test_more_bytes_than_asked_for_are_cut_off(self) -> None:
        world = DownloadWorld(SMALL, servers=2)
        for server in world.servers:
            server.lie = lambda offset, length, answer: answer.ljust(length, b"\0") + b"more" * 100
        self.assertEqual(world.read(), SMALL.content)

    def test_an_answer_of_the_wrong_kind_to_the_search_costs_the_server_only(self) -> None:
        world = DownloadWorld(SMALL, servers=4)
        world.servers[0].shares = {"zero": b""}  # type: ignore[dict-item]
        world.servers[1].shares = None  # type: ignore[assignment]
        self.assertEqual(world.read(), SMALL.content)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class DishonestUploader(SynchronousTestCase):
    """Valid shares that decode to something else than the file's own hash says are an error, every time."""

    def test_every_read_fails_the_same_and_none_hangs(self) -> None:
        file = coded(
            some_bytes(400), needed=2, total=4, max_segment_size=128,
            spoil=lambda segment, ciphertext: bytes(len(ciphertext)) if segment == 1 else ciphertext,
        )  # fmt: skip
        world = DownloadWorld(file, servers=4)
        for _ in range(3):
            error = self.assertRaises(BadCiphertext, world.read)
            self.assertIn("hash failure in ciphertext_hash_tree: segnum=1", str(error))
            world.assert_quiet()
        self.assertEqual(world.read(0, 128), file.content[:128])
        self.assertEqual(world.reports, [])

    def test_segments_too_large_to_hold_are_refused(self) -> None:
        where, size = SMALL.layout.offsets.ueb, 2**40
        fields = ueb.parse_fields(SMALL.shares[0][where + 4 :])
        packed = ueb.pack({**fields, "segment_size": size, "size": size})
        shares = {n: share[:where] + pack(">L", len(packed)) + packed for n, share in SMALL.shares.items()}
        cap = evolve(SMALL.cap, size=size, ueb_hash=ueb_hash(packed))
        world = DownloadWorld(evolve(SMALL, cap=cap, shares=shares), servers=4)
        error = self.assertRaises(NoShares, world.read, 0, 10)
        self.assertIn("too large to read", str(error))
        self.assertLess(max(length for _, _, length in world.reads), 2 * 1024 * 1024)

    def test_a_file_with_no_usable_share_says_why(self) -> None:
        world = DownloadWorld(SMALL, servers=4)
        for server in world.servers:
            server.shares = {number: share[:-1] for number, share in server.shares.items()}
        error = self.assertRaises(NoShares, world.read)
        self.assertIn("no shares (need 2). Last failure: a corrupt share (the share ends too early)", str(error))
        self.assertIn("could not use share 0 on srv00000", str(error))
