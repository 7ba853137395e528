"""Passwords as the accounts file holds them: a hash that is slow to guess against, or, in old files, the password itself.

A hash is `$scrypt$ln=15,r=8,p=1$SALT$HASH`, both in base64 without padding, as other programs write it. Pure; a check takes a tenth
of a second and 32 MiB, and belongs into a worker thread.
"""
from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

_LOG2_COST, _BLOCK_SIZE, _LANES = 15, 8, 1
_MOST_MEMORY = 256 * 1024 * 1024
SALT_SIZE = 16
_HASH_SIZE = 32
_PREFIX = "$scrypt$"
_HASHED = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{8,})\$([A-Za-z0-9+/]{22,})")


def hash_password(password: str, salt: bytes) -> str:
    """What the accounts file should hold instead of `password`. `salt` is SALT_SIZE random bytes."""
    digest = _scrypt(password, salt, _LOG2_COST, _BLOCK_SIZE, _LANES, _HASH_SIZE)
    return f"{_PREFIX}ln={_LOG2_COST},r={_BLOCK_SIZE},p={_LANES}${_encode(salt)}${_encode(digest)}"


NOBODYS = f"{_PREFIX}ln={_LOG2_COST},r={_BLOCK_SIZE},p={_LANES}${'A' * 22}${'A' * 43}"
"""A hash that no password has: names that do not exist take as long to refuse as wrong passwords."""


def check_stored(stored: str) -> None:
    """Raises ValueError if no password can match `stored`."""
    if not stored or (stored.startswith(_PREFIX) and not _parts(stored)):
        raise ValueError("the password hash cannot be read")


def matches(password: str, stored: str) -> bool:
    """Whether `password` is the one in `stored`. Takes the same time whichever character is wrong."""
    if not stored.startswith(_PREFIX):
        return hmac.compare_digest(_digest(password), _digest(stored))
    log2_cost, block_size, lanes, salt, digest = _parts(stored)
    return hmac.compare_digest(_scrypt(password, salt, log2_cost, block_size, lanes, len(digest)), digest)


def _parts(stored: str) -> tuple[int, int, int, bytes, bytes]:
    found = _HASHED.fullmatch(stored)
    if found is None:
        raise ValueError("the password hash cannot be read")
    log2_cost, block_size, lanes = (int(found[number]) for number in (1, 2, 3))
    if not (log2_cost >= 1 and block_size and lanes) or 128 * block_size * lanes << log2_cost > _MOST_MEMORY:
        raise ValueError("the password hash asks for more memory than it may")
    try:
        return log2_cost, block_size, lanes, _decode(found[4]), _decode(found[5])
    except Base64Error:
        raise ValueError("the password hash cannot be read") from None


def _scrypt(password: str, salt: bytes, log2_cost: int, block_size: int, lanes: int, size: int) -> bytes:
    secret = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(secret, salt=salt, n=1 << log2_cost, r=block_size, p=lanes, maxmem=2 * _MOST_MEMORY, dklen=size)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).digest()


def _encode(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)
