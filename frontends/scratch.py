"""The contents of a file while it is open for writing: bytes at any offset, in pages, kept in memory or in a nameless file.

Small files never touch the disk. What does is encrypted under a key that only this object knows, and every page each time it is
written under a nonce of its own: two plaintexts never share key stream, and after a crash nobody can read what is left.
Plain code for the worker threads, one call at a time; `written_file` makes the calls. Spec: 09 §6.3, §15 S13.
"""
from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from Crypto.Cipher import AES

from lafs.errors import SourceFailed
from lafs.interfaces import Bytes
from lafs.workers import Workers

PAGE = 64 * 1024
"""Bytes that are encrypted together."""

PAGES_IN_MEMORY = 8
"""Of each file; as many pages as lately were written."""

LARGEST_GAP = 16 * 1024**3
"""Bytes of zeros that one write or one change of size may add. They take no room here, but all of them are going to be uploaded."""

DISK_RESERVE = 256 * 1024 * 1024
"""Bytes of the disk that temporary files leave free: a node's own folder may be on it."""

_PAGES_BETWEEN_LOOKS = 256


class ScratchSpace:
    """The folder where the temporary files of one node are; they never fill its disk. None: the system's."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def new_file(self) -> BinaryIO:
        """A file without a name. Raises OSError."""
        return tempfile.TemporaryFile(dir=self._directory, buffering=0)

    def check_room(self, file: BinaryIO) -> None:
        """Raises SourceFailed when the disk is nearly full."""
        disk = os.fstatvfs(file.fileno())
        if disk.f_bavail * disk.f_frsize < DISK_RESERVE:
            raise SourceFailed("the disk for temporary files is nearly full; what was written cannot be kept until it is stored")


class Scratch:
    """`size` bytes, zero where nothing was put. Raises SourceFailed when they cannot be kept."""

    def __init__(self, space: ScratchSpace, size: int = 0) -> None:
        self.size = size
        self._space = space
        self._key = os.urandom(16)
        self._memory: OrderedDict[int, bytearray] = OrderedDict()
        self._nonces: dict[int, int] = {}
        self._writes = 0
        self._file: BinaryIO | None = None

    @property
    def is_in_memory(self) -> bool:
        """Whether nothing is on the disk so far."""
        return self._file is None

    def read(self, offset: int, size: int) -> bytes:
        """The bytes that are there: fewer at the end, none past it."""
        end = min(offset + size, self.size)
        return b"".join(bytes(self._page(page)[start:stop]) for page, start, stop in _slices(offset, end))

    def write(self, offset: int, data: Bytes) -> None:
        """Put `data` at `offset`. What is between the end and `offset` becomes zeros."""
        self._check_gap(offset)
        view, position = memoryview(data), 0
        for page, start, stop in _slices(offset, offset + len(data)):
            if stop - start == PAGE:
                contents = bytearray(view[position : position + PAGE])
            else:
                contents = self._page(page)
                contents[start:stop] = view[position : position + stop - start]
            position += stop - start
            self._keep(page, contents)
        self.size = max(self.size, offset + len(data))

    def resize(self, size: int) -> None:
        """Cut off what is past `size`, or add zeros."""
        self._check_gap(size)
        if size < self.size:
            last, rest = divmod(size, PAGE)
            for page in [each for each in (*self._memory, *self._nonces) if each > last or (each == last and not rest)]:
                self._memory.pop(page, None)
                self._nonces.pop(page, None)
            if rest and self.has(last):
                contents = self._page(last)
                contents[rest:] = bytes(PAGE - rest)
                self._keep(last, contents)
        self.size = size

    def has(self, page: int) -> bool:
        """Whether anything was put into that page."""
        return page in self._memory or page in self._nonces

    def missing(self, offset: int, end: int) -> Iterator[tuple[int, int]]:
        """The runs (start, end) of whole pages over [offset, end) into which nothing was put."""
        start: int | None = None
        last = -(-end // PAGE)
        for page in range(offset // PAGE, last):
            if not self.has(page):
                start = page if start is None else start
            elif start is not None:
                yield start * PAGE, page * PAGE
                start = None
        if start is not None:
            yield start * PAGE, last * PAGE

    def close(self) -> None:
        self._memory.clear()
        self._nonces.clear()
        if self._file is not None:
            self._file.close()

    def _page(self, page: int) -> bytearray:
        """What is in it; the caller's to change and `_keep`."""
        contents = self._memory.get(page)
        if contents is not None:
            return contents
        nonce = self._nonces.get(page)
        if nonce is None:
            return bytearray(PAGE)
        assert self._file is not None
        try:
            sealed = os.pread(self._file.fileno(), PAGE, page * PAGE)
        except OSError as problem:
            raise SourceFailed(f"a temporary file cannot be read: {problem.strerror}") from None
        if len(sealed) != PAGE:
            raise SourceFailed("a temporary file has become shorter")
        return bytearray(self._cipher(nonce).decrypt(sealed))

    def _keep(self, page: int, contents: bytearray) -> None:
        self._memory[page] = contents
        self._memory.move_to_end(page)
        while len(self._memory) > PAGES_IN_MEMORY:
            oldest = next(iter(self._memory))
            self._put_away(oldest, self._memory[oldest])
            del self._memory[oldest]

    def _put_away(self, page: int, contents: bytearray) -> None:
        self._writes += 1
        try:
            if self._file is None:
                self._file = self._space.new_file()
            if self._writes % _PAGES_BETWEEN_LOOKS == 1:
                self._space.check_room(self._file)
            if os.pwrite(self._file.fileno(), self._cipher(self._writes).encrypt(contents), page * PAGE) != PAGE:
                raise SourceFailed("the disk for temporary files is full")
        except OSError as problem:
            raise SourceFailed(f"what is written cannot be kept for a moment: {problem.strerror}") from None
        self._nonces[page] = self._writes

    def _cipher(self, nonce: int) -> AES.CtrMode:  # type: ignore[name-defined]
        return AES.new(self._key, AES.MODE_CTR, nonce=nonce.to_bytes(8, "big"))

    def _check_gap(self, offset: int) -> None:
        if offset - self.size > LARGEST_GAP:
            raise SourceFailed("so large a gap cannot be filled with zeros")


def _slices(offset: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Which parts of which pages are [offset, end): (page, start, stop)."""
    while offset < end:
        page, start = divmod(offset, PAGE)
        stop = min(PAGE, start + end - offset)
        yield page, start, stop
        offset += stop - start


class ScratchSource:
    """A Source of all that is in a Scratch, which stays open and must not change meanwhile."""

    rewindable = True

    def __init__(self, scratch: Scratch, workers: Workers) -> None:
        self._scratch = scratch
        self._workers = workers
        self._position = 0

    @property
    def size(self) -> int:
        return self._scratch.size

    async def read(self, size: int) -> bytes:
        size = min(size, self._scratch.size - self._position)
        if self._scratch.is_in_memory:
            piece = await self._workers.run_sized(size, self._scratch.read, self._position, size)
        else:
            piece = await self._workers.run(self._scratch.read, self._position, size)
        self._position += len(piece)
        return piece

    async def rewind(self) -> None:
        self._position = 0

    async def close(self) -> None:
        pass
