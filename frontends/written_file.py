"""A file that is open for writing: kept in a `Scratch`, over the old contents if there are any, and stored when it is closed.

What is not written is fetched from the grid when it is needed. A new file that is written from start to end is hashed as it
comes, so that closing it only has to send it. Made by `virtual_tree`. Spec: 09 §6 to §9.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

from frontends.early_key import EarlyKey
from frontends.open_files import AttributeChange, Attributes
from frontends.read_ahead import LARGEST_READ
from frontends.refusals import Refused
from frontends.scratch import PAGE, Scratch, ScratchSource, ScratchSpace
from lafs.errors import LafsError, SourceFailed
from lafs.interfaces import Bytes, FileNode, MutableFileNode, Source
from lafs.tasks import Lane, uncancelled
from lafs.workers import Workers

WRITE_BEHIND = 4 * 1024 * 1024
"""Bytes of one file that may wait to be kept before a writer has to wait."""

LARGEST_BATCH = 1024 * 1024
"""Bytes kept with one errand for the worker threads."""

SMALL = 32 * 1024
"""Bytes that are copied within memory faster than another thread is woken."""

T = TypeVar("T")


@define
class _Batch:
    """Writes that are going to be carried out together, in order. An offset of None is the end."""

    writes: list[tuple[int | None, Bytes]] = field(factory=list)
    size: int = 0


class Old:
    """What was in the file when it was opened: `size` bytes that `node` reads."""

    def __init__(self, node: FileNode | MutableFileNode, size: int, changes: bool) -> None:
        self.node = node
        self.size = size
        self.changes = changes
        """Others may write it: it has to be fetched in one go, lest parts of two versions be mixed."""


class Home(Protocol):
    """Where the file belongs."""

    async def store(self, contents: Source, key: bytes | None, change: AttributeChange) -> None:
        """Store and link finished contents. `key` is their convergent one, if it is known; `change` was set through the handle."""
        ...

    async def annotate(self, change: AttributeChange) -> None:
        """Change the attributes alone."""
        ...

    def ended(self, failed: bool) -> None:
        """The file is no longer open; `failed`: it could not be stored."""
        ...


class WrittenFile:
    """Implements `OpenFile`. Readers of the same entry may share it: `share` gives them an `OpenFile` of their own."""

    def __init__(
        self,
        workers: Workers,
        space: ScratchSpace,
        old: Old | None,
        home: Home,
        *,
        changed: bool,
        append: bool = False,
        early_key: EarlyKey | None = None,
    ) -> None:
        self.abandoned = False
        self.closing = False
        self._workers = workers
        self._old = old
        self._kept = old.size if old is not None else 0
        self._scratch = Scratch(space, self._kept)
        self._home = home
        self._changed = changed
        self._append = append
        self._early_key = early_key
        self._lane = Lane()
        self._batch: _Batch | None = None
        self._behind = 0
        self._held: list[Deferred[None]] = []
        self._failure: LafsError | None = None
        self._change = AttributeChange()
        self._users = 1

    # --- OpenFile ---

    async def read_chunk(self, offset: int, size: int) -> bytes:
        return await self._submit(lambda: self._read(offset, min(size, LARGEST_READ)))

    async def write_chunk(self, offset: int, data: Bytes) -> None:
        self._raise_failure()
        self._changed = True
        batch = self._batch
        if batch is None or batch.size >= LARGEST_BATCH:
            batch = self._batch = _Batch()
            filled = batch
            batch.writes.append((None if self._append else offset, data))
            batch.size = len(data)
            self._behind += len(data)
            self._lane.submit(lambda: self._carry_out(filled)).addErrback(lambda _: None)
        else:
            batch.writes.append((None if self._append else offset, data))
            batch.size += len(data)
            self._behind += len(data)
        if self._behind > WRITE_BEHIND:
            held: Deferred[None] = Deferred(lambda _: None)
            self._held.append(held)
            await held
            self._raise_failure()

    async def attributes(self) -> Attributes:
        return await self._submit(self._attributes)

    async def set_attributes(self, change: AttributeChange) -> None:
        self._change = self._change.then(change)
        size = change.size
        if size is not None:
            await self._submit(lambda: self._resize(size))

    async def sync(self) -> None:
        await uncancelled(self._submit(self._commit))

    async def close(self) -> None:
        self.closing = True
        await uncancelled(self._submit(self._close))

    def abandon(self) -> None:
        """Never store what was not stored; a `close` that has begun may still end well, if it is about to link it."""
        self.abandoned = True
        if not self.closing:
            self.closing = True
            self._submit(self._close).addErrback(lambda _: None)

    # --- for the tree ---

    @property
    def is_changed(self) -> bool:
        """Whether there is something in it that is not stored yet."""
        return self._changed

    def forget_changes(self) -> None:
        """Never store what was written: its name was removed, or given to another. It can still be used."""
        self.abandoned = True

    async def settled(self) -> None:
        """Return when all that was asked so far is done."""
        await self._submit(_nothing)

    def share(self) -> SharedFile:
        """Another handle on the same contents, which only reads."""
        self._users += 1
        return SharedFile(self, self._leave)

    # --- in the lane: one after the other ---

    def _submit(self, work: Callable[[], Awaitable[T]]) -> Deferred[T]:
        self._batch = None  # what is written from now on comes after this
        return self._lane.submit(work)

    async def _read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._scratch.size)
        if end <= offset:
            return b""
        self._raise_failure()
        await self._fetch(offset, end)
        return await self._run(end - offset, self._scratch.read, offset, end - offset)

    async def _carry_out(self, batch: _Batch) -> None:
        if self._batch is batch:
            self._batch = None
        try:
            self._raise_failure()
            if self._old is not None:
                await self._fetch_around(batch)
            await self._run(batch.size, self._write_all, batch)
        except LafsError as error:
            self._failure = self._failure or error
        finally:
            self._behind -= batch.size
            if self._behind <= WRITE_BEHIND:
                held, self._held = self._held, []
                for each in held:
                    if not each.called:
                        each.callback(None)

    def _write_all(self, batch: _Batch) -> None:
        """In a worker thread."""
        for offset, data in batch.writes:
            start = self._scratch.size if offset is None else offset
            self._scratch.write(start, data)
            if self._early_key is not None:
                self._early_key.wrote(start, data, self._scratch)

    async def _resize(self, size: int) -> None:
        if size == self._scratch.size:
            return
        self._changed = True
        if size == 0:
            self._failure, self._old = None, None
        self._raise_failure()
        try:
            await self._workers.run(self._scratch.resize, size)
        except LafsError as error:
            self._failure = error
            raise
        self._kept = min(self._kept, size)
        if self._early_key is not None:
            self._early_key.cut(size)

    async def _attributes(self) -> Attributes:
        writable = self._change.writable is not False
        return Attributes("file", self._scratch.size, writable, self._change.modified)

    async def _commit(self) -> None:
        if self.abandoned:
            return
        self._raise_failure()
        if not self._changed:
            if self._change.touches_metadata:
                await self._home.annotate(self._change)
                self._change = AttributeChange()
            return
        await self._fetch(0, self._scratch.size)
        self._old = None  # all of it is here
        source = ScratchSource(self._scratch, self._workers)
        key = None
        if self._early_key is not None:
            key = await self._workers.run(self._early_key.finish, self._scratch)
        await self._home.store(source, key, self._change)
        self._changed = False
        self._change = AttributeChange()

    async def _close(self) -> None:
        failed = True
        try:
            await self._commit()
            failed = False
        finally:
            self._home.ended(failed)
            self._leave()

    # --- the old contents ---

    async def _fetch_around(self, batch: _Batch) -> None:
        """Fetch what `batch` leaves of the pages that it changes; of a file that others may change, all of it at once."""
        if self._old is not None and self._old.changes:
            await self._fetch(0, self._kept)
            return
        for offset, data in batch.writes:
            start = self._scratch.size if offset is None else offset
            for edge in (start, start + len(data)):
                if edge % PAGE and edge // PAGE * PAGE < self._kept:
                    await self._fetch(edge - edge % PAGE, edge)

    async def _fetch(self, offset: int, end: int) -> None:
        """Have all pages over [offset, end) here. A failure is told to every later operation: half a file must not be stored."""
        old = self._old
        if old is None:
            return
        if old.changes:
            offset, end = 0, self._kept
        try:
            for start, stop in list(self._scratch.missing(offset, min(end, self._kept))):
                stop = min(stop, self._kept)
                filler = _Filler(self, start, stop)
                await old.node.read(filler, start, stop - start)
                await filler.finish()
        except LafsError as error:
            self._failure = error
            raise

    async def _run(self, size: int, work: Callable[..., T], *arguments: object) -> T:
        """In a worker thread, unless it is a matter of copying a few bytes within memory."""
        if size <= SMALL and self._scratch.is_in_memory:
            return work(*arguments)
        return await self._workers.run(work, *arguments)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._scratch.close()


class _Filler:
    """A sink that puts old contents into the pages [start, stop) of a file, all of which are missing."""

    def __init__(self, file: WrittenFile, start: int, stop: int) -> None:
        self._scratch = file._scratch
        self._workers = file._workers
        self._position = start
        self._stop = stop
        self._rest = bytearray()

    async def write(self, data: Bytes) -> None:
        self._rest += data
        whole = len(self._rest) // PAGE * PAGE
        if whole:
            await self._put(bytes(self._rest[:whole]))
            del self._rest[:whole]

    async def finish(self) -> None:
        if self._rest:
            await self._put(bytes(self._rest))
        if self._position < self._stop:
            raise SourceFailed("the file has become shorter while it was being changed")

    async def _put(self, data: bytes) -> None:
        size = self._scratch.size
        await self._workers.run(self._scratch.write, self._position, data)
        assert self._scratch.size == size, "old contents never make a file longer"
        self._position += len(data)


class SharedFile:
    """A handle that reads what another one is writing. Implements `OpenFile`."""

    def __init__(self, file: WrittenFile, leave: Callable[[], None]) -> None:
        self._file = file
        self._leave = leave
        self._ended = False

    async def read_chunk(self, offset: int, size: int) -> bytes:
        return await self._file.read_chunk(offset, size)

    async def write_chunk(self, offset: int, data: Bytes) -> None:
        raise Refused("permission", "file handle was not opened for writing")

    async def attributes(self) -> Attributes:
        return await self._file.attributes()

    async def set_attributes(self, change: AttributeChange) -> None:
        await self.write_chunk(0, b"")

    async def sync(self) -> None:
        pass

    async def close(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        if not self._ended:
            self._ended = True
            self._leave()


async def _nothing() -> None:
    pass
