"""Pieces of a share as they were read: which ranges are at hand, and where the share is known to end.

Pure. Filled by the one who reads a share, consulted by the share state machine. Nothing in here is trusted or
verified.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lafs.errors import CorruptShare
from lafs.interfaces import ByteRange

GAP: Final = 8 * 1024
"""Reading this many bytes that nobody wants costs less than one more call."""


class TruncatedShare(CorruptShare):
    """A share that ends before something that it must have."""


class Fragments:
    """Answers to reads of one share. A range is at hand if one single answer covers it, so taking it copies nothing."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, memoryview]] = []
        self._end: int | None = None

    def add(self, asked: ByteRange, answer: bytes) -> None:
        """Keep what came for `asked`. More than was asked for is cut off; less tells where the share ends."""
        piece = memoryview(answer)[: asked.length]
        if len(piece) < asked.length:
            end = asked.offset + len(piece)
            self._end = end if self._end is None else min(self._end, end)
        if piece:
            self._pieces.append((asked.offset, piece))

    def get(self, offset: int, length: int) -> memoryview | None:
        """The range, if it is at hand."""
        for start, piece in self._pieces:
            if start <= offset and offset + length <= start + len(piece):
                return piece[offset - start : offset - start + length]
        return None

    def up_to(self, offset: int, length: int) -> memoryview | None:
        """Like `get`, but as much of the range as the share has, when the share is known to end inside it."""
        if self._end is not None and self._end < offset + length:
            length = max(self._end - offset, 0)
            return self.get(offset, length) if length else memoryview(b"")
        return self.get(offset, length)

    def check_end(self, offset: int, length: int) -> None:
        """Raises TruncatedShare if the share is known to end before the end of the range."""
        if self._end is not None and self._end < offset + length:
            raise TruncatedShare("the share ends too early", offset, offset + length)


def merged(ranges: Iterable[ByteRange], gap: int = GAP) -> list[ByteRange]:
    """The fewest reads that cover all of `ranges`, in order, where those closer than `gap` become one."""
    reads: list[ByteRange] = []
    for each in sorted(ranges, key=lambda each: each.offset):
        if reads and each.offset <= reads[-1].offset + reads[-1].length + gap:
            last = reads.pop()
            end = max(last.offset + last.length, each.offset + each.length)
            reads.append(ByteRange(last.offset, end - last.offset))
        else:
            reads.append(each)
    return reads
