"""Whole immutable shares, stored or read in one call: the short way for small files.

Synchronous; runs in worker threads. Nothing is changed here: what is to be stored becomes changes that the store commits through
its journal, so that looking, writing and one sync are one errand. Whatever is not simple is left to the long way, which
`allocate_shares` begins.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import ByteRange, Bytes, StoredShares
from storage_server.directories import Places
from storage_server.edits import Edit, Planned, Put
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

    def plan(
        self, storage_index: StorageIndex, terms: LeaseTerms, shares: Mapping[int, Bytes], promised: int
    ) -> Planned[StoredShares | None]:
        """How `shares` are stored; None if there is something in their bucket already. Raises OSError.

        `promised` bytes of the room are taken by uploads in progress.
        """
        if self.files.numbers(storage_index):
            return Planned((), None)
        room = self.room.available() - promised
        edits: list[Edit] = []
        for number in sorted(shares):
            room -= len(shares[number])
            if room < 0:
                break
            edits.append(_creation(Places.share(storage_index, number), shares[number], terms))
        stored = frozenset(sorted(shares)[: len(edits)])
        return Planned(edits, StoredShares(stored=stored, refused=frozenset(shares) - stored))

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


def _creation(path: str, data: Bytes, terms: LeaseTerms) -> Edit:
    header, lease = frame(len(data), terms)
    return Edit(path, [Put(0, b"".join((header, data, lease)))], create=True)
