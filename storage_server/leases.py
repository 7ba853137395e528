"""Leases: who wants a share kept, and until when. What immutable and mutable containers have in common about them.

Pure. A server never learns more of a client than two secrets for each share; since schema version 2 it keeps only their
hashes, so that a stolen disk grants nobody the right to renew or cancel.
Spec: 05 §2.4, §3.
"""
from __future__ import annotations

import hmac
from collections.abc import Sequence

from attrs import field, frozen

from lafs.crypto.derivations import stored_lease_secret
from lafs.interfaces import LeaseSecrets
from storage_server.edits import Step

DURATION_SECONDS = 31 * 24 * 60 * 60
"""For how long a lease is taken or renewed. Clients cannot ask for another duration."""

MAXIMUM_LEASES = 4096
"""Of one share. The peer has no bound, and anybody who knows a storage index may add one."""

UPLOADER = 0
"""Owner number in leases that come with an allocation."""

OTHER_OWNER = 1
"""Owner number in leases taken by `add_lease` and by mutable writes."""


def stored_form(secret: bytes, container_version: int) -> bytes:
    """What a container of the given schema version stores of a secret: 32 bytes."""
    return secret if container_version == 1 else stored_lease_secret(secret)


def same_secret(stored: bytes, other: bytes) -> bool:
    """Whether two stored forms are equal, in constant time."""
    return hmac.compare_digest(stored, other)


@frozen
class Lease:
    """One record of a container. Secrets are in their stored form; `node_id` only in mutable containers."""

    owner: int
    renew: bytes = field(repr=False)
    cancel: bytes = field(repr=False)
    expiration: int
    node_id: bytes | None = None


@frozen
class LeaseTerms:
    """A lease somebody asks for. `expiration` in seconds since the epoch."""

    secrets: LeaseSecrets
    owner: int
    expiration: int

    @classmethod
    def from_now(cls, secrets: LeaseSecrets, owner: int, now: float) -> LeaseTerms:
        """The usual duration, counted from `now`."""
        return cls(secrets, owner, int(now + DURATION_SECONDS))


@frozen
class LeaseChange:
    """What taking or renewing a lease does to the file of a share: nothing, if a later one is there already.

    `growth` is the bytes of disk that it needs: none for a renewal, which therefore works on a full server.
    """

    steps: Sequence[Step] = ()
    growth: int = 0
