"""From blocks to plaintext: the work on bytes that a download does, each function one job for a worker thread.

Pure. Called by the fetch of a run of segments. Spec: 02 §5, §12.4.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from lafs.crypto.aes import CtrStream
from lafs.crypto.hashes import Tag, TaggedHasher, block_hash
from lafs.erasure import Coder
from lafs.errors import BadCiphertext
from lafs.interfaces import Bytes


@frozen
class Block:
    """One block as read from a share, where it lay in it, and the verified hashes of it and of the whole segment.

    The hashes travel with the block since the trees they came from keep only what was used lately.
    """

    segment: int
    offset: int
    content: Bytes = field(repr=False)
    block_hash: bytes = field(repr=False)
    segment_hash: bytes = field(repr=False)


def first_bad(blocks: Iterable[Block]) -> Block | None:
    """The first of `blocks` that is not what its share's hash tree says."""
    for block in blocks:
        if block_hash(block.content) != block.block_hash:
            return block
    return None


@frozen
class SegmentPlan:
    """What turns verified blocks into the bytes [start, end) of segment `number`.

    `size` is that of the whole segment, unpadded; `offset` where it begins in the file.
    """

    number: int
    size: int
    offset: int
    start: int
    end: int
    segment_hash: bytes = field(repr=False)
    file: str
    """The file in messages: the first characters of its storage index."""


def recover(plan: SegmentPlan, blocks: Mapping[int, Bytes], coder: Coder, key: bytes | None) -> Sequence[Bytes]:
    """The plaintext wanted of a segment, as pieces in order, from `needed` verified blocks by share number.

    Without a key, the ciphertext.

    Raises BadCiphertext if they decode to something else than the uploader's own hash says.
    """
    pieces = _ciphertext(plan, blocks, coder)
    hasher = TaggedHasher(Tag.CIPHERTEXT_SEGMENT)
    for piece in pieces:
        hasher.update(piece)
    if hasher.digest() != plan.segment_hash:
        raise BadCiphertext(
            f"hash failure in ciphertext_hash_tree: segnum={plan.number}, SI={plan.file}. The shares are as their "
            "uploader made them, but do not belong together: the file was damaged or forged before it was stored."
        )
    wanted = _between(pieces, plan.start, plan.end)
    if key is None:
        return wanted
    stream = CtrStream(key, plan.offset + plan.start)
    return [stream.process(piece) for piece in wanted]


def _ciphertext(plan: SegmentPlan, blocks: Mapping[int, Bytes], coder: Coder) -> list[memoryview]:
    """The whole segment without its padding. Primary blocks are plain slices of it, and are not even copied."""
    if all(number in blocks for number in range(coder.needed)):
        pieces = [memoryview(blocks[number]) for number in range(coder.needed)]
    else:
        pieces = [memoryview(coder.decode(blocks))]
    return _between(pieces, 0, plan.size)


def _between(pieces: Iterable[memoryview], start: int, end: int) -> list[memoryview]:
    """Bytes [start, end) of `pieces` joined, without joining them."""
    kept = []
    for piece in pieces:
        part = piece[max(start, 0) : max(end, 0)]
        if part:
            kept.append(part)
        start -= len(piece)
        end -= len(piece)
    return kept
