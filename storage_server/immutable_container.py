"""The file that holds one immutable share on a server's disk, and its leases. Pure: bytes in, plans out.

The length of the share data is not stored: it is what the header and the leases leave of the file. So the file must be
read together with its size, and adding a lease is two writes that must both happen: the store makes such changes through
its journal. Spec: 05 §2.2.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from lafs.errors import CorruptContainer, NoSpace
from storage_server.edits import Put
from storage_server.leases import MAXIMUM_LEASES, Lease, LeaseChange, LeaseTerms, same_secret, stored_form

HEADER: Final = struct.Struct(">III")
LEASE: Final = struct.Struct(">I32s32sI")
LEASE_COUNT_OFFSET: Final = 8
NEWEST_VERSION: Final = 2
VERSIONS: Final = (1, 2)
LARGEST_LEGACY_LENGTH: Final = 2**32 - 1


@frozen
class ImmutableContainer:
    """Where things are in one file. All positions are offsets in the file."""

    version: int
    lease_count: int
    file_size: int

    @classmethod
    def parse(cls, head: bytes, file_size: int) -> ImmutableContainer:
        """From the first 12 bytes (or more) of a file and its size. Raises CorruptContainer."""
        if len(head) < HEADER.size:
            raise CorruptContainer("a share file is too short to be one")
        version, _, lease_count = HEADER.unpack_from(head)
        if version not in VERSIONS:
            raise CorruptContainer("a share file is of an unknown kind or version")
        if HEADER.size + LEASE.size * lease_count > file_size:
            raise CorruptContainer("a share file is too short for its leases")
        return cls(version, lease_count, file_size)

    @property
    def lease_offset(self) -> int:
        return self.file_size - LEASE.size * self.lease_count

    @property
    def lease_areas(self) -> Sequence[tuple[int, int]]:
        """(position, size) of the lease records."""
        return ((self.lease_offset, LEASE.size * self.lease_count),)

    @property
    def data_length(self) -> int:
        return self.lease_offset - HEADER.size

    def leases(self, lease_area: bytes) -> Iterator[Lease]:
        """The leases in slot order. `lease_area` is the `lease_areas` joined."""
        for owner, renew, cancel, expiration in LEASE.iter_unpack(lease_area):
            yield Lease(owner, renew, cancel, expiration)

    def take_lease(self, lease_area: bytes, terms: LeaseTerms) -> LeaseChange:
        """Renew the first lease with the renew secret of `terms`, never to an earlier date, or add one.

        Raises NoSpace when the share has all the leases it may have.
        """
        renew = stored_form(terms.secrets.renew, self.version)
        for slot, lease in enumerate(self.leases(lease_area)):
            if same_secret(lease.renew, renew):
                if lease.expiration >= terms.expiration:
                    return LeaseChange()
                position = self.lease_offset + LEASE.size * slot
                return LeaseChange([Put(position, pack_lease(lease.owner, renew, lease.cancel, terms.expiration))])
        if self.lease_count >= MAXIMUM_LEASES:
            raise NoSpace("the share has as many leases as it may have")
        added = pack_lease(terms.owner, renew, stored_form(terms.secrets.cancel, self.version), terms.expiration)
        count = (self.lease_count + 1).to_bytes(4, "big")
        return LeaseChange([Put(self.file_size, added), Put(LEASE_COUNT_OFFSET, count)], growth=LEASE.size)


def pack_lease(owner: int, renew: bytes, cancel: bytes, expiration: int) -> bytes:
    """A lease record. Secrets in their stored form."""
    return LEASE.pack(owner, renew, cancel, min(expiration, 2**32 - 1))


def container_size(data_length: int) -> int:
    """Size of the file of a new share, in bytes."""
    return HEADER.size + data_length + LEASE.size


def frame(data_length: int, terms: LeaseTerms) -> tuple[bytes, bytes]:
    """What goes before and after the data of a new share: its header, and its first lease."""
    header = HEADER.pack(NEWEST_VERSION, min(LARGEST_LEGACY_LENGTH, data_length), 1)
    renew, cancel = (stored_form(secret, NEWEST_VERSION) for secret in (terms.secrets.renew, terms.secrets.cancel))
    return header, pack_lease(terms.owner, renew, cancel, terms.expiration)
