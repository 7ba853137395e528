"""Passive ports: where a client's data connections come in. RFC 959 §3.2, RFC 2428; spec: 09 §20.

Active mode (PORT, EPRT) is refused. A server that opens connections to where a client points is a tool against third parties,
cannot be used behind a client's firewall, and makes a node known to whom it never spoke; every client of the last twenty years
can do without.

A passive port listens on the address that the control connection came in by, and nowhere else; only the client's own address
may connect; and it takes one connection, once.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from attrs import frozen
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from frontends.ftp.data_connection import DataConnection
from frontends.ftp.replies import Refusal
from lafs.errors import TimedOut
from lafs.tasks import Clock, Mailbox, within

CONNECT_SECONDS = 30.0
"""How long a client may take to connect once it has given the command that needs the connection."""


@frozen
class Ends:
    """The addresses of both ends of a control connection; IPv4 ones that came in by IPv6 are told as what they are."""

    own: str
    client: str

    @classmethod
    def of(cls, transport: Any) -> Ends:
        """Those of a connection."""
        return cls(plain(transport.getHost().host), plain(transport.getPeer().host))

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.own


def plain(host: str) -> str:
    """`host` without the IPv6 form that IPv4 addresses have on a port of both kinds. What is no address stays as it is."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped) if mapped is not None else host


def pasv_text(host: str, port: int) -> str:
    """The reply to PASV: `host` is a dotted IPv4 address."""
    return f"Entering Passive Mode ({host.replace('.', ',')},{port // 256},{port % 256})."


def epsv_text(port: int) -> str:
    """The reply to EPSV."""
    return f"Entering Extended Passive Mode (|||{port}|)"


@implementer(IProtocolFactory)
class PassivePort:
    """Waits for the one data connection of `ends.client`. `context`: see DataConnection."""

    noisy = False

    def __init__(self, ends: Ends, clock: Clock, context: Any) -> None:
        self._ends = ends
        self._clock = clock
        self._context = context
        self._connection: DataConnection | None = None
        self._arrived: Mailbox[DataConnection] = Mailbox()
        self._port: Any = None

    def listen(self, reactor: Any, ports: Sequence[int], begin: Callable[[int], int]) -> int:
        """Listen on one of `ports` (none: any), trying from the one that `begin` chooses of so many. Returns which.

        Raises Refusal when none is free.
        """
        start = begin(len(ports)) if ports else 0
        for number in (*ports[start:], *ports[:start]) or (0,):
            try:
                self._port = reactor.listenTCP(number, self, backlog=5, interface=self._ends.own)
            except CannotListenError:
                continue
            return int(self._port.getHost().port)
        raise Refusal(425, "No port is free for a data connection; try again later.")

    async def connection(self) -> DataConnection:
        """The connection, when it is there. Raises Refusal when it does not come."""
        try:
            return await within(CONNECT_SECONDS, self._clock, self._arrived.take())
        except TimedOut:
            self.close()
            raise Refusal(425, "No data connection came.") from None

    def close(self) -> None:
        """Stop listening, and cut what has connected."""
        self._stop()
        if self._connection is not None:
            self._connection.abort()

    def buildProtocol(self, address: Any) -> Protocol | None:
        if self._connection is not None or plain(address.host) != self._ends.client:
            return None
        self._stop()
        self._connection = DataConnection(self._clock, self._context, self._arrived.post)
        return self._connection

    def doStart(self) -> None:
        pass

    def doStop(self) -> None:
        pass

    def _stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()
