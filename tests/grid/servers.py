"""Announcements, and a connector that connects to nothing, for tests of those who know servers."""
from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from lafs.crypto import base32
from lafs.crypto.ed25519 import SigningKey
from lafs.errors import ServerGone
from lafs.interfaces import ServerVersion
from lafs.protocol.announcements import Announcement, sign, verify
from lafs.protocol.storage_announcement import StorageAnnouncement

VERSION = ServerVersion("lafs/test", 1000, 1000)


def key_of(number: int) -> SigningKey:
    """The key of the server of that number."""
    return SigningKey(number.to_bytes(32, "big"))


def furl_of(number: int) -> str:
    return f"pb://{base32.encode(number.to_bytes(20, 'big'))}@tcp:127.0.0.1:{1000 + number}/swissnum"


def announced(number: int, sequence_number: int = 1, **fields: Any) -> Announcement:
    """A verified announcement of the server of that number."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    named.setdefault("anonymous-storage-FURL", furl_of(number))
    content = {"service-name": "storage", "nickname": f"server {number}", **named}
    nonce = bytes([number % 256, sequence_number % 256])
    return verify(sign(content, key_of(number), sequence_number, nonce).as_tuple())


class FakeStorage:
    """A storage server that only says who it is, when the test wants it."""

    def __init__(self) -> None:
        self.asked: Deferred[ServerVersion] = Deferred()

    async def version(self) -> ServerVersion:
        return await self.asked


class FakeConnection:
    """Implements `Connection`. `lose` is for the test."""

    description = "tcp:127.0.0.1:1 via tcp"
    last_received = 12.5

    def __init__(self) -> None:
        self.storage: Any = FakeStorage()
        self.closed = False
        self._watchers: list[Deferred[None]] = []

    def when_lost(self) -> Deferred[None]:
        watcher: Deferred[None] = Deferred(self._watchers.remove)
        self._watchers.append(watcher)
        return watcher

    def close(self) -> None:
        self.closed = True

    def lose(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.callback(None)
        if not self.storage.asked.called:
            self.storage.asked.errback(ServerGone("lost"))


class FakeConnector:
    """Implements `Connector`. Connections come about when the test calls `answer`."""

    def __init__(self) -> None:
        self.attempts: list[tuple[StorageAnnouncement, Deferred[FakeConnection]]] = []
        self.running = False

    def refusal(self, server: StorageAnnouncement) -> str | None:
        return None if server.furl else "Unsupported: no way to reach it"

    def connect(self, server: StorageAnnouncement) -> Any:
        attempt: Deferred[FakeConnection] = Deferred()
        self.attempts.append((server, attempt))
        return attempt

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def answer(self, position: int = -1, version: ServerVersion = VERSION) -> FakeConnection:
        """Let an attempt succeed, and the server say who it is."""
        connection = FakeConnection()
        self.attempts[position][1].callback(connection)
        connection.storage.asked.callback(version)
        return connection
