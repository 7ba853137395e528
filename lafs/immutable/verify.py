"""Verifying one share of an immutable file by reading every byte of it that a reader could ever use.

Nothing but the cap is taken on trust, and nothing is taken over from other shares, so that the verdict is about this share alone.
Trees come in groups and blocks in pieces, so memory does not grow with the file. Called by the checker. Spec: 02 §7.1, §13.2.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lafs.capability import ImmutableVerifyCap
from lafs.crypto.hashes import block_hash
from lafs.crypto.merkle import node_count
from lafs.errors import CorruptShare, ServerError
from lafs.immutable import ueb
from lafs.immutable.file_facts import FileFacts
from lafs.immutable.fragments import Fragments, TruncatedShare, merged
from lafs.immutable.layout import CHAIN_ENTRY, LARGEST_HEADER, ShareOffsets, parse_header, unpack_chain
from lafs.immutable.leaf_hashes import HASH_SIZE, Row
from lafs.immutable.segmentation import Segmentation
from lafs.immutable.share_fetch import READ_TIMEOUT, SLOWEST
from lafs.immutable.share_state import LARGEST_OFFSET
from lafs.immutable.stored_trees import Rows, StoredTree
from lafs.interfaces import ByteRange, ShareReader
from lafs.tasks import Clock, Window, within
from lafs.workers import Workers

READ_AT_ONCE: Final = 1024 * 1024
"""Bytes of blocks read in one call, if a block is not larger."""

FIRST_READ: Final = 64 * 1024
"""Bytes read before anything is known: all of a small share, so that it costs one round trip."""


class ShareVerifier:
    """Verifies share `number` of the file of `cap`. `window` bounds the bytes that all verifiers together hold. Used once."""

    def __init__(
        self, cap: ImmutableVerifyCap, number: int, reader: ShareReader, window: Window, workers: Workers, clock: Clock
    ) -> None:
        self._number = number
        self._reader = reader
        self._window = window
        self._workers = workers
        self._clock = clock
        self._facts = FileFacts(cap)
        self._start = b""
        """How the share begins; all of it if that is less than FIRST_READ."""

    async def verify(self) -> None:
        """Return if the share is good. Raises CorruptShare, UnknownShareVersion; ServerError if that cannot be found out."""
        cap, facts = self._facts.cap, self._facts
        self._start = await self._read(ByteRange(0, FIRST_READ))
        offsets = parse_header(self._start[:LARGEST_HEADER])
        await self._learn_extension(offsets)
        segmentation, ciphertext_hashes = facts.segmentation, facts.ciphertext_hashes
        assert segmentation is not None
        assert ciphertext_hashes is not None
        _check_room(offsets, node_count(segmentation.count) * HASH_SIZE, CHAIN_ENTRY.size * node_count(cap.total))
        block_root = await self._block_root(offsets)
        shape = ciphertext_hashes.shape
        trees = [
            StoredTree(offsets.block_tree, shape, block_root),
            StoredTree(offsets.ciphertext_tree, shape, ciphertext_hashes.root),
        ]
        crowns = [tree.verified_crown(await self._rows(tree, tree.crown())) for tree in trees]
        for group in range(shape.group_count):
            segments = range(group * shape.group_size, min((group + 1) * shape.group_size, segmentation.count))
            hashes = [await self._leaves(tree, group, crown[group]) for tree, crown in zip(trees, crowns, strict=True)]
            await self._blocks(offsets.data, segmentation, segments, hashes[0])

    # --- the parts ------------------------------------------------------------------------------------------------

    async def _learn_extension(self, offsets: ShareOffsets) -> None:
        if max(offsets.data, offsets.ciphertext_tree, offsets.block_tree, offsets.chain, offsets.ueb) > LARGEST_OFFSET:
            raise CorruptShare("the header points beyond the end of any share", 0, LARGEST_HEADER)
        length_size = offsets.ueb_length_size
        size = offsets.ueb_size(await self._up_to(ByteRange(offsets.ueb, length_size)))
        place = ByteRange(offsets.ueb + length_size, size)
        packed = await self._up_to(place)  # its hash tells whether it is whole
        self._facts.learn_extension(packed, place)
        assert self._facts.segmentation is not None
        extension = ueb.parse(packed, self._facts.cap.needed)
        fault = contradiction(extension, self._facts.segmentation, self._facts.cap.total)
        if fault is not None:
            raise CorruptShare(f"the UEB contradicts itself, or the cap: {fault}", place.offset, place.offset + size)

    async def _block_root(self, offsets: ShareOffsets) -> bytes:
        """The root of the block hash tree, proved by the chain."""
        tree = self._facts.share_hashes
        assert tree is not None
        place = ByteRange(offsets.chain, offsets.chain_size)
        chain = await self._exactly(place)
        try:
            tree.add(unpack_chain(chain, self._facts.cap.total))
        except CorruptShare as error:
            raise CorruptShare(error.reason, place.offset, place.offset + place.length) from None
        except ValueError as error:
            raise CorruptShare(str(error), place.offset, place.offset + place.length) from None
        root = tree.leaf(self._number)
        if root is None:
            raise CorruptShare("the share hash chain does not reach its share", place.offset, place.offset + place.length)
        return root

    async def _leaves(self, tree: StoredTree, group: int, proof: bytes) -> list[bytes]:
        rows = await self._rows(tree, tree.below(group))
        return await self._workers.run_sized(256 * sum(row.count for row in rows), tree.verified_leaves, group, proof, rows)

    async def _rows(self, tree: StoredTree, wanted: Iterable[Row]) -> Rows:
        places = {row: tree.place(row) for row in wanted}
        fragments = Fragments()
        for place in merged(places.values(), gap=0):
            fragments.add(place, await self._exactly(place))
        rows = {row: fragments.get(place.offset, place.length) for row, place in places.items()}
        return {row: content for row, content in rows.items() if content is not None}

    async def _blocks(self, data: int, cut: Segmentation, segments: range, hashes: Sequence[bytes]) -> None:
        step = max(READ_AT_ONCE // cut.block_size, 1)
        for start in range(segments.start, segments.stop, step):
            run = range(start, min(start + step, segments.stop))
            sizes = [cut.block_size_of(segment) for segment in run]
            place = ByteRange(data + start * cut.block_size, sum(sizes))
            await self._window.take(place.length)
            try:
                blocks = await self._exactly(place)
                wanted = hashes[start - segments.start : run.stop - segments.start]
                bad = await self._workers.run_sized(place.length, first_bad_block, blocks, sizes, wanted)
            finally:
                self._window.give_back(place.length)
            if bad is not None:
                offset = place.offset + sum(sizes[:bad])
                raise CorruptShare(f"bad hash of block {run[bad]}", offset, offset + sizes[bad])

    # --- reading --------------------------------------------------------------------------------------------------

    async def _up_to(self, place: ByteRange) -> bytes:
        """As much of `place` as the share has."""
        end = place.offset + place.length
        if len(self._start) < FIRST_READ or end <= FIRST_READ:
            return self._start[place.offset : end]
        return await self._read(place)

    async def _read(self, place: ByteRange) -> bytes:
        reading = self._reader.read(place.offset, place.length)
        answer: object = await within(READ_TIMEOUT + place.length / SLOWEST, self._clock, reading)
        if not isinstance(answer, bytes):
            raise ServerError("a read was answered with something that is no bytes")
        return answer[: place.length]

    async def _exactly(self, place: ByteRange) -> bytes:
        content = await self._up_to(place)
        if len(content) < place.length:
            raise TruncatedShare("the share ends too early", place.offset, place.offset + place.length)
        return content


def _check_room(offsets: ShareOffsets, tree_size: int, longest_chain: int) -> None:
    """Raise CorruptShare unless the sections can hold what they must."""
    if offsets.chain - offsets.block_tree < tree_size:
        raise CorruptShare("the block hash tree is too short", offsets.block_tree, offsets.chain)
    if offsets.block_tree - offsets.ciphertext_tree < tree_size:
        raise CorruptShare("the ciphertext hash tree is too short", offsets.ciphertext_tree, offsets.block_tree)
    if offsets.chain_size > longest_chain:
        raise CorruptShare("the share hash chain is longer than the tree", offsets.chain, offsets.ueb)


def contradiction(extension: ueb.UriExtension, cut: Segmentation, total: int) -> str | None:
    """The first field of a UEB that does not fit the others and the cap. Those not there do not contradict. Spec: 02 §7.1."""
    segment_size, needed = extension.segment_size, cut.needed
    expected: dict[str, int | str] = {
        "total_shares": total,
        "needed_shares": needed,
        "size": cut.file_size,
        "num_segments": -(-cut.file_size // segment_size),
        "codec_name": "crs",
        "codec_params": f"{segment_size}-{needed}-{total}",
        "tail_codec_params": f"{cut.padded_tail_size}-{needed}-{total}",
    }
    for name, value in expected.items():
        if extension.fields.get(name, str(value).encode("ascii")) != str(value).encode("ascii"):
            return name
    if len(extension.fields.get("crypttext_hash", bytes(HASH_SIZE))) != HASH_SIZE:
        return "crypttext_hash"
    return None


def first_bad_block(blocks: bytes, sizes: Sequence[int], hashes: Sequence[bytes]) -> int | None:
    """The first of the blocks, which lie back to back in `blocks`, that has not its hash; None if all are good."""
    view, offset = memoryview(blocks), 0
    for index, (size, wanted) in enumerate(zip(sizes, hashes, strict=True)):
        if block_hash(view[offset : offset + size]) != wanted:
            return index
        offset += size
    return None
