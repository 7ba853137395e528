"""Bytes as lower-case base32 without padding: the alphabet of caps, keys, TubIDs and storage indexes. Spec: 01 §3.

`decode` is strict and used inside caps, where two spellings of one value would be two caps. `decode_lax` forgives one
spare bit, as keys and secrets written by other programs need it. Only canonical text is ever written.
"""
from __future__ import annotations

from base64 import b32encode

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

_TO_DIGITS = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")
"""To the digits that `int(text, 32)` reads: a conversion in C, linear in the length because 32 is a power of two."""

_SPARE_BITS = {0: 0, 2: 2, 4: 4, 5: 1, 7: 3}
"""Length modulo 8 -> low bits of the last character that carry nothing. Other lengths are no whole number of bytes."""


def encode(data: bytes) -> str:
    """The canonical text of `data`: ceil(8 * len / 5) characters."""
    return b32encode(data).decode("ascii").rstrip("=").lower()


def decode(text: str) -> bytes:
    """The bytes of canonical text. Raises ValueError for anything `encode` would not have written."""
    value, spare, size = _parse(text)
    if value & ((1 << spare) - 1):
        raise ValueError("base32 text with spare bits set")
    return (value >> spare).to_bytes(size, "big")


def decode_lax(text: str) -> bytes:
    """Like `decode`, but the highest spare bit of the last character may be set. Raises ValueError."""
    value, spare, size = _parse(text)
    if spare and value & ((1 << (spare - 1)) - 1):
        raise ValueError("base32 text with spare bits set")
    return (value >> spare).to_bytes(size, "big")


def _parse(text: str) -> tuple[int, int, int]:
    """(all bits as a number, how many of the lowest are spare, bytes without them)."""
    spare = _SPARE_BITS.get(len(text) % 8)
    if spare is None:
        raise ValueError("base32 text of an impossible length")
    if text.strip(ALPHABET):
        raise ValueError("a character that is not base32")
    value = int(text.translate(_TO_DIGITS), 32) if text else 0
    return value, spare, len(text) * 5 // 8
