"""The write caps of children, as entries of a mutable directory keep them from those who may only read it.

Spec: 01 §6.6, §6.8.
"""
from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from attrs import field, frozen

from lafs.crypto import base32
from lafs.crypto.aes import ctr
from lafs.crypto.hashes import Tag, tagged_hash, tagged_pair_hash
from lafs.crypto.netstring import netstring

SALT_SIZE = 16
MAC_SIZE = 32
_OVERHEAD = SALT_SIZE + MAC_SIZE

_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
"""Tables for bytes.translate: every byte XORed with the pad."""


@frozen
class DecryptedWriteCap:
    """The write cap in an entry, without trailing blanks: b"" if the child has none.

    `authentic` says whether the MAC is right. Readers of the first implementation never look at it, so an entry that
    fails may be old and good: what to do about it is for the directory to decide.
    """

    text: bytes = field(repr=False)
    authentic: bool


def encrypt_write_cap(directory_write_key: bytes, write_cap: bytes) -> bytes:
    """The field of an entry: salt, encrypted cap, MAC; 48 bytes longer than `write_cap`, and the same every time."""
    salt = tagged_hash(Tag.CHILD_WRITE_CAP_TO_SALT, write_cap)
    key = _entry_key(salt, directory_write_key)
    body = salt + ctr(key, write_cap)
    return body + mac(key, body)


def decrypt_write_cap(directory_write_key: bytes, entry_field: bytes) -> DecryptedWriteCap:
    """Undo `encrypt_write_cap`. A field too short for salt and MAC holds no cap, and is authentic only if it is empty."""
    salt, body, claimed = entry_field[:SALT_SIZE], entry_field[SALT_SIZE:-MAC_SIZE], entry_field[-MAC_SIZE:]
    if len(entry_field) < _OVERHEAD:
        return DecryptedWriteCap(b"", authentic=not entry_field)
    key = _entry_key(salt, directory_write_key)
    authentic = compare_digest(mac(key, salt + body), claimed)
    return DecryptedWriteCap(ctr(key, body).rstrip(b" ") if body else b"", authentic)


def mac(key: bytes, data: bytes) -> bytes:
    """The MAC of an entry under its 16-byte key. Not HMAC: the key is never padded to a block of the hash."""
    inner = sha256(key.translate(_INNER_PAD) + data).digest()
    return sha256(key.translate(_OUTER_PAD) + inner).digest()


def _entry_key(salt: bytes, directory_write_key: bytes) -> bytes:
    return tagged_pair_hash(Tag.CHILD_WRITE_CAP_KEY, salt, directory_write_key)


def backup_directory_key(children: Iterable[tuple[str, bytes]]) -> str:
    """The base32 name by which a backup remembers an immutable directory of these (name, cap) pairs, in any order."""
    pairs = sorted((name.encode("utf-8"), cap) for name, cap in children)
    joined = b"".join(netstring(name) + netstring(cap) for name, cap in pairs)
    return base32.encode(tagged_hash(Tag.BACKUP_DIRECTORY, joined))
