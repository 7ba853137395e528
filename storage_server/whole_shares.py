"""Whole immutable shares, stored or read in one call: the short way for small files.

Synchronous; runs in worker threads. Small shares become changes that the store commits through its journal, larger ones files that
are synced and get their names at once: looking and writing are one errand. Whatever is not simple is left to the long way, which
`allocate_shares` begins.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import ByteRange, Bytes, StoredShares
from storage_server.directories import Places
from storage_server.edits import Edit, Planned, Put, gathered
from storage_server.files_beside import FilesBeside
from storage_server.immutable_container import HEADER, ImmutableContainer, frame
from storage_server.leases import LeaseTerms
from storage_server.reads import ReadBudget, check_ranges, length_within
from storage_server.share_files import ShareFiles
from storage_server.space import Room


@frozen
class WholeShares:
    """The immutable shares of one store, each looked at once."""

    files: ShareFiles
    room: Room
    beside: FilesBeside

    def plan(
        self, storage_index: StorageIndex, terms: LeaseTerms, shares: Mapping[int, Bytes], promised: int
    ) -> Planned[StoredShares | None]:
        """How `shares` are stored; None if there is something in their bucket already. Raises OSError.

        `promised` bytes of the room are taken by uploads in progress.
        """
        answer = self._look(storage_index, shares, promised)
        if answer is None:
            return Planned((), None)
        paths = ((Places.share(storage_index, number), shares[number]) for number in sorted(answer.stored))
        return Planned([Edit(path, gathered(_steps(data, terms)), create=True) for path, data in paths], answer)

    def store(
        self, storage_index: StorageIndex, terms: LeaseTerms, shares: Mapping[int, Bytes], promised: int
    ) -> StoredShares | None:
        """Store `shares` in files of their own; None if there is something in their bucket already. Raises OSError.

        They are there and synced then, and last when their bucket is settled. No journal may remember them.
        """
        answer = self._look(storage_index, shares, promised)
        if answer is not None:
            for number in sorted(answer.stored):
                self.beside.make(storage_index, number, _steps(shares[number], terms))
        return answer

    def _look(self, storage_index: StorageIndex, shares: Mapping[int, Bytes], promised: int) -> StoredShares | None:
        """Which of `shares` are to be stored, for there is room, and which refused."""
        if self.files.numbers(storage_index):
            return None
        room = self.room.available() - promised
        stored: set[int] = set()
        for number in sorted(shares):
            room -= len(shares[number])
            if room < 0:
                break
            stored.add(number)
        return StoredShares(stored=frozenset(stored), refused=frozenset(shares.keys() - stored))

    def read(self, storage_index: StorageIndex, ranges: Sequence[ByteRange]) -> Mapping[int, Sequence[bytes]]:
        """The ranges of every immutable share that is there; of each what exists. Raises ServerError, OSError."""
        check_ranges(ranges)
        budget = ReadBudget()
        found: dict[int, Sequence[bytes]] = {}
        for share in self.files.each(storage_index):
            if isinstance(share.container, ImmutableContainer):
                pieces = []
                for asked in ranges:
                    length = length_within(share.container.data_length, asked.offset, asked.length)
                    budget.spend(length)
                    pieces.append(share.file.read(HEADER.size + asked.offset, length) if length else b"")
                found[share.number] = pieces
        return found


def _steps(data: Bytes, terms: LeaseTerms) -> Sequence[Put]:
    header, lease = frame(len(data), terms)
    return [Put(0, header), Put(HEADER.size, data), Put(HEADER.size + len(data), lease)]
