"""The SSH side: host keys, algorithms, how many may knock at once; what Conch lacks or has wrong is mended. Spec: 09 §3, §16."""
# ruff: noqa: N803, N815 - Twisted's names
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHServerTransport
from twisted.internet.interfaces import IAddress

from frontends.accounts import Accounts
from frontends.sftp.channel import Connection
from frontends.sftp.ciphers import Ciphers, Padding, packed
from frontends.sftp.conch_log import CONCH_LOG
from frontends.sftp.login import Login, make_portal
from frontends.virtual_tree import Tree
from lafs.capability import Cap
from lafs.interfaces import Bytes
from lafs.tasks import Clock, Timer

LOGIN_SECONDS = 60.0
"""From the connection to the login. Conch's own time limit begins only after the keys are exchanged."""

MOST_STRANGERS = 32
"""Connections that have not logged in yet."""

MOST_CONNECTIONS = 256

_USER_KEY_ALGORITHMS = (
    b"ssh-ed25519",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"sk-ssh-ed25519@openssh.com",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
)


class Transport(SSHServerTransport):
    """One connection, with nothing old in it: no CBC, no SHA-1, no compression."""

    _log = CONCH_LOG
    ourVersionString = b"SSH-2.0-lafs"
    supportedCiphers = [b"aes128-ctr", b"aes256-ctr", b"aes192-ctr"]  # noqa: RUF012 - as in the base class
    supportedMACs = [b"hmac-sha2-256", b"hmac-sha2-512"]  # noqa: RUF012
    supportedCompressions = [b"none"]  # noqa: RUF012
    supportedKeyExchanges = [  # noqa: RUF012
        name
        for name in SSHServerTransport.supportedKeyExchanges
        if name.startswith((b"mlkem768x25519-", b"curve25519-", b"ecdh-sha2-nistp"))
    ]

    factory: Server
    transport: Any
    _knocking: Timer | None = None

    def connectionMade(self) -> None:
        self.factory.connections.add(self)
        self._padding = Padding()
        if self.factory.strangers >= MOST_STRANGERS or len(self.factory.connections) > MOST_CONNECTIONS:
            self.transport.abortConnection()
            return
        self._knocking = self.factory.clock.callLater(LOGIN_SECONDS, self._give_up)
        self.transport.setTcpNoDelay(True)
        super().connectionMade()  # type: ignore[no-untyped-call]

    def _give_up(self) -> None:
        if not self.is_known:
            self.transport.abortConnection()

    @property
    def is_known(self) -> bool:
        """Whether somebody has logged in."""
        return hasattr(self, "avatar")

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.connections.discard(self)
        if self._knocking is not None and self._knocking.active():
            self._knocking.cancel()
        super().connectionLost(reason)

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        super()._keySetup(sharedSecret, exchangeHash)
        self.nextEncryptions = Ciphers.of(self.nextEncryptions)

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        self.send_parts(messageType, [payload])

    def send_parts(self, kind: int, parts: Sequence[Bytes]) -> None:
        """Send a packet whose payload is in `parts`: contents of files are put together only once."""
        ciphers = self.currentEncryptions
        if self._keyExchangeState != self._KEY_EXCHANGE_NONE or not isinstance(ciphers, Ciphers):
            super().sendPacket(kind, b"".join(parts))  # type: ignore[no-untyped-call]
            return
        packet = packed(kind, parts, ciphers.encBlockSize, self._padding)
        sealed: bytes = ciphers.encrypt(packet)  # type: ignore[no-untyped-call]
        self.transport.writeSequence((sealed, ciphers.makeMAC(self.outgoingPacketSequence, packet)))
        self.outgoingPacketSequence += 1

    def sendExtInfo(self, extensions: Sequence[tuple[bytes, bytes]]) -> None:
        # Conch would say that only algorithms of the host keys are welcome, and clients would not offer others.
        super().sendExtInfo([(b"server-sig-algs", b",".join(_USER_KEY_ALGORITHMS))])  # type: ignore[no-untyped-call]


class Server(SSHFactory):
    """The protocol factory. `tree` makes what an account with that root sees; `host_keys` are private keys of different types."""

    protocol = Transport
    services = {b"ssh-userauth": Login, b"ssh-connection": Connection}  # noqa: RUF012
    _log = CONCH_LOG
    noisy = False
    primes = None

    def __init__(self, accounts: Accounts, tree: Callable[[Cap], Tree], clock: Clock, host_keys: Sequence[Key]) -> None:
        self.clock = clock
        self.portal = make_portal(accounts, tree, clock)
        self.connections: set[Transport] = set()
        self.privateKeys = {key.sshType(): key for key in host_keys}
        self.publicKeys = {key.sshType(): key.public() for key in host_keys}

    @property
    def strangers(self) -> int:
        return sum(not each.is_known for each in self.connections) - 1

    def buildProtocol(self, addr: IAddress | None) -> SSHServerTransport:
        made = super().buildProtocol(addr)
        made.supportedPublicKeys = [each for each in made.supportedPublicKeys if each != b"ssh-rsa"]
        return made
