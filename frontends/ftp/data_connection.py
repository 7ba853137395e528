"""One data connection: bytes to a client, or from it, with back-pressure both ways. Made by `passive`, used by `transfers`.

Theory of operation. What arrives goes into a `Body`, a short queue that holds the socket when its reader is slow. What is sent
waits for the socket's buffer to drain. An end of the connection is one of two things: in order (FIN; over TLS with close_notify
before it), which ends the body, or anything else (reset, a TLS connection cut short, an end that the client did not make),
which fails it. Only the former is ever taken for the end of a file. Every wait is bounded: a client that neither sends nor
reads for `STALLED_SECONDS` is given up.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from frontends.ftp.errors import TransferBroken
from frontends.web.body import Body
from lafs.errors import SourceFailed, TimedOut
from lafs.interfaces import Bytes
from lafs.tasks import Clock, within

T = TypeVar("T")

STALLED_SECONDS = 180.0
"""How long a client may do nothing at all with a data connection in use."""

SLICE = 64 * 1024
"""Bytes sent together: who takes so few in STALLED_SECONDS is slow, and not stalled."""

PARTING_SECONDS = 5.0
"""How long to wait for a client to agree (TLS close_notify) that a connection is over. All bytes are on their way by then."""

_BROKEN = "The data connection broke."


@implementer(IPushProducer, IHandshakeListener)
class DataConnection(Protocol):
    """`context` is a TLS context factory, or None for a connection in clear. `made` is told when it can be used, or never will be.

    With TLS that is after the handshake: Twisted aborts what is closed before, and an empty file would be closed at once.
    """

    transport: Any

    def __init__(self, clock: Clock, context: Any, made: Callable[[DataConnection], object]) -> None:
        self._clock = clock
        self._context = context
        self._made = made
        self._body = Body(None, self)
        self._paused = False
        self._lost = False
        self._in_order = False
        self._waiting: Deferred[None] | None = None

    # --- from the client ---

    async def read(self) -> bytes:
        """The next bytes; b"" at the end, if it came in order. Raises TransferBroken."""
        try:
            return await self._bounded(self._body.read_some())
        except SourceFailed:
            raise TransferBroken(_BROKEN) from None

    # --- to the client ---

    async def write(self, data: Bytes) -> None:
        """Send `data`, and return when more may come. Raises TransferBroken."""
        if self._lost:
            raise TransferBroken(_BROKEN)
        self._body.discard()
        for start in range(0, len(data), SLICE):
            self.transport.write(bytes(data[start : start + SLICE]))
            while self._paused:
                await self._bounded(self._woken())
            if self._lost:
                raise TransferBroken(_BROKEN)

    async def finish(self) -> None:
        """Say that this is the end. Raises TransferBroken if the client went away before all was sent."""
        self._body.discard()
        if self._lost:
            raise TransferBroken(_BROKEN)
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if self._context is None:
            await self._bounded(self.gone())
            if not self._in_order:
                raise TransferBroken(_BROKEN)
            return
        # Over TLS clients hang up in many ways, or not before they are told that this was all.
        try:
            await within(PARTING_SECONDS, self._clock, self.gone())
        except TimedOut:
            self._clock.callLater(STALLED_SECONDS, self.abort)

    async def gone(self) -> None:
        """Return when the connection is closed."""
        while not self._lost:
            await self._woken()

    def abort(self) -> None:
        """Cut the connection: the client must not take what it has for all."""
        if not self._lost:
            self.transport.abortConnection()

    # --- the transport's side ---

    def connectionMade(self) -> None:
        if self._context is not None:
            self.transport.startTLS(self._context)
        self.transport.registerProducer(self, True)
        if self._context is None:
            self._is_ready()

    def handshakeCompleted(self) -> None:
        self._is_ready()

    def dataReceived(self, data: bytes) -> None:
        self._body.feed(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._in_order = isinstance(reason.value, ConnectionDone)
        if self._in_order:
            self._body.end()
        else:
            self._body.fail(_BROKEN)
        self._wake()
        self._is_ready()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._wake()

    def stopProducing(self) -> None:
        self.resumeProducing()

    def body_wanted(self) -> None:
        pass

    def hold_body(self) -> None:
        self.transport.pauseProducing()

    def let_body_flow(self) -> None:
        if not self._lost:
            self.transport.resumeProducing()

    # --- waiting ---

    def _is_ready(self) -> None:
        made, self._made = self._made, lambda _: None
        made(self)

    async def _bounded(self, work: Awaitable[T]) -> T:
        try:
            return await within(STALLED_SECONDS, self._clock, work)
        except TimedOut:
            self.abort()
            raise TransferBroken("The data connection stalled.") from None

    async def _woken(self) -> None:
        self._waiting = Deferred(self._forget)
        await self._waiting

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _forget(self, _: object) -> None:
        self._waiting = None
