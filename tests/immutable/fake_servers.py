"""Scripted storage servers in memory on a virtual clock, for downloads only: slow, hung, failing, lying, corrupt; and
everything asked of them is counted.

`coded` makes shares with the pure layout code, without an uploader, so that a test chooses every byte of them.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lafs.capability import ImmutableReadCap
from lafs.crypto.aes import ctr
from lafs.crypto.hashes import Tag, block_hash, ciphertext_segment_hash, tagged_hash, ueb_hash
from lafs.crypto.merkle import MerkleTree
from lafs.crypto.storage_index import StorageIndex
from lafs.erasure import Coder
from lafs.errors import ServerError, ServerGone
from lafs.immutable import ueb
from lafs.immutable.downloader import Downloader
from lafs.immutable.layout import ShareLayout, pack_chain
from lafs.immutable.segmentation import Segmentation
from lafs.interfaces import Bytes, GridServer, ServerIdentity, ServerVersion, Sink
from lafs.statistics import Counters
from lafs.tasks import sleep, spawn
from lafs.workers import InlineWorkers

T = TypeVar("T")


def some_bytes(size: int, seed: str = "contents") -> bytes:
    """`size` bytes that look random and are always the same."""
    return ctr(sha256(seed.encode()).digest()[:16], bytes(size))


# --- files -----------------------------------------------------------------------------------------------------------


@frozen
class CodedFile:
    """A file as an uploader would have stored it."""

    cap: ImmutableReadCap
    content: bytes = field(repr=False)
    shares: Mapping[int, bytes] = field(repr=False)
    segmentation: Segmentation
    layout: ShareLayout


def coded(
    content: bytes,
    needed: int = 3,
    total: int = 10,
    max_segment_size: int = 1024 * 1024,
    version: int | None = None,
    spoil: Callable[[int, bytes], bytes] = lambda segment, ciphertext: ciphertext,
) -> CodedFile:
    """Code `content`. `spoil` is a dishonest uploader: what is erasure-coded differs from what is hashed."""
    key = sha256(b"key" + content).digest()[:16]
    size = min(max_segment_size, len(content))
    cut = Segmentation(len(content), -(-size // needed) * needed, needed)
    ciphertext, coder = ctr(key, content), Coder(needed, total)
    segments = [ciphertext[i * cut.segment_size : (i + 1) * cut.segment_size] for i in range(cut.count)]
    blocks: list[list[bytes]] = [[] for _ in range(total)]
    for number, segment in enumerate(segments):
        padded = spoil(number, segment).ljust(needed * cut.block_size_of(number), b"\0")
        for share, block in zip(blocks, coder.encode(padded), strict=True):
            share.append(bytes(block))
    ciphertext_tree = MerkleTree([ciphertext_segment_hash(segment) for segment in segments])
    block_trees = [MerkleTree(map(block_hash, share)) for share in blocks]
    share_tree = MerkleTree([tree.root for tree in block_trees])
    packed = ueb.pack_for_upload(
        cut,
        total,
        ciphertext_hash=tagged_hash(Tag.CIPHERTEXT, ciphertext),
        ciphertext_root=ciphertext_tree.root,
        share_root=share_tree.root,
    )
    layout = ShareLayout.of(cut, total, version)
    shares = {
        number: layout.header()
        + b"".join(blocks[number])
        + layout.trailer(
            ciphertext_tree.pack(), block_trees[number].pack(), pack_chain(number, share_tree.nodes, total), packed
        )
        for number in range(total)
    }
    return CodedFile(ImmutableReadCap(key, ueb_hash(packed), needed, total, len(content)), content, shares, cut, layout)


# --- servers ---------------------------------------------------------------------------------------------------------


@define(eq=False)
class ScriptedServer:
    """A server with some shares, on a clock; behaves as its fields say, which a test may change at any time."""

    clock: Clock
    name: str
    shares: dict[int, bytes] = field(factory=dict)
    latency: float = 0.0
    """Seconds from a question to its answer."""
    bytes_per_second: float = float("inf")
    hung: bool = False
    hung_reads: bool = False
    broken: bool = False
    broken_reads: bool = False
    lie: Callable[[int, int, bytes], Any] = lambda offset, length, answer: answer
    """What comes in place of the honest answer to a read."""
    lists: int = 0
    reads: list[tuple[int, int, int]] = field(factory=list)
    """Share number, offset, length of all reads so far."""
    reports: list[tuple[int, str]] = field(factory=list)
    waiting: int = 0
    """Questions that are not answered yet and have not been given up."""
    unanswered: list[Deferred[None]] = field(factory=list)

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ScriptedReader]:
        self.lists += 1
        await self.pause(self.hung, self.broken)
        return {number: ScriptedReader(self, number) for number in self.shares}

    def cancel_all(self) -> None:
        """Let go of hung questions as if they had been cancelled from inside."""
        for each in self.unanswered:
            each.cancel()

    async def pause(self, hung: bool, broken: bool, size: int = 0) -> None:
        self.waiting += 1
        try:
            if hung:
                self.unanswered.append(Deferred())
                await self.unanswered[-1]
            delay = self.latency + size / self.bytes_per_second
            if delay:
                await sleep(delay, self.clock)
        finally:
            self.waiting -= 1
        if broken:
            raise ServerGone(f"the connection to {self.name} was lost")


@frozen
class ScriptedReader:
    server: ScriptedServer
    number: int

    async def read(self, offset: int, length: int) -> bytes:
        self.server.reads.append((self.number, offset, length))
        content = self.server.shares.get(self.number)
        await self.server.pause(
            self.server.hung or self.server.hung_reads, self.server.broken or self.server.broken_reads, length
        )
        if content is None:
            raise ServerError("no such share")
        lie: Any = self.server.lie
        answer: bytes = lie(offset, length, content[offset : offset + length])
        return answer

    async def report_corruption(self, reason: str) -> None:
        self.server.reports.append((self.number, reason))


class ScriptedGrid:
    """Servers in the order given, whatever the file."""

    def __init__(self, servers: Sequence[ScriptedServer]) -> None:
        self.present = [
            GridServer(
                identity=ServerIdentity(server.name, server.name, server.name.encode(), bytes(20)),
                storage=server,  # type: ignore[arg-type]
                version=ServerVersion("scripted", 2**40, 2**40),
            )
            for server in servers
        ]

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        return list(self.present)

    def for_upload(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        return list(self.present)


# --- reading ---------------------------------------------------------------------------------------------------------


class CollectingSink:
    """Keeps what it is given. Each write takes `delay` seconds of `clock`."""

    def __init__(self, clock: Clock | None = None, delay: float = 0.0) -> None:
        self.pieces: list[bytes] = []
        self._clock = clock
        self._delay = delay

    async def write(self, data: Bytes) -> None:
        self.pieces.append(bytes(data))
        if self._clock is not None and self._delay:
            await sleep(self._delay, self._clock)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


class DownloadWorld:
    """Some servers with the shares of a file dealt to them, one each and in order, and a client that reads it."""

    def __init__(self, file: CodedFile, servers: int = 10, latency: float = 0.1) -> None:
        self.clock = Clock()
        self.servers = [ScriptedServer(self.clock, f"v0-srv{i:05}", latency=latency) for i in range(servers)]
        self.deal(file)
        self.grid = ScriptedGrid(self.servers)
        self.counters = Counters()
        self.forget()

    def deal(self, file: CodedFile) -> None:
        """Put the shares of `file` in place of those that are there."""
        self.file = file
        for server in self.servers:
            server.shares = {}
        for number, share in file.shares.items() if self.servers else ():
            self.servers[number % len(self.servers)].shares[number] = share

    def forget(self) -> None:
        """Go on with a new client, which remembers nothing."""
        self.downloader = Downloader(self.grid, InlineWorkers(), self.clock, self.counters)

    def start(self, sink: Sink, offset: int = 0, size: int | None = None) -> Deferred[None]:
        """Begin to read, and return the Deferred of the end."""
        return spawn(self.downloader.open(self.file.cap).read(sink, offset, size))

    def finish(self, work: Awaitable[T], limit: float = 600.0) -> tuple[T, float]:
        """Advance the clock until `work` is done: its result, and the seconds it took. Raises what it raises."""
        outcome: list[Any] = []
        spawn(work).addBoth(outcome.append)
        started = self.clock.seconds()
        while not outcome:
            calls = self.clock.getDelayedCalls()
            if not calls:
                raise AssertionError("waits for ever: nothing is going to happen")
            step = max(min(call.getTime() for call in calls) - self.clock.seconds(), 0.0)
            self.clock.advance(step)
            if self.clock.seconds() - started > limit:
                raise AssertionError(f"not done after {limit} seconds")
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0], self.clock.seconds() - started

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """What a read delivers."""
        sink = CollectingSink()
        self.finish(self.start(sink, offset, size))
        return sink.content

    def timed(self, offset: int = 0, size: int | None = None) -> float:
        """Read, and return the seconds it took."""
        sink = CollectingSink()
        _, elapsed = self.finish(self.start(sink, offset, size))
        expected = self.file.content[offset:] if size is None else self.file.content[offset : offset + size]
        assert sink.content == expected, "wrong contents"
        return elapsed

    def forget_calls(self) -> None:
        """Begin to count anew."""
        for server in self.servers:
            server.reads.clear()
            server.lists = 0

    @property
    def reads(self) -> list[tuple[int, int, int]]:
        return [read for server in self.servers for read in server.reads]

    @property
    def lists(self) -> int:
        return sum(server.lists for server in self.servers)

    @property
    def reports(self) -> list[tuple[int, str]]:
        return [report for server in self.servers for report in server.reports]

    def assert_quiet(self) -> None:
        """Nothing is being asked any more, and nothing is going to happen."""
        assert not sum(server.waiting for server in self.servers), "questions still in flight"
        assert not self.clock.getDelayedCalls(), "timers still running"
