"""Tagged hashes: SHA-256 twice over a tag and a value, so that no hash made for one purpose can serve another.

The table `Tag` holds every tag there is. Used by everything that verifies anything. Spec: 01 §4, §5.
"""
from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import Literal

from lafs.crypto.netstring import netstring

HASH_SIZE = 32

Bytes = bytes | bytearray | memoryview

Form = Literal["value", "pair", "hashed"]
"""What a tag does: "value" stands before one value, "pair" before two netstrings, "hashed" is itself a value (§6.4)."""


class Tag(Enum):
    """Every tag, with the form of its hash and the bytes of output its purpose takes."""

    READ_KEY_TO_STORAGE_INDEX = b"allmydata_immutable_key_to_storage_index_v1", "value", 16
    BLOCK = b"allmydata_encoded_subshare_v1", "value", 32
    UEB = b"allmydata_uri_extension_v1", "value", 32
    PLAINTEXT = b"allmydata_plaintext_v1", "value", 32
    PLAINTEXT_SEGMENT = b"allmydata_plaintext_segment_v1", "value", 32
    CIPHERTEXT = b"allmydata_crypttext_v1", "value", 32
    CIPHERTEXT_SEGMENT = b"allmydata_crypttext_segment_v1", "value", 32
    CONVERGENCE = b"allmydata_immutable_content_to_key_with_added_secret_v1+", "value", 16
    CLIENT_RENEWAL_SECRET = b"allmydata_client_renewal_secret_v1", "hashed", 32
    CLIENT_CANCEL_SECRET = b"allmydata_client_cancel_secret_v1", "hashed", 32
    FILE_RENEWAL_SECRET = b"allmydata_file_renewal_secret_v1", "pair", 32
    FILE_CANCEL_SECRET = b"allmydata_file_cancel_secret_v1", "pair", 32
    BUCKET_RENEWAL_SECRET = b"allmydata_bucket_renewal_secret_v1", "pair", 32
    BUCKET_CANCEL_SECRET = b"allmydata_bucket_cancel_secret_v1", "pair", 32
    PRIVATE_KEY_TO_WRITE_KEY = b"allmydata_mutable_privkey_to_writekey_v1", "value", 16
    WRITE_KEY_TO_ENABLER_MASTER = b"allmydata_mutable_writekey_to_write_enabler_master_v1", "value", 32
    ENABLER_MASTER_TO_ENABLER = (
        b"allmydata_mutable_write_enabler_master_and_nodeid_to_write_enabler_v1",
        "pair",
        32,
    )
    PUBLIC_KEY_TO_FINGERPRINT = b"allmydata_mutable_pubkey_to_fingerprint_v1", "value", 32
    WRITE_KEY_TO_READ_KEY = b"allmydata_mutable_writekey_to_readkey_v1", "value", 16
    READ_KEY_TO_DATA_KEY = b"allmydata_mutable_readkey_to_datakey_v1", "pair", 16
    MUTABLE_READ_KEY_TO_STORAGE_INDEX = b"allmydata_mutable_readkey_to_storage_index_v1", "value", 16
    CHILD_WRITE_CAP_TO_SALT = b"allmydata_dirnode_child_rwcap_to_salt_v1", "value", 16
    CHILD_WRITE_CAP_KEY = b"allmydata_mutable_writekey_and_salt_to_dirnode_child_capkey_v1", "pair", 16
    MERKLE_EMPTY_LEAF = b"Merkle tree empty leaf", "value", 32
    MERKLE_NODE = b"Merkle tree internal node", "pair", 32
    BACKUP_DIRECTORY = b"allmydata_backupdb_dirhash_v1", "value", 32
    MUTABLE_CONTAINER = b"allmydata_mutable_container_header", "value", 5

    def __init__(self, text: bytes, form: Form, size: int) -> None:
        self.text = text
        self.form = form
        self.size = size
        self.prefix = netstring(text)


def tagged_hash(tag: Tag | bytes, value: Bytes, size: int | None = None) -> bytes:
    """TH: the first `size` bytes of SHA-256d over netstring(tag) and `value`.

    Without `size`, what the table says of the tag; 32 for a tag of the caller's own making.
    """
    inner = sha256(tag.prefix if isinstance(tag, Tag) else netstring(tag))
    inner.update(value)
    return sha256(inner.digest()).digest()[: _size(tag) if size is None else size]


def tagged_pair_hash(tag: Tag | bytes, first: bytes, second: bytes, size: int | None = None) -> bytes:
    """TP: the first `size` bytes of SHA-256d over netstrings of tag, `first` and `second`; `size` as above."""
    return tagged_hash(tag, netstring(first) + netstring(second), size)


class TaggedHasher:
    """`tagged_hash` of a value that comes in pieces."""

    __slots__ = ("_inner", "_size")

    def __init__(self, tag: Tag | bytes, size: int | None = None) -> None:
        self._inner = sha256(tag.prefix if isinstance(tag, Tag) else netstring(tag))
        self._size = _size(tag) if size is None else size

    def update(self, data: Bytes) -> None:
        self._inner.update(data)

    def digest(self) -> bytes:
        """The hash of all data so far; more may follow."""
        return sha256(self._inner.digest()).digest()[: self._size]


def _size(tag: Tag | bytes) -> int:
    return tag.size if isinstance(tag, Tag) else HASH_SIZE


def block_hash(block: Bytes) -> bytes:
    """The leaf of a block hash tree. For MDMF shares use `salted_block_hash`."""
    return tagged_hash(Tag.BLOCK, block)


def salted_block_hash(salt: bytes, block: Bytes) -> bytes:
    """The leaf of the block hash tree of an MDMF share, which covers the salt of its segment. Spec: 01 §6.5."""
    hasher = TaggedHasher(Tag.BLOCK)
    hasher.update(salt)
    hasher.update(block)
    return hasher.digest()


def ciphertext_segment_hash(segment: Bytes) -> bytes:
    """The leaf of a ciphertext hash tree; `segment` without the padding of the erasure code."""
    return tagged_hash(Tag.CIPHERTEXT_SEGMENT, segment)


def ueb_hash(packed: Bytes) -> bytes:
    """The hash a read cap anchors a file at: of the packed UEB exactly as received."""
    return tagged_hash(Tag.UEB, packed)
