"""What one process knows of one directory, through whichever caps it is open: its entries as last seen, and edits on their way.

A directory is parsed once for each version, and of a new version only what is new in it is looked at. Spec: 04 §3.7.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from attrs import frozen
from twisted.logger import Logger

from lafs.directory.children import Listed, View
from lafs.directory.edit_queue import EditQueue, Outcome
from lafs.directory.edits import Edit, Moment, apply
from lafs.directory.packing import Entries, parse
from lafs.interfaces import Listing, MutableFileNode, MutableVersion
from lafs.tasks import Clock
from lafs.workers import Workers

T = TypeVar("T")

_log = Logger(namespace="lafs.directory")


@frozen
class Tools:
    """What all directories of one client use."""

    clock: Clock
    workers: Workers


class KnownDirectory:
    """The entries of a directory as last read or written, and what they mean from each side. `used` is told of each use."""

    def __init__(self, tools: Tools, immutable: bool, used: Callable[[KnownDirectory], None]) -> None:
        self.tools = tools
        self.entries: Entries | None = None
        self.version: MutableVersion | None = None
        self._learned = float("-inf")
        self._immutable = immutable
        self._used = used
        self._listed: dict[View, Listed] = {}

    @property
    def weight(self) -> int:
        """Bytes of contents that are remembered."""
        return len(self.entries.contents) if self.entries is not None else 0

    def forget(self) -> None:
        """Let go of the memory that entries take."""
        self.entries = self.version = None
        self._listed.clear()

    def same(self, contents: bytes) -> Entries | None:
        """The entries, if they were read from just these contents."""
        return self.entries if self.entries is not None and self.entries.contents == contents else None

    async def read(self, contents: bytes, version: MutableVersion | None = None) -> Entries:
        """The entries in `contents`, which were found on the grid. Raises BadDirectory."""
        entries = self.same(contents)
        if entries is None:
            entries = await self.tools.workers.run_sized(len(contents), parse, contents, self._immutable)
        self.learn(entries, version)
        return entries

    def learn(self, entries: Entries, version: MutableVersion | None) -> None:
        """Remember `entries`, unless something newer is known by now."""
        if version is None or self.version is None or version.sequence_number >= self.version.sequence_number:
            self.entries, self.version = entries, version
            self._learned = self.tools.clock.seconds()
        self._used(self)

    def recent(self, seconds: float) -> Entries | None:
        """The entries, if they were read or written within the last `seconds`."""
        return self.entries if self.tools.clock.seconds() - self._learned < seconds else None

    async def listing(self, entries: Entries, view: View) -> Listing:
        """All children as seen from `view`."""
        return (await self._listing(entries, view)).listing

    async def rendered(self, entries: Entries, view: View, render: Callable[[Listing], T]) -> T:
        """What `render` makes of all children as seen from `view`. It is kept as long as they are."""
        listed = await self._listing(entries, view)
        if render not in listed.renderings:
            work = self.tools.workers.run_sized(len(entries.contents), render, listed.listing)
            listed.renderings[render] = await work
        return cast(T, listed.renderings[render])

    async def _listing(self, entries: Entries, view: View) -> Listed:
        before = self._listed.get(view)
        if before is not None and before.entries is entries:
            return before
        listed = await self.tools.workers.run_sized(len(entries.contents), view.listing, entries, before)
        self._listed[view] = listed
        _report_oddities(listed.listing, before.listing if before is not None else None)
        return listed


class EditedDirectory:
    """The one place in the process where a mutable directory is changed."""

    def __init__(self, known: KnownDirectory, file: MutableFileNode, view: View) -> None:
        self.queue = EditQueue(self._publish)
        self._known = known
        self._file = file
        self._view = view

    async def _publish(self, edits: Sequence[Edit]) -> Sequence[Outcome]:
        attempt = _Attempt(self._known, self._view, edits)
        version = await self._file.modify(attempt.change)
        assert attempt.entries is not None, "a file was modified without asking how"
        self._known.learn(attempt.entries, version)
        return attempt.outcomes


class _Attempt:
    """Applies edits to contents, to newer ones again if need be, and remembers what came of it the last time."""

    def __init__(self, known: KnownDirectory, view: View, edits: Sequence[Edit]) -> None:
        self.entries: Entries | None = None
        self.outcomes: Sequence[Outcome] = []
        self._known = known
        self._view = view
        self._edits = edits
        self._moment = Moment(known.tools.clock.seconds())

    def change(self, contents: bytes) -> bytes:
        before = self._known.same(contents) or parse(contents)
        self.entries, self.outcomes = apply(before, self._view, self._edits, self._moment)
        if self.entries is before:
            return contents  # Nothing is written, so the next round finds nothing of this one.
        self._moment = Moment(self._moment.now, first=False)
        return self.entries.contents


def _report_oddities(listing: Listing, before: Listing | None) -> None:
    """Log how many entries are odd, when that was not known before; not which, for names are their owner's business."""
    odd = _oddities(listing)
    if odd != (0, 0) and (before is None or odd != _oddities(before)):
        _log.warn(
            "a directory has {damaged} children with write caps that fail their MAC, and {left_out} whose caps break a rule",
            damaged=odd[0], left_out=odd[1],
        )


def _oddities(listing: Listing) -> tuple[int, int]:
    return sum(child.damaged for child in listing.children.values()), len(listing.left_out)
