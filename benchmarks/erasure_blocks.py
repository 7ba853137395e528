"""Does it pay to feed the erasure code pieces that fit the processor's cache, instead of whole segments?

No: zfec cuts its work into 8 KiB pieces by itself, so whole segments of 1 MiB coded at 260 MB/s (3-of-10) and 187 MB/s (7-of-20),
and the best size of piece at 200 and 145. Run `python benchmarks/erasure_blocks.py` to see for another machine.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

import zfec

SEGMENT_SIZE = 1 << 20
ROUNDS = 12
PIECES = (1 << 10, 4 << 10, 16 << 10, 64 << 10)


def encode_whole(encoder: zfec.Encoder, blocks: tuple[memoryview, ...], secondary: tuple[int, ...]) -> list[bytes]:
    coded: list[bytes] = encoder.encode(blocks, secondary)
    return coded


def encode_in_pieces(
    encoder: zfec.Encoder, blocks: tuple[memoryview, ...], secondary: tuple[int, ...], piece: int
) -> list[bytes]:
    size = len(blocks[0])
    coded = [
        encoder.encode(tuple(block[start : start + piece] for block in blocks), secondary)
        for start in range(0, size, piece)
    ]
    return [b"".join(pieces) for pieces in zip(*coded, strict=True)]


def megabytes_per_second(work: Callable[[], object]) -> float:
    """The best of some rounds: what the machine can do when nobody else disturbs it."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return SEGMENT_SIZE / 1e6 / best


def main() -> None:
    for needed, total in ((3, 10), (7, 20)):
        size = SEGMENT_SIZE // needed
        segment = memoryview(os.urandom(size * needed))
        blocks = tuple(segment[start : start + size] for start in range(0, len(segment), size))
        encoder, secondary = zfec.Encoder(needed, total), tuple(range(needed, total))
        whole = encode_whole(encoder, blocks, secondary)
        speed = megabytes_per_second(partial(encode_whole, encoder, blocks, secondary))
        print(f"{needed} of {total}, whole:             {speed:5.0f} MB/s")
        for piece in PIECES:
            assert encode_in_pieces(encoder, blocks, secondary, piece) == whole
            speed = megabytes_per_second(partial(encode_in_pieces, encoder, blocks, secondary, piece))
            print(f"{needed} of {total}, pieces of {piece >> 10:3} KiB: {speed:5.0f} MB/s")


if __name__ == "__main__":
    main()
