"""Netstrings: byte strings that say their own length, so that joined fields have only one reading. Spec: 01 §2."""
from __future__ import annotations

LONGEST_LENGTH = 20
"""Digits a length may have. A longer one describes no data that exists."""


def netstring(data: bytes) -> bytes:
    """`data` with its decimal length and a colon before it and a comma behind."""
    return b"%d:%b," % (len(data), data)


def split(
    data: bytes, count: int, position: int = 0, required_trailer: bytes | None = None
) -> tuple[list[bytes], int]:
    """Read exactly `count` netstrings from `position`: (their payloads, the position behind the last of them).

    With `required_trailer`, all that remains must equal it, and the position is behind it. Raises ValueError; also for
    lengths with signs, blanks or leading zeros, which no writer produces.
    """
    payloads: list[bytes] = []
    for _ in range(count):
        payload, position = _read_one(data, position)
        payloads.append(payload)
    if required_trailer is not None:
        if data[position:] != required_trailer:
            raise ValueError("unexpected bytes after the last netstring")
        position += len(required_trailer)
    return payloads, position


def _read_one(data: bytes, position: int) -> tuple[bytes, int]:
    colon = data.find(b":", position, position + LONGEST_LENGTH + 1)
    if colon < 0:
        raise ValueError("no netstring where one is expected")
    digits = data[position:colon]
    if not digits.isdigit() or (digits[:1] == b"0" and len(digits) > 1):
        raise ValueError("a netstring length that is not a plain decimal number")
    start = colon + 1
    end = start + int(digits)
    if data[end : end + 1] != b",":
        raise ValueError("a netstring that is cut short or has no comma behind it")
    return data[start:end], end + 1
