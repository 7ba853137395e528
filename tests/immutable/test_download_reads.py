"""One read of a range: the right bytes in order, at the pace of the sink, and nothing left behind when it ends early."""
from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import BadCiphertext, NotEnoughShares
from lafs.immutable import downloader, file_read, leaf_hashes
from lafs.immutable.downloader import FILES_KEPT
from lafs.immutable.read_window import LARGEST
from lafs.interfaces import Bytes, FileNode
from tests.immutable.fake_servers import CollectingSink, DownloadWorld, coded, some_bytes

SMALL = coded(some_bytes(1_000), needed=3, total=5, max_segment_size=60)
MANY = coded(some_bytes(3_000_000), max_segment_size=60_000)


class Ranges(SynchronousTestCase):
    """A read delivers exactly the part of its range that lies in the file."""

    def test_every_range_around_segment_boundaries(self) -> None:
        world = DownloadWorld(SMALL, servers=5, latency=0.0)
        places = sorted({max(edge + around, 0) for edge in range(0, 1_001, 180) for around in (-1, 0, 1)})
        for start, end in combinations(places, 2):
            self.assertEqual(world.read(start, end - start), SMALL.content[start:end], (start, end))

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 3_100_000), st.one_of(st.none(), st.integers(0, 1_000_000)))
    def test_any_range_of_a_file_of_many_segments(self, offset: int, size: int | None) -> None:
        world = DownloadWorld(MANY, latency=0.01)
        expected = MANY.content[offset:] if size is None else MANY.content[offset : offset + size]
        self.assertEqual(world.read(offset, size), expected)
        world.assert_quiet()

    def test_an_empty_range_asks_nobody(self) -> None:
        world = DownloadWorld(SMALL)
        for offset, size in ((0, 0), (500, 0), (1_000, None), (1_000, 5), (2_000, None), (2**70, 2**70)):
            self.assertEqual(world.read(offset, size), b"")
        self.assertEqual(world.lists, 0)

    def test_negative_numbers_are_refused(self) -> None:
        world = DownloadWorld(SMALL)
        self.assertRaises(ValueError, world.read, -1)
        self.assertRaises(ValueError, world.read, 0, -1)

    def test_bytes_come_early_and_in_pieces(self) -> None:
        world = DownloadWorld(MANY)
        sink = CollectingSink()
        world.start(sink)
        world.clock.pump([0.1, 0.1, 0.1])
        self.assertGreaterEqual(len(sink.content), 60_000)
        self.assertEqual(sink.content, MANY.content[: len(sink.content)])

    def test_the_node_shows_its_cap_and_size_and_no_key(self) -> None:
        node: FileNode = DownloadWorld(SMALL).downloader.open(SMALL.cap)
        self.assertEqual((node.cap, node.size), (SMALL.cap, 1_000))
        self.assertNotIn(SMALL.cap.text, repr(node))

    def test_reads_and_bytes_are_counted(self) -> None:
        world = DownloadWorld(SMALL)
        world.read(10, 20)
        world.read(990, 20)
        self.assertEqual(
            world.counters.snapshot(), {"downloader.bytes_downloaded": 30, "downloader.files_downloaded": 2}
        )


