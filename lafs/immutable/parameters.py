"""How files are to be coded: the numbers a node is configured with.

Used by the uploader, the node's configuration and tests. Readers never use them: they take needed and total from the cap and
the segment size from the share. Spec: 02 §2.
"""
from __future__ import annotations

from attrs import field, frozen

MAX_SHARES = 256
DEFAULT_SEGMENT_SIZE = 1024 * 1024


@frozen
class EncodingParameters:
    """Any `needed` of `total` shares recover a file; an upload succeeds once `happy` servers each hold a share of their own.

    `max_segment_size` is in bytes. Raises ValueError, naming the number that is wrong, unless
    1 <= needed <= total <= 256 and 1 <= happy <= total.
    """

    needed: int = 3
    happy: int = 7
    total: int = 10
    max_segment_size: int = field(default=DEFAULT_SEGMENT_SIZE)

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.total <= MAX_SHARES:
            raise ValueError(f"shares.total must be from 1 to {MAX_SHARES}, not {self.total}")
        if not 1 <= self.needed <= self.total:
            raise ValueError(f"shares.needed must be from 1 to shares.total ({self.total}), not {self.needed}")
        if not 1 <= self.happy <= self.total:
            raise ValueError(f"shares.happy must be from 1 to shares.total ({self.total}), not {self.happy}")
        if self.max_segment_size < 1:
            raise ValueError(f"the maximum segment size must be positive, not {self.max_segment_size}")

    def segment_size_for(self, file_size: int) -> int:
        """The effective segment size, in bytes, of a file of `file_size` bytes: rounded up to a multiple of `needed`."""
        wanted = min(self.max_segment_size, file_size)
        return -(-wanted // self.needed) * self.needed
