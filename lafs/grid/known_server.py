"""One storage server that this client knows of, whether it can be reached now or not. Owned by the broker."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from lafs.crypto.ed25519 import VerifyingKey
from lafs.grid.connection import Connection, Connector
from lafs.grid.grid_manager import endorsements, upload_permitted
from lafs.grid.reconnection import Reconnection
from lafs.interfaces import GridServer, ServerIdentity, ServerVersion, StorageServer
from lafs.node_status import ServerStatus
from lafs.protocol.storage_announcement import StorageAnnouncement
from lafs.tasks import Clock

IN_PROCESS: Final = "Connected to a store of this node"


class KnownServer:
    """A server that was announced or configured: keeps a connection to it, as long as there is a way to reach it.

    `changed` is called whenever `server` becomes another, or None.
    """

    def __init__(
        self,
        announced: StorageAnnouncement,
        connector: Connector,
        *,
        clock: Clock,
        random: Callable[[], float],
        managers: Sequence[VerifyingKey],
        changed: Callable[[], None],
    ) -> None:
        self.announced = announced
        self.server: GridServer | None = None
        self._connector = connector
        self._managers = managers
        self._changed = changed
        self._connection: Connection | None = None
        self._connected_since: float | None = None
        self._version: ServerVersion | None = None
        self._clock = clock
        self._refusal = connector.refusal(announced)
        self._endorsements = endorsements(announced.certificates, managers)
        self._reconnection: Reconnection[Connection] = Reconnection(
            self._connect, self._use, clock=clock, random=random
        )

    def start(self) -> None:
        """Begin to connect, unless there is no way."""
        if self._refusal is None:
            self._reconnection.start()

    def stop(self) -> None:
        """Let the connection go, and make no other."""
        self._reconnection.stop()

    def may_take_shares(self, now: datetime) -> bool:
        """Whether the grid managers, if there are any, let it have new shares."""
        return upload_permitted(self.announced.identity.server_id, self._endorsements, self._managers, now)

    def status(self) -> ServerStatus:
        """For people."""
        identity = self.announced.identity
        if self._connection is not None:
            description = f"Connected to {self._connection.description}"
        else:
            description = self._refusal or self._reconnection.describe()
        return ServerStatus(
            server_id=identity.server_id,
            nickname=identity.nickname,
            connected=self.server is not None,
            connection=description,
            version=self._version.application if self._version else None,
            available_space=self._version.available_space if self._version else None,
            last_received=self._connection.last_received if self._connection else None,
            connected_since=self._connected_since,
        )

    async def _connect(self) -> Connection:
        return await self._connector.connect(self.announced)

    async def _use(self, connection: Connection) -> None:
        """Offer the server to the grid for as long as the connection lasts."""
        try:
            self._version = await connection.storage.version()
            self._connection = connection
            self._connected_since = self._clock.seconds()
            self.server = GridServer.of(self.announced.identity, connection.storage, self._version)
            self._changed()
            await connection.when_lost()
        finally:
            connection.close()
            was, self.server, self._connection = self.server, None, None
            self._connected_since = None
            if was is not None:
                self._changed()


class LocalServer:
    """A share store of this very process."""

    def __init__(self, identity: ServerIdentity, storage: StorageServer, version: ServerVersion) -> None:
        self.server = GridServer.of(identity, storage, version)

    def start(self) -> None:
        """It is there."""

    def stop(self) -> None:
        """It stays."""

    def may_take_shares(self, now: datetime) -> bool:
        """One's own disks need no permission."""
        return True

    def status(self) -> ServerStatus:
        """For people."""
        return ServerStatus(
            server_id=self.server.identity.server_id,
            nickname=self.server.identity.nickname,
            connected=True,
            connection=IN_PROCESS,
            version=self.server.version.application,
            available_space=self.server.version.available_space,
        )
