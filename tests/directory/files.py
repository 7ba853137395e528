"""Files in memory, for directories to lie in: a mutable one with collisions and failures on demand, and a world of both."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lafs.capability import Cap, DirectoryCap, FileCap, LiteralCap, MutableReadCap, MutableWriteCap, parse
from lafs.directory.directories import Directories
from lafs.directory.directory import Directory
from lafs.errors import UnrecoverableFile
from lafs.interfaces import Change, FileNode, MutableVersion, Sink
from lafs.workers import InlineWorkers

WRITE = "URI:DIR2:{}:po6le5oyltjssvn52jhtfdu7r4fb27cfmvkdoo6znxcbuvluhlbq"
NAMES = ["4d33vytipvluyfu4ph3qdwndau", "dnwwryhrplkpkmym6lgpcuapye", "igddjiffauaypw6tvgox6fhk6i", "7japmf37qn4444nyvoxmx4ycva"]


def directory_cap(number: int = 0) -> DirectoryCap:
    """The write cap of one of a few mutable directories."""
    cap = parse(WRITE.format(NAMES[number]))
    assert isinstance(cap, DirectoryCap)
    return cap


class Slot:
    """The contents of a mutable file, as the whole world sees them. `gate`, if set, holds every write until it fires."""

    def __init__(self, contents: bytes = b"") -> None:
        self.contents = contents
        self.number = 1
        self.reads = self.versions = self.writes = 0
        self.gate: Deferred[None] | None = None
        self.meanwhile: list[Callable[[], None]] = []
        """Each is called once, when a change was made and is about to be written: somebody else may write first."""
        self.failure: Exception | None = None

    def version(self) -> MutableVersion:
        return MutableVersion(self.number, bytes(32), len(self.contents), 3, 10, "SDMF")

    def put(self, contents: bytes) -> None:
        self.contents, self.number = contents, self.number + 1


class MemoryFile:
    """A `MutableFileNode` on a slot."""

    def __init__(self, cap: MutableWriteCap | MutableReadCap, slot: Slot) -> None:
        self.cap = cap
        self.slot = slot

    async def version(self) -> MutableVersion:
        self.slot.versions += 1
        return self.slot.version()

    async def contents(self) -> tuple[bytes, MutableVersion]:
        self.slot.reads += 1
        if self.slot.failure is not None:
            raise self.slot.failure
        return bytes(bytearray(self.slot.contents)), self.slot.version()

    async def contents_within(self, largest: int) -> tuple[bytes | None, MutableVersion]:
        contents, version = await self.contents()
        return (contents if len(contents) <= largest else None), version

    async def modify(self, change: Change) -> MutableVersion:
        slot = self.slot
        while True:
            if slot.failure is not None:
                raise slot.failure
            before = slot.number
            changed = change(bytes(bytearray(slot.contents)))
            if slot.gate is not None:
                await slot.gate
            if slot.meanwhile:
                (somebody, *later), slot.meanwhile = slot.meanwhile, []  # whom nobody disturbs
                somebody()
                slot.meanwhile = later
            if slot.number == before:
                break
        if changed != slot.contents:
            slot.writes += 1
            slot.put(changed)
        return slot.version()

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> MutableVersion:
        raise NotImplementedError

    async def overwrite(self, contents: Any) -> MutableVersion:
        raise NotImplementedError

    async def update(self, offset: int, data: Any) -> MutableVersion:
        raise NotImplementedError


class ImmutableFile:
    """A `FileNode` of an immutable directory."""

    def __init__(self, cap: Cap, contents: bytes) -> None:
        self.cap = cap
        self.contents = contents
        self.reads = 0

    @property
    def size(self) -> int:
        return len(self.contents)

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        self.reads += 1
        await sink.write(self.contents)


class World:
    """Slots and immutable files by storage index (literals by cap), and clients that open directories in them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.25)
        self.slots: dict[object, Slot] = {}
        self.immutable: dict[object, ImmutableFile] = {}

    def client(self) -> Directories:
        return Directories(self.clock, InlineWorkers(), self._open_immutable, self._open_mutable)  # type: ignore[arg-type]

    def slot(self, cap: Cap) -> Slot:
        return self.slots.setdefault(cap.storage_index, Slot())

    def directory(self, number: int = 0) -> Directory:
        """Of a client of its own."""
        return self.client().open(directory_cap(number))

    def _open_mutable(self, cap: MutableWriteCap | MutableReadCap) -> MemoryFile:
        return MemoryFile(cap, self.slot(cap))

    def _open_immutable(self, cap: FileCap) -> FileNode:
        if isinstance(cap, LiteralCap):
            return ImmutableFile(cap, cap.content)
        found = self.immutable.get(cap.storage_index)
        if found is None:
            raise UnrecoverableFile("not in this world")
        return found
