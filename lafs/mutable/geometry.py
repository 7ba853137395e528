"""How one version of a mutable file is cut into segments and blocks. Pure arithmetic. Spec: 03 §2.1."""
from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from lafs.crypto import merkle

Format = Literal["SDMF", "MDMF"]

MDMF_SEGMENT_SIZE = 131072
"""Before rounding up to a multiple of needed. Writers must use exactly this: the peer assumes it when it updates in place."""

SALT_SIZE = 16


def segment_size_of(format: Format, size: int, needed: int) -> int:
    """The segment size that a writer uses for `size` bytes of contents: 0 for an empty SDMF file."""
    wanted = size if format == "SDMF" else MDMF_SEGMENT_SIZE
    return -(-wanted // needed) * needed


@frozen
class Geometry:
    """A version of `size` bytes in segments of `segment_size`, a multiple of `needed`; an empty one has no segments.

    Raises ValueError for numbers that no version can have.
    """

    format: Format
    size: int
    segment_size: int
    needed: int
    count: int = field(init=False)
    """Number of segments."""

    def __attrs_post_init__(self) -> None:
        if self.size < 0 or self.segment_size < 0 or self.needed < 1 or self.segment_size % self.needed:
            raise ValueError("segments that cannot be")
        if self.size and not self.segment_size:
            raise ValueError("contents but no segments")
        if self.format == "SDMF" and self.segment_size != segment_size_of("SDMF", self.size, self.needed):
            raise ValueError("an SDMF file has one segment")
        object.__setattr__(self, "count", -(-self.size // self.segment_size) if self.size else 0)

    @property
    def salt_in_block(self) -> int:
        """Bytes of salt in front of each block: MDMF keeps them there, SDMF has its only one in the header."""
        return SALT_SIZE if self.format == "MDMF" else 0

    def size_of(self, segment: int) -> int:
        """Bytes of contents in a segment."""
        return min(self.segment_size, self.size - segment * self.segment_size)

    def block_size_of(self, segment: int) -> int:
        """Bytes of one block of a segment, without its salt."""
        return -(-self.size_of(segment) // self.needed)

    def block_offset(self, segment: int) -> int:
        """Where a segment's block, with its salt in front, lies in the share data."""
        return segment * (self.salt_in_block + self.segment_size // self.needed)

    @property
    def share_data_size(self) -> int:
        """Bytes of all blocks of one share, with their salts."""
        if not self.count:
            return 0
        last = self.count - 1
        return self.block_offset(last) + self.salt_in_block + self.block_size_of(last)

    @property
    def block_tree_size(self) -> int:
        """Bytes of the block hash tree; one node even if there are no blocks."""
        return 32 * merkle.node_count(self.count)

    def covering(self, offset: int, size: int) -> range:
        """The segments that hold bytes [offset, offset + size), as far as they exist."""
        end = min(offset + size, self.size)
        if not self.segment_size or offset >= end:
            return range(0)
        return range(offset // self.segment_size, (end - 1) // self.segment_size + 1)
