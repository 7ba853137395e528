"""What the broker needs of a connection to a storage server, whatever carries it."""
from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from lafs.interfaces import StorageServer
from lafs.protocol.storage_announcement import StorageAnnouncement


class Connection(Protocol):
    """An open connection to one storage server."""

    @property
    def storage(self) -> StorageServer: ...

    @property
    def description(self) -> str:
        """For people: how it was made, as "tcp:HOST:PORT via tcp"."""
        ...

    @property
    def last_received(self) -> float | None:
        """When anything last came over it, in seconds since the epoch."""
        ...

    def when_lost(self) -> Deferred[None]:
        """Fires when the connection is gone, or at once if it is. Cancelling it only stops the waiting."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Connector(Protocol):
    """Makes connections to storage servers."""

    def refusal(self, server: StorageAnnouncement) -> str | None:
        """Why there is no way to reach `server` at all, for people; None if there is one."""
        ...

    async def connect(self, server: StorageAnnouncement) -> Connection:
        """Raises whatever went wrong."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Close all connections."""
        ...
