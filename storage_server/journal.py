"""The journal: how files that are changed in place change wholly or not at all, whatever happens meanwhile.

Leases and mutable shares are changed in place, often several shares at once. The changes are first written to a journal
file and synced (from then on they are certain), then carried out on the share files, which are synced later, at a
checkpoint. After a crash everything in the journals is carried out again: edits are physical, so that ends in the same
bytes however much of it was done before.

Theory of operation. Journals are files `incoming/journal-N`, N ascending; one is open at a time. Each holds records, a
record the changes of one commit with their length and checksum, so that a torn one at the end (never acknowledged) is
seen to be torn. A checkpoint syncs every file that the open journal changed, removes it, and the next commit begins
another. They live in `incoming/` because every program that serves a storage directory, this one or the peer, empties
that when it starts: if another program served the directory since, no stale journal can undo what it wrote.

Everything here is synchronous and runs in worker threads, one call at a time; `commits.py` sees to that.
Spec: 05 §19 D6.
"""
from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

from attrs import define, field

from lafs.errors import ServerError
from lafs.interfaces import Bytes
from storage_server.directories import Directories, Places, parent
from storage_server.disk import Disk, DiskFile
from storage_server.edits import Change, Removal, apply_removal, apply_steps, bucket_of, pack, unpack
from storage_server.failures import as_server_error

HEAD: Final = struct.Struct(">4sQ32s")
MAGIC: Final = b"LJ1\n"
NAME: Final = re.compile(r"journal-([0-9]{1,18})", re.ASCII)


def pack_record(changes: Sequence[Change]) -> list[Bytes]:
    """One record, as pieces to be joined."""
    pieces = pack(changes)
    checksum = sha256()
    for piece in pieces:
        checksum.update(piece)
    return [HEAD.pack(MAGIC, sum(map(len, pieces)), checksum.digest()), *pieces]


def read_records(file: DiskFile) -> list[list[Change]]:
    """All whole records from the start of a journal; what follows the last one was never acknowledged."""
    records: list[list[Change]] = []
    position, size = 0, file.size()
    while position + HEAD.size <= size:
        magic, length, checksum = HEAD.unpack(file.read(position, HEAD.size))
        position += HEAD.size
        if magic != MAGIC or length > size - position:
            break
        packed = file.read(position, length)
        position += length
        if sha256(packed).digest() != checksum:
            break
        try:
            records.append(unpack(packed))
        except ValueError:
            break
    return records


@define(eq=False)
class OpenJournal:
    """The journal file that commits go to.

    `changed` are the paths of the shares whose changes it holds. When its contents on disk are no longer known, after a
    failed write or in the middle of its removal, it is not `trusted` and takes no more commits. Once a sync of a share
    has failed its changes are to be `redone`: the system may have dropped them, and let the next sync succeed.
    """

    path: str
    file: DiskFile
    size: int = 0
    changed: set[str] = field(factory=set)
    trusted: bool = True
    redone: bool = False


