"""A mutable file as it was at one moment, so that an answer whose length was announced holds one version and no other."""
from __future__ import annotations

from attrs import field, frozen

from lafs.capability import Cap
from lafs.errors import UncoordinatedWrite
from lafs.interfaces import Bytes, FileNode, MutableFileNode, MutableVersion, Sink

IN_MEMORY = 1024 * 1024
"""Bytes. A version up to this size is fetched whole before the answer starts."""


async def opened_version(file: MutableFileNode, head_only: bool = False) -> FileNode:
    """The newest version of `file`. Only its size can be asked for if `head_only`."""
    if head_only:
        return _Streamed(file, await file.version())
    contents, version = await file.contents_within(IN_MEMORY)
    return _Streamed(file, version) if contents is None else _Fetched(file.cap, contents)


@frozen
class _Fetched:
    """A version in memory. Implements `FileNode`."""

    cap: Cap
    contents: bytes = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.contents)

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        await sink.write(self.contents[offset:] if size is None else self.contents[offset : offset + size])


@frozen
class _Streamed:
    """A version that is fetched as it is read. Implements `FileNode`."""

    file: MutableFileNode
    version: MutableVersion

    @property
    def cap(self) -> Cap:
        return self.file.cap

    @property
    def size(self) -> int:
        return self.version.size

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        """Raises UncoordinatedWrite if the file was changed since it was opened: before its last bytes are written."""
        behind = _OneBehind(sink)
        if await self.file.read(behind, offset, size) != self.version:
            raise UncoordinatedWrite("the file was changed while it was read")
        await behind.finish()


class _OneBehind:
    """A sink that keeps back the last piece. Implements `Sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._kept: Bytes = b""

    async def write(self, data: Bytes) -> None:
        kept, self._kept = self._kept, data
        await self._sink.write(kept)

    async def finish(self) -> None:
        await self._sink.write(self._kept)
