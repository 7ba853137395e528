"""Reading: one stream for who reads on and on, no more memory than is allowed, pieces for who jumps about."""
from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from frontends.open_files import Attributes
from frontends.read_ahead import AHEAD, ALL_AHEAD, BEHIND, LEAST_AHEAD, PIECE, ReadFile, Streams
from lafs.capability import Cap, LiteralCap
from lafs.errors import LafsError, NotEnoughShares
from lafs.interfaces import Sink
from lafs.tasks import spawn
from tests.memory_grid import random_bytes

CHUNK = 128 * 1024
PERIOD = 1_000_003
"""Bytes after which the contents repeat: a prime, so that no mistake by a round number goes unseen."""
REPEATED = random_bytes(PERIOD, seed=8) * 2


class Node:
    """A large file that comes as fast as it is taken. `reads` are the ranges that were asked for, `given` how much went out."""

    def __init__(self, size: int, breaks_at: int | None = None) -> None:
        self.size = size
        self.reads: list[tuple[int, int | None]] = []
        self.given = 0
        self.stopped = 0
        self.breaks_at = breaks_at

    @property
    def cap(self) -> Cap:
        return LiteralCap(b"")

    def contents(self, offset: int, size: int) -> bytes:
        start = offset % PERIOD
        return REPEATED[start : start + max(0, size)]

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        self.reads.append((offset, size))
        end = self.size if size is None else min(self.size, offset + size)
        try:
            while offset < end:
                if self.breaks_at is not None and offset >= self.breaks_at:
                    raise NotEnoughShares("gone")
                piece = self.contents(offset, min(CHUNK, end - offset))
                self.given += len(piece)
                offset += len(piece)
                await sink.write(piece)
        except BaseException:
            self.stopped += 1
            raise


class Reading(SynchronousTestCase):
    """One file, read."""

    def setUp(self) -> None:
        self.node = Node(100 * 1024 * 1024)
        self.streams = Streams()
        self.file = ReadFile(self.node, self.node.size, Attributes("file", self.node.size), self.streams)

    def read(self, offset: int, size: int = 32768) -> bytes:
        return self.successResultOf(spawn(self.file.read_chunk(offset, size)))

    def test_who_reads_on_and_on_gets_one_stream(self) -> None:
        for offset in range(0, 20 * 1024 * 1024, 32768):
            self.assertEqual(self.read(offset), self.node.contents(offset, 32768))
        self.assertEqual(len(self.node.reads), 1)

    def test_no_more_is_fetched_than_may_be_ahead(self) -> None:
        for offset in range(0, 10 * 1024 * 1024, 32768):
            self.read(offset)
            self.assertLessEqual(self.node.given, offset + 32768 + AHEAD + CHUNK)
        held = sum(len(chunk) for _, chunk in self.file._stream._chunks)  # type: ignore[union-attr]
        self.assertLessEqual(held, AHEAD + BEHIND + 2 * CHUNK)

    def test_many_files_share_what_may_be_ahead(self) -> None:
        files = [ReadFile(Node(100 * 1024 * 1024), 100 * 1024 * 1024, Attributes("file"), self.streams) for _ in range(400)]
        for file in files:
            self.successResultOf(spawn(file.read_chunk(0, 1)))
        self.assertEqual((self.streams.count, self.streams.ahead), (400, LEAST_AHEAD))
        for file in files[10:]:
            self.successResultOf(spawn(file.close()))
        self.assertEqual((self.streams.count, self.streams.ahead), (10, min(AHEAD, ALL_AHEAD // 10)))

    def test_a_stream_ends_with_its_file(self) -> None:
        for end in (self.file.abandon, lambda: self.successResultOf(spawn(self.file.close()))):
            self.read(0)
            end()
            self.assertEqual((self.node.stopped, self.streams.count), (1, 0))
            self.setUp()

    def test_who_jumps_about_gets_pieces_and_then_a_stream_if_they_read_on(self) -> None:
        jumps = [offset * 1024 * 1024 for offset in (50, 7, 80)]
        for offset in jumps:
            self.assertEqual(self.read(offset, 4096), self.node.contents(offset, 4096))
        self.assertEqual(self.node.reads, [(offset, PIECE) for offset in jumps])
        self.assertEqual(self.read(jumps[-1] + 4096), self.node.contents(jumps[-1] + 4096, 32768))
        self.assertEqual(self.node.reads[3][0], jumps[-1] + 4096)

    def test_reads_in_any_order_and_of_any_size_are_right(self) -> None:
        random = Random(5)
        offset = 0
        for _ in range(300):
            if random.random() < 0.1:
                offset = random.randrange(self.node.size)
            at = max(0, offset + random.choice([0, 0, 0, -32768, 32768, 65536]))
            size = random.choice([1, 4096, 32768, 261_120])
            self.assertEqual(self.read(at, size), self.node.contents(at, min(size, self.node.size - at)))
            offset = at + size

    def test_what_breaks_is_told_and_can_be_tried_again(self) -> None:
        self.node.breaks_at = 1024 * 1024
        self.failureResultOf(spawn(self._read_all()), NotEnoughShares)
        self.node.breaks_at = None
        self.assertEqual(self.read(1024 * 1024), self.node.contents(1024 * 1024, 32768))

    def test_a_file_that_is_shorter_than_it_was_said_to_be_is_an_error(self) -> None:
        self.file = ReadFile(Node(100_000), 200_000, Attributes("file"), self.streams)
        self.failureResultOf(spawn(self._read_all()), LafsError)

    def test_those_who_wait_are_told_when_the_file_is_closed(self) -> None:
        class Slow(Node):
            async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
                await Deferred()

        file = ReadFile(Slow(100_000), 100_000, Attributes("file"), self.streams)
        waiting = spawn(file.read_chunk(0, 10))
        self.assertNoResult(waiting)
        file.abandon()
        self.failureResultOf(waiting, LafsError)

    async def _read_all(self) -> None:
        offset = 0
        while piece := await self.file.read_chunk(offset, 32768):
            offset += len(piece)
