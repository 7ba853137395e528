"""The FTP server as a whole: greets each client, and no more clients than it can bear. Made by lafs/node/ftp.py."""
from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.python.failure import Failure
from zope.interface import implementer

from frontends.ftp.control import ControlConnection
from frontends.ftp.replies import Reply
from frontends.ftp.session import Tools

MOST_CLIENTS = 100
"""Control connections at once. Each may have a passive port and a data connection: three descriptors of the thousand that a
process usually has."""


@implementer(IProtocolFactory)
class FtpServer:
    """The protocol factory of the control port."""

    noisy = False

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.clients = 0

    def buildProtocol(self, address: object) -> Protocol:
        return _Counted(self, self._tools) if self.clients < MOST_CLIENTS else _Refused()

    def doStart(self) -> None:
        pass

    def doStop(self) -> None:
        pass


class _Counted(ControlConnection):
    def __init__(self, server: FtpServer, tools: Tools) -> None:
        super().__init__(tools)
        self._server = server

    def connectionMade(self) -> None:
        self._server.clients += 1
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._server.clients -= 1
        super().connectionLost(reason)


class _Refused(Protocol):
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(Reply(421, "Too many are here already; try again later.").encode())
        self.transport.loseConnection()


def tls_contexts(key: PKey, certificate: X509, chain: list[X509]) -> tuple[Any, Any]:
    """TLS context factories for (control, data) connections.

    Data connections stay below TLS 1.3. There, a server sends session tickets after the handshake, which a client that only
    sends never reads; when it then closes its socket, its kernel resets the connection and throws away the end of what it sent.
    Sessions are not resumed: they would be kept for clients who never come again, and a handshake costs a millisecond.
    """
    control, data = (
        CertificateOptions(
            privateKey=key,
            certificate=certificate,
            extraCertChain=chain,
            insecurelyLowerMinimumTo=TLSVersion.TLSv1_2,
            lowerMaximumSecurityTo=most,
        )
        for most in (TLSVersion.TLSv1_3, TLSVersion.TLSv1_2)
    )
    for options in (control, data):
        options.getContext().set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return control, data
