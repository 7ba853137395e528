"""What is known of one immutable file beyond its cap, whichever share it came from; all of it verified against the
cap.

Pure. Filled by the share state machines of the file, shared by all reads of it. Before anything is known, it knows
what to expect: most files were written with one of few segment sizes, so the first read of a share can already ask
for the right bytes. Spec: 02 §7.1, §12.3, §12.4.
"""
from __future__ import annotations

from typing import Final

from lafs.capability import ImmutableVerifyCap
from lafs.crypto.hashes import ueb_hash
from lafs.crypto.merkle import PartialTree
from lafs.errors import CorruptShare
from lafs.immutable import ueb
from lafs.immutable.layout import ShareLayout, ShareOffsets
from lafs.immutable.leaf_hashes import LeafHashes, TreeShape
from lafs.immutable.parameters import DEFAULT_SEGMENT_SIZE
from lafs.immutable.segmentation import Segmentation
from lafs.interfaces import ByteRange, Bytes

LARGEST_SEGMENT: Final = 128 * 1024 * 1024
"""A segment must be held in memory to be verified, so a file that was coded in larger ones cannot be read."""


class FileFacts:
    """What is known of the file of `cap`, which is not empty.

    `extension` (the UEB as received), `segmentation`, `share_hashes` and `ciphertext_hashes` are None until a share brought a UEB
    that has the hash in the cap; what begins with `likely_` is a guess until then, and says where to look first.
    """

    def __init__(self, cap: ImmutableVerifyCap) -> None:
        self.cap = cap
        self.extension: bytes | None = None
        self.segmentation: Segmentation | None = None
        self.share_hashes: PartialTree | None = None
        self.ciphertext_hashes: LeafHashes | None = None
        self._expect(self._segmentation_of(DEFAULT_SEGMENT_SIZE))

    @property
    def known(self) -> bool:
        """Whether the UEB has been read."""
        return self.segmentation is not None

    def hint(self, block_size: int) -> None:
        """Expect blocks of `block_size` bytes, as the header of a share claims. Worth no more than a better guess."""
        if not self.known and 0 < block_size < self.likely_segmentation.block_size:
            self._expect(self._segmentation_of(block_size * self.cap.needed))

    def learn_extension(self, packed: Bytes, where: ByteRange) -> None:
        """Take the UEB. Raises CorruptShare when it is not the one in the cap, or is but makes no sense."""
        start, end = where.offset, where.offset + where.length
        if ueb_hash(packed) != self.cap.ueb_hash:
            raise CorruptShare("", start, end)
        extension = ueb.parse(bytes(packed), self.cap.needed)
        if min(extension.segment_size, self.cap.size) > LARGEST_SEGMENT:
            raise CorruptShare(f"segments of {extension.segment_size} bytes are too large to read", start, end)
        segmentation = self._segmentation_of(extension.segment_size)
        try:
            shape = TreeShape.of(segmentation.count)
        except ValueError as error:
            raise CorruptShare(str(error), start, end) from None
        self._expect(segmentation)
        self.extension = bytes(packed)
        self.segmentation = segmentation
        self.share_hashes = PartialTree(self.cap.total, extension.share_root)
        self.ciphertext_hashes = LeafHashes(shape, extension.ciphertext_root)

    @property
    def weight(self) -> int:
        """Bytes held, roughly."""
        hashes = self.ciphertext_hashes.weight if self.ciphertext_hashes else 0
        return 4096 + hashes + 200 * self.cap.total

    def _expect(self, segmentation: Segmentation) -> None:
        """Set what is likely: the truth once the UEB is known, a guess before."""
        self.likely_segmentation = segmentation
        layout = ShareLayout.of(segmentation, self.cap.total)
        self.likely_share_size: int = layout.share_size
        self.likely_offsets: ShareOffsets = layout.offsets
        self.likely_tree_shape: TreeShape | None
        try:
            self.likely_tree_shape = TreeShape.of(segmentation.count)
        except ValueError:
            self.likely_tree_shape = None

    def _segmentation_of(self, segment_size: int) -> Segmentation:
        # Writers never make a segment larger than the file, up to the rounding; neither does a guess.
        segment_size = min(segment_size, self.cap.size)
        return Segmentation(self.cap.size, -(-segment_size // self.cap.needed) * self.cap.needed, self.cap.needed)


def segments_of(segmentation: Segmentation, goal: ByteRange) -> range:
    """The segments that hold the bytes of `goal`, which lie in the file and are not none."""
    size = segmentation.segment_size
    return range(goal.offset // size, (goal.offset + goal.length - 1) // size + 1)
