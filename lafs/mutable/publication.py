"""Writing one version to the servers: one call to each, which it carries out if the slot is as we believe it to be. Spec: 03 §9.

    told --written--> placed
      |--refused, or has shares we did not know--> looked at again: somebody else's version: collision
      |                                              old, bad or surplus shares, or a hiccup: told again, with the right tests
      |--failed or late--> its shares are offered to other servers

A server's word alone makes no collision: only a version signed by the owner does. So no server can keep a file from being written.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lafs.crypto.derivations import write_enabler
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadWriteEnabler, ServerError, UncoordinatedWrite, UnhappyUpload
from lafs.grid.placement import happiness
from lafs.interfaces import ByteRange, GridServer, SlotSecrets
from lafs.mutable.encoding import SignedVersion
from lafs.mutable.examination import Examiner
from lafs.mutable.goal import Bodies, Goal, writes_for
from lafs.mutable.patience import answer_seconds
from lafs.mutable.share_layout import HEADER_SIZE, Prefix
from lafs.mutable.share_map import FoundShare, Place, ShareMap
from lafs.mutable.survey import SHORT_START, examine_starts, note_failure, read_starts
from lafs.mutable.tools import Tools
from lafs.tasks import Mailbox, Timer, spawn, within

PATIENCE_SECONDS: Final = 2.0

STRAGGLING: Final = 3.0
"""Times as long as half of the servers took, after which the others are late: however slow the line, it is the same for all."""

TRIES: Final = 3
"""Calls to one server that answers, but does not write."""

Reads = Mapping[int, Sequence[bytes]]


@define(eq=False)
class _Call:
    server: GridServer
    numbers: frozenset[int]
    size: int
    asked_at: float
    work: Deferred[bool] | None = None
    timer: Timer | None = None
    late: bool = False
    hurried: bool = False
    in_flight: bool = False

    def stop(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()


@frozen
class _Answer:
    call: _Call
    written: bool | Failure


@frozen
class _Late:
    call: _Call


class Publication:
    """Writes `version`. Used once.

    `shares` is what is known of the slot, and is brought up to date. `goal` says where what goes; with `rehome`, shares that have
    no place, or lose it, get one elsewhere. `base` is the version that all shares are believed to be of, if nobody has looked: then
    any other that the owner has signed is a collision, be it older.
    """

    def __init__(
        self,
        tools: Tools,
        storage_index: StorageIndex,
        examiner: Examiner,
        write_key: bytes,
        shares: ShareMap,
        version: SignedVersion,
        bodies: Bodies,
        goal: Goal,
        rehome: bool = True,
        base: Prefix | None = None,
    ) -> None:
        self._tools = tools
        self._storage_index = storage_index
        self._examiner = examiner
        self._write_key = write_key
        self._map = shares
        self._version = version
        self._prefix = version.prefix
        self._start = version.header()
        self._bodies = bodies
        self._goal = goal
        self._rehome = rehome
        self._base = base
        self._letters: Mailbox[_Answer | _Late] = Mailbox()
        self._calls: list[_Call] = []
        self._tries: Counter[GridServer] = Counter()
        self._failed: dict[GridServer, str] = {}
        self._placed: dict[int, set[GridServer]] = {}
        self._overtaken = False

    async def run(self) -> None:
        """Write. Raises UncoordinatedWrite if somebody else has written meanwhile, UnhappyUpload if too few servers took it."""
        if self._rehome:
            self._goal.place(self._goal.homeless(), self._candidates())
        threshold = self._threshold()
        try:
            for server, numbers in list(self._goal.wanted.items()):
                self._tell(server, frozenset(numbers))
            await self._hear_all()
            # Shares are offered to others only when it is certain that nobody else has written: two heads of one number are
            # bad enough without being spread further.
            while self._rehome and not self._overtaken and self._offer_elsewhere():
                await self._hear_all()
            while self._rehome and not self._overtaken and not self._is_happy(threshold) and self._offer_to_silent():
                await self._hear_all()
            # Perhaps all are slow.
            while self._calls and not self._overtaken and not self._is_happy(threshold):
                self._open(await self._letters.take())
        finally:
            for call in self._calls:
                call.stop()
                assert call.work is not None
                call.work.cancel()
        self._conclude(threshold)

    def _threshold(self) -> int:
        """Servers that must each take a share of their own: `happy`, or as many as there can be.

        Shares stay where they are, be it on few servers. But servers that do not answer do not make it easier to be done: who read
        before relies on meeting, among a few servers, one that has taken the last acknowledged write.
        """
        happy, possible = self._tools.coding.happy, self._goal.happiness()
        servers = self._tools.grid.for_upload(self._storage_index)
        if len(servers) >= happy:
            possible += sum(server in self._map.silent for server in servers)
        return min(happy, possible)

    def _candidates(self) -> list[GridServer]:
        """Servers that may get shares without a place, in permuted order; those that may hang last."""
        now = self._tools.clock.seconds()
        servers = [
            server
            for server in self._tools.grid.for_upload(self._storage_index)
            if server not in self._failed and server not in self._map.silent
        ]
        return sorted(servers, key=lambda server: self._tools.patience.is_suspect(server, now))

    # --- telling --------------------------------------------------------------------------------------------------

    def _tell(self, server: GridServer, numbers: frozenset[int]) -> None:
        self._tries[server] += 1
        size = sum(self._bodies.size for number in numbers if number < self._prefix.total)
        call = _Call(server, numbers, size, self._tools.clock.seconds())
        self._calls.append(call)
        call.work = spawn(self._write_in_turn(call))
        call.work.addBoth(lambda written: self._letters.post(_Answer(call, written)))

    async def _write_in_turn(self, call: _Call) -> bool:
        """`_write`, when so many bytes may be on their way."""
        await self._tools.sending.take(call.size)
        call.in_flight = True
        others = len(self._calls) + len(self._goal.wanted)
        call.asked_at = self._tools.clock.seconds()
        delay = self._tools.patience.seconds(PATIENCE_SECONDS, call.size * others)
        call.timer = self._tools.clock.callLater(delay, self._letters.post, _Late(call))
        try:
            return await self._write(call)
        finally:
            self._let_others(call)

    def _let_others(self, call: _Call) -> None:
        """`call` has ended, or is not waited for any more."""
        if call.in_flight:
            call.in_flight = False
            self._tools.sending.give_back(call.size)

    async def _write(self, call: _Call) -> bool:
        """Have `call.server` write; look again at one that did not. Whether it has written."""
        lease = self._tools.lease_secrets_for(self._storage_index, call.server)
        secrets = SlotSecrets(write_enabler(self._write_key, call.server.identity.lease_seed), lease)
        writes = await self._tools.workers.run_sized(
            call.size, writes_for, call.numbers, self._prefix.total, call.server, self._map, self._bodies.of
        )
        written, reads = await within(
            answer_seconds(call.size * max(len(self._goal.wanted), 1)),
            self._tools.clock,
            call.server.storage.test_and_write_slot(
                self._storage_index, secrets, writes, [ByteRange(0, max(HEADER_SIZE.values()))]
            ),
        )
        if written:
            self._note_written(call)
        if not written or self._surprises(call, reads):
            starts = await read_starts(self._tools, call.server, self._storage_index, SHORT_START)
            examine_starts(self._tools, self._storage_index, self._examiner, self._map, call.server, starts)
        return written

    def _surprises(self, call: _Call, reads: Reads) -> bool:
        """Whether there are shares that were not written now and are not of this version."""
        own = self._prefix.pack()
        return any(
            number not in call.numbers and pieces and pieces[0] and not pieces[0].startswith(own)
            for number, pieces in reads.items()
        )

    def _note_written(self, call: _Call) -> None:
        self._map.silent.pop(call.server, None)
        for number in call.numbers:
            place = Place(call.server, number)
            self._map.bad.pop(place, None)
            self._map.found.pop(place, None)
            self._map.empty.pop(call.server, None)
            if number < self._prefix.total:
                self._map.found[place] = FoundShare(place, self._prefix, self._version.sections, self._start)
                self._placed.setdefault(number, set()).add(call.server)

    # --- hearing --------------------------------------------------------------------------------------------------

    async def _hear_all(self) -> None:
        """Take all answers that come in time."""
        while any(not call.late for call in self._calls):
            self._open(await self._letters.take())

    def _open(self, letter: _Answer | _Late) -> None:
        if isinstance(letter, _Late):
            letter.call.late = True
            self._let_others(letter.call)
            self._tools.patience.late(letter.call.server, self._tools.clock.seconds())
            self._fail(letter.call.server, "does not answer")
        else:
            self._read(letter.call, letter.written)

    def _read(self, call: _Call, written: bool | Failure) -> None:
        call.stop()
        self._calls.remove(call)
        server = call.server
        if isinstance(written, Failure):
            error = note_failure(written, server)
            wrong_enabler = "was written by somebody else" if isinstance(error, BadWriteEnabler) else str(error)
            self._fail(server, wrong_enabler or "failed")
            return
        self._tools.patience.answered(server, self._tools.clock.seconds() - call.asked_at)
        if call.late and written:
            self._failed.pop(server, None)
        self._hurry(self._tools.clock.seconds() - call.asked_at)
        if self._is_overtaken(server):
            self._overtaken = True
            return
        left = self._unwritten(server, frozenset() if written else call.numbers)
        if not left:
            return
        if self._tries[server] < TRIES and not self._overtaken:
            self._tell(server, left)
        elif not written:
            self._fail(server, "refuses to write")

    def _hurry(self, elapsed: float) -> None:
        """When half of the servers have written, the last of them after `elapsed` seconds, wait for the others not much longer."""
        written = {server for servers in self._placed.values() for server in servers}
        if len(written) < len(self._calls):
            return
        for call in self._calls:
            if call.in_flight and not call.hurried:
                call.hurried = True
                call.stop()
                delay = max(PATIENCE_SECONDS, STRAGGLING * elapsed - (self._tools.clock.seconds() - call.asked_at))
                call.timer = self._tools.clock.callLater(delay, self._letters.post, _Late(call))

    def _is_overtaken(self, server: GridServer) -> bool:
        """Whether `server` has shown a version that the owner has signed, not older than ours; or not the one expected."""
        others = [
            share.prefix
            for place, share in self._map.found.items()
            if place.server is server and share.prefix != self._prefix
        ]
        if self._base is not None:
            return any(prefix != self._base for prefix in others)
        return any(prefix.sequence_number >= self._prefix.sequence_number for prefix in others)

    def _unwritten(self, server: GridServer, wanted: frozenset[int]) -> frozenset[int]:
        """What `server` is still to be told: `wanted`, and whatever else it has that is not of this version."""
        found = self._map.found.values()
        other = {each.place.number for each in found if each.place.server is server and each.prefix != self._prefix}
        bad = {place.number for place in self._map.bad if place.server is server}
        done = {number for number, servers in self._placed.items() if server in servers}
        extra = other | bad if self._rehome else frozenset[int]()
        return (wanted | extra) - done

    def _fail(self, server: GridServer, reason: str) -> None:
        """Do without `server`."""
        self._failed.setdefault(server, reason)
        self._goal.give_up(server)

    def _offer_elsewhere(self) -> bool:
        """Tell other servers to take the shares that have lost their place; whether there are any to be told."""
        chosen = self._goal.place(self._goal.homeless(self._placed), self._candidates())
        for server in chosen:
            done = {number for number, servers in self._placed.items() if server in servers}
            self._tell(server, frozenset(self._goal.wanted[server] - done))
        return bool(chosen)

    def _offer_to_silent(self) -> bool:
        """Give servers that did not answer before a share, when too few others are left; whether there are any to be told."""
        silent = [
            server
            for server in self._tools.grid.for_upload(self._storage_index)
            if server in self._map.silent and not self._tries[server]
        ]
        crowded = [
            number
            for number, servers in self._placed.items()
            if all(len(self._goal.wanted.get(server, ())) > 1 for server in servers)
        ]
        chosen = self._goal.place(crowded, silent)
        for server in chosen:
            self._tell(server, frozenset(self._goal.wanted[server]))
        return bool(chosen)

    # --- done -----------------------------------------------------------------------------------------------------

    def _conclude(self, threshold: int) -> None:
        for server in self._failed:
            self._map.silent.setdefault(server, ServerError(self._failed[server]))
        if self._overtaken:
            raise UncoordinatedWrite("somebody else has written the same mutable file at the same time")
        if not self._is_happy(threshold):
            raise UnhappyUpload(self._story(happiness(self._placed), threshold))

    def _is_happy(self, threshold: int) -> bool:
        return len(self._placed) >= self._prefix.needed and happiness(self._placed) >= threshold

    def _story(self, happy: int, threshold: int) -> str:
        if not self._placed and not self._failed:
            return "No storage server is connected. Check the network and the introducer, then try again."
        lines = [
            f"shares could be placed on only {happy} server(s) such that each has one of its own, "
            f"but {max(threshold, 1)} are wanted; {len(self._placed)} of {self._prefix.total} shares were placed, "
            f"of which any {self._prefix.needed} are needed."
        ]
        lines += [
            f"  {server.identity.short_name} ({server.identity.nickname}): {reason}"
            for server, reason in self._failed.items()
        ]
        return "\n".join(lines)
