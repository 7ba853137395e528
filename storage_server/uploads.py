"""Immutable shares on their way in: from allocation to the moment they are visible, or forgotten.

A small share stays in memory until it is closed, and then is certain once the journal has it, by a sync that it shares
with others. A large one goes to a file in `incoming/` as its writes come, which is synced and renamed at the end. Nothing
can be seen of a share, and nothing of it survives a restart, before `close` has it all.
Used by the share store, on the reactor thread; file work in `Workers`. Spec: 05 §4.2.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from functools import partial
from typing import Final

from attrs import frozen
from twisted.logger import Logger

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ConflictingWrite, DataTooLarge, NoSpace, ServerError
from lafs.interfaces import Bytes
from lafs.tasks import Clock, Lane, forget, uncancelled
from lafs.workers import Workers
from storage_server.commits import Commits
from storage_server.directories import Directories, Places, parent
from storage_server.disk import Disk, DiskFile, create_anew
from storage_server.edits import Edit, Planned, Put
from storage_server.failures import as_server_error, reason_for_log
from storage_server.immutable_container import HEADER, frame
from storage_server.intervals import Intervals
from storage_server.leases import LeaseTerms
from storage_server.measurements import Measurements

INACTIVITY_SECONDS: Final = 30 * 60
FLUSH_SIZE: Final = 512 * 1024
"""A share with this many bytes in memory writes them to its file."""
JOURNALED_SIZE: Final = 64 * 1024
"""Shares up to this size are written twice, to be synced together; for larger ones that would cost more than it saves."""
BUFFER_LIMIT: Final = 64 * 1024 * 1024
"""All shares together hold no more than this in memory: beyond it every write goes to its file at once."""
MOST_OPEN: Final = 128
"""Files of uploads that are kept open between their writes."""
MAXIMUM_UPLOADS: Final = 50_000
MAXIMUM_FRAGMENTS: Final = 10_000
"""Separate ranges of one share, written with gaps between them."""

log = Logger()


class _State(Enum):
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()
    ABORTED = auto()


@frozen
class UploadServices:
    """What every upload of a store works with."""

    disk: Disk
    places: Places
    directories: Directories
    commits: Commits
    workers: Workers
    clock: Clock
    measurements: Measurements


class Uploads:
    """The uploads in progress of one store, and what they hold."""

    def __init__(self, services: UploadServices) -> None:
        self.services = services
        self.buffered = 0
        self.allocated = 0
        self.open_files = 0
        self._uploads: dict[StorageIndex, dict[int, Upload]] = {}
        self._count = 0

    def of(self, storage_index: StorageIndex) -> frozenset[int]:
        """Which shares of a file are being uploaded now."""
        return frozenset(self._uploads.get(storage_index, ()))

    def begin(self, storage_index: StorageIndex, number: int, size: int, terms: LeaseTerms) -> Upload:
        """A writer for a share nobody else is writing. Raises NoSpace when too many are in progress."""
        if self._count >= MAXIMUM_UPLOADS:
            raise NoSpace("too many uploads are in progress on the server")
        upload = Upload(self, storage_index, number, size, terms)
        self._uploads.setdefault(storage_index, {})[number] = upload
        self._count += 1
        self.allocated += size
        return upload

    @contextmanager
    def promised(self, size: int) -> Iterator[int]:
        """Room for `size` bytes is taken while the block runs; gives how much all others had taken before."""
        others = self.allocated
        self.allocated += size
        try:
            yield others
        finally:
            self.allocated -= size

    def end(self, upload: Upload) -> None:
        """Called by an upload that is finished or forgotten."""
        of_file = self._uploads[upload.storage_index]
        del of_file[upload.number]
        if not of_file:
            del self._uploads[upload.storage_index]
        self._count -= 1
        self.allocated -= upload.size

    async def abort_all(self) -> None:
        """Forget all uploads but those that are being closed; when this returns the former are gone, the latter done."""
        for upload in [upload for of_file in self._uploads.values() for upload in of_file.values()]:
            await upload.abort()
            await upload.idle()

    def __len__(self) -> int:
        return self._count


class Upload:
    """One immutable share being written: the `ShareWriter` of the share store."""

    def __init__(
        self, uploads: Uploads, storage_index: StorageIndex, number: int, size: int, terms: LeaseTerms
    ) -> None:
        self.storage_index = storage_index
        self.number = number
        self.size = size
        self._uploads = uploads
        self._services = uploads.services
        self._terms = terms
        self._state = _State.OPEN
        self._lane = Lane()
        self._written = Intervals()
        self._pending: dict[int, Bytes] = {}
        self._pending_size = 0
        self._in_file = False
        self._keeps_open = False
        self._file: DiskFile | None = None
        self._path = self._services.places.being_uploaded(storage_index, number)
        self._last_write = self._services.clock.seconds()
        self._timer = self._services.clock.callLater(INACTIVITY_SECONDS, self._look_at_the_clock)

    # --- what a client calls -----------------------------------------------------------------------------------------

    async def write(self, offset: int, data: Bytes) -> None:
        """See `ShareWriter`. Bytes written twice must be the same; a refused write changes nothing. Spec: 05 §4.2."""
        self._must_be(_State.OPEN)
        self._last_write = self._services.clock.seconds()
        with self._services.measurements.of("write"):
            await uncancelled(self._lane.submit(partial(self._write, offset, data)))

    async def close(self) -> None:
        """See `ShareWriter`. Holes read as zeros, as we promise clients (old ones leave some); but a share whose last byte was
        never written is one whose upload broke off: it is refused, and forgotten.
        """
        self._must_be(_State.OPEN)
        self._state = _State.CLOSING
        self._timer.cancel()
        with self._services.measurements.of("close"):
            await uncancelled(self._lane.submit(self._close))

    async def abort(self) -> None:
        """See `ShareWriter`."""
        if self._state is _State.OPEN:
            self._services.measurements.count("abort")
            self._timer.cancel()
            self._state = _State.ABORTED
            await uncancelled(self._lane.submit(self._forget))

    async def idle(self) -> None:
        """Return when all that was asked before is done."""
        await self._lane.idle()

    def _must_be(self, state: _State) -> None:
        if self._state is not state:
            raise ServerError("the upload of this share is over")

    def _look_at_the_clock(self) -> None:
        left = self._last_write + INACTIVITY_SECONDS - self._services.clock.seconds()
        if left > 0:
            self._timer = self._services.clock.callLater(left, self._look_at_the_clock)
            return
        log.info("An upload of share {number} was given up: its client was silent too long", number=self.number)
        self._state = _State.ABORTED
        forget(self._lane.submit(self._forget))

    # --- one at a time, in the order of the calls ------------------------------------------------------------------------

    async def _write(self, offset: int, data: Bytes) -> None:
        if self._state is _State.ABORTED:
            raise ServerError("the upload of this share is over")
        if offset < 0:
            raise ServerError("a write to a share at a negative offset")
        end = offset + len(data)
        overlaps = list(self._written.within(offset, end))
        if overlaps:
            await self._flush()
            await self._on_disk(self._compare, offset, memoryview(data), overlaps)
        if end > self.size:
            raise DataTooLarge(f"({self.size}, {offset}, {len(data)})")
        if len(self._written) >= MAXIMUM_FRAGMENTS:
            raise ServerError("a share is written in too many separate pieces")
        for start, stop in _gaps(offset, end, overlaps):
            self._keep(start, data if (start, stop) == (offset, end) else data[start - offset : stop - offset])
        self._written.add(offset, end)
        if self._pending_size >= FLUSH_SIZE or self._uploads.buffered > BUFFER_LIMIT:
            await self._flush()

    def _keep(self, offset: int, data: Bytes) -> None:
        # A view or an array may be reused by its owner once we have answered; what goes to disk at once needs no copy.
        short_lived = len(data) >= FLUSH_SIZE or isinstance(data, bytes)
        self._pending[offset] = data if short_lived else bytes(data)
        self._pending_size += len(data)
        self._uploads.buffered += len(data)

    async def _flush(self) -> None:
        if not self._pending:
            return
        pieces = self._take_pending()
        if not self._in_file and not self._keeps_open and self._uploads.open_files < MOST_OPEN:
            self._uploads.open_files += 1
            self._keeps_open = True
        await self._on_disk(self._write_to_file, pieces)
        self._in_file = True

    def _take_pending(self) -> Mapping[int, Bytes]:
        pieces, self._pending = self._pending, {}
        self._uploads.buffered -= self._pending_size
        self._pending_size = 0
        return pieces

    async def _close(self) -> None:
        if self._state is _State.ABORTED:
            raise ServerError("the upload of this share is over")
        path = self._services.places.share(self.storage_index, self.number)
        if not self._written.covers(max(0, self.size - 1), self.size):
            await self._forget()
            raise ServerError("a share was closed before its end was written")
        if self._in_file or self.size > JOURNALED_SIZE:
            await self._close_file(path)
        else:
            await self._close_small(path)

    async def _close_small(self, path: str) -> None:
        """Through the journal: many shares, closed at about the same time, become certain by one sync."""
        pieces = self._take_pending()
        header, lease = frame(self.size, self._terms)
        content = b"".join([header, *_filled(pieces, self.size), lease])
        try:
            await self._services.commits.commit(lambda: Planned([Edit(path, [Put(0, content)], create=True)], None))
        finally:
            self._end()
        self._services.measurements.count("bytes_added", len(content))

    async def _close_file(self, path: str) -> None:
        """The file is synced, gets its name, and that is synced."""
        try:
            await self._services.commits.settle(path)
        except ServerError:
            await self._forget()
            raise
        size = await self._on_disk(self._finish, path, self._take_pending())
        try:
            await self._services.directories.settle(frozenset({parent(self._services.places.under_shares(path))}))
        except Exception as error:
            raise self._logged(error) from None
        finally:
            self._end()
        self._services.measurements.count("bytes_added", size)

    def _end(self) -> None:
        self._state = _State.CLOSED
        self._leave()

    async def _forget(self) -> None:
        self._state = _State.ABORTED
        self._take_pending()
        self._leave()
        if self._in_file:
            self._in_file = False
            await self._services.workers.run(self._remove_file)

    def _leave(self) -> None:
        self._uploads.end(self)
        self._uploads.open_files -= self._keeps_open
        self._keeps_open = False

    async def _on_disk(self, work: Callable[..., int | None], *arguments: object) -> int:
        """Do `work` in a worker; if the disk fails, that is the end of this upload. Raises ServerError."""
        try:
            return await self._services.workers.run(work, *arguments) or 0
        except ConflictingWrite:
            raise
        except Exception as error:
            failure = self._logged(error)
            self._in_file = True
            if self._state is not _State.ABORTED:
                if self._timer.active():
                    self._timer.cancel()
                await self._forget()
            raise failure from None

    def _logged(self, error: Exception) -> ServerError:
        log.error("Share {number} could not be stored: {reason}", number=self.number, reason=reason_for_log(error))
        return as_server_error(error)

    # --- in a worker thread ------------------------------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[DiskFile]:
        """The file in `incoming/`. It stays open if it may."""
        file = self._file or self._open_file()
        if self._keeps_open:
            self._file = file
        try:
            yield file
        finally:
            if not self._keeps_open:
                file.close()

    def _open_file(self) -> DiskFile:
        if self._in_file:
            return self._services.disk.open(self._path, writable=True)
        return create_anew(self._services.disk, self._path)

    def _close_kept(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write_to_file(self, pieces: Mapping[int, Bytes]) -> None:
        with self._opened() as file:
            if not self._in_file:
                header, lease = frame(self.size, self._terms)
                file.write(0, header)
                file.write(HEADER.size + self.size, lease)
            for offset, data in pieces.items():
                file.write(HEADER.size + offset, data)
                # The disk shall not be idle until the upload ends, when all the shares of a file would want it at once. Only while
                # the file is kept open: whoever opens it later might not be told that a write failed meanwhile.
                if self._keeps_open:
                    file.begin_sync(HEADER.size + offset, len(data))

    def _compare(self, offset: int, data: memoryview, stored: list[tuple[int, int]]) -> None:
        with self._opened() as file:
            for start, end in stored:
                if file.read(HEADER.size + start, end - start) != data[start - offset : end - offset]:
                    raise ConflictingWrite(f"Chunk {start}-{end} doesn't match already written data.")

    def _finish(self, path: str, pieces: Mapping[int, Bytes]) -> int:
        """Complete the file, sync it, and give it its place; its size."""
        with self._opened() as file:
            if self._in_file:
                for offset, data in pieces.items():
                    file.write(HEADER.size + offset, data)
            else:
                header, lease = frame(self.size, self._terms)
                file.write(0, b"".join([header, *_filled(pieces, self.size), lease]))
            file.sync()
            size = file.size()
        self._close_kept()
        self._services.directories.rename_into_bucket(self._path, path)
        return size

    def _remove_file(self) -> None:
        self._close_kept()
        try:
            self._services.disk.remove(self._path)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.error("An aborted upload could not be removed: {reason}", reason=reason_for_log(error))


def _filled(pieces: Mapping[int, Bytes], size: int) -> Iterator[Bytes]:
    """All `size` bytes of a share in order: its pieces, and zeros where there are none."""
    end = 0
    for offset in sorted(pieces):
        yield bytes(offset - end)
        yield pieces[offset]
        end = offset + len(pieces[offset])
    yield bytes(size - end)


def _gaps(start: int, end: int, filled: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of [start, end) that `filled` (sorted, disjoint, within it) leaves."""
    for filled_start, filled_end in filled:
        if start < filled_start:
            yield start, filled_start
        start = filled_end
    if start < end:
        yield start, end
