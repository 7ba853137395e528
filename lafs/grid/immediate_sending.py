"""Bytes handed to the system in the turn of the reactor in which they are written.

Twisted gathers small writes to an encrypted connection until its next turn, encrypts them, waits for the socket to become
writable, and sends them in the turn after that. When one message is all that there is to send, two of these three turns, and two
calls of the system, are for nothing. Used by `foolscap_tuning` for every message.
"""
from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol

encrypt: Any = TLSMemoryBIOProtocol.write


def write_now(transport: Any, data: bytes) -> None:
    """Write `data`, and send it now if nothing else is waiting to be sent; the reactor sends what the system does not take."""
    if not _is_idle(transport):
        transport.write(data)
        return
    transport.startWriting = _nothing
    try:
        encrypt(transport.protocol, data)
    finally:
        del transport.startWriting
    if transport._tempDataBuffer and (transport.doWrite() is not None or transport.dataBuffer):
        # The rest, or the loss of the connection, is for the reactor, which asks again.
        transport.startWriting()


def _is_idle(transport: Any) -> bool:
    """Whether it is an encrypted connection with nothing left to encrypt or to send."""
    if not isinstance(transport, Connection) or not transport.TLS or type(transport.protocol) is not BufferingTLSTransport:
        return False
    gathered: Any = transport.protocol._aggregator
    return not (gathered._buffer or transport.dataBuffer or transport._tempDataBuffer)


def _nothing() -> None:
    """In place of asking the reactor to watch the socket."""
