"""The storage servers of the grid, as this client knows them: the one implementation of `lafs.interfaces.Grid`.

The node tells it of servers (announced by introducers, named in a file, or in this process); uploads and downloads ask
it which servers there are now, and in which order to go to them. Spec: 01 §6.7, 05 §13.4, §15.5, §18.4.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from random import random as chance
from typing import Any, Final

from twisted.internet.defer import Deferred

from lafs.crypto.ed25519 import VerifyingKey
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ConfigurationError, TimedOut
from lafs.grid.connection import Connector
from lafs.grid.known_server import KnownServer, LocalServer
from lafs.grid.permutation import permuted
from lafs.interfaces import GridServer, ServerIdentity, StorageServer
from lafs.node_status import ServerStatus
from lafs.protocol.announcements import Announcement, BadAnnouncement, compare
from lafs.protocol.storage_announcement import StorageAnnouncement, of_static_entry, parse
from lafs.tasks import Clock, within

MOST_SERVERS: Final = 2000
"""More than these are not heard of: every one costs a connection, and an introducer can make up any number."""

SETTLING_SECONDS: Final = 10.0
"""How long after the start servers are still expected to appear."""

REMEMBERED_ORDERS: Final = 1024
"""Files whose order of servers is kept: an operation on a file asks for it several times."""


class Broker:
    """Knows servers, keeps connections to them, and puts them in order.

    `preferred` are ids of servers to be asked before all others; `managers` the keys of grid managers, if uploads are to
    go only where one of them says so.
    """

    def __init__(
        self,
        connector: Connector,
        clock: Clock,
        preferred: Collection[str] = frozenset(),
        managers: Sequence[VerifyingKey] = (),
        random: Callable[[], float] = chance,
    ) -> None:
        self._connector = connector
        self._clock = clock
        self._preferred = frozenset(preferred)
        self._managers = tuple(managers)
        self._random = random
        self._local: dict[str, LocalServer] = {}
        self._static: dict[str, KnownServer] = {}
        self._announced: dict[str, KnownServer] = {}
        self._orders: OrderedDict[StorageIndex, tuple[GridServer, ...]] = OrderedDict()
        self._waiting: list[tuple[int, int, Deferred[None]]] = []
        self._started = False
        self._started_at = -SETTLING_SECONDS

    # --- a service ---

    async def start(self) -> None:
        """Begin to connect to all servers known, and to those heard of from now on."""
        await self._connector.start()
        self._started, self._started_at = True, self._clock.seconds()
        for known in self._known():
            known.start()

    async def stop(self) -> None:
        """Close all connections."""
        self._started = False
        for known in self._known():
            known.stop()
        await self._connector.stop()

    # --- what there is ---

    def hear(self, announcement: Announcement) -> bool:
        """Take note of a server that was announced: whether it changed anything. Raises BadAnnouncement.

        A server that is in this process, or in the file of static servers, is what it is there. An announcement that
        differs from what is known only in its sequence number leaves the connection alone.
        """
        server_id = announcement.server_id
        if server_id in self._local or server_id in self._static:
            return False
        heard = parse(announcement)
        known = self._announced.get(server_id)
        if known is None:
            if len(self._announced) >= MOST_SERVERS:
                raise BadAnnouncement("more servers were announced than this client can know")
        elif not self._is_news(known.announced.announcement, announcement):
            return False
        elif known.announced.announcement.content == announcement.content:
            known.announced = heard
            return False
        else:
            known.stop()
        self._announced[server_id] = self._begin(heard)
        return True

    def add_static(self, server_id: str, entry: Mapping[str, Any]) -> None:
        """Take note of a server named in the file of static servers: `ann` and perhaps `connections`. Spec: 05 §15.5.

        Raises BadAnnouncement, or ConfigurationError for a way of connecting that this program has not: going another
        way might tell the server what was to be hidden from it.
        """
        announced = entry.get("ann")
        if not isinstance(announced, Mapping):
            raise BadAnnouncement("a static server without its announcement, `ann`")
        connections = entry.get("connections") or {}
        if not isinstance(connections, Mapping) or connections.get("tcp", "tcp") != "tcp":
            raise ConfigurationError("a static server with `connections` other than tcp: tcp, which are not supported")
        server = of_static_entry(server_id, dict(announced))
        for others in (self._announced, self._static):
            if server_id in others:
                others.pop(server_id).stop()
        self._static[server_id] = self._begin(server)

    async def add_local(self, identity: ServerIdentity, storage: StorageServer) -> None:
        """Take note of a share store of this process; it is there when this returns."""
        local = LocalServer(identity, storage, await storage.version())
        for others in (self._announced, self._static):
            if identity.server_id in others:
                others.pop(identity.server_id).stop()
        self._local[identity.server_id] = local
        self._changed()

    def statuses(self) -> Sequence[ServerStatus]:
        """All servers known, by nickname."""
        return sorted((known.status() for known in self._known()), key=lambda each: (each.nickname, each.server_id))

    async def settled(self, least: int, enough: int) -> None:
        """Wait, soon after the start, until it has turned out which servers there are.

        That is when `enough` of them can be asked; or all that are known, if those are at least `least`; or when
        SETTLING_SECONDS are over: who is not there by then is away.
        """
        left = self._started_at + SETTLING_SECONDS - self._clock.seconds()
        if left <= 0 or self._is_settled(least, enough):
            return
        settled: Deferred[None] = Deferred(self._forget)
        self._waiting.append((least, enough, settled))
        with suppress(TimedOut):
            await within(left, self._clock, settled)

    # --- lafs.interfaces.Grid ---

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        order = self._orders.get(storage_index)
        if order is None:
            order = tuple(permuted(self._servers(), storage_index, self._preferred))
            if len(self._orders) >= REMEMBERED_ORDERS:
                self._orders.popitem(last=False)
            self._orders[storage_index] = order
        return order

    def for_upload(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        order = self.for_reading(storage_index)
        if not self._managers:
            return order
        now = datetime.fromtimestamp(self._clock.seconds(), UTC)
        permitted = {known.server for known in self._known() if known.may_take_shares(now)}
        return [server for server in order if server in permitted]

    # --- within ---

    def _known(self) -> Iterator[KnownServer | LocalServer]:
        yield from list(self._local.values())
        yield from list(self._static.values())
        yield from list(self._announced.values())

    def _servers(self) -> list[GridServer]:
        return [known.server for known in self._known() if known.server is not None]

    def _begin(self, server: StorageAnnouncement) -> KnownServer:
        known = KnownServer(
            server,
            self._connector,
            clock=self._clock,
            random=self._random,
            managers=self._managers,
            changed=self._changed,
        )
        if self._started:
            known.start()
        return known

    def _is_news(self, stored: Announcement, heard: Announcement) -> bool:
        """Whether `heard` says what is now. What was remembered in a cache gives way to anything that is signed."""
        if stored.envelope is None or heard.envelope is None:
            return heard.envelope is not None
        return compare(stored, heard).counts

    def _changed(self) -> None:
        self._orders.clear()
        settled = [entry for entry in self._waiting if self._is_settled(*entry[:2])]
        self._waiting = [entry for entry in self._waiting if entry not in settled]
        for *_, waiting in settled:
            waiting.callback(None)

    def _is_settled(self, least: int, enough: int) -> bool:
        connected = len(self._servers())
        return connected >= enough or (connected >= least and connected == sum(1 for _ in self._known()))

    def _forget(self, waiting: Deferred[None]) -> None:
        self._waiting = [entry for entry in self._waiting if entry[2] is not waiting]
