"""One share of an immutable file: what is known of it, what must be read next, and whether to believe what was read.

A state machine without I/O. Whoever reads the share asks `step` what is missing for the bytes he is after, reads
that, adds it to his `Fragments` and asks again, until nothing is missing. In the usual case that is one round: all
parts lie where a standard writer puts them, so header, UEB, chain, hashes and blocks are asked for together before
anything is known. If the header says otherwise, the next round follows the header.

    header -> UEB (against the cap) -> chain (against the UEB) -> block hashes (against the chain) -> block
                                   \\-> ciphertext hashes (against the UEB)

Nothing is believed before all to its left is. Every length is computed from what is verified, or bounded. Spec: 02
§8, §12.3-12.5.
"""
from __future__ import annotations

from typing import Final

from lafs.crypto.merkle import node_count
from lafs.errors import CorruptShare
from lafs.immutable import ueb
from lafs.immutable.file_facts import FileFacts, segments_of
from lafs.immutable.fragments import Fragments, merged
from lafs.immutable.layout import (
    CHAIN_ENTRY,
    LARGEST_HEADER,
    VERSIONS,
    ShareOffsets,
    UnknownShareVersion,
    parse_header,
    unpack_chain,
)
from lafs.immutable.leaf_hashes import LeafHashes, TreeShape
from lafs.immutable.segment import Block
from lafs.immutable.segmentation import Segmentation
from lafs.interfaces import ByteRange

LARGEST_OFFSET: Final = 2**62
"""No share is that long; beyond it a number cannot even be sent to every server."""


class UnreadableHeader(CorruptShare):
    """A header that leads nowhere. Such a share is passed over and not reported. Spec: 02 §12.5."""


class ShareState:
    """Share `number` of the file of `facts`."""

    def __init__(self, number: int, facts: FileFacts) -> None:
        self.number = number
        self.facts = facts
        self.offsets: ShareOffsets | None = None
        self.block_hashes: LeafHashes | None = None

    def step(self, goal: ByteRange, fragments: Fragments) -> list[ByteRange]:
        """What must be read before `blocks(goal)` can be taken; nothing, if all is at hand.

        Learns from `fragments` whatever they prove. Raises CorruptShare when they prove the share to be bad.
        """
        wanted = _Wanted(fragments)
        offsets = self._header(wanted)
        self._extension(wanted, offsets)
        self._chain(wanted, offsets)
        segmentation = self.facts.likely_segmentation
        segments = segments_of(segmentation, goal)
        shape = self.facts.likely_tree_shape
        if shape is not None:
            self._block_hashes(wanted, offsets, shape, segments)
            self._ciphertext_hashes(wanted, offsets, shape, segments)
        where = offsets or self.facts.likely_offsets
        for segment in segments:
            wanted.take(_block_range(where, segmentation, segment), certain=offsets is not None and self.facts.known)
        return merged(wanted.ranges)

    def blocks(self, goal: ByteRange, fragments: Fragments) -> list[Block]:
        """The blocks of the segments that hold `goal`. Only after `step` found nothing missing."""
        segmentation, segment_hashes = self.facts.segmentation, self.facts.ciphertext_hashes
        assert self.offsets
        assert segmentation
        assert segment_hashes
        assert self.block_hashes
        blocks = []
        for segment in segments_of(segmentation, goal):
            place = _block_range(self.offsets, segmentation, segment)
            content = fragments.get(place.offset, place.length)
            block_hash, segment_hash = self.block_hashes.get(segment), segment_hashes.get(segment)
            assert content is not None
            assert block_hash is not None
            assert segment_hash is not None
            blocks.append(Block(segment, place.offset, content, block_hash, segment_hash))
        return blocks

    @property
    def weight(self) -> int:
        """Bytes held, roughly."""
        return 1024 + (self.block_hashes.weight if self.block_hashes else 0)

    # --- the parts, from left to right ----------------------------------------------------------------------

    def _header(self, wanted: _Wanted) -> ShareOffsets | None:
        if self.offsets is None:
            header = wanted.up_to(ByteRange(0, LARGEST_HEADER))
            if header is not None:
                self.offsets = self._checked_header(bytes(header))
        return self.offsets

    def _checked_header(self, header: bytes) -> ShareOffsets:
        try:
            offsets = parse_header(header)
        except UnknownShareVersion:
            raise
        except CorruptShare as error:
            raise UnreadableHeader(error.reason, error.start, error.end) from None
        if max(offsets.data, offsets.ciphertext_tree, offsets.block_tree, offsets.chain, offsets.ueb) > LARGEST_OFFSET:
            raise UnreadableHeader("the header points beyond the end of any share", 0, len(header))
        if offsets.chain_size > CHAIN_ENTRY.size * node_count(self.facts.cap.total):
            raise UnreadableHeader("the share hash chain is longer than the tree", 0, len(header))
        self.facts.hint(VERSIONS[offsets.version].header.unpack_from(header)[1])
        return offsets

    def _extension(self, wanted: _Wanted, offsets: ShareOffsets | None) -> None:
        if self.facts.known:
            return
        where = offsets or self.facts.likely_offsets
        field = ByteRange(where.ueb, where.ueb_length_size)
        whole = ByteRange(where.ueb, where.ueb_length_size + ueb.MAX_SIZE)
        if offsets is None:
            wanted.take(whole, certain=False)
            return
        everything = wanted.up_to(whole)
        if everything is None:
            return
        if len(everything) < field.length:
            wanted.fragments.check_end(field.offset, field.length)
        size = offsets.ueb_size(bytes(everything[: field.length]))
        packed = everything[field.length : field.length + size]
        place = ByteRange(field.offset + field.length, size)
        if len(packed) < size:
            wanted.fragments.check_end(place.offset, place.length)
        self.facts.learn_extension(packed, place)

    def _chain(self, wanted: _Wanted, offsets: ShareOffsets | None) -> None:
        tree = self.facts.share_hashes
        if tree is not None and tree.leaf(self.number) is not None:
            return
        where = offsets or self.facts.likely_offsets
        place = ByteRange(where.chain, where.chain_size)
        packed = wanted.take(place, certain=offsets is not None)
        if packed is None or offsets is None or tree is None:
            return
        start, end = place.offset, place.offset + place.length
        try:
            tree.add(unpack_chain(bytes(packed), self.facts.cap.total))
        except CorruptShare as error:
            raise CorruptShare(error.reason, start, end) from None
        except ValueError as error:
            raise CorruptShare(str(error), start, end) from None
        if tree.leaf(self.number) is None:
            raise CorruptShare(f"the share hash chain does not reach leaf {self.number}", start, end)

    def _block_hashes(
        self, wanted: _Wanted, offsets: ShareOffsets | None, shape: TreeShape, segments: range
    ) -> None:
        if self.block_hashes is None and self.facts.share_hashes is not None:
            root = self.facts.share_hashes.leaf(self.number)
            if root is not None:
                self.block_hashes = LeafHashes(shape, root)
        where = offsets or self.facts.likely_offsets
        _take_rows(wanted, self.block_hashes, shape, segments, where.block_tree, offsets is not None)

    def _ciphertext_hashes(
        self, wanted: _Wanted, offsets: ShareOffsets | None, shape: TreeShape, segments: range
    ) -> None:
        where = offsets or self.facts.likely_offsets
        tree = self.facts.ciphertext_hashes
        _take_rows(wanted, tree, shape, segments, where.ciphertext_tree, offsets is not None)