class Journal:
    """The journals of one storage directory."""

    def __init__(self, disk: Disk, places: Places, directories: Directories) -> None:
        self._disk = disk
        self._places = places
        self._directories = directories
        self._open: OpenJournal | None = None
        self._number = 0
        self._undone: dict[str, list[Change]] = {}

    @property
    def size(self) -> int:
        """Bytes in the open journal."""
        return self._open.size if self._open else 0

    def concerns(self, path: str) -> bool:
        """Whether a crash now would carry out changes to `path` again."""
        return self._open is not None and path in self._open.changed

    def is_stuck(self, bucket: str) -> bool:
        """Whether changes to `bucket` are certain but could not be carried out yet, because the disk failed."""
        return bucket in self._undone

    def recover(self) -> int:
        """Carry out all that journals of a former life hold; how many records that was. Raises OSError.

        The journals are left for the caller, who empties `incoming/` when this has returned.
        """
        found = (NAME.fullmatch(name) for name in self._disk.list_directory(self._places.incoming))
        count = 0
        changed: set[str] = set()
        for number in sorted(int(match[1]) for match in found if match):
            file = self._disk.open(f"{self._places.incoming}/journal-{number}")
            try:
                records = read_records(file)
            finally:
                file.close()
            for change in (change for record in records for change in record):
                self._carry_out(change)
                changed.add(change.path)
            count += len(records)
        self._sync_shares(changed)
        return count

    def write(self, commits: Sequence[Sequence[Change]]) -> list[ServerError | None]:
        """Write down all `commits` with one sync, and carry them out: what went wrong with each, None for nothing.

        Raises OSError when they could not be written down; then nothing was changed and nothing will be.
        """
        if self._open is not None and not self._open.trusted:
            self.checkpoint()
        journal = self._open or self._begin()
        written = b"".join(piece for changes in commits for piece in pack_record(changes))
        try:
            journal.file.write(journal.size, written)
            journal.file.sync()
        except OSError:
            self._take_back(journal)
            raise
        journal.size += len(written)
        return [self._carry_out_all(journal, changes) for changes in commits]

    def catch_up(self, bucket: str) -> None:
        """Carry out what `is_stuck`. Raises OSError."""
        changes = self._undone.get(bucket, [])
        while changes:
            self._carry_out(changes[0])
            changes.pop(0)
        self._undone.pop(bucket, None)

    def checkpoint(self) -> None:
        """Sync all that was changed and begin anew. Raises OSError; then it may be tried again."""
        journal = self._open
        if journal is None:
            return
        for bucket in list(self._undone):
            self.catch_up(bucket)
        if journal.redone:
            for change in (change for record in read_records(journal.file) for change in record):
                self._carry_out(change)
        journal.redone = True
        self._sync_shares(journal.changed)
        journal.trusted = False
        with suppress(FileNotFoundError):  # The last attempt came this far.
            self._disk.remove(journal.path)
        self._disk.sync_directory(self._places.incoming)
        journal.file.close()
        self._open = None

    def _begin(self) -> OpenJournal:
        self._number += 1
        path = f"{self._places.incoming}/journal-{self._number}"
        file = self._disk.create(path)
        try:
            self._disk.sync_directory(self._places.incoming)
        except OSError:
            file.close()
            raise
        self._open = OpenJournal(path, file)
        return self._open

    def _take_back(self, journal: OpenJournal) -> None:
        """A record was refused: it must not come back after a crash, under changes that were planned without it."""
        try:
            journal.file.truncate(journal.size)
            journal.file.sync()
        except OSError:
            journal.trusted = False

    def _carry_out_all(self, journal: OpenJournal, changes: Sequence[Change]) -> ServerError | None:
        for done, change in enumerate(changes):
            journal.changed.add(change.path)
            try:
                self._carry_out(change)
            except OSError as error:
                journal.changed.update(each.path for each in changes)
                self._undone.setdefault(bucket_of(change.path), []).extend(changes[done:])
                return as_server_error(error)
        return None

    def _carry_out(self, change: Change) -> None:
        if isinstance(change, Removal):
            apply_removal(self._disk, self._places.shares, change)
            return
        path = self._places.under_shares(change.path)
        try:
            file = self._disk.open(path, writable=True)
        except FileNotFoundError:
            if not change.create:
                return  # Its share was removed since, or never acknowledged: a lease on nothing.
            self._directories.make_bucket(bucket_of(change.path))
            file = self._disk.create(path)
        try:
            apply_steps(file, change.steps)
        finally:
            file.close()

    def _sync_shares(self, paths: Iterable[str]) -> None:
        if not paths:
            return
        # All the way up: the process that made these directories may have been killed before it synced them.
        ways: set[str] = {self._places.shares}
        for path in (self._places.under_shares(path) for path in sorted(paths)):
            ways |= {parent(path), parent(parent(path))}
            try:
                file = self._disk.open(path, writable=True)
            except FileNotFoundError:
                continue
            try:
                file.sync()
            finally:
                file.close()
        self._directories.sync(ways)
