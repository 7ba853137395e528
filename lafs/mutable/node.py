"""A mutable file as its cap opens it: what may be done, in which order. Implements `lafs.interfaces.MutableFileNode`.

Changes to one file by one process are made one after the other, through whatever nodes. Reads wait for nobody.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from lafs.capability import MutableReadCap, MutableVerifyCap, MutableWriteCap
from lafs.errors import BadCapability, NotWriteable
from lafs.interfaces import Change, MutableVersion, Sink, Source
from lafs.mutable.access import SlotAccess
from lafs.mutable.check import Checkup, Health, Repair
from lafs.mutable.slot import Slot
from lafs.mutable.survey import TO_READ
from lafs.mutable.tools import Tools
from lafs.mutable.writer import SlotWriter

T = TypeVar("T")

MutableCap = MutableWriteCap | MutableReadCap | MutableVerifyCap


class MutableFile:
    """One mutable file, read or written through `cap`."""

    def __init__(self, cap: MutableCap, tools: Tools, slot: Slot) -> None:
        self._cap = cap
        self._slot = slot
        read_key = None if isinstance(cap, MutableVerifyCap) else cap.read_key
        self._access = SlotAccess(tools, slot, read_key)
        write_key = cap.write_key if isinstance(cap, MutableWriteCap) else None
        self._checkup = Checkup(tools, slot, self._access, write_key)
        self._writer: SlotWriter | None = None
        if isinstance(cap, MutableWriteCap):
            self._writer = SlotWriter(tools, slot, self._access, cap.write_key, cap.read_key)

    @property
    def cap(self) -> MutableCap:
        return self._cap

    def __repr__(self) -> str:
        return f"<MutableFile {self._cap!r}>"

    async def version(self) -> MutableVersion:
        """See `MutableFileNode.version`. One round trip; works with a verify cap too."""
        newest = await self._access.newest(TO_READ, long_starts=False)
        return newest.version.described()

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> MutableVersion:
        """See `MutableFileNode.read`. Raises ValueError for a negative number, BadCapability for a verify cap."""
        if offset < 0 or (size is not None and size < 0):
            raise ValueError("a range of bytes has no negative numbers")
        self._check_readable()
        newest = await self._access.deliver(sink, await self._access.newest(TO_READ), offset, size)
        return newest.version.described()

    async def contents(self) -> tuple[bytes, MutableVersion]:
        """See `MutableFileNode.contents`."""
        self._check_readable()
        contents, newest = await self._access.contents(await self._access.newest(TO_READ))
        return contents, newest.version.described()

    async def contents_within(self, largest: int) -> tuple[bytes | None, MutableVersion]:
        """See `MutableFileNode.contents_within`."""
        self._check_readable()
        newest = await self._access.newest(TO_READ)
        if newest.version.prefix.size > largest:
            return None, newest.version.described()
        contents, newest = await self._access.contents(newest)
        return contents, newest.version.described()

    async def overwrite(self, contents: Source) -> MutableVersion:
        """See `MutableFileNode.overwrite`. Closes `contents`."""
        try:
            return await self._in_turn(lambda writer: writer.overwrite(contents))
        finally:
            await contents.close()

    async def update(self, offset: int, data: Source) -> MutableVersion:
        """See `MutableFileNode.update`. Closes `data`, which is kept in memory."""
        try:
            return await self._in_turn(lambda writer: writer.update(offset, data))
        finally:
            await data.close()

    async def modify(self, change: Change) -> MutableVersion:
        """See `MutableFileNode.modify`."""
        return await self._in_turn(lambda writer: writer.modify(change))

    async def check(self, verify: bool = False, add_lease: bool = False) -> Health:
        """How the file is, by what all servers say, or by all that they have. Works with any cap."""
        return await self._checkup.check(verify, add_lease)

    async def repair(self, force: bool = False) -> Repair:
        """Write the newest recoverable version again. Raises RepairRefused, NotWriteable, UncoordinatedWrite, UnhappyUpload."""
        return await self._in_turn(lambda writer: self._checkup.repair(writer, force))

    async def _in_turn(self, work: Callable[[SlotWriter], Awaitable[T]]) -> T:
        writer = self._writer
        if writer is None:
            raise NotWriteable("This capability only reads. To change the file, use the one that writes.")
        return await self._slot.lane.submit(lambda: work(writer))

    def _check_readable(self) -> None:
        if isinstance(self._cap, MutableVerifyCap):
            raise BadCapability("This capability only verifies. To read the file, use one that reads.")
