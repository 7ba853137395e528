"""HTTP/1.1 connections that stream: an exchange is worked on while its body arrives, and its answer waits for a slow client.

Twisted's `HTTPChannel` parses requests; this subclass changes when they are handed over. Theory of operation:

* headers complete -> `Exchange.gotLength` makes the body. A long body (or one whose sender asks first, `Expect: 100-continue`)
  starts the work at once, and "100 Continue" is sent only when somebody reads the body; a short one starts it when it is whole.
* body bytes -> `Body.feed`, which may hold the connection (`hold_body`) until its reader catches up.
* an exchange ends when it is answered *and* its body has arrived. One answered early (an error) says `Connection: close`, drops
  what still comes for a while, so that a client busy sending gets to read the answer, and then closes.
* the client going away -> the body fails, the work is cancelled.

Pipelined requests wait in the channel's buffer, as Twisted does it. Spec: 07 §1.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel
from twisted.web.http_headers import Headers

from frontends.web.body import Body, Tap
from frontends.web.safety import PLAIN_POLICY
from lafs.interfaces import Bytes
from lafs.tasks import Timer

if TYPE_CHECKING:
    from frontends.web.http2 import Http2Connection
    from frontends.web.site import GatewaySite

WHOLE_BODY = 64 * 1024
"""Bodies up to this size have arrived before they are looked at."""

LINGER_SECONDS = 30.0
"""What a client still sends after its answer is read and dropped, until it sends nothing for so long,"""

LONGEST_LINGER_SECONDS = 600.0
"""or has gone on for so long."""

STALL_SECONDS = 600.0
"""A client that sends nothing for so long in the middle of a body has gone away. Generous: it may be a slow pipe."""

READ_SIZE = 256 * 1024
"""Bytes asked of the socket at once; and the transport asks to wait when more than this lies unsent in it."""

MOST_DIGITS = 18
"""Digits of a Content-Length that can be meant."""

BAD_REQUEST = b"400 Bad Request"

HTTP_2 = b"h2"
"""As TLS calls it."""


class Line(Tap, Protocol):
    """What an exchange goes over: a connection of HTTP/1.1, or a stream of one of HTTP/2."""

    site: GatewaySite
    persistent: Any
    """Whether it is of any use when the exchange is over."""
    secure: bool
    """Whether it is encrypted."""

    @property
    def connection(self) -> Any:
        """Takes bytes of the answer, `write`; knows `getPeer` and `getHost`; and can be cut: `abortConnection`."""
        ...

    @property
    def backed_up(self) -> bool:
        """There is more to send than the client takes. `Exchange.resume` is called when there is not."""
        ...

    def send_head(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the status of `exchange`, these headers, and those that every answer has."""
        ...

    def concluded(self, exchange: Exchange) -> None:
        """The exchange is over: it is answered, and its body has come."""
        ...

    def linger(self) -> None:
        """The exchange is answered, but its body still comes."""
        ...


