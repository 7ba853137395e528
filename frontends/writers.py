"""The files that are being written through one node, and where each is going to be linked: whoever looks at an entry sees them.

Used by `virtual_tree`. Spec: 09 §8, §9.
"""
from __future__ import annotations

from collections.abc import Sequence

from frontends.open_files import AttributeChange
from frontends.places import Place
from frontends.written_file import WrittenFile
from lafs.capability import MutableWriteCap
from lafs.capability_slots import child_caps
from lafs.directory.directory import Directory
from lafs.errors import NoSuchChild
from lafs.filesystem import Filesystem
from lafs.interfaces import Metadata, NewChild, Source
from lafs.tasks import gather

BELIEVED_SECONDS = 1.0
"""How long a directory that was read or written is believed: so long may another gateway's change go unseen."""


class Entry:
    """A file being written, and the entry it will be linked under; none if it has no parent. Implements `Home`."""

    file: WrittenFile

    def __init__(self, filesystem: Filesystem, place: Place) -> None:
        self.parent = place.parent
        self.name = place.name
        self.writers: Writers | None = None
        self._filesystem = filesystem
        self._mutable = place.cap if isinstance(place.cap, MutableWriteCap) else None

    def is_at(self, parent: Directory, name: str) -> bool:
        return self.name == name and self.parent is not None and self.parent.is_same_as(parent)

    def move(self, parent: Directory, name: str) -> None:
        """It is going to be linked there."""
        self.parent, self.name = parent, name

    async def store(self, contents: Source, key: bytes | None, change: AttributeChange) -> None:
        """A mutable file is written in place; anything else becomes a new immutable file, linked instead of what is there."""
        if self._mutable is not None:
            await self._filesystem.open_mutable(self._mutable).overwrite(contents)
            await self.annotate(change)
            return
        assert self.parent is not None, "what has no parent and can be written is mutable"
        result = await self._filesystem.upload(contents, key)
        if not self.file.abandoned:
            metadata = change.applied_to(await self._kept_metadata())
            await self.parent.add([NewChild(self.name, child_caps(None, result.cap.text), metadata)])

    async def annotate(self, change: AttributeChange) -> None:
        if self.parent is not None and change.touches_metadata:
            try:
                child = await self.parent.get(self.name)
            except NoSuchChild:
                return
            metadata = Place(child.cap, self.parent, self.name, child).annotated(change)
            if metadata is not None:
                await self.parent.set_metadata(self.name, metadata)

    def ended(self, failed: bool) -> None:
        if self.writers is not None:
            self.writers.failures += failed
            self.writers.discard(self)

    async def _kept_metadata(self) -> Metadata:
        """What is there already, but for the time at which the old contents were modified."""
        assert self.parent is not None
        try:
            child = await self.parent.get(self.name, BELIEVED_SECONDS)
        except NoSuchChild:
            return {}
        return {key: value for key, value in child.metadata.items() if key != "mtime"}


class Writers:
    """All of them."""

    def __init__(self) -> None:
        self.failures = 0
        self._all: list[Entry] = []

    def add(self, entry: Entry) -> None:
        entry.writers = self
        self._all.append(entry)

    def discard(self, entry: Entry) -> None:
        self._all.remove(entry)

    def of(self, parent: Directory, name: str) -> Sequence[Entry]:
        """Those that are going to be linked under `name`, the one opened last at the end."""
        return [each for each in self._all if not each.file.abandoned and each.is_at(parent, name)]

    def newest(self, parent: Directory, name: str) -> Entry | None:
        entries = self.of(parent, name)
        return entries[-1] if entries else None

    def below(self, directory: Directory) -> Sequence[Entry]:
        return [
            each
            for each in self._all
            if not each.file.abandoned and each.parent is not None and each.parent.is_same_as(directory)
        ]

    async def stored(self) -> int:
        """Wait for all that are just being stored: their clients may have gone, believing that they will be.

        Returns how many could not be stored since this was last asked.
        """
        await _end([each for each in self._all if each.file.closing])
        failures, self.failures = self.failures, 0
        return failures

    async def closed(self, parent: Directory, name: str) -> bool:
        """Wait for those that are just being stored. Returns whether there were any."""
        return await _end([each for each in self.of(parent, name) if each.file.closing])

    async def closed_below(self, directory: Directory) -> bool:
        return await _end([each for each in self.below(directory) if each.file.closing])


async def _end(entries: Sequence[Entry]) -> bool:
    await gather(each.file.settled() for each in entries)
    return bool(entries)
