"""Connections to storage servers over Foolscap.

All of them belong to one Tub made for the life of the process, with a certificate of its own: storage servers do not
see which node is calling, and nothing can be called on it but the canary. Made by the node; called by the broker.
Spec: 05 §11.1, §15.2 (last paragraph), §16.
"""
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from foolscap.api import Tub
from twisted.internet.defer import Deferred

from lafs.grid.connection import Connection
from lafs.grid.foolscap_server import FoolscapServer
from lafs.grid.foolscap_tuning import SwiftBroker
from lafs.interfaces import StorageServer
from lafs.protocol.storage_announcement import StorageAnnouncement
from lafs.tasks import Clock

KEEPALIVE: Final = 240
"""Seconds of silence before a connection is asked whether it is still there. Spec: 05 §16.1."""

DISCONNECT: Final = 1800
"""Seconds of silence, keepalives unanswered, after which a connection is given up. The peer waits for TCP to do it."""


@frozen
class Timeouts:
    """When silence on a connection is noticed, in seconds."""

    keepalive: int = KEEPALIVE
    disconnect: int = DISCONNECT


class FoolscapConnector:
    """Implements `lafs.grid.connection.Connector`."""

    def __init__(self, clock: Clock, timeouts: Timeouts = Timeouts()) -> None:
        self._clock = clock
        self._timeouts = timeouts
        self._tub: Any = None

    async def start(self) -> None:
        self._tub = Tub(certData=ephemeral_certificate(datetime.now(UTC)))
        set_options(self._tub, self._timeouts)
        self._tub.startService()

    async def stop(self) -> None:
        tub, self._tub = self._tub, None
        if tub is not None:
            await tub.stopService()

    def refusal(self, server: StorageAnnouncement) -> str | None:
        if server.furl is not None:
            return None
        if server.plugins:
            return "Unsupported: it needs the plugin " + ", ".join(server.plugins)[:200]
        return "Unsupported: it can be reached over HTTPS only" if server.locations else "Unsupported: no way to reach it"

    async def connect(self, server: StorageAnnouncement) -> Connection:
        assert server.furl is not None, "a server that was refused"
        remote = await self._tub.getReference(server.furl.text)
        return FoolscapConnection(remote, self._clock, server.identity.short_name)


class FoolscapConnection:
    """Implements `lafs.grid.connection.Connection` on the RemoteReference of a storage server."""

    def __init__(self, remote: Any, clock: Clock, name: str) -> None:
        self._remote = remote
        self.storage: StorageServer = FoolscapServer(remote, clock, name)

    @property
    def description(self) -> str:
        return describe(self._remote)

    @property
    def last_received(self) -> float | None:
        received: float | None = self._remote.getDataLastReceivedAt()
        return received

    def when_lost(self) -> Deferred[None]:
        return when_lost(self._remote)

    def close(self) -> None:
        close(self._remote)


def set_options(tub: Any, timeouts: Timeouts) -> None:
    """What holds for every Tub of this program, listening or not. Spec: 05 §11.1."""
    tub.setOption("accept-gifts", False)
    tub.setOption("expose-remote-exception-types", False)
    tub.setOption("keepaliveTimeout", timeouts.keepalive)
    tub.setOption("disconnectTimeout", timeouts.disconnect)
    # Otherwise whoever calls something that fails is sent our stack.
    tub.unsafeTracebacks = False
    tub.brokerClass = SwiftBroker


def describe(remote: Any) -> str:
    """How the connection of `remote` was made, in the words of the peer: "tcp:HOST:PORT via tcp"."""
    information = remote.getConnectionInfo()
    hint = information.winningHint
    if hint is None:
        return "the other end via listener"
    handler = information.connectionHandlers.get(hint)
    return f"{hint} via {handler}" if handler else str(hint)


def when_lost(remote: Any) -> Deferred[None]:
    """Fires when the connection of `remote` is gone. Cancelling it only stops the waiting."""
    lost: Deferred[None] = Deferred(lambda _: remote.dontNotifyOnDisconnect(marker))

    def fire() -> None:
        if not lost.called:
            lost.callback(None)

    marker = remote.notifyOnDisconnect(fire)
    return lost


def close(remote: Any) -> None:
    """Close the connection of `remote`: Foolscap has no verb for it, and a reference that is dropped leaves it open."""
    transport = remote.tracker.broker.transport
    if transport is not None:
        transport.loseConnection()


def ephemeral_certificate(now: datetime) -> bytes:
    """A new self-signed certificate and its key, in PEM.

    On an elliptic curve: made in a thousandth of the time of the RSA key that Foolscap would make, and quicker to shake
    hands with. No peer looks at anything of it but its hash.
    """
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "newpb_thingy")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
