"""Finding homes for the shares of a file: the conversation of an uploader with its servers before anything is sent.

One round trip when all goes well: each server in permuted order is asked to take a share, and tells in the same answer which
shares it has already; the servers behind them are only asked what they have. A share that one server refuses is offered to the
next at once, and a server that does not answer loses its turn after a moment, but may still be of use if nobody else is left.

    asked --granted--> writer        asked --refused/failed--> not willing, plan again
      |                                |
      +--patience over--> slow, plan again without it; a late grant is used if its share still has no home, else declined

Spec: 02 §§10.1-10.4 (with the defects noted there left out).
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableSet, Sequence

from attrs import define, field, frozen
from twisted.python.failure import Failure

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError, TimedOut
from lafs.grid.placement import happiness, plan
from lafs.interfaces import Allocation, GridServer, LeaseSecrets, ShareWriter
from lafs.tasks import Clock, Mailbox, Timer, forget, spawn

PATIENCE_SECONDS = 1.0
"""How long a server may think before its shares are offered to others as well."""

ANSWER_SECONDS = 15.0
"""How long an answer is waited for when nobody else can take the shares."""


_NOTHING: Mapping[int, Sequence[GridServer]] = {}


@frozen
class Grant:
    """A server's promise to take a share, and the means to send it."""

    server: GridServer
    writer: ShareWriter


@frozen
class Homes:
    """Where every share is or is going to be, as far as homes were found; and what each server did, for people."""

    granted: Mapping[int, Grant]
    existing: Mapping[int, Sequence[GridServer]]
    story: Mapping[GridServer, str]

    def sharemap(self) -> dict[int, list[GridServer]]:
        """Share number -> servers that have it or have promised to take it."""
        servers = {share: list(holders) for share, holders in self.existing.items()}
        for share, grant in self.granted.items():
            servers.setdefault(share, []).append(grant.server)
        return servers


