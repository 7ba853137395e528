"""Sources of bytes that come slowly, cannot be read twice, or break off. Used by `world.py`."""
from __future__ import annotations

from lafs.errors import SourceFailed
from lafs.interfaces import Source
from lafs.sources import BytesSource
from lafs.tasks import Clock, sleep
from tests.simulation.scenario import SourceKind

PIECES = 3
PIECE_SECONDS = 0.3


class SlowSource(BytesSource):
    """Comes in a few pieces, each after a while."""

    def __init__(self, content: bytes, clock: Clock) -> None:
        super().__init__(content)
        self._clock = clock
        self._piece = len(content) // PIECES + 1
        self._waited_for = -1

    async def read(self, size: int) -> bytes:
        if self._position // self._piece != self._waited_for:
            self._waited_for = self._position // self._piece
            await sleep(PIECE_SECONDS, self._clock)
        return await super().read(size)


class Stream:
    """The same, of unknown size, and only once. If `breaks_off`, it fails before the end."""

    rewindable = False
    size = None

    def __init__(self, content: bytes, clock: Clock, breaks_off: bool) -> None:
        self._source = SlowSource(content, clock)
        self._left = len(content) // 2 if breaks_off else None

    async def read(self, size: int) -> bytes:
        piece = await self._source.read(size)
        if self._left is not None:
            self._left -= len(piece)
            if self._left <= 0:
                raise SourceFailed("the one who sent this went away")
        return piece

    async def rewind(self) -> None:
        raise AssertionError("a stream cannot be rewound")

    async def close(self) -> None:
        await self._source.close()


def source_of(kind: SourceKind, content: bytes, clock: Clock) -> Source:
    """A source of `content` of that kind."""
    if kind == "memory":
        return BytesSource(content)
    if kind == "slow":
        return SlowSource(content, clock)
    return Stream(content, clock, breaks_off=kind == "failing")
