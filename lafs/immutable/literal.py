"""Files so small that the cap itself holds them. Spec: 01 §12.2, 02 §2.1."""
from __future__ import annotations

from lafs.capability import LiteralCap
from lafs.interfaces import Sink


class LiteralFile:
    """A `FileNode` that needs no server."""

    def __init__(self, cap: LiteralCap) -> None:
        self.cap = cap

    @property
    def size(self) -> int:
        return len(self.cap.content)

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        """Write the bytes asked for to `sink`, in one piece; none at all if the range is empty."""
        end = self.size if size is None else offset + size
        piece = self.cap.content[offset:end]
        if piece:
            await sink.write(piece)
