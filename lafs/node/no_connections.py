"""`[connections] tcp = disabled`: every storage server that is not in this process is out of reach. Used by `client_node`."""

from __future__ import annotations

from lafs.errors import ServerGone
from lafs.grid.connection import Connection
from lafs.protocol.storage_announcement import StorageAnnouncement

REASON = "Disabled by [connections] tcp"


class NoConnections:
    """Implements `lafs.grid.connection.Connector` by refusing."""

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def refusal(self, server: StorageAnnouncement) -> str | None:
        return REASON

    async def connect(self, server: StorageAnnouncement) -> Connection:
        raise ServerGone(REASON)
