"""Bytes to be uploaded: from memory, from a file, or from a stream that can be read only once and is recorded on the way.

All implement `lafs.interfaces.Source`.
"""
from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from lafs.crypto.aes import CtrStream
from lafs.errors import SourceFailed
from lafs.interfaces import Source
from lafs.tasks import spawn
from lafs.workers import Workers

CHUNK = 1024 * 1024
"""Bytes read at a time when a whole source is read through."""

IN_MEMORY = 1024 * 1024
"""A recording up to this many bytes stays in memory."""


class BytesSource:
    """A source in memory."""

    rewindable = True

    def __init__(self, contents: bytes) -> None:
        self._contents = contents
        self._position = 0

    @property
    def size(self) -> int:
        return len(self._contents)

    async def read(self, size: int) -> bytes:
        start = self._position
        piece = self._contents[start : start + size]
        self._position += len(piece)
        return piece

    async def rewind(self) -> None:
        self._position = 0

    async def close(self) -> None:
        pass


class FileSource:
    """A file of the local disk, read in the worker threads. Raises SourceFailed, naming the file, when it cannot be read."""

    rewindable = True

    def __init__(self, path: Path, workers: Workers) -> None:
        self._workers = workers
        self._name = path.name
        try:
            self._file: BinaryIO = path.open("rb")
            self._size = os.fstat(self._file.fileno()).st_size
        except OSError as problem:
            raise SourceFailed(f"cannot read {path.name}: {problem.strerror}") from None

    @property
    def size(self) -> int:
        return self._size

    async def read(self, size: int) -> bytes:
        try:
            return await self._workers.run(self._file.read, size)
        except OSError as problem:
            raise SourceFailed(f"cannot read {self._name}: {problem.strerror}") from None

    async def rewind(self) -> None:
        self._file.seek(0)

    async def close(self) -> None:
        self._file.close()


class Recording:
    """A source that can be read again: what `append` was given, kept in memory or, beyond a megabyte, in a nameless file.

    The file is encrypted under a key that only this object knows, so that nobody's plaintext is left on the disk. `append` is plain
    code, for the worker threads; the rest is a `Source`.
    """

    rewindable = True

    def __init__(self, workers: Workers, directory: Path | None) -> None:
        self._workers = workers
        self._directory = directory
        self._memory = bytearray()
        self._file: BinaryIO | None = None
        self._key = os.urandom(16)
        self._cipher = CtrStream(self._key)
        self._size = 0
        self._position = 0

    @property
    def size(self) -> int:
        return self._size

    def append(self, chunk: bytes) -> None:
        """Add `chunk` at the end. Raises SourceFailed when the temporary directory is full or cannot be written."""
        self._size += len(chunk)
        try:
            if self._file is not None:
                self._file.write(self._cipher.process(chunk))
                return
            self._memory += chunk
            if self._size > IN_MEMORY:
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed by close()
                self._file.write(self._cipher.process(bytes(self._memory)))
                self._memory = bytearray()
        except OSError as problem:
            raise SourceFailed(f"what is being uploaded cannot be kept for a moment: {problem.strerror}") from None

    async def read(self, size: int) -> bytes:
        return await self._workers.run_sized(min(size, self._size), self._read, size)

    async def rewind(self) -> None:
        self._position = 0
        self._cipher = CtrStream(self._key)
        if self._file is not None:
            self._file.seek(0)

    async def close(self) -> None:
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()

    def _read(self, size: int) -> bytes:
        if self._file is None:
            piece = bytes(self._memory[self._position : self._position + size])
        else:
            piece = self._cipher.process(self._file.read(size))
        self._position += len(piece)
        return piece


async def read_through(source: Source, workers: Workers, absorb: Callable[[bytes], None]) -> int:
    """Hand all bytes of `source`, in order, to `absorb` in the worker threads. Returns how many there were.

    The next piece is read while the one before is absorbed. Raises SourceFailed.
    """
    size = 0
    chunk = await source.read(CHUNK)
    while chunk:
        size += len(chunk)
        absorbing = spawn(workers.run_sized(len(chunk), absorb, chunk))
        try:
            chunk = await source.read(CHUNK) if len(chunk) == CHUNK else b""
        except BaseException:
            absorbing.addErrback(lambda _: None)
            raise
        await absorbing
    return size