@define(eq=False)
class _Question:
    server: GridServer
    shares: frozenset[int]
    slow: bool
    """Nobody waits for the answer any more unless there is nothing better to wait for."""
    abandoned: bool = False
    """The answer, if it still comes, will be declined."""
    timer: Timer | None = field(default=None, repr=False)

    def stop_timer(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()


@frozen
class _Answer:
    question: _Question
    allocation: Allocation | Failure


@frozen
class _PatienceOver:
    question: _Question


class ShareAllocator:
    """Asks `servers` (in permuted order) for homes for shares 0 to total - 1 of `share_size` bytes each.

    `suspects` are servers that were slow the last time: they come last and are not waited for. It is kept up to date. `known` are
    shares that need not be asked for, and `distrusted` those that count as absent whatever their servers say: for a repair.
    """

    def __init__(
        self,
        servers: Sequence[GridServer],
        storage_index: StorageIndex,
        total: int,
        happy: int,
        share_size: int,
        secrets_for: Callable[[GridServer], LeaseSecrets],
        suspects: MutableSet[GridServer],
        clock: Clock,
        known: Mapping[int, Sequence[GridServer]] = _NOTHING,
        distrusted: Collection[tuple[GridServer, int]] = (),
    ) -> None:
        self._suspects = suspects
        self._servers = sorted(servers, key=lambda server: server in suspects)
        self._storage_index = storage_index
        self._total = total
        self._happy = happy
        self._share_size = share_size
        self._secrets_for = secrets_for
        self._clock = clock
        self._letters: Mailbox[_Answer | _PatienceOver] = Mailbox()
        self._open: list[_Question] = []
        self._writable = [server for server in self._servers if self._has_room(server)]
        self._waiting_for_room = False
        self._granted: dict[int, Grant] = {}
        self._existing = {share: list(servers) for share, servers in known.items()}
        self._distrusted = frozenset(distrusted)
        self._story: dict[GridServer, str] = {}

    async def find_homes(self) -> Homes:
        """Ask until every share has a home or nobody is left to ask. Never raises but when cancelled."""
        try:
            self._place()
            asked = {question.server for question in self._open}
            for server in self._servers[: 2 * self._total]:
                if server not in asked:
                    self._ask(server, frozenset())
            while not self._settled():
                self._read(await self._letters.take())
        except BaseException:
            for grant in self._granted.values():
                forget(grant.writer.abort())
            raise
        finally:
            await self._stop_asking()
        self._return_surplus()
        return Homes(self._granted, self._existing, self._story)

    # --- asking ---

    def _place(self) -> None:
        """Ask for homes for the shares that have none, all in one breath."""
        # Who has not answered yet is not asked for more: the answer may be a refusal, or never come.
        busy = {question.server for question in self._open if question.slow or question.shares}
        writable = [server for server in self._writable if server not in busy]
        holders = self._holders()
        placed = plan(self._total, holders, writable, self._distrusted)
        self._waiting_for_room = len(holders.keys() | placed.keys()) < self._total
        wanted: dict[GridServer, set[int]] = {}
        for share, server in placed.items():
            wanted.setdefault(server, set()).add(share)
        for server, shares in wanted.items():
            self._ask(server, frozenset(shares))

    def _ask(self, server: GridServer, shares: frozenset[int]) -> None:
        question = _Question(server, shares, slow=server in self._suspects)
        self._open.append(question)
        question.timer = self._clock.callLater(PATIENCE_SECONDS, self._lose_patience, question)

        def answer(result: Allocation | Failure) -> None:
            question.stop_timer()
            if question.abandoned:
                _decline(result)
            else:
                self._suspects.discard(server)
                self._letters.post(_Answer(question, result))

        spawn(self._allocate(server, shares)).addBoth(answer)

    def _lose_patience(self, question: _Question) -> None:
        self._suspects.add(question.server)
        question.timer = self._clock.callLater(ANSWER_SECONDS - PATIENCE_SECONDS, self._give_up, question)
        self._letters.post(_PatienceOver(question))

    def _give_up(self, question: _Question) -> None:
        question.abandoned = True
        self._letters.post(_Answer(question, Failure(TimedOut(f"no answer within {ANSWER_SECONDS:g} seconds"))))  # type: ignore[no-untyped-call]

    async def _stop_asking(self) -> None:
        """Decline what is still to come: a writer nobody uses would block its share for everybody else."""
        for question in self._open:
            question.stop_timer()
            question.abandoned = True
            self._story.setdefault(question.server, "did not answer in time")
        while self._letters:
            letter = await self._letters.take()
            if isinstance(letter, _Answer):
                _decline(letter.allocation)

    def _has_room(self, server: GridServer) -> bool:
        return server.version.maximum_immutable_share_size >= self._share_size

    async def _allocate(self, server: GridServer, shares: frozenset[int]) -> Allocation:
        secrets = self._secrets_for(server)
        if self._has_room(server):
            return await server.storage.allocate_shares(self._storage_index, shares, self._share_size, secrets)
        # A server without room may refuse the lease that an allocation takes, but what it has still counts.
        existing = frozenset(await server.storage.list_shares(self._storage_index))
        if existing:
            forget(server.storage.add_lease(self._storage_index, secrets))
        return Allocation(existing, {})

    # --- reading the answers ---

    def _read(self, letter: _Answer | _PatienceOver) -> None:
        question = letter.question
        if isinstance(letter, _PatienceOver):
            question.slow = True
        else:
            self._open.remove(question)
            if isinstance(letter.allocation, Failure):
                self._failed(question, letter.allocation)
            else:
                self._accept(question, letter.allocation)
                as_planned = question.shares == letter.allocation.writers.keys()
                if as_planned and not self._existing and not self._waiting_for_room:
                    return
        self._place()

    def _failed(self, question: _Question, failure: Failure) -> None:
        reason = failure.value
        text = str(reason) if isinstance(reason, ServerError) else "failed"
        self._story[question.server] = text or "failed"
        self._dismiss(question.server)

    def _accept(self, question: _Question, allocation: Allocation) -> None:
        server = question.server
        has = [
            share
            for share in sorted(allocation.existing)
            if 0 <= share < self._total and (server, share) not in self._distrusted
        ]
        for share in has:
            holders = self._existing.setdefault(share, [])
            if server not in holders:
                holders.append(server)
        takes = []
        for share, writer in sorted(allocation.writers.items()):
            if share in question.shares and self._take(share, Grant(server, writer)):
                takes.append(share)
            else:
                forget(writer.abort())
        if question.shares.difference(allocation.writers, has):
            self._dismiss(server)
        self._story[server] = _tell(question.shares, takes, has)

    def _take(self, share: int, grant: Grant) -> bool:
        """Use `grant` if the share has no other, or if it makes the placement happier than the one there is."""
        other = self._granted.get(share)
        if other is not None and self._happiness(self._granted | {share: grant}) <= self._happiness(self._granted):
            return False
        if other is not None:
            forget(other.writer.abort())
        self._granted[share] = grant
        return True

    def _happiness(self, granted: Mapping[int, Grant]) -> int:
        return happiness(Homes(granted, self._existing, {}).sharemap())

    def _dismiss(self, server: GridServer) -> None:
        """Ask `server` for nothing more."""
        self._writable = [other for other in self._writable if other is not server]

    # --- where we stand ---

    def _holders(self) -> dict[int, list[GridServer]]:
        """What is there, promised, or asked of a server that is still expected to answer soon."""
        holders = {share: list(servers) for share, servers in self._existing.items()}
        for share, grant in self._granted.items():
            holders.setdefault(share, []).append(grant.server)
        for question in self._open:
            if not question.slow:
                for share in question.shares:
                    holders.setdefault(share, []).append(question.server)
        return holders

    def _settled(self) -> bool:
        """Whether waiting longer could not improve anything that matters."""
        if not self._open:
            return True
        if any(not question.slow for question in self._open):
            return False
        return self._happiness(self._granted) >= self._happy

    def _return_surplus(self) -> None:
        """Decline grants for shares that turned out to be elsewhere already, where happiness does not need them."""
        best = self._happiness(self._granted)
        for share in sorted(self._granted.keys() & self._existing.keys()):
            kept = dict(self._granted)
            grant = kept.pop(share)
            if self._happiness(kept) == best:
                self._granted = kept
                forget(grant.writer.abort())


def _decline(result: Allocation | Failure) -> None:
    if isinstance(result, Allocation):
        for writer in result.writers.values():
            forget(writer.abort())


def _tell(asked: frozenset[int], takes: Sequence[int], has: Sequence[int]) -> str:
    parts = []
    if has:
        parts.append("has " + _list(has))
    if takes:
        parts.append("takes " + _list(takes))
    refused = sorted(asked.difference(takes, has))
    if refused:
        parts.append(f"refused {_list(refused)} (full, or the share is being written)")
    return "; ".join(parts) or "has nothing of this file"


def _list(shares: Sequence[int]) -> str:
    return ("share " if len(shares) == 1 else "shares ") + ", ".join(map(str, shares))
