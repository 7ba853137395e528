"""Reading verified blocks from one share: the share state machine, given hands.

Called by the fetch of a run of segments, once for every share it tries. Spec: 02 §12.3-12.5.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from lafs.errors import CorruptShare, ServerError
from lafs.immutable.fragments import Fragments, TruncatedShare
from lafs.immutable.layout import UnknownShareVersion
from lafs.immutable.segment import Block, first_bad
from lafs.immutable.server_speeds import ServerSpeeds
from lafs.immutable.share_map import Share
from lafs.immutable.share_state import UnreadableHeader
from lafs.interfaces import ByteRange
from lafs.tasks import Clock, forget, gather, within
from lafs.workers import Workers

READ_TIMEOUT: Final = 30.0
"""Seconds after which a read that brought nothing is given up; see `SLOWEST` for large ones."""

SLOWEST: Final = 64 * 1024
"""Bytes a second that a large read is allowed to take on top."""

MOST_ROUNDS: Final = 6
"""The usual share takes one round, the strangest legal one three."""

UNREPORTED: Final = (UnknownShareVersion, UnreadableHeader, TruncatedShare)
"""Bad shares that their servers are not told of. Spec: 02 §12.5."""


_log = Logger(namespace="lafs.download")


class ShareFetcher:
    """Reads shares for one client."""

    def __init__(self, workers: Workers, clock: Clock, speeds: ServerSpeeds) -> None:
        self._workers = workers
        self._clock = clock
        self._speeds = speeds

    async def fetch(self, share: Share, goal: ByteRange) -> Mapping[int, Block]:
        """The blocks of `share`, by segment number, of all segments that hold `goal`; each is what its share promised.

        Raises CorruptShare or ServerError, and has then dropped the share, and reported it to its server if corrupt.
        """
        size = goal.length // share.state.facts.cap.needed
        try:
            return await within(READ_TIMEOUT + size / SLOWEST, self._clock, self._verified(share, goal))
        except CancelledError:
            raise
        except CorruptShare as error:
            share.dropped = True
            _log.warn("{share} is corrupt: {reason}", share=share.name, reason=error.reason or "wrong hash of the UEB")
            if not isinstance(error, UNREPORTED):
                forget(share.reader.report_corruption(_report(error)))
            raise
        except ServerError:
            share.dropped = True
            raise
        except Exception as error:
            share.dropped = True
            _log.failure("{share} could not be read", share=share.name)
            raise ServerError(f"reading a share failed: {type(error).__name__}") from error

    async def _verified(self, share: Share, goal: ByteRange) -> Mapping[int, Block]:
        fragments = Fragments()
        for _ in range(MOST_ROUNDS):
            wanted = share.state.step(goal, fragments)
            if not wanted:
                break
            await gather([self._read(share, each, fragments) for each in wanted])
        else:
            raise CorruptShare("the share keeps leading elsewhere")
        blocks = share.state.blocks(goal, fragments)
        size = sum(len(block.content) for block in blocks)
        bad = await self._workers.run_sized(size, first_bad, blocks)
        if bad is not None:
            raise CorruptShare(f"bad hash of block {bad.segment}", bad.offset, bad.offset + len(bad.content))
        return {block.segment: block for block in blocks}

    async def _read(self, share: Share, place: ByteRange, fragments: Fragments) -> None:
        started = self._clock.seconds()
        try:
            answer: object = await share.reader.read(place.offset, place.length)
        except CancelledError:
            self._speeds.waiting(share.server, self._clock.seconds() - started, place.length)
            raise
        if not isinstance(answer, bytes):
            raise ServerError("a read was answered with something that is no bytes")
        self._speeds.answered(share.server, self._clock.seconds() - started, max(len(answer), 1))
        fragments.add(place, answer)


def _report(error: CorruptShare) -> str:
    """The reason as servers file it. Spec: 02 §12.5."""
    return f"corruption in share[{error.start}-{error.end}): {error.reason}"
