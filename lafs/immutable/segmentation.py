"""How an immutable file is cut into segments, and each segment into blocks.

Pure arithmetic, no I/O. Used by the uploader and the downloader to plan, and to answer for byte ranges. Spec: 02 §3.
"""
from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen
from attrs.validators import gt


@frozen
class SegmentSlice:
    """Bytes [start, end) of segment `number`."""

    number: int
    start: int
    end: int


@frozen
class Segmentation:
    """A file of `file_size` bytes in segments of `segment_size`, the last of which may be shorter.

    Every segment becomes `needed` primary blocks; only the last segment is ever padded, with zeros after its ciphertext.
    Raises ValueError unless all three are positive and `segment_size` is a multiple of `needed`.
    """

    file_size: int = field(validator=gt(0))
    segment_size: int = field(validator=gt(0))
    needed: int = field(validator=gt(0))
    count: int = field(init=False)
    """Number of segments, at least 1."""
    tail_size: int = field(init=False)
    """Bytes of the last segment, unpadded."""

    def __attrs_post_init__(self) -> None:
        if self.segment_size % self.needed:
            raise ValueError(f"a segment of {self.segment_size} bytes cannot be cut into {self.needed} equal blocks")
        count = -(-self.file_size // self.segment_size)
        object.__setattr__(self, "count", count)
        object.__setattr__(self, "tail_size", self.file_size - (count - 1) * self.segment_size)

    @property
    def padded_tail_size(self) -> int:
        return -(-self.tail_size // self.needed) * self.needed

    @property
    def block_size(self) -> int:
        """Bytes of every block but those of the last segment."""
        return self.segment_size // self.needed

    @property
    def tail_block_size(self) -> int:
        return self.padded_tail_size // self.needed

    @property
    def share_data_size(self) -> int:
        """Bytes of all blocks of one share together."""
        return (self.count - 1) * self.block_size + self.tail_block_size

    def size_of(self, segment: int) -> int:
        """Unpadded bytes of a segment."""
        return self.tail_size if segment == self.count - 1 else self.segment_size

    def block_size_of(self, segment: int) -> int:
        """Bytes of one block of a segment."""
        return self.tail_block_size if segment == self.count - 1 else self.block_size

    def covering(self, offset: int, size: int) -> Iterator[SegmentSlice]:
        """The slices, in order, that together are bytes [offset, offset + size) of the file.

        Bytes past the end of the file are left out, as an HTTP Range asks. Raises ValueError for a negative number.
        """
        if offset < 0 or size < 0:
            raise ValueError("a byte range has no negative numbers")
        end = min(offset + size, self.file_size)
        while offset < end:
            number, start = divmod(offset, self.segment_size)
            stop = min(self.segment_size, start + end - offset)
            yield SegmentSlice(number, start, stop)
            offset += stop - start
