"""A filesystem in memory and a node's overview, for tests of the gateway: real caps, no grid."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from attrs import define, field
from twisted.internet.defer import Deferred

from lafs.capability import LITERAL_LIMIT, Cap, ImmutableReadCap, LiteralCap
from lafs.directory.directory import Directory
from lafs.directory.traversal import Trail, follow
from lafs.errors import BadCapability, LafsError, NoShares
from lafs.immutable.literal import LiteralFile
from lafs.interfaces import Sink, Source, UploadResult
from lafs.node_status import IntroducerStatus, ServerStatus
from lafs.statistics import Counters

PIECE = 512 * 1024
"""Bytes read from a source, and written to a sink, at once."""


@define
class MemoryFile:
    """An immutable file whose contents are in memory; `fails_after` bytes are read before `failure` is raised."""

    cap: ImmutableReadCap
    contents: bytes | memoryview
    fails_after: int | None = None
    failure: LafsError = field(factory=lambda: NoShares("no shares (need 1). Last failure: None"))
    waits_for: Deferred[None] | None = None
    reads: list[tuple[int, int]] = field(factory=list)
    cancelled: bool = False
    read_over: Deferred[BaseException | None] = field(factory=Deferred)
    """Fires when the first read is over, with what it raised."""

    @property
    def size(self) -> int:
        return self.cap.size

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        outcome: BaseException | None = None
        try:
            await self._read(sink, offset, size)
        except BaseException as error:
            outcome = error
            raise
        finally:
            if not self.read_over.called:
                self.read_over.callback(outcome)

    async def _read(self, sink: Sink, offset: int, size: int | None) -> None:
        end = self.size if size is None else min(self.size, offset + size)
        self.reads.append((offset, end - offset))
        position = offset
        while position < end:
            if self.fails_after is not None and position >= self.fails_after:
                if self.waits_for is None:
                    raise self.failure
                try:
                    await self.waits_for
                except BaseException:
                    self.cancelled = True
                    raise
            step = min(PIECE, end - position)
            if self.fails_after is not None:
                step = min(step, max(1, self.fails_after - position))
            await sink.write(self.contents[position : position + step])
            position += step


class MemoryFiles:
    """What the gateway needs of a filesystem. Equal contents give equal caps, as with a convergence secret.

    `keep` False forgets the contents of what is uploaded and only counts them.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self.stored: dict[str, MemoryFile] = {}
        self.keep = True
        self.received = 0
        self.upload_failure: LafsError | None = None
        self.upload_gate: Deferred[None] | None = None
        self.upload_errors: list[BaseException] = []
        self.rewindable: list[bool] = []
        self.sizes: list[int | None] = []

    async def upload(self, source: Source) -> UploadResult:
        self.rewindable.append(source.rewindable)
        self.sizes.append(source.size)
        try:
            if self.upload_failure is not None:
                raise self.upload_failure
            return await self._upload(source)
        except BaseException as error:
            self.upload_errors.append(error)
            raise
        finally:
            await source.close()

    async def _upload(self, source: Source) -> UploadResult:
        pieces: list[bytes] = []
        digest, size = sha256(), 0
        while piece := await source.read(PIECE):
            size += len(piece)
            self.received += len(piece)
            digest.update(piece)
            if self.keep:
                pieces.append(piece)
            if self.upload_gate is not None:
                await self.upload_gate
        contents = b"".join(pieces)
        self.counters.count("uploader.files_uploaded")
        self.counters.count("uploader.bytes_uploaded", size)
        if size <= LITERAL_LIMIT:
            return UploadResult(LiteralCap(contents), size)
        cap = ImmutableReadCap(digest.digest()[:16], digest.digest(), 1, 1, size)
        self.stored.setdefault(cap.text, MemoryFile(cap, contents))
        return UploadResult(cap, size, 1, 0, {0: frozenset({"v0-server"})})

    def open(self, cap: Cap) -> LiteralFile | MemoryFile:
        if isinstance(cap, LiteralCap):
            return LiteralFile(cap)
        if isinstance(cap, ImmutableReadCap):
            cap.check_ranges()
            self.counters.count("downloader.files_downloaded")
            return self.stored.get(cap.text) or MemoryFile(cap, b"", fails_after=0)
        raise BadCapability("this is not a cap that reads an immutable file")

    def open_directory(self, cap: Cap) -> Directory:
        raise BadCapability("there are no directories in memory")

    async def follow(self, cap: Cap, path: Sequence[str]) -> Trail:
        return await follow(self.open_directory, cap, path)

    def add(self, contents: bytes) -> MemoryFile:
        """Store `contents` without an upload, and return the file, which a test may spoil."""
        digest = sha256(contents).digest()
        cap = ImmutableReadCap(digest[:16], digest, 1, 1, len(contents))
        self.stored[cap.text] = MemoryFile(cap, contents)
        return self.stored[cap.text]


@define
class Overview:
    """A node that says of itself what it is told to."""

    nickname: str = "a node"
    node_id: str = "v0-thisnode"
    known_servers: Sequence[ServerStatus] = ()
    known_introducers: Sequence[IntroducerStatus] = ()
    counts: Counters = field(factory=Counters)

    def introducers(self) -> Sequence[IntroducerStatus]:
        return self.known_introducers

    def servers(self) -> Sequence[ServerStatus]:
        return self.known_servers

    def counters(self) -> Mapping[str, int]:
        return self.counts.snapshot()

    def stats(self) -> Mapping[str, float | int | None]:
        return {"node.uptime": 12.5, "cpu_monitor.total": 0.25}
