"""The journal: how changes to share files happen wholly or not at all, and are certain after one sync.

Leases and mutable shares are changed in place, often several shares at once; small immutable shares are created in numbers.
All such changes are first written to a journal file and synced (from then on they are certain), then carried out on the
share files, which are synced later, at a checkpoint. After a crash everything in the journals is carried out again: edits
are physical, so that ends in the same bytes however much of it was done before.

Theory of operation. Journals are files `incoming/journal-N`. Commits go to the newest, the *open* one; each is a record
with a length and a checksum, so that a torn one at the end (never acknowledged) is seen to be torn. At a checkpoint the
open journal becomes the *closing* one and a new one is opened; every file that the closing one changed is synced, while
commits go on, and it is removed. Journals vanish in the order in which they were begun, for carrying out an old one
after a newer one is gone would undo changes. When a sync of a share file fails, the system may have dropped what was
written and let the next sync succeed: nothing is believed then until all journals were carried out anew.

Journals live in `incoming/` because every program that serves a storage directory, this one or the peer, empties that
when it starts: if another program served the directory since, no stale journal can undo what it wrote.

Everything here is synchronous and runs in worker threads, one call at a time (`commits.py` sees to that), but for
`finish_closing`, which runs beside the others.
Spec: 05 §19 D6.
"""
from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final, TypeVar

from attrs import define, field

from lafs.errors import ServerError
from lafs.interfaces import Bytes
from storage_server.directories import Directories, Places, parent
from storage_server.disk import Disk, DiskFile, create_anew
from storage_server.edits import Change, Edit, Planned, Removal, apply_removal, apply_steps, bucket_of, pack, unpack
from storage_server.failures import as_server_error
from storage_server.net_changes import net_changes

T = TypeVar("T")

HEAD: Final = struct.Struct(">4sQ32s")
MAGIC: Final = b"LJ1\n"
SYNCED_ONE_BY_ONE: Final = 32
"""More files than this are synced by syncing the whole file system."""
NAME: Final = re.compile(r"journal-([0-9]{1,18})", re.ASCII)


def pack_record(changes: Sequence[Change]) -> list[Bytes]:
    """One record, as pieces to be joined."""
    pieces = pack(changes)
    checksum = sha256()
    for piece in pieces:
        checksum.update(piece)
    return [HEAD.pack(MAGIC, sum(map(len, pieces)), checksum.digest()), *pieces]


def read_records(file: DiskFile, size: int) -> list[list[Change]]:
    """All whole records in the first `size` bytes of a journal; what follows the last one was never acknowledged."""
    records: list[list[Change]] = []
    position = 0
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
class JournalFile:
    """One journal. `changed` are the paths of the shares whose changes it holds.

    When its contents on disk are no longer known, after a failed write, it is not `trusted` and takes no more commits.
    """

    path: str
    file: DiskFile
    size: int = 0
    changed: set[str] = field(factory=set)
    trusted: bool = True


def _made(plan: Callable[[], Planned[T]]) -> Planned[T] | Exception:
    try:
        return plan()
    except Exception as error:
        return error


