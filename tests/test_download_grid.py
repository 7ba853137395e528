"""Reading files back from a whole grid: round trips, hung and lost servers, damaged and hostile shares."""
from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import Cap
from lafs.errors import LafsError, NotEnoughShares
from lafs.immutable.layout import ShareLayout, parse_header
from lafs.immutable.parameters import EncodingParameters
from lafs.immutable.read_window import LARGEST
from lafs.immutable.segmentation import Segmentation
from lafs.immutable.server_speeds import HEDGE_DELAY
from lafs.tasks import gather, spawn
from tests.memory_grid import Grid, ms, random_bytes
from tests.simulation.liars import LIES, Liar

CONTENT = random_bytes(10_000, seed=1)
SMALL_SEGMENTS = EncodingParameters(needed=3, happy=7, total=10, max_segment_size=3_000)
THREE_OF_FIVE = EncodingParameters(needed=3, happy=5, total=5, max_segment_size=3_000)

Damage = Callable[[bytes], bytes]


class RoundTrips(SynchronousTestCase):
    """What a get costs is counted in round trips, and the count is exact."""

    def test_a_small_file_is_read_in_two(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.forget()
        result = grid.download(cap)
        self.assertEqual(result.content, CONTENT)
        self.assertEqual(result.cost.round_trips, 2)
        self.assertLessEqual(result.cost.requests["read"], 3, "no share is read that is not needed")

    def test_a_range_of_a_file_just_read_takes_one(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.download(cap, 0, 100)
        result = grid.download(cap, 5_000, 2_000)
        self.assertEqual(result.content, CONTENT[5_000:7_000])
        self.assertEqual(result.cost.round_trips, 1)

    def test_a_range_of_a_large_file_takes_two_and_then_one(self) -> None:
        content = random_bytes(3_500_000, seed=2)
        grid = Grid()
        cap = grid.upload(content)
        grid.forget()
        first = grid.download(cap, 2_000_000, 4_096)
        second = grid.download(cap, 100, 4_096)
        self.assertEqual((first.content, second.content), (content[2_000_000:2_004_096], content[100:4_196]))
        self.assertEqual((first.cost.round_trips, second.cost.round_trips), (2, 1))

    def test_a_file_of_other_segments_than_expected_costs_one_more(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.forget()
        self.assertLessEqual(grid.download(cap).cost.round_trips, 3)

    def test_a_large_file_is_not_read_one_segment_a_round_trip(self) -> None:
        content = random_bytes(12_000_000, seed=3)
        grid = Grid()
        cap = grid.upload(content)
        grid.forget()
        result = grid.download(cap)
        self.assertEqual(result.content, content)
        self.assertLessEqual(result.cost.round_trips, 6)

    def test_a_large_file_is_read_at_the_speed_of_the_line(self) -> None:
        """Of 12 MB over three lines of 1 MB/s, 4 s are transport; nothing else may cost much."""
        content = random_bytes(12_000_000, seed=3)
        grid = Grid(bytes_per_second=1e6, servers=3, encoding=EncodingParameters(needed=3, happy=3, total=3))
        cap = grid.upload(content)
        grid.forget()
        result = grid.download(cap)
        self.assertEqual(result.content, content)
        self.assertLessEqual(result.elapsed, 4.0 * 1.3)


class HungServers(SynchronousTestCase):
    """A server that never answers costs one hedge delay and nothing else."""

    def test_three_that_hold_the_first_shares(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.forget()
        grid.hang(grid.holders_of(cap)[:3])
        result = grid.download(cap)
        self.assertEqual(result.content, CONTENT)
        self.assertLessEqual(result.elapsed, HEDGE_DELAY + 2 * ms(100) + ms(1))

    def test_any_three(self) -> None:
        for first in range(8):
            grid = Grid()
            cap = grid.upload(CONTENT)
            grid.forget()
            grid.hang(grid.machines[first : first + 3])
            result = grid.download(cap)
            self.assertEqual(result.content, CONTENT)
            self.assertLessEqual(result.elapsed, HEDGE_DELAY + 2 * ms(100) + ms(1))

    def test_those_that_hang_after_their_shares_were_found(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.forget()
        grid.download(cap, 0, 10)
        grid.hang(grid.holders_of(cap)[:3])
        result = grid.download(cap, 5_000, 2_000)
        self.assertEqual(result.content, CONTENT[5_000:7_000])
        self.assertLessEqual(result.elapsed, HEDGE_DELAY + 2 * ms(100) + ms(1))

    def test_they_are_remembered(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        caps = [grid.upload(random_bytes(10_000, seed=seed)) for seed in range(2)]
        grid.forget()
        grid.hang(grid.machines[:3])
        grid.download(caps[0])
        self.assertLess(grid.download(caps[1]).elapsed, HEDGE_DELAY)

    def test_too_many_end_the_read_in_bounded_time(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.forget()
        grid.hang(grid.machines[:8])
        before = grid.time.seconds()
        with self.assertRaises(NotEnoughShares):
            grid.download(cap)
        self.assertLessEqual(grid.time.seconds() - before, 120)
        self.assertEqual(grid.leftovers(), [])

    def test_one_that_wakes_up_late_is_still_of_use(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.forget()
        grid.hang(grid.machines[:8])
        reading = spawn(grid.open(cap).read(sink := grid.sink()))
        grid.time.pass_time(5)
        grid.thaw(grid.machines[:8])
        grid.run(reading)
        self.assertEqual(sink.content, CONTENT)


class LostServers(SynchronousTestCase):
    """A file survives the loss of all but the needed shares, whenever it happens."""

    def test_any_seven_of_ten(self) -> None:
        for seed in range(12):
            grid = Grid()
            cap = grid.upload(CONTENT)
            grid.forget()
            grid.kill(Random(seed).sample(grid.machines, 7))
            self.assertEqual(grid.download(cap).content, CONTENT)

    def test_one_more_is_too_many_and_the_message_says_what_was_found(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.forget()
        left = grid.holders_of(cap)[8:]
        grid.kill(grid.holders_of(cap)[:8])
        with self.assertRaises(NotEnoughShares) as raised:
            grid.download(cap)
        message = str(raised.exception)
        self.assertIn("need 3", message)
        for machine in left:
            self.assertIn(machine.name, message)
        self.assertEqual(grid.leftovers(), [])

    def test_a_cut_at_any_message_of_a_download(self) -> None:
        def fresh() -> tuple[Grid, Cap]:
            grid = Grid(servers=5, encoding=THREE_OF_FIVE)
            cap = grid.upload(CONTENT)
            grid.forget()
            return grid, cap

        grid, cap = fresh()
        seen = grid.record_messages()
        grid.download(cap)
        self.assertGreater(len(seen), 8)
        for number in range(len(seen)):
            grid, cap = fresh()
            grid.cut_at([number])
            self.assertEqual(grid.download(cap).content, CONTENT, f"cut at message {number}")
            self.assertEqual(grid.leftovers(), [], f"cut at message {number}")

    def test_cuts_at_any_two_messages_of_a_download(self) -> None:
        random = Random(0)
        for _ in range(60):
            grid = Grid(servers=5, encoding=THREE_OF_FIVE)
            cap = grid.upload(CONTENT)
            grid.forget()
            grid.cut_at(random.sample(range(30), 2))
            self.assertEqual(grid.download(cap).content, CONTENT)
            self.assertEqual(grid.leftovers(), [])

    def test_servers_that_come_back_are_asked_again(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.download(cap)
        grid.kill(grid.machines)
        with self.assertRaises(NotEnoughShares):
            grid.download(cap)
        grid.restart(grid.machines)
        self.assertEqual(grid.download(cap).content, CONTENT)

    def test_shares_that_moved_since_they_were_found_are_found_again(self) -> None:
        grid = Grid(servers=20)
        cap = grid.upload(CONTENT)
        grid.download(cap, 0, 10)
        holders, spare = grid.holders_of(cap), [each for each in grid.machines if each not in grid.holders_of(cap)]
        grid.kill(spare)
        grid.kill(holders)
        for old, new in zip(holders, spare, strict=True):
            old.disk, new.disk = new.disk, old.disk
        grid.restart(spare)
        self.assertEqual(grid.download(cap).content, CONTENT)


class DamagedShares(SynchronousTestCase):
    """Damage at any field of shares costs those shares, is found out, and never yields a wrong byte."""

    def setUp(self) -> None:
        self.layout = ShareLayout.of(Segmentation(len(CONTENT), 3_000, 3), 5)

    def damages(self) -> Iterator[tuple[str, Damage]]:
        """A flipped bit at both ends of every field, and a share that ends before, inside and after it."""
        for name, start, end in self.fields():
            for position in {start, end - 1}:
                yield f"flip in {name} at {position}", lambda share, at=position: flipped(share, at)
            for size in {start, (start + end) // 2}:
                yield f"cut in {name} to {size}", lambda share, size=size: share[:size]

    def fields(self) -> Iterator[tuple[str, int, int]]:
        offsets = self.layout.offsets
        for number, name in enumerate(
            ["version", "block size", "data size", "data", "unused", "ciphertext tree", "block tree", "chain", "UEB"]
        ):
            yield f"header: {name}", 4 * number, 4 * number + 4
        blocks, unused = self.layout.segmentation.block_size, offsets.data + self.layout.segmentation.share_data_size
        for segment in range(self.layout.segmentation.count):
            start = offsets.data + segment * blocks
            yield f"block {segment}", start, min(start + blocks, unused)
        yield "unused area", unused, offsets.ciphertext_tree
        for name, start, end in (
            ("ciphertext tree", offsets.ciphertext_tree, offsets.block_tree),
            ("block tree", offsets.block_tree, offsets.chain),
        ):
            for node in range(start, end, 32):
                yield f"{name} node {(node - start) // 32}", node, node + 32
        for entry in range(offsets.chain, offsets.ueb, 34):
            yield "chain entry", entry, entry + 34
        yield "UEB length", offsets.ueb, offsets.ueb + 4
        yield "UEB", offsets.ueb + 4, self.layout.share_size

    def test_in_two_of_five_shares_the_file_is_read_from_the_others(self) -> None:
        for name, damage in self.damages():
            grid = Grid(servers=5, encoding=THREE_OF_FIVE)
            cap = grid.upload(CONTENT)
            grid.forget()
            grid.corrupt(cap, damage, numbers=[0, 1])
            result = grid.download(cap)
            self.assertEqual(result.content, CONTENT, name)
            self.assertLessEqual(result.cost.bytes_asked, 100_000, name)
            self.assertLessEqual(result.cost.round_trips, 8, name)
            self.assertEqual(grid.leftovers(), [], name)

    def test_in_every_share_the_read_is_right_or_fails_cleanly(self) -> None:
        outcomes = Counter[str]()
        for name, damage in self.damages():
            grid = Grid(servers=5, encoding=THREE_OF_FIVE)
            cap = grid.upload(CONTENT)
            grid.forget()
            grid.corrupt(cap, damage)
            try:
                content = grid.download(cap).content
            except NotEnoughShares:
                outcomes["failed"] += 1
            else:
                self.assertEqual(content, CONTENT, name)
                outcomes["read"] += 1
            self.assertEqual(grid.leftovers(), [], name)
        # What no reader looks at (unused fields and areas) may be damaged; most may not.
        self.assertGreater(outcomes["failed"], outcomes["read"])
        self.assertGreater(outcomes["read"], 0)

    def test_a_server_is_told_of_the_damage(self) -> None:
        grid = Grid(servers=5, encoding=THREE_OF_FIVE)
        cap = grid.upload(CONTENT)
        grid.forget()
        grid.corrupt(cap, lambda share: flipped(share, self.layout.offsets.data + 5), numbers=[0])
        grid.download(cap)
        grid.leftovers()
        self.assertEqual(grid.network.requests["report_corruption"], 1)
        victim = grid.shares_of(cap)[0][0]
        advisories = [path for path in victim.disk.files() if "corruption-advisories" in path]
        self.assertEqual(len(advisories), 1)


class HostileShares(SynchronousTestCase):
    """No share, however made, makes a reader wait for ever or ask for more than a file can need."""

    def check(self, name: str, damage: Damage) -> None:
        for numbers in ([0, 1], None):
            grid = Grid(servers=5, encoding=THREE_OF_FIVE)
            cap = grid.upload(CONTENT)
            grid.forget()
            grid.corrupt(cap, damage, numbers)
            before = grid.time.seconds()
            asked = grid.network.bytes_asked
            try:
                content = grid.download(cap).content
            except NotEnoughShares:
                self.assertIsNone(numbers, name)
            else:
                self.assertEqual(content, CONTENT, name)
            self.assertLessEqual(grid.network.bytes_asked - asked, 200_000, name)
            self.assertLessEqual(grid.time.seconds() - before, 2.0, name)
            self.assertLessEqual(grid.network.requests["read"], 60, name)
            self.assertEqual(grid.leftovers(), [], name)

    def test_absurd_offsets(self) -> None:
        for field in range(9):
            for value in (0, 1, 35, 0x7FFFFFFF, 0xFFFFFFFF):
                self.check(f"field {field} = {value}", lambda share, f=field, v=value: patched(share, 4 * f, v))

    def test_offsets_beyond_all_bounds_in_the_large_layout(self) -> None:
        def large(value: int) -> Damage:
            def damage(share: bytes) -> bytes:
                offsets = parse_header(share[:68])
                ends = [offsets.data, 0, value, value, value, value]
                return struct.pack(">LQQQQQQQQ", 2, 1000, 4000, *ends) + share[36:]

            return damage

        for value in (0, 68, 2**32, 2**63 - 1, 2**64 - 1):
            self.check(f"version 2, offsets {value}", large(value))

    def test_forged_lengths_of_the_ueb(self) -> None:
        offsets = ShareLayout.of(Segmentation(len(CONTENT), 3_000, 3), 5).offsets
        for length in (0, 1, 1999, 2000, 2**31, 2**32 - 1):
            self.check(f"UEB length {length}", lambda share, n=length: patched(share, offsets.ueb, n))

    def test_shares_of_next_to_nothing(self) -> None:
        for size in (0, 1, 3, 4, 11, 12, 35, 36, 37, 67, 68):
            self.check(f"{size} bytes", lambda share, size=size: share[:size])

    def test_shares_of_noise(self) -> None:
        for seed in range(10):
            self.check(f"noise {seed}", lambda share, seed=seed: random_bytes(len(share), seed))
            self.check(f"zeros {seed}", lambda share, seed=seed: bytes(seed * 100))

    def test_trees_that_agree_with_themselves_but_not_with_the_cap(self) -> None:
        """Every share of another file, whole and consistent, in the place of this one's."""
        other = Grid(servers=5, encoding=THREE_OF_FIVE)
        foreign = other.upload(random_bytes(len(CONTENT), seed=99))
        shares = {number: other.share(foreign, number) for number in other.shares_of(foreign)}
        for numbers in ([0, 1], [0, 1, 2, 3, 4]):
            grid = Grid(servers=5, encoding=THREE_OF_FIVE)
            cap = grid.upload(CONTENT)
            grid.forget()
            for number in numbers:
                grid.corrupt(cap, lambda _, number=number: shares[number], [number])
            if len(numbers) == 2:
                self.assertEqual(grid.download(cap).content, CONTENT)
            else:
                with self.assertRaises(NotEnoughShares):
                    grid.download(cap)

    def test_shares_under_each_others_numbers(self) -> None:
        grid = Grid(servers=5, encoding=THREE_OF_FIVE)
        cap = grid.upload(CONTENT)
        grid.forget()
        first, second = grid.share(cap, 0), grid.share(cap, 1)
        grid.corrupt(cap, lambda _: second, [0])
        grid.corrupt(cap, lambda _: first, [1])
        self.assertEqual(grid.download(cap).content, CONTENT)

    def test_liars_of_every_kind(self) -> None:
        for lie in LIES:
            for liars in (2, 5):
                grid = Grid(servers=5, encoding=THREE_OF_FIVE)
                cap = grid.upload(CONTENT)
                grid.forget()
                random = Random(f"{lie} {liars}")
                grid.disguise(
                    grid.machines[:liars], lambda store, lie=lie, random=random: Liar(store, random, [lie], always=True)
                )
                asked, before = grid.network.bytes_asked, grid.time.seconds()
                try:
                    self.assertEqual(grid.download(cap).content, CONTENT, lie)
                except NotEnoughShares:
                    self.assertEqual(liars, 5, lie)
                self.assertLessEqual(grid.network.bytes_asked - asked, 300_000, lie)
                self.assertLessEqual(grid.time.seconds() - before, 3.0, lie)
                self.assertEqual(grid.leftovers(), [], lie)


class Consumers(SynchronousTestCase):
    """A reader takes its time, changes its mind, or comes twice."""

    def test_a_slow_sink_holds_back_the_download(self) -> None:
        content = random_bytes(48_000_000, seed=6)
        grid = Grid(servers=1, encoding=EncodingParameters(needed=1, happy=1, total=1))
        cap = grid.upload(content)
        grid.forget()
        answered = grid.network.bytes_answered
        sink = grid.sink(pause_seconds=1e9, quick=3)
        reading = spawn(grid.open(cap).read(sink))
        reading.addErrback(lambda _: None)
        grid.time.pass_time(600)
        taken = len(sink.content)
        self.assertGreater(taken, 0)
        self.assertLessEqual(taken, 4_500_000)
        self.assertLessEqual(grid.network.bytes_answered - answered, taken + LARGEST, "it reads no further")
        reading.cancel()
        self.assertEqual(grid.leftovers(), [])

    def test_a_sink_that_fails_ends_the_read_with_its_own_error(self) -> None:
        class Full(Exception):
            pass

        class Sink:
            async def write(self, data: object) -> None:
                raise Full

        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        with self.assertRaises(Full):
            grid.run(grid.open(cap).read(Sink()))
        self.assertEqual(grid.leftovers(), [])

    def test_cancelled_at_any_moment_it_leaves_nothing(self) -> None:
        for step in range(30):
            grid = Grid(encoding=SMALL_SEGMENTS)
            cap = grid.upload(CONTENT)
            grid.forget()
            grid.hang(grid.machines[:2])
            reading: Deferred[None] = spawn(grid.open(cap).read(grid.sink(pause_seconds=ms(30))))
            grid.time.pass_time(step * ms(30))
            finished = reading.called
            reading.cancel()
            if not finished:
                self.failureResultOf(reading, CancelledError)
            self.assertEqual(grid.leftovers(), [], f"cancelled after {step * 30} ms")
            asked = grid.network.requests.total()
            grid.time.pass_time(120)
            self.assertEqual(grid.network.requests.total(), asked, "and asks nothing more")
        self.assertTrue(finished, "the last one was finished before it was cancelled")

    def test_two_readers_of_one_file_help_and_do_not_hinder_each_other(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.forget()
        sinks = [grid.sink() for _ in range(5)]
        grid.run(gather(grid.open(cap).read(sink, 1_000 * number) for number, sink in enumerate(sinks)))
        for number, sink in enumerate(sinks):
            self.assertEqual(sink.content, CONTENT[1_000 * number :])
        self.assertLessEqual(grid.network.requests["list_shares"], 10)

    def test_one_of_two_readers_leaves_and_the_other_goes_on(self) -> None:
        for step in range(8):
            grid = Grid(encoding=SMALL_SEGMENTS)
            cap = grid.upload(CONTENT)
            grid.forget()
            leaving = spawn(grid.open(cap).read(grid.sink()))
            staying = spawn(grid.open(cap).read(sink := grid.sink()))
            grid.time.pass_time(step * ms(50))
            leaving.addErrback(lambda failure: failure.trap(CancelledError, LafsError))
            leaving.cancel()
            grid.run(staying)
            self.assertEqual(sink.content, CONTENT)

    def test_any_range_is_that_slice(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        random = Random(8)
        edges = [0, 1, 2_999, 3_000, 3_001, 5_999, 6_000, 9_000, 9_999, 10_000, 10_001, 20_000]
        for _ in range(60):
            offset, size = random.choice(edges), random.choice([0, 1, 2, 3_000, 3_001, 10_000, None])
            end = None if size is None else offset + size
            self.assertEqual(grid.download(cap, offset, size).content, CONTENT[offset:end], (offset, size))


def flipped(share: bytes, position: int) -> bytes:
    return share[:position] + bytes([share[position] ^ 0x01]) + share[position + 1 :]


def patched(share: bytes, position: int, value: int) -> bytes:
    """The share with a 4-byte number in place of what is at `position`."""
    return share[:position] + struct.pack(">L", value) + share[position + 4 :]
