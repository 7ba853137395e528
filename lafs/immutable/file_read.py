"""One read of a range of an immutable file: runs of segments in flight, delivered in order.

The first run is a single segment, so that bytes come early; later ones are cut to make large reads of each share. As
many are in flight as the window allows, and the window is refilled as the sink takes what came. Nothing here knows of
shares. Spec: 02 §12.6.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred

from lafs.immutable.read_window import LARGEST, ReadWindow, WindowBudget
from lafs.immutable.remote_file import RemoteFile
from lafs.immutable.run_fetch import RunFetch
from lafs.interfaces import ByteRange, Bytes, Sink
from lafs.tasks import spawn

READ_TARGET: Final = 1024 * 1024
"""Bytes to read from one share in one call, when the window is wide enough."""

MOST_SEGMENTS: Final = 256
"""Segments in one run, however small they are."""

SMALL_READ: Final = 16 * 1024
"""A range of so few bytes is one run, even if it lies across segments."""

FEW_BYTES: Final = 256 * 1024
"""A read of so few bytes is better served by shares that are known already than by those that need no decoding."""

FIRST_WINDOW: Final = 8 * 1024 * 1024

RUNS_BEFORE_FACTS: Final = 2
"""Runs sent out before it is known how the file is cut: they may ask for the wrong bytes."""


@frozen
class _Run:
    goal: ByteRange
    work: Deferred[Sequence[Bytes]]


class FileRead:
    """One read of `wanted`, a range inside `file` that is not empty; of the ciphertext, if there is no `key`. Used once."""

    def __init__(self, file: RemoteFile, key: bytes | None, wanted: ByteRange, budget: WindowBudget) -> None:
        self._file = file
        self._key = key
        self._next = wanted.offset
        self._end = wanted.offset + wanted.length
        self._budget = budget
        self._runs: deque[_Run] = deque()
        self._in_flight = 0
        self._window = ReadWindow(FIRST_WINDOW, self._now())
        self._prefer_known = wanted.length <= FEW_BYTES
        self._may_search_again = file.search.begun

    async def into(self, sink: Sink) -> None:
        """Write the range to `sink`. Raises NotEnoughShares, NoShares, BadCiphertext, and whatever the sink raises."""
        search = self._file.search
        # Runs come and go; this one listener keeps the search alive from the first to the last.
        search.listen(self._stay)
        self._budget.enter()
        try:
            search.begin()
            while self._next < self._end or self._runs:
                self._fill()
                await self._deliver(sink)
        finally:
            self._budget.leave()
            for run in self._runs:
                run.work.cancel()
                run.work.addErrback(lambda _: None)
            search.leave(self._stay)

    async def _deliver(self, sink: Sink) -> None:
        """Wait for the run at the head and hand it to the sink, refilling the window on the way."""
        run = self._runs[0]
        waited = not run.work.called
        pieces = deque(await run.work)
        self._runs.popleft()
        self._window.arrived(run.goal.length, self._now(), waited)
        while pieces:
            piece = pieces.popleft()
            await sink.write(piece)
            self._in_flight -= len(piece)
            self._fill()

    def _fill(self) -> None:
        """Send out runs as long as they fit into the window. One always does."""
        while self._next < self._end:
            if not self._file.facts.known and len(self._runs) >= RUNS_BEFORE_FACTS:
                return
            goal = self._next_goal()
            if self._in_flight and self._in_flight + goal.length > self._limit():
                return
            self._next += goal.length
            self._in_flight += goal.length
            fetch = RunFetch(self._file, self._key, goal, self._in_flight, self._prefer_known, self._search_again)
            self._runs.append(_Run(goal, spawn(fetch.run())))

    def _limit(self) -> int:
        """Bytes to have in flight: the window, but at least two segments unless they are huge."""
        two = 2 * self._file.facts.likely_segmentation.segment_size
        return max(min(self._window.size, self._budget.share()), min(two, LARGEST))

    def _next_goal(self) -> ByteRange:
        cut = self._file.facts.likely_segmentation
        left = self._end - self._next
        if left > SMALL_READ:
            first = not self._in_flight
            fitting = min(READ_TARGET // cut.block_size, self._window.size // (2 * cut.segment_size), MOST_SEGMENTS)
            segments = 1 if first else max(fitting, 1)
            left = min(left, (self._next // cut.segment_size + segments) * cut.segment_size - self._next)
        return ByteRange(self._next, left)

    def _search_again(self) -> bool:
        """Whether a fresh search may help: once, if this read has relied on what earlier ones had found."""
        may, self._may_search_again = self._may_search_again, False
        return may

    def _stay(self) -> None:
        pass

    def _now(self) -> float:
        return float(self._file.tools.clock.seconds())
