"""How one key, secret, index or place follows from another. Pure; every function here is a line of spec chapter 01 §6.

Uploaders use the convergent key, clients the lease secrets, mutable files the chain that starts at an RSA key, the
broker the place of servers in a file's ring, and servers the stored form of secrets.
"""
from __future__ import annotations

from hashlib import blake2b, sha1, sha256

from lafs.crypto import base32
from lafs.crypto.hashes import Bytes, Tag, TaggedHasher, tagged_hash, tagged_pair_hash
from lafs.crypto.netstring import netstring
from lafs.crypto.storage_index import StorageIndex

TUB_ID_SIZE = 20
MOST_SHARES = 256
"""The erasure code works in a field of this many elements."""

_SERVER_ID_PREFIX = "v0-"
_SERVER_KEY_LENGTH = 52


# --- immutable files: §6.2, §6.3 ------------------------------------------------------------------------------------


def storage_index_of_read_key(read_key: bytes) -> StorageIndex:
    """Of an immutable file."""
    return StorageIndex(tagged_hash(Tag.READ_KEY_TO_STORAGE_INDEX, read_key))


class ConvergenceHasher:
    """Makes the read key that equal contents share, from all bytes of the contents in order.

    `segment_size` is the effective one: min(greatest segment size, file size), rounded up to a multiple of `needed`.
    `secret` may have any length. Raises ValueError for parameters no file can have.
    """

    def __init__(self, secret: bytes, needed: int, total: int, segment_size: int) -> None:
        if not 1 <= needed <= total <= MOST_SHARES:
            raise ValueError(f"{needed} of {total} shares is not possible")
        parameters = b"%d,%d,%d" % (needed, total, segment_size)
        tag = Tag.CONVERGENCE.text + netstring(secret) + netstring(parameters)
        self._hasher = TaggedHasher(tag, Tag.CONVERGENCE.size)

    def update(self, contents: Bytes) -> None:
        self._hasher.update(contents)

    def digest(self) -> bytes:
        """The read key: 16 bytes."""
        return self._hasher.digest()


# --- leases: §6.4 ---------------------------------------------------------------------------------------------------


def lease_secrets(lease_secret: bytes, storage_index: StorageIndex, lease_seed: bytes) -> tuple[bytes, bytes]:
    """The (renew, cancel) secrets to show one server for one file; `lease_seed` is that server's TubID, 20 bytes."""
    _check_tub_id(lease_seed)
    # The client's secret is the tag here and the constant is the value: the only place where they are swapped.
    client_renewal = tagged_hash(lease_secret, Tag.CLIENT_RENEWAL_SECRET.text)
    client_cancel = tagged_hash(lease_secret, Tag.CLIENT_CANCEL_SECRET.text)
    file_renewal = tagged_pair_hash(Tag.FILE_RENEWAL_SECRET, client_renewal, storage_index.raw)
    file_cancel = tagged_pair_hash(Tag.FILE_CANCEL_SECRET, client_cancel, storage_index.raw)
    return (
        tagged_pair_hash(Tag.BUCKET_RENEWAL_SECRET, file_renewal, lease_seed),
        tagged_pair_hash(Tag.BUCKET_CANCEL_SECRET, file_cancel, lease_seed),
    )


def stored_lease_secret(secret: bytes) -> bytes:
    """What a container of schema version 2 keeps of a lease secret, so that a stolen disk renews nothing."""
    return blake2b(secret, digest_size=32).digest()


# --- mutable files: §6.5 --------------------------------------------------------------------------------------------


def write_key_of_private_key(private_key_der: bytes) -> bytes:
    """Of the exact bytes of the key, never of a re-encoding of it."""
    return tagged_hash(Tag.PRIVATE_KEY_TO_WRITE_KEY, private_key_der)


def fingerprint_of_public_key(public_key_der: bytes) -> bytes:
    """Of the exact bytes of the key, as above."""
    return tagged_hash(Tag.PUBLIC_KEY_TO_FINGERPRINT, public_key_der)


def read_key_of_write_key(write_key: bytes) -> bytes:
    return tagged_hash(Tag.WRITE_KEY_TO_READ_KEY, write_key)


def storage_index_of_mutable_read_key(read_key: bytes) -> StorageIndex:
    return StorageIndex(tagged_hash(Tag.MUTABLE_READ_KEY_TO_STORAGE_INDEX, read_key))


def write_enabler_master(write_key: bytes) -> bytes:
    return tagged_hash(Tag.WRITE_KEY_TO_ENABLER_MASTER, write_key)


def write_enabler(write_key: bytes, lease_seed: bytes) -> bytes:
    """What a writer shows one server to change a slot; `lease_seed` is that server's TubID, 20 bytes."""
    _check_tub_id(lease_seed)
    return tagged_pair_hash(Tag.ENABLER_MASTER_TO_ENABLER, write_enabler_master(write_key), lease_seed)


def data_key(salt: bytes, read_key: bytes) -> bytes:
    """The key of one segment (of the file, in SDMF). The salt comes first, and goes nowhere else."""
    return tagged_pair_hash(Tag.READ_KEY_TO_DATA_KEY, salt, read_key)


# --- servers: §6.7, §6.9 --------------------------------------------------------------------------------------------


def ring_position(storage_index: StorageIndex, permutation_seed: bytes) -> bytes:
    """Where a server stands in the ring of a file. Servers are sought in ascending order of these 20 bytes."""
    return sha1(storage_index.raw + permutation_seed).digest()


def permutation_seed(server_id: str, announced: str | None) -> bytes:
    """The seed of a server from its id and the "permutation-seed-base32" it announced. Raises ValueError."""
    if announced is not None:
        return base32.decode_lax(announced)
    key = server_id.removeprefix(_SERVER_ID_PREFIX)
    if key != server_id and len(key) == _SERVER_KEY_LENGTH and key.isascii() and key.isalnum():
        return base32.decode_lax(key)
    return sha256(server_id.encode("utf-8")).digest()


def default_permutation_seed(server_id: str) -> str:
    """What a new server announces as its "permutation-seed-base32".

    Base32 of the text of its key, not of the key: a slip of the first implementation, by which every server of every
    grid has its place.
    """
    return base32.encode(server_id.removeprefix(_SERVER_ID_PREFIX).encode("ascii"))


def mutable_container_magic(version: int) -> bytes:
    """The first 32 bytes of a mutable container of schema `version`."""
    title = b"Tahoe mutable container v%d\n" % version
    if version == 1:
        return title + bytes.fromhex("750944038e")
    return title + tagged_hash(Tag.MUTABLE_CONTAINER, title)


def _check_tub_id(lease_seed: bytes) -> None:
    if len(lease_seed) != TUB_ID_SIZE:
        raise ValueError(f"a TubID has {TUB_ID_SIZE} bytes, not {len(lease_seed)}")
