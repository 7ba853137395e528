"""Erasure coding: a segment becomes N blocks, any k of which give it back. Spec: 01 §11, 02.

Used once for each segment, in a worker thread: the library lets other threads run meanwhile. Whole segments go in at once. The
library cuts its work to the processor's cache by itself; smaller pieces from here gain nothing (benchmarks/erasure_blocks.py).
"""
from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import zfec

Bytes = bytes | bytearray | memoryview

MOST_BLOCKS = 256


class Coder:
    """Codes with `needed` (k) of `total` (N) blocks. Holds no state, so any number of threads may use one."""

    __slots__ = ("_decoder", "_encoder", "_secondary", "needed", "total")

    def __init__(self, needed: int, total: int) -> None:
        if not 1 <= needed <= total <= MOST_BLOCKS:
            raise ValueError(f"{needed} of {total} blocks is not possible")
        self.needed = needed
        self.total = total
        self._encoder, self._decoder = _tables(needed, total)
        self._secondary = tuple(range(needed, total))

    def encode(self, segment: Bytes) -> list[Bytes]:
        """The N blocks of `segment`, whose length must be a multiple of k.

        The first k are views of `segment`, not copies: it must not change while they are in use.
        """
        size, rest = divmod(len(segment), self.needed)
        if rest:
            raise ValueError(f"a segment of {len(segment)} bytes does not divide into {self.needed} blocks")
        if not size:
            return [b""] * self.total
        view = memoryview(segment)
        primary = tuple(view[start : start + size] for start in range(0, len(view), size))
        if not self._secondary:
            return list(primary)
        return [*primary, *self._encoder.encode(primary, self._secondary)]

    def decode(self, blocks: Mapping[int, Bytes]) -> bytes:
        """The segment (with its padding) from k or more of its blocks, by share number. All must have the same length."""
        if len(blocks) < self.needed:
            raise ValueError(f"{len(blocks)} blocks, but {self.needed} are needed")
        numbers = sorted(blocks)[: self.needed]
        if numbers[0] < 0 or numbers[-1] >= self.total:
            raise ValueError(f"a block number that is not below {self.total}")
        chosen = tuple(blocks[number] for number in numbers)
        size = len(chosen[0])
        if any(len(block) != size for block in chosen):
            raise ValueError("blocks of one segment that differ in length")
        if not size or numbers[-1] < self.needed:
            return b"".join(chosen)
        return b"".join(self._decoder.decode(chosen, tuple(numbers)))


@lru_cache(maxsize=16)
def _tables(needed: int, total: int) -> tuple[zfec.Encoder, zfec.Decoder]:
    """The matrices of a code: milliseconds to make when it has many blocks, never changed, and nearly always the same."""
    return zfec.Encoder(needed, total), zfec.Decoder(needed, total)
