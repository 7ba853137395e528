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
written and let the next sync succeed: nothing is believed then until all journals were carried out anew. What the disk
refuses even then, or when a former life is recovered from, concerns its own bucket only: that is *undone*, it stays in a journal,
nobody sees the bucket until it could be done, and all others go on.

Journals live in `incoming/` because every program that serves a storage directory, this one or the peer, empties that
when it starts: if another program served the directory since, no stale journal can undo what it wrote.

Everything here is synchronous and runs in worker threads, one call at a time (`commits.py` sees to that), but for
`finish_closing`, which runs beside the others.
Spec: 05 §19 D6.
"""
from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
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
        self._closing: list[JournalFile] = []
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
        return any(path in journal.changed for journal in self._all())

    def _all(self) -> list[JournalFile]:
        return [*self._closing, self._open] if self._open else list(self._closing)

    def is_stuck(self, bucket: str) -> bool:
        """Whether changes to `bucket` are certain but could not be carried out yet, because the disk failed."""
        return bucket in self._undone

    @property
    def is_behind(self) -> bool:
        """Whether that is so of any bucket: then no journal can be closed but by `start_over`."""
        return bool(self._undone)

    @property
    def paths(self) -> list[str]:
        """Absolute paths of the journals that hold what the disk has not taken yet."""
        return [journal.path for journal in self._all()]

    def is_doubtful(self, bucket: str) -> bool:
        """Whether a crash now might do to `bucket` what nobody who looks at it can see."""
        return not self.believed and any(bucket_of(path) == bucket for each in self._all() for path in each.changed)

    def recover(self) -> int:
        """Carry out all that journals of a former life hold; how many records that was. Raises OSError.

        What the disk refuses does not keep the server from starting: its journals stay, and its buckets are stuck.
        """
        found = (NAME.fullmatch(name) for name in self._disk.list_directory(self._places.incoming))
        for self._number in sorted(int(match[1]) for match in found if match):
            path = f"{self._places.incoming}/journal-{self._number}"
            file = self._disk.open(path)
            self._closing.append(JournalFile(path, file, file.size()))
        count = 0
        changes: list[Change] = []
        for journal in self._closing:
            for record in read_records(journal.file, journal.size):
                journal.changed.update(change.path for change in record)
                changes += record
                count += 1
        self._undone = self._carry_out_by_bucket(changes)
        with suppress(OSError):  # Then it is suspect, and everything is done again before anything is committed.
            self._sync_shares({change.path for change in changes if bucket_of(change.path) not in self._undone})
        if self.believed and not self._undone:
            self._remove_all(self._closing)
        return count

    def _carry_out_by_bucket(self, changes: Iterable[Change]) -> dict[str, list[Change]]:
        """Carry out all that the disk allows: the changes to those buckets for which it did not allow all, by bucket."""
        by_bucket: dict[str, list[Change]] = {}
        for change in changes:
            by_bucket.setdefault(bucket_of(change.path), []).append(change)
        refused: dict[str, list[Change]] = {}
        for bucket, of_bucket in by_bucket.items():
            try:
                for change in of_bucket:
                    self._carry_out(change)
            except OSError:
                refused[bucket] = of_bucket
        return refused

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
        if not self._closing and self._open is not None and self.believed and not self._undone:
            self._closing, self._open = [self._open], None
        return bool(self._closing) and self.believed and not self._undone

    def finish_closing(self) -> None:
        """Sync all that the closing journals changed, and remove them. Raises OSError; then `start_over` is called for."""
        self._sync_shares({path for journal in self._closing for path in journal.changed})
        self._remove_all(self._closing)

    def start_over(self) -> None:
        """Sync all that was ever committed, and remove all journals. Raises OSError; then it may be tried again.

        What the disk refuses is left undone, and goes to a journal of its own. Never while `finish_closing` runs.
        """
        paths = {path for journal in self._all() for path in journal.changed}
        refused: dict[str, list[Change]] = {}
        if self._suspect or self._undone:
            records = [record for journal in self._all() for record in read_records(journal.file, journal.size)]
            net = net_changes(change for record in records for change in record)
            # What is done and believed is not done again.
            again = [change for change in net if self._suspect or bucket_of(change.path) in self._undone]
            refused = self._carry_out_by_bucket(again)
            if self._suspect:
                bad = {bucket_of(path) for path in sorted(paths) if not self._can_sync(path)}
                refused |= {bucket: [change for change in net if bucket_of(change.path) == bucket] for bucket in bad}
        self._undone = refused
        good = {path for path in paths if bucket_of(path) not in refused}
        if self._suspect:
            self._directories.sync(self._ways(good))
        else:
            self._sync_shares(good)
        self._suspect = not all(journal.trusted for journal in self._all())
        self._closing, self._open = self._all(), None
        if refused:
            journal = self._write_down(list(refused.values()))
            journal.changed.update(change.path for changes in refused.values() for change in changes)
        self._suspect = True  # Until the old ones are gone: what was refused when they were written may be in them.
        self._remove_all(self._closing)
        self._suspect = False

    def _can_sync(self, path: str) -> bool:
        try:
            self._sync_share(path)
        except OSError:
            return False
        return True

    def _sync_share(self, path: str) -> None:
        """Sync the file of a share, if it is there. Raises OSError."""
        try:
            file = self._disk.open(self._places.under_shares(path), writable=True)
        except FileNotFoundError:
            return
        try:
            file.sync()
        finally:
            file.close()

    def _ways(self, paths: Iterable[str]) -> set[str]:
        """The directories on the way to shares, all the way up: who made them may have been killed before it synced them."""
        ways: set[str] = {self._places.shares}
        for path in (self._places.under_shares(path) for path in paths):
            ways |= {parent(path), parent(parent(path))}
        return ways

    def _remove_all(self, journals: list[JournalFile]) -> None:
        """In the order in which they were begun."""
        while journals:
            self._remove(journals[0])
            journals.pop(0)

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
        for path in sorted(paths):
            self._sync_share(path)
        self._directories.sync(self._ways(paths))
