"""Bytes as lower-case base32 without padding: the alphabet of caps, keys, TubIDs and storage indexes. Spec: 01 §3.

`decode` is strict and used inside caps, where two spellings of one value would be two caps. `decode_lax` forgives one
spare bit, as keys and secrets written by other programs need it. Only canonical text is ever written.
"""
from __future__ import annotations

from functools import cache

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

_TO_DIGITS = b"!" * ord("2") + b"qrstuv" + b"!" * (ord("a") - ord("7") - 1) + b"0123456789abcdefghijklmnop" + b"!" * 133
"""A table for bytes.translate: to the digits that `int(text, 32)` reads, and what is not base32 to what it refuses.

A conversion in C, linear in the length because 32 is a power of two.
"""

_TO_TEXT = bytes(ord(ALPHABET[digit % 32]) for digit in range(256))
"""A table for bytes.translate: digit -> character."""

_SPARE_BITS = {0: 0, 2: 2, 4: 4, 5: 1, 7: 3}
"""Length modulo 8 -> low bits of the last character that carry nothing. Other lengths are no whole number of bytes."""


def encode(data: bytes) -> str:
    """The canonical text of `data`: ceil(8 * len / 5) characters."""
    size = -(-8 * len(data) // 5)
    digits = int.from_bytes(data, "big") << (5 * size - 8 * len(data))
    for low, high, shift in _halvings(max(size - 1, 0).bit_length()):
        digits = (digits & low) | ((digits & high) << shift)
    return digits.to_bytes(size, "big").translate(_TO_TEXT).decode("ascii")


@cache
def _halvings(levels: int) -> list[tuple[int, int, int]]:
    """(mask of the lower halves, mask of the upper ones, shift of these) that move 2**levels digits of 5 bits into bytes.

    All at once, by halves: first the upper half of all the digits moves to where its bytes will be, then that of each half, and so
    on. Caps are written by the thousand, and this takes a third of the time of going from one digit to the next.
    """
    steps = []
    for level in reversed(range(levels)):
        half = 1 << level
        low = sum(((1 << 5 * half) - 1) << (16 * half * block) for block in range(1 << (levels - level - 1)))
        steps.append((low, low << (5 * half), 3 * half))
    return steps


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
    try:
        value = int(text.encode("ascii").translate(_TO_DIGITS), 32) if text else 0
    except ValueError:  # Its own message would quote the text.
        raise ValueError("a character that is not base32") from None
    return value, spare, len(text) * 5 // 8
