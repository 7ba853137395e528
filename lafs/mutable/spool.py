"""Coded blocks on their way to shares, on disk where there are many of them: all shares of a large file do not fit into memory.

A server carries out the writing of a share in one call, and a share has a piece of every segment. So all must be coded before the
first can be sent. What lies here is what servers get to see: it is encrypted. For the worker threads of lafs/mutable/coding.py.
"""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import IO, Final, overload

import attrs
from attrs import frozen

from lafs.errors import SourceFailed
from lafs.interfaces import Bytes
from lafs.mutable.encoding import CodedSegment

IN_MEMORY: Final = 36 * 1024 * 1024
"""Bytes of blocks of one file that are kept in memory."""


class BlockSpool:
    """The blocks of one version, beyond the first megabytes in a nameless file in `directory` (None: all in memory)."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._lock = Lock()
        self._in_memory = 0
        self._file: IO[bytes] | None = None
        self._end = 0
        self._closed = False

    def put(self, segments: Sequence[CodedSegment]) -> list[CodedSegment]:
        """The same segments, with blocks that are read when they are asked for. Raises SourceFailed if there is no room."""
        size = sum(len(block) for segment in segments for block in segment.blocks)
        if self._directory is None or self._in_memory + size <= IN_MEMORY:
            self._in_memory += size
            return list(segments)
        # Under a lock: who was cancelled closes the file, and another may get its number.
        with self._lock:
            if self._closed:
                raise SourceFailed("what is being written was given up")
            try:
                return [attrs.evolve(segment, blocks=self._write(segment.blocks)) for segment in segments]
            except OSError as problem:
                raise SourceFailed(f"what is being written cannot be kept for a moment: {problem.strerror}") from None

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file."""
        with self._lock:
            if self._file is None or self._closed:
                raise SourceFailed("what is being written was given up")
            data = os.pread(self._file.fileno(), size, offset)
        if len(data) != size:
            raise SourceFailed("what is being written was cut short in the temporary folder")
        return data

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()

    def _write(self, blocks: Sequence[Bytes]) -> SpooledBlocks:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 - closed by close()
        data = b"".join(blocks)
        written = 0
        while written < len(data):
            written += os.pwrite(self._file.fileno(), memoryview(data)[written:], self._end + written)
        kept = SpooledBlocks(self, self._end, len(blocks[0]), len(blocks))
        self._end += len(data)
        return kept


@frozen(eq=False)
class SpooledBlocks(Sequence[Bytes]):
    """`number` blocks of `size` bytes each, from `start` of a spool on."""

    spool: BlockSpool
    start: int
    size: int
    number: int

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, which: int) -> Bytes: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[Bytes]: ...
    def __getitem__(self, which: int | slice) -> Bytes | Sequence[Bytes]:
        if isinstance(which, slice):
            return [self[each] for each in range(self.number)[which]]
        return self.spool.read(self.start + range(self.number)[which] * self.size, self.size)

    def __iter__(self) -> Iterator[Bytes]:
        return (self[each] for each in range(self.number))