class Pace(SynchronousTestCase):
    """Nothing is read that the sink and the window have no room for."""

    def test_a_sink_that_stops_taking_stops_the_reading(self) -> None:
        file = coded(some_bytes(20_000_000), needed=1, total=1)
        world = DownloadWorld(file, servers=1)
        sink = StuckSink()
        work = world.start(sink)
        world.clock.pump([0.1] * 100)
        read = sum(length for _, _, length in world.reads)
        self.assertLess(read, 12_000_000)
        self.assertEqual(len(sink.pieces), 1)
        sink.released.callback(None)
        world.finish(work)
        self.assertEqual(b"".join(sink.pieces), file.content)

    def test_memory_in_flight_never_exceeds_the_window(self) -> None:
        file = coded(some_bytes(40_000_000), needed=1, total=1)
        world = DownloadWorld(file, servers=1)
        ahead = 0

        class Meter(CollectingSink):
            taken = 0

            async def write(self, data: Bytes) -> None:
                nonlocal ahead
                ahead = max(ahead, sum(length for _, _, length in world.reads) - self.taken)
                self.taken += len(data)

        world.finish(world.start(Meter()))
        self.assertLess(ahead, LARGEST + 2 * 1024 * 1024)
        self.assertGreater(ahead, 4 * 1024 * 1024)

    def test_two_segments_at_a_time_are_read_of_a_file_with_large_ones(self) -> None:
        file = coded(some_bytes(25_000_000), needed=1, total=1, max_segment_size=5_000_000)
        world = DownloadWorld(file, servers=1)
        world.timed()
        self.assertLessEqual(world.timed(), 0.1 * 3 + 1e-6)

    def test_a_failing_sink_ends_the_read_with_its_error(self) -> None:
        class Full(CollectingSink):
            async def write(self, data: Bytes) -> None:
                raise OSError("disk full")

        world = DownloadWorld(MANY)
        self.assertRaises(OSError, world.finish, world.start(Full()))
        world.assert_quiet()


class StuckSink(CollectingSink):
    """Takes one piece, and the next ones only when released."""

    def __init__(self) -> None:
        super().__init__()
        self.released: Deferred[None] = Deferred()

    async def write(self, data: Bytes) -> None:
        self.pieces.append(bytes(data))
        if not self.released.called:
            await self.released


class Cancelling(SynchronousTestCase):
    """A cancelled read stops all that it started, at whatever moment, and hurts no other read."""

    def test_at_any_moment(self) -> None:
        for moment in range(0, 60, 3):
            world = DownloadWorld(MANY)
            world.servers[1].hung_reads = True
            world.servers[2].hung = True
            work = world.start(CollectingSink(world.clock, 0.01))
            world.clock.pump([0.02] * moment)
            if work.called:
                break
            work.cancel()
            self.failureResultOf(work, CancelledError)
            world.clock.pump([0.02] * 2)
            world.assert_quiet()
            world.servers[1].hung_reads = world.servers[2].hung = False
            self.assertEqual(world.read(), MANY.content)
            world.assert_quiet()
        self.assertGreater(moment, 10)

    def test_of_one_of_two_reads_leaves_the_other(self) -> None:
        for moment in range(8):
            world = DownloadWorld(MANY)
            first, second = CollectingSink(), CollectingSink()
            one, other = world.start(first), world.start(second)
            world.clock.pump([0.05] * moment)
            one.cancel()
            one.addErrback(lambda failure: failure.trap(CancelledError))
            world.finish(other)
            self.assertEqual(second.content, MANY.content)
            world.assert_quiet()


