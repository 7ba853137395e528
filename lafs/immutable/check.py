"""How an immutable file is: which servers have which shares, by their word or, if it is verified, by every byte of them.

All servers are asked at once. Each of them can spoil only its own part of the answer: one that fails or does not answer counts as
holding nothing, and a share number that the file has not is passed over. Called by `lafs.upkeep`. Spec: 02 §13.1 to §13.3.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import evolve, field, frozen
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from lafs.capability import ImmutableVerifyCap
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import CorruptShare, LafsError, ServerError, ServerGone, TimedOut
from lafs.grid.placement import happiness
from lafs.health import CheckResults, DamagedShare
from lafs.immutable.layout import UnknownShareVersion
from lafs.immutable.share_search import FIND_TIMEOUT
from lafs.immutable.verify import ShareVerifier
from lafs.interfaces import Grid, GridServer, LeaseSecrets, ShareReader
from lafs.tasks import Clock, Window, forget, gather, settle, spawn, within
from lafs.workers import Workers

VERIFIED_AT_ONCE: Final = 32 * 1024 * 1024
"""Bytes of blocks that all verifiers of a client hold together."""

SERVERS_AT_ONCE: Final = 16
"""Servers whose shares of one file are verified at a time."""

_log = Logger(namespace="lafs.check")

SecretsFor = Callable[[StorageIndex, GridServer], LeaseSecrets]


@frozen
class Findings:
    """What is known of a file: servers by share number. `wanted_happiness` is how widely its shares should be spread."""

    cap: ImmutableVerifyCap
    good: Mapping[int, Sequence[GridServer]]
    corrupt: Sequence[tuple[GridServer, int]] = ()
    unusable: Sequence[tuple[GridServer, int]] = ()
    """Shares that are neither good nor known to be bad: of a later version, or they could not be read."""
    responding: Sequence[GridServer] = ()
    wanted_happiness: int = field(default=0)

    @property
    def happiness(self) -> int:
        return happiness(self.good)

    @property
    def recoverable(self) -> bool:
        return len(self.good) >= self.cap.needed

    @property
    def complete(self) -> bool:
        return len(self.good) == self.cap.total

    @property
    def healthy(self) -> bool:
        """All shares are there, and so spread that losing one server does not lose many of them."""
        return self.complete and self.happiness >= self.wanted_happiness

    def with_shares(self, stored: Mapping[int, GridServer]) -> Findings:
        """What is known after shares were stored."""
        good = {number: list(servers) for number, servers in self.good.items()}
        for number, server in stored.items():
            good.setdefault(number, []).append(server)
        return evolve(self, good=dict(sorted(good.items())))

    def results(self) -> CheckResults:
        """For those who ask."""
        cap, index = self.cap, self.cap.storage_index.text
        return CheckResults(
            storage_index=index,
            summary=self._summary(),
            healthy=self.healthy,
            recoverable=self.recoverable,
            happiness=self.happiness,
            good_shares=len(self.good),
            needed=cap.needed,
            total=cap.total,
            good_hosts=len({server for servers in self.good.values() for server in servers}),
            recoverable_versions=int(self.recoverable),
            unrecoverable_versions=int(not self.recoverable),
            corrupt=[DamagedShare(server.identity.server_id, index, number) for server, number in self.corrupt],
            servers_responding=[server.identity.server_id for server in self.responding],
            sharemap={
                str(number): sorted(server.identity.server_id for server in servers) for number, servers in self.good.items()
            },
        )

    def _summary(self) -> str:
        if self.healthy:
            return "Healthy"
        summary = f"Not Healthy: {len(self.good)} shares (enc {self.cap.needed}-of-{self.cap.total})"
        if self.complete:
            summary += f", but spread over {self.happiness} server(s) only, not {self.wanted_happiness}"
        return summary


class Checker:
    """Checks the immutable files of one client. `happy` is over how many servers its files should be spread."""

    def __init__(self, grid: Grid, workers: Workers, clock: Clock, secrets_for: SecretsFor, happy: int) -> None:
        self._grid = grid
        self._workers = workers
        self._clock = clock
        self._secrets_for = secrets_for
        self._happy = happy
        self._window = Window(VERIFIED_AT_ONCE)

    async def check(self, cap: ImmutableVerifyCap, verify: bool, add_lease: bool) -> Findings:
        """Ask everyone, about leases too on demand; with `verify`, read everything. Never raises but when cancelled.

        The numbers of `cap` must have been checked.
        """
        servers = list(self._grid.for_reading(cap.storage_index))
        leases = spawn(settle(self._lease(server, cap) for server in servers if add_lease))
        try:
            answers = await gather(self._ask(server, cap) for server in servers)
            await leases
        finally:
            leases.addErrback(lambda _: None)
            leases.cancel()
        claims = {server: answer for server, answer in zip(servers, answers, strict=True) if answer is not None}
        turns = Window(SERVERS_AT_ONCE)
        verdicts = await gather(self._judge(cap, server, shares, verify, turns) for server, shares in claims.items())
        good: dict[int, list[GridServer]] = {}
        corrupt: list[tuple[GridServer, int]] = []
        unusable: list[tuple[GridServer, int]] = []
        for server, verdict in zip(claims, verdicts, strict=True):
            for number, fault in verdict.items():
                if fault is None:
                    good.setdefault(number, []).append(server)
                elif isinstance(fault, CorruptShare) and not isinstance(fault, UnknownShareVersion):
                    corrupt.append((server, number))
                else:
                    unusable.append((server, number))
        wanted = min(self._happy, cap.total, len(claims))
        return Findings(cap, dict(sorted(good.items())), corrupt, unusable, list(claims), wanted)

    async def _lease(self, server: GridServer, cap: ImmutableVerifyCap) -> None:
        index = cap.storage_index
        await within(FIND_TIMEOUT, self._clock, server.storage.add_lease(index, self._secrets_for(index, server)))

    async def _ask(self, server: GridServer, cap: ImmutableVerifyCap) -> Mapping[int, ShareReader] | None:
        """The shares that `server` says it has of the file; None if it does not answer."""
        try:
            readers = await within(FIND_TIMEOUT, self._clock, server.storage.list_shares(cap.storage_index))
        except CancelledError:
            raise
        except Exception as error:
            if not isinstance(error, ServerError):
                _log.failure("asking {server} for shares failed", server=server.identity.short_name)
            return None
        numbers = [number for number in readers if isinstance(number, int) and 0 <= number < cap.total]
        return {number: readers[number] for number in sorted(numbers)}

    async def _judge(
        self, cap: ImmutableVerifyCap, server: GridServer, shares: Mapping[int, ShareReader], verify: bool, turns: Window
    ) -> Mapping[int, Exception | None]:
        """What is wrong with each of the server's shares. Without `verify`, nothing is."""
        verdicts: dict[int, Exception | None] = dict.fromkeys(shares)
        if not verify or not shares:
            return verdicts
        await turns.take()
        try:
            gone: Exception | None = None
            for number, reader in shares.items():
                verdicts[number] = gone or await self._fault(cap, server, number, reader)
                if isinstance(verdicts[number], TimedOut | ServerGone):
                    gone = verdicts[number]  # No use waiting again for each of its other shares.
        finally:
            turns.give_back()
        return verdicts

    async def _fault(
        self, cap: ImmutableVerifyCap, server: GridServer, number: int, reader: ShareReader
    ) -> Exception | None:
        try:
            await ShareVerifier(cap, number, reader, self._window, self._workers, self._clock).verify()
        except CancelledError:
            raise
        except UnknownShareVersion as error:
            return error
        except CorruptShare as error:
            reason = error.reason or "wrong hash of the UEB"
            report = f"corruption in share[{error.start}-{error.end}): {reason}"
            name = server.identity.short_name
            _log.warn("share {number} on {server} is corrupt: {reason}", number=number, server=name, reason=reason)
            forget(within(FIND_TIMEOUT, self._clock, reader.report_corruption(report)))
            return error
        except Exception as error:
            if not isinstance(error, LafsError):
                _log.failure("verifying a share on {server} failed", server=server.identity.short_name)
            return error
        return None
