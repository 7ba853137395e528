"""From the shares of one version to its contents: any shares that will serve, nothing unverified, segments in a pipeline.

A run of segments asks `needed` shares at once, one call each. A share that fails is replaced at once; one that is late is not
waited for, but another is asked beside it. A run tries each copy of each share once, so it ends; what proved corrupt is noted in
the share map and never tried again. Spec: 03 §11.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import CorruptShare, NotEnoughShares
from lafs.interfaces import ByteRange, GridServer, Sink
from lafs.mutable.decoding import Block, recover
from lafs.mutable.proofs import Proofs
from lafs.mutable.share_map import FoundShare, ShareMap, Version
from lafs.mutable.share_reading import ShareReader
from lafs.mutable.survey import note_failure
from lafs.mutable.tools import Tools
from lafs.tasks import Mailbox, Timer, gather, spawn

RUN_SIZE: Final = 2 * 1024 * 1024
"""Bytes of contents in one run: a third of that, or so, is read from each share in one call."""

RUNS_IN_FLIGHT: Final = 4

PATIENCE_SECONDS: Final = 1.0

STRAGGLING: Final = 3.0
"""Times as long as one share of a run took, after which the others are late: however slow the line, it is the same for all."""


@define(eq=False)
class _Reading:
    share: FoundShare
    asked_at: float
    work: Deferred[list[Block]] | None = None
    timer: Timer | None = None
    late: bool = False

    def stop(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()


@frozen
class _Ended:
    reading: _Reading
    outcome: list[Block] | Failure


@frozen
class _Late:
    reading: _Reading


class Retrieval:
    """Reads `version`, which `shares` knows to be recoverable. What one read learns serves the next, by way of `proofs`."""

    def __init__(
        self,
        tools: Tools,
        storage_index: StorageIndex,
        shares: ShareMap,
        version: Version,
        read_key: bytes,
        proofs: Proofs | None = None,
    ) -> None:
        self.version = version
        self.tools = tools
        self._storage_index = storage_index
        self._map = shares
        self._read_key = read_key
        self.reader = ShareReader(tools, storage_index, version, proofs)
        self._useless: set[FoundShare] = set()
        self._reasons: list[str] = []

    # --- what is wanted -------------------------------------------------------------------------------------------

    async def deliver(self, sink: Sink, wanted: ByteRange) -> None:
        """Write the bytes of `wanted` that exist to `sink`. Raises NotEnoughShares, and whatever the sink raises."""
        cut = self.version.prefix.geometry
        runs = deque(self._cut_into_runs(cut.covering(wanted.offset, wanted.length)))
        end = wanted.offset + wanted.length
        flying: deque[tuple[range, Deferred[list[bytes]]]] = deque()
        try:
            while runs or flying:
                # The first run brings the hash trees, which the others would fetch as well.
                limit = RUNS_IN_FLIGHT if self._knows_enough() else 1
                while runs and len(flying) < limit:
                    run = runs.popleft()
                    flying.append((run, spawn(self.segments(run))))
                run, work = flying.popleft()
                plaintexts = await work
                for segment, plaintext in zip(run, plaintexts, strict=True):
                    origin = segment * cut.segment_size
                    first, last = max(wanted.offset - origin, 0), min(end - origin, len(plaintext))
                    await sink.write(plaintext if last - first == len(plaintext) else plaintext[first:last])
        finally:
            for _, work in flying:
                work.cancel()
                work.addErrback(lambda _: None)

    async def segments(self, segments: range) -> list[bytes]:
        """The plaintexts of `segments`. Raises NotEnoughShares."""
        if not segments:
            return []
        blocks = await _Run(self, segments).blocks()
        size = sum(self.version.prefix.geometry.size_of(segment) for segment in segments)
        return await self.tools.workers.run_sized(size, recover, self.version.prefix, segments, blocks, self._read_key)

    async def all_leaves(self) -> Mapping[int, Sequence[bytes]]:
        """The true block hashes of every share of the version. Raises NotEnoughShares if one of them cannot be read."""
        known = self.reader.proofs.all_leaves
        if known is not None:
            return known
        numbers = range(self.version.prefix.total)
        leaves = await gather(self._leaves_of(number) for number in numbers)
        return dict(zip(numbers, leaves, strict=True))

    # --- the parts ------------------------------------------------------------------------------------------------

    async def _leaves_of(self, number: int) -> Sequence[bytes]:
        for share in self.version.shares.get(number, ()):
            try:
                return await self.reader.leaves(share)
            except CancelledError:
                raise
            except Exception:
                self.give_up(share, Failure())  # type: ignore[no-untyped-call]
        raise self.not_enough()

    def _cut_into_runs(self, segments: range) -> list[range]:
        step = max(RUN_SIZE // max(self.version.prefix.segment_size, 1), 1)
        return [segments[start : start + step] for start in range(0, len(segments), step)]

    def _knows_enough(self) -> bool:
        known = sum(self.reader.knows(number) for number in self.version.shares)
        return known >= self.version.prefix.needed

    def give_up(self, share: FoundShare, failure: Failure) -> None:
        """Do not use `share` again, which failed; if it is corrupt, note that and tell its server."""
        self._useless.add(share)
        error = failure.value
        if isinstance(error, CorruptShare):
            self._map.note_bad(share.place, share.start)
            self.tools.advisories.report(
                share.place.server, self._storage_index, share.place.number, error.reason
            )
            self._reasons.append(f"share {share.place.number} on {share.place.server.identity.short_name} is corrupt")
        else:
            reason = note_failure(failure, share.place.server)
            self._reasons.append(f"{share.place.server.identity.short_name}: {reason}")

    def not_enough(self) -> NotEnoughShares:
        """The error when nothing is left to be tried."""
        prefix = self.version.prefix
        reasons = "; ".join(dict.fromkeys(self._reasons[:10])) or "none"
        return NotEnoughShares(
            f"Of version {prefix.sequence_number} of a mutable file, too few of the {prefix.total} shares can be read: "
            f"any {prefix.needed} different ones are needed. Failures: {reasons}."
        )

    def usable(self, share: FoundShare) -> bool:
        return share not in self._useless


class _Run:
    """One run of segments. Used once. Its loop is the one place where it makes decisions."""

    def __init__(self, retrieval: Retrieval, segments: range) -> None:
        self._retrieval = retrieval
        self._segments = segments
        self._tools = retrieval.tools
        self._needed = retrieval.version.prefix.needed
        self._letters: Mailbox[_Ended | _Late] = Mailbox()
        self._tried: set[FoundShare] = set()
        self._reading: list[_Reading] = []
        self._complete: dict[int, Sequence[Block]] = {}

    async def blocks(self) -> Mapping[int, Sequence[Block]]:
        """The checked blocks of `needed` shares, by share number. Raises NotEnoughShares."""
        try:
            while len(self._complete) < self._needed:
                self._start_reading()
                self._open(await self._letters.take())
        finally:
            for reading in self._reading:
                reading.stop()
                assert reading.work is not None
                reading.work.cancel()
        return self._complete

    def _start_reading(self) -> None:
        punctual = sum(not reading.late for reading in self._reading)
        for _ in range(self._needed - len(self._complete) - punctual):
            share = self._choose()
            if share is None:
                break
            self._start(share)
        if not self._reading:
            raise self._retrieval.not_enough()

    def _choose(self) -> FoundShare | None:
        """The next copy of a share to try: what is at hand, then what is proven, from servers not busy with another."""
        busy: dict[GridServer, int] = {}
        for reading in self._reading:
            busy[reading.share.place.server] = busy.get(reading.share.place.server, 0) + 1
        taken = {reading.share.place.number for reading in self._reading if not reading.late} | self._complete.keys()
        now = self._tools.clock.seconds()

        def cost(share: FoundShare) -> tuple[bool, bool, int, bool, int]:
            server, number = share.place.server, share.place.number
            reader = self._retrieval.reader
            at_hand = reader.is_at_hand(share, self._segments)
            suspect = self._tools.patience.is_suspect(server, now)
            return not at_hand, suspect, busy.get(server, 0), not reader.knows(number), number

        candidates = [
            share
            for number, copies in self._retrieval.version.shares.items()
            if number not in taken
            for share in copies
            if share not in self._tried and self._retrieval.usable(share)
        ]
        return min(candidates, key=cost, default=None)

    def _start(self, share: FoundShare) -> None:
        self._tried.add(share)
        size = self._retrieval.reader.data_section(share, self._segments).size
        reading = _Reading(share, self._tools.clock.seconds())
        # Each generation of replacements gets more time than the one before: it may be the line that is slow.
        generation = (len(self._tried) - 1) // self._needed
        delay = self._tools.patience.seconds(PATIENCE_SECONDS, size * self._needed) * 2 ** min(generation, 6)
        reading.timer = self._tools.clock.callLater(delay, self._letters.post, _Late(reading))
        self._reading.append(reading)
        reading.work = spawn(self._retrieval.reader.blocks(share, self._segments))
        reading.work.addBoth(lambda outcome: self._letters.post(_Ended(reading, outcome)))

    def _open(self, letter: _Ended | _Late) -> None:
        reading = letter.reading
        if isinstance(letter, _Late):
            reading.late = True
            self._tools.patience.late(reading.share.place.server, self._tools.clock.seconds())
            return
        reading.stop()
        self._reading.remove(reading)
        if isinstance(letter.outcome, Failure):
            self._retrieval.give_up(reading.share, letter.outcome)
        elif len(self._complete) < self._needed:
            self._complete.setdefault(reading.share.place.number, letter.outcome)
            self._hurry(self._tools.clock.seconds() - reading.asked_at)

    def _hurry(self, elapsed: float) -> None:
        for reading in self._reading:
            if not reading.late:
                reading.stop()
                waited = self._tools.clock.seconds() - reading.asked_at
                delay = max(PATIENCE_SECONDS, STRAGGLING * elapsed - waited)
                reading.timer = self._tools.clock.callLater(delay, self._letters.post, _Late(reading))
