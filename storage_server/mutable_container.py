"""The file that holds one mutable share on a server's disk, and its leases. Pure: bytes in, plans out.

A container only grows: when data outgrows its room, the block of extra leases behind it moves further back; truncation
only lowers the stored length and leaves slack, which must never become readable again. Spec: 05 §2.3, §6.2.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import evolve, field, frozen

from lafs.crypto.derivations import mutable_container_magic
from lafs.errors import CorruptContainer, DataTooLarge, NoSpace
from storage_server.edits import Put, Step, Zeros
from storage_server.leases import MAXIMUM_LEASES, Lease, LeaseChange, LeaseTerms, same_secret, stored_form

HEADER: Final = struct.Struct(">32s20s32sQQ")
LEASE: Final = struct.Struct(">II32s32s20s")
LENGTHS: Final = struct.Struct(">QQ")
COUNT: Final = struct.Struct(">I")
LENGTHS_OFFSET: Final = 84
INLINE_SLOTS: Final = 4
DATA_OFFSET: Final = HEADER.size + INLINE_SLOTS * LEASE.size
HEAD_SIZE: Final = DATA_OFFSET
LARGEST_DATA: Final = 69_105 * 10**12
NEWEST_VERSION: Final = 2
MAGICS: Final = {version: mutable_container_magic(version) for version in (1, NEWEST_VERSION)}
VERSION_OF: Final = {magic: version for version, magic in MAGICS.items()}
EMPTY: Final = 0
"""The owner number of a slot without a lease."""


@frozen
class MutableContainer:
    """Where things are in one file. `extra_offset` is a position in the file; lengths are in bytes."""

    version: int
    node_id: bytes
    write_enabler: bytes = field(repr=False)
    data_length: int
    extra_offset: int
    extra_count: int

    @staticmethod
    def is_one(head: bytes) -> bool:
        """Whether a file that begins so is a mutable container of a version we know."""
        return head[:32] in VERSION_OF

    @classmethod
    def parse(cls, head: bytes, extra_count: bytes, file_size: int) -> MutableContainer:
        """From the first 468 bytes of a file, the 4 bytes at `extra_offset_in(head)`, and its size.

        Raises CorruptContainer.
        """
        if len(head) < HEAD_SIZE or len(extra_count) != COUNT.size:
            raise CorruptContainer("a share file is too short to be one")
        magic, node_id, write_enabler, data_length, extra_offset = HEADER.unpack_from(head)
        if magic not in VERSION_OF:
            raise CorruptContainer("a share file is of an unknown kind or version")
        (count,) = COUNT.unpack(extra_count)
        found = cls(VERSION_OF[magic], node_id, write_enabler, data_length, extra_offset, count)
        # The peer counts an extra lease before it writes it: a crash in between leaves a file that is one record short.
        shortest = max(extra_offset + COUNT.size, found.end_of_leases - LEASE.size)
        if extra_offset < DATA_OFFSET + data_length or shortest > file_size:
            raise CorruptContainer("a share file is too short for what it says it holds")
        return found

    @staticmethod
    def extra_offset_in(head: bytes) -> int:
        """Where the count of extra leases is. Raises CorruptContainer for a head that is too short."""
        if len(head) < HEADER.size:
            raise CorruptContainer("a share file is too short to be one")
        offset: int = HEADER.unpack_from(head)[4]
        return offset

    @classmethod
    def fresh(cls, node_id: bytes, write_enabler: bytes) -> MutableContainer:
        """A new one without data or leases, made by the server `node_id`."""
        return cls(NEWEST_VERSION, node_id, write_enabler, 0, DATA_OFFSET, 0)

    def pack(self) -> bytes:
        """All bytes of a container without data or leases."""
        head = HEADER.pack(
            MAGICS[self.version], self.node_id, self.write_enabler, self.data_length, self.extra_offset
        )
        return head + bytes(INLINE_SLOTS * LEASE.size + COUNT.size)

    @property
    def end_of_leases(self) -> int:
        return self.extra_offset + COUNT.size + LEASE.size * self.extra_count

    @property
    def lease_areas(self) -> Sequence[tuple[int, int]]:
        """(position, size) of the inline and of the extra slots."""
        inline = (HEADER.size, INLINE_SLOTS * LEASE.size)
        return inline, (self.extra_offset + COUNT.size, self.extra_count * LEASE.size)

    def leases(self, lease_area: bytes) -> Iterator[tuple[int, Lease]]:
        """(slot, lease) of all that are taken. `lease_area` is the `lease_areas` joined."""
        for slot, (owner, expiration, renew, cancel, node_id) in enumerate(LEASE.iter_unpack(lease_area)):
            if owner != EMPTY:
                yield slot, Lease(owner, renew, cancel, expiration, node_id)

    # --- plans -----------------------------------------------------------------------------------------------------------

    def write(self, writes: Sequence[tuple[int, bytes]], new_length: int | None, lease_area: bytes) -> WritePlan:
        """What it takes to put each (offset, data) of `writes`, in order, and then to cut the data to `new_length`.

        A hole before a write reads as zeros; an empty write does nothing, wherever it is. Raises DataTooLarge.
        """
        ends = [offset + len(data) for offset, data in writes if data]
        if ends and max(ends) > LARGEST_DATA:
            raise DataTooLarge("a mutable share would be larger than any may be")
        steps: list[Step] = []
        extra_offset = max([self.extra_offset, *(DATA_OFFSET + end for end in ends)])
        if extra_offset > self.extra_offset:
            block = COUNT.pack(self.extra_count) + lease_area[INLINE_SLOTS * LEASE.size :]
            steps += (Zeros(self.extra_offset, len(block)), Put(extra_offset, block))
        length = self.data_length
        for offset, data in writes:
            if not data:
                continue
            if offset > length:
                steps.append(Zeros(DATA_OFFSET + length, offset - length))
            steps.append(Put(DATA_OFFSET + offset, data))
            length = max(length, offset + len(data))
        if new_length is not None:
            length = min(length, new_length)
        if (length, extra_offset) != (self.data_length, self.extra_offset):
            steps.append(Put(LENGTHS_OFFSET, LENGTHS.pack(length, extra_offset)))
        after = evolve(self, data_length=length, extra_offset=extra_offset)
        return WritePlan(after, steps, extra_offset - self.extra_offset)

    def take_lease(self, lease_area: bytes, terms: LeaseTerms, node_id: bytes) -> LeaseChange:
        """Renew the first lease with the renew secret of `terms`, never to an earlier date, or add one.

        Raises NoSpace when the share has all the leases it may have.
        """
        renew = stored_form(terms.secrets.renew, self.version)
        taken: set[int] = set()
        for slot, lease in self.leases(lease_area):
            taken.add(slot)
            if same_secret(lease.renew, renew):
                if lease.expiration >= terms.expiration:
                    return LeaseChange()
                assert lease.node_id is not None
                renewed = _pack_lease(lease.owner, terms.expiration, renew, lease.cancel, lease.node_id)
                return LeaseChange([Put(self._slot_position(slot), renewed)])
        slots = INLINE_SLOTS + self.extra_count
        free = next((slot for slot in range(slots) if slot not in taken), None)
        added = _pack_lease(
            terms.owner, terms.expiration, renew, stored_form(terms.secrets.cancel, self.version), node_id
        )
        if free is not None:
            return LeaseChange([Put(self._slot_position(free), added)])
        if slots >= MAXIMUM_LEASES:
            raise NoSpace("the share has as many leases as it may have")
        count = Put(self.extra_offset, COUNT.pack(self.extra_count + 1))
        return LeaseChange([Put(self._slot_position(slots), added), count], growth=LEASE.size)

    def _slot_position(self, slot: int) -> int:
        if slot < INLINE_SLOTS:
            return HEADER.size + LEASE.size * slot
        return self.extra_offset + COUNT.size + LEASE.size * (slot - INLINE_SLOTS)


@frozen
class WritePlan:
    """What a write makes of a container: how it then is, the steps there, and by how much its room for data grows."""

    after: MutableContainer
    steps: Sequence[Step]
    growth: int


def _pack_lease(owner: int, expiration: int, renew: bytes, cancel: bytes, node_id: bytes) -> bytes:
    return LEASE.pack(owner, min(expiration, 2**32 - 1), renew, cancel, node_id)
