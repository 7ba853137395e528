"""How much one call may read, and which ranges it may ask for. Used wherever shares are read. Spec: 05 §6.4."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import define

from lafs.errors import ServerError
from lafs.interfaces import ByteRange, SlotTest

LARGEST_READ: Final = 512 * 1024 * 1024
"""Bytes that one call may read. All must be in memory at once to be answered."""


@define
class ReadBudget:
    """What one call may read yet, in bytes."""

    left: int = LARGEST_READ

    def spend(self, size: int) -> None:
        """Raises ServerError when that is too much."""
        self.left -= size
        if self.left < 0:
            raise ServerError("more was asked for in one call than a server reads at once")


def check_ranges(ranges: Sequence[ByteRange | SlotTest]) -> None:
    """Raises ServerError for ranges that begin before a share, or have a negative length."""
    if any(asked.offset < 0 or asked.length < 0 for asked in ranges):
        raise ServerError("a range of a share cannot begin before it, nor have a negative length")


def length_within(data_length: int, offset: int, length: int) -> int:
    """How many bytes of a range there are in a share with `data_length` of them."""
    return max(min(length, data_length - offset), 0)