class Journal:
    """The journals of one storage directory."""

    def __init__(self, disk: Disk, places: Places, directories: Directories) -> None:
        self._disk = disk
        self._places = places
        self._directories = directories
        self._open: JournalFile | None = None
        self._closing: JournalFile | None = None
        self._number = 0
        self._undone: dict[str, list[Change]] = {}
        self._suspect = False

    @property
    def size(self) -> int:
        """Bytes in the open journal."""
        return self._open.size if self._open else 0

    @property
    def believed(self) -> bool:
        """Whether what the disk holds is known. If not, `start_over` must succeed before anything else is done."""
        return not self._suspect and (self._open is None or self._open.trusted)

    def concerns(self, path: str) -> bool:
        """Whether a crash now would carry out changes to `path` again."""
        return any(journal is not None and path in journal.changed for journal in (self._closing, self._open))

    def is_stuck(self, bucket: str) -> bool:
        """Whether changes to `bucket` are certain but could not be carried out yet, because the disk failed."""
        return bucket in self._undone

    def is_doubtful(self, bucket: str) -> bool:
        """Whether a crash now might do to `bucket` what nobody who looks at it can see."""
        journals = [journal for journal in (self._closing, self._open) if journal is not None]
        return not self.believed and any(bucket_of(path) == bucket for each in journals for path in each.changed)

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
                records = read_records(file, file.size())
            finally:
                file.close()
            for change in (change for record in records for change in record):
                self._carry_out(change)
                changed.add(change.path)
            count += len(records)
        self._sync_shares(changed)
        return count

    def write(self, plans: Sequence[Callable[[], Planned[T]]]) -> list[Planned[T] | Exception]:
        """Make all `plans`, write down with one sync what they come to, and carry it out: each plan made, or why it failed.

        All plans are made before any is carried out. What could not be written down was not done, and never will be.
        """
        outcomes = [_made(plan) for plan in plans]
        commits = [each.changes for each in outcomes if isinstance(each, Planned) and each.changes]
        if not commits:
            return outcomes
        try:
            journal = self._write_down(commits)
        except OSError as error:
            return [error if isinstance(each, Planned) and each.changes else each for each in outcomes]
        return [
            self._carry_out_all(journal, each.changes) or each if isinstance(each, Planned) else each for each in outcomes
        ]

    def _write_down(self, commits: Sequence[Sequence[Change]]) -> JournalFile:
        journal = self._open or self._begin()
        written = b"".join(piece for changes in commits for piece in pack_record(changes))
        try:
            journal.file.write(journal.size, written)
            journal.file.sync()
        except OSError:
            self._take_back(journal, commits)
            raise
        journal.size += len(written)
        return journal

    def catch_up(self, bucket: str) -> None:
        """Carry out what `is_stuck`. Raises OSError."""
        changes = self._undone.get(bucket, [])
        while changes:
            self._carry_out(changes[0])
            changes.pop(0)
        self._undone.pop(bucket, None)

    def begin_closing(self) -> bool:
        """Let the open journal be the closing one; whether there is one to be finished."""
        if self._closing is None and self._open is not None and self.believed and not self._undone:
            self._closing, self._open = self._open, None
        return self._closing is not None and self.believed

    def finish_closing(self) -> None:
        """Sync all that the closing journal changed, and remove it. Raises OSError; then `start_over` is called for."""
        if self._closing is not None:
            self._sync_shares(self._closing.changed)
            self._remove(self._closing)
            self._closing = None

    def start_over(self) -> None:
        """Sync all that was ever committed, and remove all journals. Raises OSError; then it may be tried again.

        Never while `finish_closing` runs.
        """
        journals = [journal for journal in (self._closing, self._open) if journal is not None]
        for bucket in list(self._undone):
            self.catch_up(bucket)
        if self._suspect:
            records = [record for journal in journals for record in read_records(journal.file, journal.size)]
            for change in net_changes(change for record in records for change in record):
                self._carry_out(change)
        for journal in journals:
            self._sync_shares(journal.changed)
        self._suspect = False
        for journal in journals:
            self._remove(journal)
        self._closing = self._open = None

    def _remove(self, journal: JournalFile) -> None:
        journal.trusted = False
        with suppress(FileNotFoundError):  # The last attempt came this far.
            self._disk.remove(journal.path)
        self._disk.sync_directory(self._places.incoming)
        journal.file.close()

    def _begin(self) -> JournalFile:
        self._number += 1
        path = f"{self._places.incoming}/journal-{self._number}"
        file = self._disk.create(path)
        try:
            self._disk.sync_directory(self._places.incoming)
        except OSError:
            file.close()
            raise
        self._open = JournalFile(path, file)
        return self._open

    def _take_back(self, journal: JournalFile, refused: Sequence[Sequence[Change]]) -> None:
        """Records were refused: they must not come back after a crash, under changes that were planned without them."""
        try:
            journal.file.truncate(journal.size)
            journal.file.sync()
        except OSError:
            journal.trusted = False
            journal.changed.update(change.path for changes in refused for change in changes)

    def _carry_out_all(self, journal: JournalFile, changes: Sequence[Change]) -> ServerError | None:
        for done, change in enumerate(changes):
            journal.changed.add(change.path)
            try:
                self._carry_out(change, first=True)
            except OSError as error:
                journal.changed.update(each.path for each in changes)
                self._undone.setdefault(bucket_of(change.path), []).extend(changes[done:])
                return as_server_error(error)
        return None

    def _carry_out(self, change: Change, *, first: bool = False) -> None:
        """Do what `change` says. The `first` time, there is no file yet where one is to be created: the plan saw none."""
        if isinstance(change, Removal):
            apply_removal(self._disk, self._places.shares, change)
            return
        if first and change.create:
            self._create(change)
            return
        path = self._places.under_shares(change.path)
        try:
            file = self._disk.open(path, writable=True)
        except FileNotFoundError:
            if change.create:
                self._create(change)
            # Otherwise its share was removed since, or never acknowledged: a lease on nothing.
            return
        try:
            apply_steps(file, change.steps)
        finally:
            file.close()

    def _create(self, change: Edit) -> None:
        """Make the file beside, so that nobody sees it before it is whole."""
        path = f"{self._places.incoming}/{change.path.replace('/', '.')}"
        file = create_anew(self._disk, path)
        try:
            try:
                apply_steps(file, change.steps)
            finally:
                file.close()
            self._directories.rename_into_bucket(path, change.path)
        except OSError:
            # On a full disk, what was written so far would be in the way of everything else.
            with suppress(OSError):
                self._disk.remove(path)
            raise

    def _sync_shares(self, paths: Collection[str]) -> None:
        if not paths:
            return
        try:
            self._sync_all(paths)
        except OSError:
            self._suspect = True
            raise

    def _sync_all(self, paths: Collection[str]) -> None:
        if len(paths) > SYNCED_ONE_BY_ONE:
            self._disk.sync_everything(self._places.shares)
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
