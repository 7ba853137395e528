"""Share files as they lie in their buckets: which there are, what kind they are, and what is in them.

Synchronous; everything runs in worker threads. One file that cannot be understood never hides its neighbours: it is
skipped and reported to the operator, once. Spec: 05 §1, §2.1, §19 D7.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from attrs import frozen
from twisted.logger import Logger

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import CorruptContainer, NoSpace
from storage_server.directories import Places, share_number
from storage_server.disk import Disk, DiskFile, NotAFile
from storage_server.edits import Edit, Planned
from storage_server.failures import reason_for_log
from storage_server.immutable_container import HEADER, ImmutableContainer
from storage_server.leases import LeaseTerms
from storage_server.mutable_container import COUNT, HEAD_SIZE, MutableContainer

MAXIMUM_REPORTED: Final = 1000

SKIMMED_SIZE: Final = 8 * 1024
"""Bytes of a share file that are read at once when it is opened, be they wanted or not: one call where small files took five."""

Container = ImmutableContainer | MutableContainer

log = Logger()


class Readable(Protocol):
    """The part of a `DiskFile` that reading takes."""

    def read(self, offset: int, size: int) -> bytes: ...

    def size(self) -> int: ...


class SkimmedFile:
    """An open file whose beginning is in memory, or all of it if it is small."""

    def __init__(self, file: DiskFile) -> None:
        self._file = file
        self._head = file.read(0, SKIMMED_SIZE)
        self._is_whole = len(self._head) < SKIMMED_SIZE

    def read(self, offset: int, size: int) -> bytes:
        """See `DiskFile`."""
        end = offset + size
        return self._head[offset:end] if self._is_whole or end <= SKIMMED_SIZE else self._file.read(offset, size)

    def size(self) -> int:
        """See `DiskFile`. Asked after the beginning was read: a lease may be added meanwhile, and its count is written last."""
        return self._file.size()


def read_container(file: Readable) -> Container:
    """What an open share file is. Raises CorruptContainer, OSError."""
    head = file.read(0, HEAD_SIZE)
    if not MutableContainer.is_one(head):
        return ImmutableContainer.parse(head, file.size())
    size = file.size()
    count = file.read(min(MutableContainer.extra_offset_in(head), size), COUNT.size)
    return MutableContainer.parse(head, count, size)


def read_immutable(file: Readable) -> ImmutableContainer:
    """What an open share file is, if it is an immutable one. Raises CorruptContainer, OSError."""
    return ImmutableContainer.parse(file.read(0, HEADER.size), file.size())


def read_lease_area(file: Readable, container: Container) -> bytes:
    """All lease records of a share. One that the file is too short for reads as zeros, which is an empty slot."""
    return b"".join(file.read(position, size).ljust(size, b"\0") for position, size in container.lease_areas)


@frozen
class OpenShare:
    """One readable share of a bucket, open while it is being looked at. `path` is relative to `shares/`."""

    number: int
    path: str
    file: Readable
    container: Container


@frozen
class Found:
    """What a bucket holds: numbers of immutable shares with their data lengths, and of all other share files."""

    immutable: dict[int, int]
    other: frozenset[int]


class ShareFiles:
    """The share files of one store."""

    def __init__(self, disk: Disk, places: Places, node_id: bytes) -> None:
        self._disk = disk
        self._places = places
        self._node_id = node_id
        self._reported: set[str] = set()

    def numbers(self, storage_index: StorageIndex) -> list[int]:
        """Numbers of all share files in a bucket, whatever is in them; none if there is no bucket. Raises OSError."""
        try:
            names = self._disk.list_directory(self._places.under_shares(self._places.bucket(storage_index)))
        except FileNotFoundError:
            return []
        return sorted(number for name in names if (number := share_number(name)) is not None)

    @contextmanager
    def opened(self, path: str, *, writable: bool = False) -> Iterator[DiskFile]:
        """The file of a share. Raises OSError."""
        file = self._disk.open(self._places.under_shares(path), writable=writable)
        try:
            yield file
        finally:
            file.close()

    def each(
        self, storage_index: StorageIndex, numbers: Sequence[int] | None = None, *, unreadable: set[int] | None = None
    ) -> Iterator[OpenShare]:
        """All shares in a bucket that can be understood, one after the other, in order. Others are reported.

        `numbers` are those of the bucket, if they are known. Those that the disk did not give are added to `unreadable`.
        """
        for number in self.numbers(storage_index) if numbers is None else numbers:
            path = self._places.share(storage_index, number)
            try:
                with self.opened(path) as file:
                    skimmed = SkimmedFile(file)
                    yield OpenShare(number, path, skimmed, read_container(skimmed))
            except FileNotFoundError:
                pass
            except (CorruptContainer, NotAFile, IsADirectoryError) as error:
                self.report(storage_index, number, error)
            except OSError as error:
                self.report(storage_index, number, error)
                if unreadable is not None:
                    unreadable.add(number)

    def survey(self, storage_index: StorageIndex) -> Found:
        """What is in a bucket."""
        numbers = self.numbers(storage_index)
        if not numbers:
            return Found({}, frozenset())
        immutable = {
            share.number: share.container.data_length
            for share in self.each(storage_index, numbers)
            if isinstance(share.container, ImmutableContainer)
        }
        return Found(immutable, frozenset(numbers) - immutable.keys())

    def read(self, path: str, offset: int, length: int, data_length: int) -> bytes:
        """Data of an immutable share, never past `data_length` nor past what it has now. Raises ServerError, OSError."""
        with self.opened(path) as file:
            # The file may have been replaced since it was surveyed; and while a lease is added it seems longer than it is.
            skimmed = SkimmedFile(file) if offset + length <= SKIMMED_SIZE else file
            end = min(offset + length, data_length, read_immutable(skimmed).data_length)
            return skimmed.read(HEADER.size + offset, end - offset) if end > offset else b""

    def plan_leases(
        self, storage_index: StorageIndex, terms: LeaseTerms, available: int, *, immutable_only: bool
    ) -> Planned[set[int]]:
        """What it takes to add or renew a lease on every share in a bucket; and which could not be read, so that it cannot.

        Raises NoSpace, if there is no room.
        """
        edits: list[Edit] = []
        unreadable: set[int] = set()
        growth = 0
        for share in self.each(storage_index, unreadable=unreadable):
            try:
                area = read_lease_area(share.file, share.container)
            except OSError as error:
                self.report(storage_index, share.number, error)
                unreadable.add(share.number)
                continue
            if isinstance(share.container, ImmutableContainer):
                change = share.container.take_lease(area, terms)
            elif immutable_only:
                continue
            else:
                change = share.container.take_lease(area, terms, self._node_id)
            growth += change.growth
            if change.steps:
                edits.append(Edit(share.path, change.steps))
        if growth > available:
            raise NoSpace("the server has no room for another lease")
        return Planned(edits, unreadable)

    def report(self, storage_index: StorageIndex, number: int, error: Exception) -> None:
        """Tell the operator of a file that cannot be understood, the first time it is met."""
        name = f"{storage_index.text}/{number}"
        if name not in self._reported and len(self._reported) < MAXIMUM_REPORTED:
            self._reported.add(name)
            log.error(
                "Share {number} of {storage_index} cannot be read and is left out: {reason}",
                number=number,
                storage_index=storage_index.text,
                reason=str(error) if isinstance(error, CorruptContainer) else reason_for_log(error),
            )
