"""New contents on their way to shares: read, encrypted and coded a few segments at a time in the worker threads. Spec: 03 §7.

What comes out does not depend on the sequence number, so that a writer who was overtaken signs it again, and codes it once.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attrs import field, frozen
from twisted.internet.defer import Deferred

from lafs.crypto.rsa import PrivateKey
from lafs.erasure import Coder
from lafs.errors import SourceFailed
from lafs.interfaces import Bytes, Source
from lafs.mutable.encoding import CodedSegment, HashTrees, Keys, SignedVersion, code_segments
from lafs.mutable.geometry import SALT_SIZE, Format, Geometry, segment_size_of
from lafs.mutable.share_layout import Prefix
from lafs.mutable.spool import BlockSpool
from lafs.sources import CHUNK
from lafs.tasks import forget, spawn
from lafs.workers import Workers

BATCH_SIZE: Final = 1024 * 1024
"""Bytes of contents that are coded in one job."""

BATCHES_IN_FLIGHT: Final = 3


@frozen
class CodedContents:
    """Contents as blocks of `total` shares, with their hash trees; all of a version but its number and its signature."""

    geometry: Geometry
    total: int
    salt: bytes = field(repr=False)
    """That of an SDMF version; of MDMF, each segment has its own."""
    segments: Sequence[CodedSegment] = field(repr=False)
    trees: HashTrees = field(repr=False)
    spool: BlockSpool
    """Where blocks are that are not in memory: to be closed by whoever had them coded."""
    contents: bytes | None = field(default=None, repr=False)
    """What was coded, if it was read in one piece."""

    def prefix(self, sequence_number: int) -> Prefix:
        """What will be signed."""
        return prefix_over(self.trees, self.geometry, self.total, self.salt, sequence_number)

    def signed(self, sequence_number: int, private_key: PrivateKey, keys: Keys) -> SignedVersion:
        """The version with that number. Raises ValueError for keys that do not fit into a share."""
        prefix = self.prefix(sequence_number)
        return SignedVersion(prefix, private_key.sign(prefix.pack()), self.trees, keys)


def prefix_over(trees: HashTrees, cut: Geometry, total: int, salt: bytes, sequence_number: int) -> Prefix:
    """What is to be signed of a version with these hash trees."""
    return Prefix(
        cut.format, sequence_number, trees.shares.root, salt, cut.needed, total, cut.segment_size, cut.size
    )


class ContentsCoder:
    """Codes contents of one file in `format`, any `needed` of `total` shares of which give them back."""

    def __init__(
        self,
        workers: Workers,
        random_bytes: Callable[[int], bytes],
        format: Format,
        needed: int,
        total: int,
        read_key: bytes,
        directory: Path | None = None,
    ) -> None:
        self._workers = workers
        self._directory = directory
        self._random_bytes = random_bytes
        self._format: Format = format
        self._coder = Coder(needed, total)
        self._read_key = read_key

    async def code(self, source: Source) -> CodedContents:
        """Code all of `source`. Raises SourceFailed."""
        spool = BlockSpool(self._directory)
        try:
            return await self._coded(source, spool)
        except BaseException:
            forget(self._workers.run(spool.close))
            raise

    async def _coded(self, source: Source, spool: BlockSpool) -> CodedContents:
        format, coder = self._format, self._coder
        segments: list[CodedSegment] = []
        contents: bytes | None
        if format == "SDMF":
            contents = await read_exactly(source, None)
            size = len(contents)
            if contents:
                segments = await self._batch([contents], spool)
        else:
            size, segments, contents = await self._code_segments(source, spool)
        cut = Geometry(format, size, segment_size_of(format, size, coder.needed), coder.needed)
        salt = b""
        if format == "SDMF":
            salt = segments[0].salt if segments else self._random_bytes(SALT_SIZE)
        trees = await self._workers.run_sized(size, trees_over, segments, coder.total)
        return CodedContents(cut, coder.total, salt, segments, trees, spool, contents)

    async def code_plaintexts(self, plaintexts: Sequence[bytes]) -> list[CodedSegment]:
        """Code these segments, each with a salt of its own."""
        return await self._batch(plaintexts, BlockSpool(None))

    async def _code_segments(
        self, source: Source, spool: BlockSpool
    ) -> tuple[int, list[CodedSegment], bytes | None]:
        segment_size = segment_size_of(self._format, 0, self._coder.needed)
        in_batch = max(BATCH_SIZE // segment_size, 1)
        flying: deque[Deferred[list[CodedSegment]]] = deque()
        segments: list[CodedSegment] = []
        size, ended = 0, False
        batch = b""
        try:
            while flying or not ended:
                if not ended:
                    batch = await read_exactly(source, in_batch * segment_size)
                    size += len(batch)
                    ended = len(batch) < in_batch * segment_size
                    view = memoryview(batch)
                    if batch:
                        pieces = [view[at : at + segment_size] for at in range(0, len(batch), segment_size)]
                        flying.append(spawn(self._batch(pieces, spool)))
                if flying and (ended or len(flying) >= BATCHES_IN_FLIGHT):
                    segments += await flying.popleft()
        finally:
            for work in flying:
                work.addErrback(lambda _: None)
        return size, segments, batch if size == len(batch) else None

    async def _batch(self, plaintexts: Sequence[bytes | memoryview], spool: BlockSpool) -> list[CodedSegment]:
        salts = [self._random_bytes(SALT_SIZE) for _ in plaintexts]
        size = sum(map(len, plaintexts))
        return await self._workers.run_sized(
            size, _coded_into, spool, self._coder, self._format, plaintexts, salts, self._read_key
        )


def _coded_into(
    spool: BlockSpool,
    coder: Coder,
    format: Format,
    plaintexts: Sequence[Bytes],
    salts: Sequence[bytes],
    read_key: bytes,
) -> list[CodedSegment]:
    return spool.put(code_segments(coder, format, plaintexts, salts, read_key))


def trees_over(segments: Sequence[CodedSegment], total: int) -> HashTrees:
    """The hash trees of all shares."""
    return HashTrees.over([[segment.block_hashes[share] for segment in segments] for share in range(total)])


async def read_exactly(source: Source, size: int | None) -> bytes:
    """The next `size` bytes of `source`, fewer only at its end; or all there are. Raises SourceFailed."""
    if size is None and source.size is not None:
        contents = await read_exactly(source, source.size)
        if len(contents) < source.size:
            raise SourceFailed("what is being uploaded became shorter while it was read")
        return contents
    pieces: list[bytes] = []
    left = size
    while left is None or left > 0:
        piece = await source.read(CHUNK if left is None else left)
        if not piece:
            break
        pieces.append(piece)
        left = None if left is None else left - len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