class SeveralReads(SynchronousTestCase):
    """Reads of one file share what they learn, and do not get in each other's way."""

    def test_two_at_once_get_the_same_from_one_search(self) -> None:
        world = DownloadWorld(MANY)
        sinks = [CollectingSink() for _ in range(5)]
        for work in [world.start(sink) for sink in sinks]:
            world.finish(work)
        for sink in sinks:
            self.assertEqual(sink.content, MANY.content)
        self.assertEqual(world.lists, 8)
        world.assert_quiet()

    def test_one_of_them_slow_does_not_slow_the_other(self) -> None:
        world = DownloadWorld(MANY)
        stuck, sink = StuckSink(), CollectingSink()
        slow = world.start(stuck)
        _, elapsed = world.finish(world.start(sink))
        self.assertLess(elapsed, 1.0)
        self.assertFalse(slow.called)
        slow.cancel()
        self.failureResultOf(slow, CancelledError)
        world.assert_quiet()

    def test_the_search_goes_on_while_a_sink_is_slow(self) -> None:
        world = DownloadWorld(SMALL, servers=5)
        world.servers[4].latency = 2.0
        sink = StuckSink()
        work = world.start(sink)
        world.clock.pump([0.1] * 10)
        self.assertEqual(world.servers[4].waiting, 1)
        sink.released.callback(None)
        world.finish(work)
        world.assert_quiet()

    def test_a_dishonest_file_fails_for_all_of_them(self) -> None:
        file = coded(some_bytes(10_000), spoil=lambda segment, ciphertext: bytes(len(ciphertext)))
        world = DownloadWorld(file)
        works = [world.start(CollectingSink()) for _ in range(3)]
        for work in works:
            self.assertRaises(BadCiphertext, world.finish, work)
        world.assert_quiet()

    def test_a_share_that_goes_bad_between_reads_is_replaced(self) -> None:
        world = DownloadWorld(MANY)
        world.read()
        for server in world.servers[:3]:
            server.shares = {number: share[:5_000] for number, share in server.shares.items()}
        self.assertEqual(world.read(), MANY.content)

    def test_with_the_last_share_gone_each_read_searches_once(self) -> None:
        world = DownloadWorld(SMALL, servers=5)
        world.read()
        for server in world.servers:
            server.shares = {}
        for _ in range(3):
            world.forget_calls()
            self.assertRaises(NotEnoughShares, world.read)
            self.assertLessEqual(world.lists, 5)
        world.deal(SMALL)
        self.assertEqual(world.read(), SMALL.content)


class Memory(SynchronousTestCase):
    """What is remembered between reads is bounded."""

    def remembered(self, world: DownloadWorld, names: int, edit: Callable[[int], int]) -> int:
        for name in range(names):
            world.file = evolve(SMALL, cap=evolve(SMALL.cap, size=edit(name)))
            with self.assertRaises(NotEnoughShares):
                world.read(0, 1)
        return len(world.downloader._files)

    def test_files_beyond_the_limit_are_forgotten(self) -> None:
        world = DownloadWorld(SMALL, servers=0)
        self.assertEqual(self.remembered(world, FILES_KEPT + 30, lambda name: 1_000 + name), FILES_KEPT)

    def test_bytes_beyond_the_limit_are_forgotten(self) -> None:
        self.patch(downloader, "BYTES_KEPT", 100_000)
        world = DownloadWorld(SMALL, servers=0)
        self.assertLess(self.remembered(world, 100, lambda name: 1_000 + name), 50)

    def test_a_read_goes_on_while_its_file_is_forgotten(self) -> None:
        self.patch(downloader, "FILES_KEPT", 1)
        world = DownloadWorld(MANY)
        sink = CollectingSink()
        work = world.start(sink)
        world.clock.pump([0.05] * 5)
        world.downloader.open(SMALL.cap)
        other = DownloadWorld(SMALL)
        world.finish(world.start(sink_of := CollectingSink()))
        del other
        world.finish(work)
        self.assertEqual(sink.content, MANY.content)
        self.assertEqual(sink_of.content, MANY.content)

    def test_hashes_of_a_huge_file_are_fetched_again_when_forgotten(self) -> None:
        self.patch(leaf_hashes, "GROUPS_KEPT", 2)
        file = coded(some_bytes(120_000), needed=2, total=3, max_segment_size=40)
        world = DownloadWorld(file, servers=3)
        world.servers[1].latency = 0.25
        places = list(range(0, 120_000, 17_000))
        sinks = [CollectingSink() for _ in places]
        for work in [world.start(sink, place, 3_000) for sink, place in zip(sinks, places, strict=True)]:
            world.finish(work)
        for sink, place in zip(sinks, places, strict=True):
            self.assertEqual(sink.content, file.content[place : place + 3_000])
        self.assertEqual(world.read(), file.content)

    def test_many_small_segments_go_out_in_bounded_runs(self) -> None:
        file = coded(some_bytes(60_000), needed=1, total=1, max_segment_size=50)
        self.patch(file_read, "SMALL_READ", 0)
        world = DownloadWorld(file, servers=1)
        self.assertEqual(world.read(), file.content)
        self.assertLess(len(world.reads), 40)
