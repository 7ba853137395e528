"""Asking servers which shares of which versions of one mutable file they have. Spec: 03 §8.

All questions are of one kind, "how do all your shares of this file begin?", so that the whole of a small file comes with the
first answers: the servers most likely to have what is needed are asked for long beginnings, the others for headers. What comes
back is examined at once. Servers that are late are not waited for once the picture is good enough without them.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import CorruptShare, ServerError, TimedOut
from lafs.interfaces import ByteRange, GridServer
from lafs.mutable.examination import STARTS_SUFFICE, Examiner
from lafs.mutable.patience import answer_seconds
from lafs.mutable.share_layout import MOST_SHARES
from lafs.mutable.share_map import Place, ShareMap, Version
from lafs.mutable.tools import Tools
from lafs.tasks import Mailbox, Timer, spawn, within

LONG_START: Final = 64 * 1024
"""First bytes of a share that are read where they are likely to be of use: the whole share of a small file."""

SHORT_START: Final = STARTS_SUFFICE + 119

SPARE_LONG_STARTS: Final = 1
"""Long beginnings to read beyond those needed."""

TOP_UP: Final = 5
"""Questions to have in flight when the first wave was not enough."""

_log = Logger(namespace="lafs.mutable")


@frozen
class Thoroughness:
    """How much must be known before a survey ends. Spec: 03 §8.2.

    `patience` in seconds. `boundary`: find all holders, as one who writes must; `everyone`: ask all servers.
    """

    patience: float
    boundary: bool = False
    everyone: bool = False


TO_READ: Final = Thoroughness(patience=1.0)
TO_WRITE: Final = Thoroughness(patience=2.0, boundary=True)
OF_EVERYONE: Final = Thoroughness(patience=5.0, everyone=True)


@define(eq=False)
class _Question:
    server: GridServer
    asked_at: float
    length: int
    work: Deferred[dict[int, bytes]] | None = None
    timer: Timer | None = None
    late: bool = False

    def stop(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()


@frozen
class _Answer:
    question: _Question
    starts: dict[int, bytes] | Failure


@frozen
class _Late:
    question: _Question


class Survey:
    """One survey. Used once.

    `likely` are servers that had shares before: who looks for the boundary asks all of them. `long_starts` says whether contents
    are wanted as well as versions; `highest` is the largest sequence number that was seen so far.
    """

    def __init__(
        self,
        tools: Tools,
        storage_index: StorageIndex,
        examiner: Examiner,
        thoroughness: Thoroughness,
        likely: Iterable[GridServer] = (),
        long_starts: bool = True,
        highest: int = 0,
    ) -> None:
        self._tools = tools
        self._storage_index = storage_index
        self._examiner = examiner
        self._thoroughness = thoroughness
        self._likely = set(likely)
        self._highest = highest
        self._is_known = bool(self._likely and highest)
        self._servers = list(tools.grid.for_reading(storage_index))
        if not thoroughness.boundary:
            self._servers.sort(key=lambda server: server not in self._likely)
        self._long_starts = tools.coding.needed + SPARE_LONG_STARTS if long_starts else 0
        self._letters: Mailbox[_Answer | _Late] = Mailbox()
        self._open: dict[GridServer, _Question] = {}
        self._asked: set[GridServer] = set()
        self._map = ShareMap()

    async def run(self) -> ShareMap:
        """Ask until enough is known or nobody is left to ask. Never raises but when cancelled."""
        try:
            self._ask_first()
            while not self._enough():
                letter = await self._letters.take()
                if isinstance(letter, _Late):
                    letter.question.late = True
                    self._tools.patience.late(letter.question.server, self._now())
                else:
                    self._read(letter.question, letter.starts)
        finally:
            for question in self._open.values():
                question.stop()
                assert question.work is not None
                question.work.cancel()
        for server in self._open:
            self._map.silent[server] = TimedOut("no answer in time")
        return self._map

    # --- asking ---------------------------------------------------------------------------------------------------

    def _ask_first(self) -> None:
        coding, thoroughness = self._tools.coding, self._thoroughness
        if thoroughness.everyone:
            wave = len(self._servers)
        elif thoroughness.boundary:
            wave = coding.total + coding.needed
            for server in self._servers:
                if server in self._likely:
                    self._ask(server)
        else:
            wave = self._enough_for(coding.needed, coding.total, known=self._is_known)
        self._ask_more(wave - len(self._open))

    def _ask_more(self, count: int) -> bool:
        """Ask the next `count` servers; those suspected of hanging are asked in passing. Whether anybody was asked."""
        asked = len(self._asked)
        for server in self._servers:
            if count <= 0:
                break
            if server not in self._asked:
                count -= not self._ask(server)
        return len(self._asked) > asked

    def _ask(self, server: GridServer) -> bool:
        """Ask `server`; whether it is suspected of hanging."""
        now, patience = self._now(), self._tools.patience
        length = SHORT_START
        suspect = patience.is_suspect(server, now)
        if self._long_starts > 0 and not suspect:
            self._long_starts -= 1
            length = LONG_START
        question = _Question(server, now, length, late=suspect)
        self._asked.add(server)
        self._open[server] = question
        if not suspect:
            delay = patience.seconds(self._thoroughness.patience, length)
            question.timer = self._tools.clock.callLater(delay, self._letters.post, _Late(question))
        question.work = spawn(read_starts(self._tools, server, self._storage_index, length))
        question.work.addBoth(lambda starts: self._letters.post(_Answer(question, starts)))
        return suspect

    def _read(self, question: _Question, starts: dict[int, bytes] | Failure) -> None:
        server = question.server
        question.stop()
        del self._open[server]
        if isinstance(starts, Failure):
            self._map.silent[server] = note_failure(starts, server)
            return
        self._tools.patience.answered(server, self._now() - question.asked_at)
        examine_starts(self._tools, self._storage_index, self._examiner, self._map, server, starts)

    # --- enough? --------------------------------------------------------------------------------------------------

    def _enough(self) -> bool:
        """Whether to stop; asks more servers if that is what is lacking."""
        best = self._map.best()
        if self._satisfied(best):
            return True
        if not self._waiting() or not self._thoroughness.boundary:
            lacking = self._wanted(best) - self._answered()
            self._ask_more((lacking if lacking > 0 else TOP_UP) - self._waiting())
        if self._waiting():
            return False
        # Only late answers are left. Without them there may be nothing to be had at all.
        return not self._open or best is not None

    def _satisfied(self, best: Version | None) -> bool:
        if self._thoroughness.everyone or best is None:
            return False
        if self._thoroughness.boundary:
            return not self._waiting() and self._boundary_found(best)
        return self._answered() >= self._wanted(best) and not self._map.unrecoverable_newer()

    def _waiting(self) -> int:
        """Answers that are still expected in time."""
        return sum(not question.late for question in self._open.values())

    def _answered(self) -> int:
        return len(self._asked) - len(self._open) - len(self._map.silent)

    def _wanted(self, best: Version | None) -> int:
        """Answers from which a reader may conclude that there is nothing newer."""
        coding = self._tools.coding
        prefixes = {share.prefix for share in self._map.found.values()}
        if len(prefixes) > 1:
            return 2 * (best.prefix.needed if best else max(prefix.needed for prefix in prefixes))
        for prefix in prefixes:
            return self._enough_for(prefix.needed, prefix.total, known=0 < self._highest <= prefix.sequence_number)
        return self._enough_for(coding.needed, coding.total, known=self._is_known)

    def _enough_for(self, needed: int, total: int, known: bool) -> int:
        """So many servers, if they all show the same version, show the newest.

        Of a version that was acknowledged, all but `total - happy` servers have a share, so one more than that many cannot all have
        missed it. Twice `needed`, as the peer asks, would be more certain only where servers conspire to show an old version; and
        that is noticed here without asking them, if the version was seen before (`known`); else one more is asked.
        """
        coding = self._tools.coding
        overlapping = total - min(coding.happy, total) + 1
        return min(2 * needed, max(needed + (1 if known else 2), overlapping))

    def _boundary_found(self, best: Version) -> bool:
        """Whether, behind the last server that has anything, as many have nothing as are needed to read the file."""
        run, seen = 0, False
        holders = set(self._map.holders())
        for server in self._servers:
            if server in holders:
                run, seen = 0, True
            elif server in self._map.empty and seen:
                run += 1
                if run >= best.prefix.needed:
                    return True
            elif server not in self._asked:
                return False
        return False

    def _now(self) -> float:
        return self._tools.clock.seconds()


async def read_starts(tools: Tools, server: GridServer, storage_index: StorageIndex, length: int) -> dict[int, bytes]:
    """The first `length` bytes of all shares of the file on `server`. Raises ServerError."""
    question = server.storage.read_slot(storage_index, frozenset(), [ByteRange(0, length)])
    answer = await within(answer_seconds(length), tools.clock, question)
    if len(answer) > MOST_SHARES + 1 or any(len(pieces) != 1 or len(pieces[0]) > length for pieces in answer.values()):
        raise ServerError("the server answered something else than was asked for")
    return {number: pieces[0] for number, pieces in sorted(answer.items())}


def examine_starts(
    tools: Tools,
    storage_index: StorageIndex,
    examiner: Examiner,
    shares: ShareMap,
    server: GridServer,
    starts: dict[int, bytes],
) -> None:
    """Note in `shares` what all shares on `server` are, which begin with `starts`; report those that are none."""
    shares.forget(server)
    if not starts:
        shares.empty[server] = None
    for number, start in starts.items():
        place = Place(server, number)
        try:
            shares.found[place] = examiner.examine(place, start)
        except CorruptShare as fault:
            shares.note_bad(place, start)
            if start:
                tools.advisories.report(server, storage_index, number, fault.reason)


def note_failure(failure: Failure, server: GridServer) -> Exception:
    """The reason why `server` failed, for messages. What is no failure of a server, but ours, is logged."""
    error = failure.value
    if not isinstance(error, ServerError):
        _log.failure("a question to {server} failed", failure, server=server.identity.short_name)
    return error if isinstance(error, Exception) else ServerError("the question was cancelled")
