"""Fetching a run of adjacent segments: from any shares that will serve them, to plaintext.

A run asks `needed` shares at once, one read each. A share that fails is replaced at once; one that is late is not
waited for, but another is asked beside it, and whichever answers first counts. When no known share is left, more
servers are asked; when no server is left, everything is searched again once, since shares may have moved since they
were found; only then does the run fail.

Answers, lateness and news of the search all arrive in one mailbox; the loop that reads it owns all state of the run.
Spec: 02 §12.2.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lafs.immutable.file_facts import segments_of
from lafs.immutable.missing_shares import not_enough_shares
from lafs.immutable.remote_file import RemoteFile
from lafs.immutable.segment import Block, SegmentPlan, recover
from lafs.immutable.server_speeds import BULK, HEDGE_DELAY
from lafs.immutable.share_map import Share
from lafs.interfaces import ByteRange, Bytes, GridServer
from lafs.tasks import Mailbox, Timer, gather, spawn

SPARES: Final = 2
"""Small reads to start beyond those that replace late ones."""


@frozen
class _Ended:
    """The read of a share came to an end, good or bad."""

    share: Share
    outcome: Mapping[int, Block] | Failure


@frozen
class _Late:
    """The read of a share is taking too long."""

    share: Share


@frozen
class _News:
    """The search has changed the share map, or learned that something will not come."""


_Letter = _Ended | _Late | _News


@define
class _Reading:
    work: Deferred[Mapping[int, Block]]
    started: float
    timer: Timer
    late: bool = False


class RunFetch:
    """One fetch of the segments that hold the bytes `goal` of `file`. Used once.

    `line_load` is how many bytes, those of the goal included, the whole read has under way. `search_again` says whether
    what is known of the file may be out of date. Without `key`, ciphertext is what is read.
    """

    def __init__(
        self,
        file: RemoteFile,
        key: bytes | None,
        goal: ByteRange,
        line_load: int,
        prefer_known: bool,
        search_again: Callable[[], bool],
    ) -> None:
        self._file = file
        self._key = key
        self._goal = goal
        self._line_load = line_load
        self._prefer_known = prefer_known
        self._search_again = search_again
        self._mailbox: Mailbox[_Letter] = Mailbox()
        self._complete: dict[int, Mapping[int, Block]] = {}
        self._reading: dict[Share, _Reading] = {}
        self._tried: set[Share] = set()
        self._last_failure: BaseException | None = None
        self._patience: float | None = None

    async def run(self) -> Sequence[Bytes]:
        """The plaintext of `goal`, in pieces in order. Raises NotEnoughShares, NoShares, BadCiphertext."""
        search, needed = self._file.search, self._file.facts.cap.needed
        search.listen(self._news)
        try:
            while len(self._complete) < needed:
                self._start_reading()
                self._open(await self._mailbox.take())
        finally:
            search.leave(self._news)
            self._stop()
        return await self._plaintext()

    # --- the loop -------------------------------------------------------------------------------------------

    def _start_reading(self) -> None:
        """Have as many shares on their way as are missing; fail if there cannot be enough."""
        short, spares, doubtful = self._missing(), self._spares(), 0
        while short + spares > 0 and (share := self._choose()) is not None:
            if self._file.tools.speeds.is_suspect(share.server, self._now()):
                if short <= 0 or self._file.search.promising:
                    break
                doubtful += 1
            self._start(share)
            short -= 1
        lacking = max(short, 0) + doubtful
        if not lacking or self._file.search.hunt(lacking) or self._reading:
            return
        if not self._search_again():
            raise not_enough_shares(self._file, self._complete, self._last_failure)
        self._file.search.restart()
        self._news()

    def _missing(self) -> int:
        """Shares neither here nor expected in time."""
        on_time = sum(not reading.late for reading in self._reading.values())
        return self._file.facts.cap.needed - len(self._complete) - on_time

    def _spares(self) -> int:
        """Shares to read beyond those missing: where one server hangs there may be more, and small reads are cheap."""
        any_late = any(reading.late for reading in self._reading.values())
        return SPARES if any_late and self._goal.length // self._file.facts.cap.needed <= BULK else 0

    def _choose(self) -> Share | None:
        taken = {share.number for share, reading in self._reading.items() if not reading.late}
        busy: Counter[GridServer] = Counter(share.server for share in self._reading)
        taken |= self._complete.keys()
        return self._file.shares.choose(taken, self._tried, busy, self._now(), self._prefer_known)

    def _start(self, share: Share) -> None:
        self._tried.add(share)
        needed = self._file.facts.cap.needed
        delay = self._patience
        if delay is None:
            # Each generation of replacements gets more time than the one before: it may be the line that is slow.
            usual = self._file.tools.speeds.hedge_delay(self._goal.length // needed, self._line_load)
            delay = usual * 2 ** min((len(self._tried) - 1) // needed, 6)
        timer = self._file.tools.clock.callLater(delay, self._mailbox.post, _Late(share))
        work = spawn(self._file.fetcher.fetch(share, self._goal))
        work.addBoth(lambda outcome: self._mailbox.post(_Ended(share, outcome)))
        self._reading[share] = _Reading(work, self._now(), timer)

    def _open(self, letter: _Letter) -> None:
        match letter:
            case _Ended(share, outcome):
                reading = self._reading.pop(share)
                if reading.timer.active():
                    reading.timer.cancel()
                if isinstance(outcome, Failure):
                    self._last_failure = outcome.value
                else:
                    self._complete.setdefault(share.number, outcome)
                    self._hurry(self._now() - reading.started)
            case _Late(share):
                if share in self._reading:
                    self._reading[share].late = True
                    self._file.tools.speeds.suspect(share.server, self._now(), reading=True)
            case _News():
                pass

    def _hurry(self, elapsed: float) -> None:
        """One share took `elapsed` seconds, so it is not the line: the others are late if they take much longer."""
        now, self._patience = self._now(), max(HEDGE_DELAY, 3 * elapsed)
        for share, reading in self._reading.items():
            if reading.timer.active():
                reading.timer.cancel()
                left = max(self._patience - (now - reading.started), 0.0)
                reading.timer = self._file.tools.clock.callLater(left, self._mailbox.post, _Late(share))

    def _news(self) -> None:
        self._mailbox.post(_News())

    def _stop(self) -> None:
        for reading in self._reading.values():
            if reading.timer.active():
                reading.timer.cancel()
            reading.work.cancel()

    def _now(self) -> float:
        return float(self._file.tools.clock.seconds())

    # --- the result -----------------------------------------------------------------------------------------

    async def _plaintext(self) -> Sequence[Bytes]:
        """Decode and decrypt all segments, side by side."""
        segmentation, tools = self._file.facts.segmentation, self._file.tools
        assert segmentation
        jobs = []
        for number in segments_of(segmentation, self._goal):
            blocks = {share: found[number] for share, found in self._complete.items()}
            offset, size = number * segmentation.segment_size, segmentation.size_of(number)
            plan = SegmentPlan(
                number=number,
                size=size,
                offset=offset,
                start=max(self._goal.offset - offset, 0),
                end=min(self._goal.offset + self._goal.length - offset, size),
                segment_hash=next(iter(blocks.values())).segment_hash,
                file=self._file.facts.cap.storage_index.text[:12],
            )
            contents = {share: block.content for share, block in blocks.items()}
            jobs.append(tools.workers.run_sized(size, recover, plan, contents, self._file.coder, self._key))
        return [piece for pieces in await gather(jobs) for piece in pieces]
