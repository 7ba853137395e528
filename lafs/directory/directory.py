"""A directory as its cap opens it. Implements `lafs.interfaces.DirectoryNode`; made by lafs/directory/directories.py.

Reads ask the grid each time, for others may have written; of what is known already only the version is asked for.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from lafs.capability import DirectoryCap
from lafs.directory.children import View
from lafs.directory.edits import Edit, Remove, Rename, SetChildren, SetMetadata
from lafs.directory.known_directory import EditedDirectory, KnownDirectory
from lafs.directory.packing import LARGEST_DIRECTORY, Entries, name_in_directory
from lafs.errors import BadDirectory, NoSuchChild, NotWriteable
from lafs.interfaces import (
    Bytes,
    Child,
    ChildKind,
    FileNode,
    Listing,
    Metadata,
    MutableFileNode,
    NewChild,
    Replace,
)

T = TypeVar("T")

SMALL = 4096
"""Bytes that come along when a mutable file's version is asked for, so that asking for the version first spares nothing."""


class Directory:
    """One directory, read or changed through `cap`. `read` finds its entries."""

    def __init__(
        self,
        cap: DirectoryCap,
        known: KnownDirectory,
        read: Callable[[], Awaitable[Entries]],
        edited: EditedDirectory | None = None,
    ) -> None:
        self.cap = cap
        self.known = known
        self._view = View.through(cap)
        self._read = read
        self._edited = edited

    def __repr__(self) -> str:
        return f"<Directory {self.cap!r}>"

    def is_same_as(self, other: Directory) -> bool:
        """Whether both are one directory, through whichever caps."""
        return self.known is other.known

    async def list(self, within_seconds: float = 0) -> Listing:
        """All children; what was read or written within so many seconds is believed."""
        return await self.known.listing(self.known.recent(within_seconds) or await self._read(), self._view)

    async def rendered(self, render: Callable[[Listing], T]) -> T:
        """What `render`, a pure function, makes of all children: not on the reactor's thread, and once for each version."""
        return await self.known.rendered(await self._read(), self._view, render)

    async def get(self, name: str, within_seconds: float = 0) -> Child:
        name = name_in_directory(name)
        entry = (self.known.recent(within_seconds) or await self._read()).by_name.get(name)
        if entry is not None:
            child = self._view.child(entry)
            if child.caps.fault is None:
                return child
        raise NoSuchChild(name)

    async def edit(self, edit: Edit) -> Child | None:
        """Carry out `edit` together with whatever others wait to be written. The child that it took out, if any."""
        if self._edited is None:
            raise NotWriteable("This capability only reads. To change the directory, use the one that writes.")
        return await self._edited.queue.submit(edit)

    async def add(self, children: Sequence[NewChild], replace: Replace = "always") -> None:
        await self.edit(SetChildren(tuple(children), replace))

    async def remove(self, name: str, must_exist: bool = True, must_be: ChildKind | None = None) -> Child | None:
        return await self.edit(Remove(name, must_exist, must_be))

    async def rename(self, name: str, new_name: str, replace: Replace = "always") -> None:
        await self.edit(Rename(name, new_name, replace))

    async def set_metadata(self, name: str, metadata: Metadata) -> None:
        await self.edit(SetMetadata(name, metadata))


async def read_mutable(known: KnownDirectory, file: MutableFileNode) -> Entries:
    """The entries in the newest version of `file`."""
    entries, version = known.entries, known.version
    if entries is not None and version is not None and version.size > SMALL and await file.version() == version:
        known.learn(entries, version)
        return entries
    contents, version = await file.contents()
    return await known.read(contents, version)


async def read_immutable(known: KnownDirectory, file: FileNode) -> Entries:
    """The entries in `file`, which is fetched once."""
    if known.entries is not None:
        known.learn(known.entries, None)
        return known.entries
    if file.size > LARGEST_DIRECTORY:
        raise BadDirectory("the directory is larger than any that can be read")
    sink = _Collector()
    await file.read(sink)
    return await known.read(b"".join(sink.pieces))


class _Collector:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, data: Bytes) -> None:
        self.pieces.append(bytes(data))