class Exchange:
    """One request on a connection, and its answer. Its first half is called by the channel, the second by who answers it."""

    def __init__(self, channel: Line, queued: object = None) -> None:
        self.channel = channel
        self.requestHeaders = Headers()
        self.responseHeaders = Headers()  # where Twisted leaves "Connection: close"
        self.method = b""
        self.target = b""
        self.body = Body(None, channel)
        self.page_policy = PLAIN_POLICY  # of the pages that answer it; set when it is admitted
        self.for_contents = False  # asked for at the host name of a stored file
        self.extra_headers: list[tuple[bytes, bytes]] = []  # of the answer, whatever that is
        self.status = 0
        self.sent = 0
        self.started = False
        self.answered = False
        self._body_received = False
        self._concluded = False
        self._chunked = False
        self._gone = False
        self._work: Deferred[None] | None = None
        self._writer: Deferred[None] | None = None

    # --- called by the channel: Twisted's names

    def parseCookies(self) -> None:
        """`handles` reads the one cookie that the gateway knows."""

    def gotLength(self, length: int | None) -> None:
        self.body.length = length

    def knows_version(self, version: bytes) -> None:
        """Which HTTP the client speaks: only 1.1 has bodies whose length is not announced."""
        self._chunked = version == b"HTTP/1.1"

    def handleContentChunk(self, data: bytes) -> None:
        self.body.feed(data)

    def requestReceived(self, method: bytes, target: bytes, version: bytes) -> None:
        self._body_received = True
        self.body.end()
        if self._work is None:
            self.begin(method, target)
        self._conclude()

    def connectionLost(self, reason: Failure) -> None:
        self._gone = True
        self.body.fail("the client went away before it had sent everything")
        if self._work is not None and not self.answered:
            self._work.cancel()

    def begin(self, method: bytes, target: bytes) -> None:
        """Start the work on the request."""
        self.method, self.target = method, target
        self._work = Deferred()  # until there is a better one: the work may be over before `serve` returns
        self._work = self.channel.site.serve(self)

    def body_broken(self) -> None:
        """What the client sends makes no sense any more."""
        self.body.fail("the request body is malformed")

    # --- called by those who answer

    def headers(self, name: bytes) -> list[str]:
        """The values of a request header."""
        return [value.decode("latin-1") for value in self.requestHeaders.getRawHeaders(name, [])]

    def header(self, name: bytes) -> str:
        """The first of them, "" if there is none."""
        return next(iter(self.headers(name)), "")

    @property
    def gone(self) -> bool:
        """There is nobody to answer."""
        return self._gone or self.answered

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], first: Bytes = b"") -> None:
        """Send the head of the answer, and `first` with it. `headers` must hold Content-Length unless there is no body."""
        assert not self.started
        self.started = True
        self.status = status
        clean = [(name, value.replace(b"\r", b" ").replace(b"\n", b" ")) for name, value in (*headers, *self.extra_headers)]
        if not self._gone:
            self.channel.send_head(self, clean)
        self.write(first)

    def write(self, data: Bytes) -> None:
        """Send bytes of the body of the answer. Await `drained` between large ones."""
        size = len(data)
        if size:
            # The transport refers to what it has not sent yet, and the owner of a buffer may reuse it once it is `drained`. After
            # a large write that means sent; a small one might still lie in the transport. TLS takes only `bytes`.
            as_it_is = isinstance(data, bytes) or (size > READ_SIZE and not self.channel.secure)
            self._send(data if as_it_is else bytes(data))
            self.sent += size

    def start_unmeasured(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the head of an answer of unknown length. Its body goes through `write_piece`, and `finish_unmeasured` ends it.

        It is chunked, or ends with the connection if the client does not know that.
        """
        if self._chunked:
            headers = [*headers, (b"Transfer-Encoding", b"chunked")]
        else:
            self.channel.persistent = 0
        self.start(status, headers)

    def write_piece(self, data: bytes) -> None:
        """Send a part of such a body. Await `drained` now and then."""
        if data:
            self.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def finish_unmeasured(self) -> None:
        """Such an answer is complete."""
        if self._chunked:
            self.write(b"0\r\n\r\n")
        self.finish()

    async def drained(self) -> None:
        """Return when the client has taken enough of what was written. Returns also, soon, when it is gone."""
        if self.channel.backed_up and not self._gone:
            self._writer = Deferred(self._forget_writer)
            await self._writer

    def finish(self) -> None:
        """The answer is complete."""
        assert self.started
        self.answered = True
        if self._gone:
            return
        self.channel.site.answered(self)
        self.body.discard()
        self._conclude()
        if not self.body.all_here:
            self.channel.linger()

    def abort(self) -> None:
        """Cut the connection, so that nobody takes a part of an answer for the whole."""
        self.answered = self._concluded = True
        if not self._gone:
            self.channel.site.answered(self)
            self.channel.connection.abortConnection()

    def resume(self) -> None:
        """The client has taken what was sent. Called by the channel."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.callback(None)

    def _forget_writer(self, _: object) -> None:
        self._writer = None

    def _send(self, data: Bytes) -> None:
        if not self._gone:
            self.channel.connection.write(data)

    def _conclude(self) -> None:
        """Let the connection go on to the next request, once."""
        if self.answered and self._body_received and not self._concluded and not self._gone:
            self._concluded = True
            self.channel.concluded(self)


class Channel(HTTPChannel):
    """One connection of a client."""

    site: GatewaySite
    requestFactory = Exchange  # type: ignore[assignment]  # noqa: N815 - Twisted's name
    requests: list[Exchange]
    secure = False
    """Whether this is TLS."""
    _body_held = False
    _dropping = False
    _asked_to_continue = False
    _lingering: Timer | None = None
    _has_spoken = False
    _successor: Http2Connection | None = None

    @property
    def connection(self) -> Any:
        """The transport, which Twisted types as if it might not be there."""
        return self.transport

    @property
    def _reading(self) -> Any:
        """The reading side of the transport."""
        return self._networkProducer

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]
        self.secure = bool(self.isSecure())  # type: ignore[no-untyped-call]
        if hasattr(self.transport, "bufferSize"):
            self.connection.bufferSize = READ_SIZE
        if hasattr(self.transport, "setTcpKeepAlive"):
            self.connection.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        if not self._has_spoken:
            self._has_spoken = True
            if getattr(self.transport, "negotiatedProtocol", None) == HTTP_2:
                self._hand_over()
        if self._successor is not None:
            self._successor.dataReceived(data)
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def _hand_over(self) -> None:
        """The client wants to speak HTTP/2, and has said nothing yet."""
        from frontends.web.http2 import Http2Connection  # needs the library that not everybody has

        self._reading.unregisterProducer()
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        self._successor = Http2Connection(self.site)
        self._successor.makeConnection(self.connection)  # type: ignore[no-untyped-call]

    def allHeadersReceived(self) -> None:
        """Twisted's, but for when "100 Continue" is sent and when work begins."""
        exchange = self.requests[-1]
        self.persistent = self.checkPersistence(exchange, self._version)  # type: ignore[no-untyped-call]
        exchange.gotLength(self.length)
        exchange.knows_version(self._version)
        expectations = exchange.requestHeaders.getRawHeaders(b"Expect") or [b""]
        self._asked_to_continue = expectations[0].lower() == b"100-continue" and self._version == b"HTTP/1.1"
        if self.length != 0 and (self.length is None or self.length > WHOLE_BODY or self._asked_to_continue):
            self.setTimeout(STALL_SECONDS)  # type: ignore[no-untyped-call]
            target: Any = self._path  # Twisted has a wrong type for it
            exchange.begin(self._command, target)

    def allContentReceived(self) -> None:
        """Twisted's keeps the time allowed before the next request, which is not what was allowed within this one."""
        if self.timeOut != self.site.timeOut:
            self.setTimeout(self.site.timeOut)  # type: ignore[no-untyped-call]
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def rawDataReceived(self, data: bytes) -> None:
        if not self._dropping:
            super().rawDataReceived(data)

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        if header == b"Content-Length" and len(data) > MOST_DIGITS:
            return self._failChooseTransferDecoder()
        return cast(bool, super()._maybeChooseTransferDecoder(header, data))  # type: ignore[no-untyped-call]

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted calls this for anything that is not HTTP; the request may be at work already if it is its body."""
        exchange = self.requests[-1] if self.requests else None
        self._dropping = True
        if exchange is not None and exchange.method:
            exchange.body_broken()
            return
        head = b"HTTP/1.1 " + BAD_REQUEST + b"\r\nContent-Length: 0\r\nConnection: close\r\n"
        self.connection.write(head + self.site.common_headers() + b"\r\n")
        self.loseConnection()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        if self._successor is not None:
            self._successor.connectionLost(reason)

    # --- the body's valve

    def body_wanted(self) -> None:
        if self._asked_to_continue:
            self._asked_to_continue = False
            self._send100Continue()  # type: ignore[no-untyped-call]

    def hold_body(self) -> None:
        self._body_held = True
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        self._reading.pauseProducing()

    def let_body_flow(self) -> None:
        self._body_held = False
        if not self._handlingRequest:
            self.setTimeout(STALL_SECONDS)  # type: ignore[no-untyped-call]
            if not self._waitingForTransport:
                self._reading.resumeProducing()

    def linger(self) -> None:
        """Read and drop what a client sends after its answer, for a while: many look at the answer only when all is sent."""
        self.setTimeout(LINGER_SECONDS)  # type: ignore[no-untyped-call]
        self._lingering = self.callLater(LONGEST_LINGER_SECONDS, self.loseConnection)  # type: ignore[no-untyped-call]

    # --- the answer

    def send_head(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]]) -> None:
        head = [b"HTTP/1.1 %d %s\r\n" % (exchange.status, RESPONSES.get(exchange.status, b"Unknown"))]
        head += [b"%s: %s\r\n" % header for header in headers]
        head.append(self.site.common_headers())
        if not self.persistent or not exchange.body.all_here:
            self.persistent = 0
            head.append(b"Connection: close\r\n")
        head.append(b"\r\n")
        self.connection.write(b"".join(head))

    def concluded(self, exchange: Exchange) -> None:
        """Go on to the next request."""
        if not self.persistent:
            self.setTimeout(STALL_SECONDS)  # type: ignore[no-untyped-call]
        self.requestDone(exchange)  # type: ignore[no-untyped-call]

    @property
    def backed_up(self) -> bool:
        """The transport has more to send than it likes."""
        return bool(self._waitingForTransport)

    def resumeProducing(self) -> None:
        super().resumeProducing()  # type: ignore[no-untyped-call]
        if self._body_held:
            self._reading.pauseProducing()
        if self.requests:
            self.requests[0].resume()