class _Wanted:
    """The ranges that are needed and not at hand."""

    def __init__(self, fragments: Fragments) -> None:
        self.fragments = fragments
        self.ranges: list[ByteRange] = []

    def take(self, place: ByteRange, certain: bool) -> memoryview | None:
        """The bytes of `place` if they are at hand; else they are wanted.

        Raises TruncatedShare if the share is known to lack them and `place` is more than a guess.
        """
        if not place.length:
            return memoryview(b"")
        content = self.fragments.get(place.offset, place.length)
        if content is None:
            if certain:
                self.fragments.check_end(place.offset, place.length)
            self.ranges.append(place)
        return content

    def up_to(self, place: ByteRange) -> memoryview | None:
        """As much of `place` as the share has, if that is at hand; else it is wanted."""
        content = self.fragments.up_to(place.offset, place.length)
        if content is None:
            self.ranges.append(place)
        return content


def _take_rows(
    wanted: _Wanted, tree: LeafHashes | None, shape: TreeShape, segments: range, tree_offset: int, certain: bool
) -> None:
    """Learn the rows of `tree` that prove `segments`. Without a tree, or a certain place, only ask for them."""
    rows = shape.rows_for(segments) if tree is None else tree.missing_for(segments)
    for row in rows:
        place = ByteRange(tree_offset + row.offset, row.size)
        content = wanted.take(place, certain=certain and tree is not None)
        if content is None or tree is None or not certain or not tree.ready_for(row):
            continue
        try:
            tree.add(row, content)
        except ValueError as error:
            raise CorruptShare(str(error), place.offset, place.offset + place.length) from None


def _block_range(offsets: ShareOffsets, segmentation: Segmentation, segment: int) -> ByteRange:
    return ByteRange(offsets.data + segment * segmentation.block_size, segmentation.block_size_of(segment))
