"""HTTP/2: many exchanges over one connection. `channel` hands a connection over when TLS has agreed on it.

The bytes are read and written by the library `h2`, which knows no I/O; what is here is when to send what. Theory of operation:

* Each stream has one `Stream`, which is to its `Exchange` what `Channel` is over HTTP/1.1.
* A body that its reader does not keep up with is not acknowledged, so the client's window for that stream closes; others go on.
* What an exchange writes waits in its stream. `pump` sends it, a frame of each stream in turn, as far as the client's windows and
  the transport let it; an exchange goes on when little enough waits.
* An answer that is complete before its request's body is, ends the stream, and a reset that is no error tells the client to stop.

A client that makes this process remember, or do, more than it is entitled to loses its connection. RFC 9113; spec: 07 §1.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from frontends.web.channel import MOST_DIGITS, READ_SIZE, STALL_SECONDS, WHOLE_BODY, Exchange
from lafs.interfaces import Bytes

if TYPE_CHECKING:
    from frontends.web.site import GatewaySite

MOST_STREAMS = 64
"""At once, of one connection."""

WINDOW = 512 * 1024
"""Bytes of a body that may be under way."""

MOST_HEADERS = 32 * 1024
"""Bytes of the headers of a request, as RFC 9113 counts them."""

MOST_CONTROL = 256 * 1024
"""Bytes that a client may make us want to send it while it reads nothing."""

MOST_RESETS = 1000
RESETS_SECONDS = 30.0
"""A client that gives up so many requests in so short a time asks only to keep us busy."""

CLOSING_SECONDS = 15.0
"""How long a client may take to read our last words."""

_NOT_SENT = frozenset({b"connection", b"transfer-encoding", b"keep-alive"})
"""Headers that mean something over HTTP/1.1 only."""


def _gone() -> Failure:
    return Failure(ConnectionLost())  # type: ignore[no-untyped-call]


class BadHead(Exception):
    """The headers of a request that make no sense together."""


class Stream:
    """One request and its answer. Implements `channel.Line`."""

    secure = True
    persistent: Any = 1

    def __init__(self, connection: Http2Connection, number: int) -> None:
        self.number = number
        self.site = connection.site
        self.exchange = Exchange(self)
        self.closed = False
        self._carrier = connection
        self._outbox: deque[memoryview] = deque()
        self._waiting = 0
        self._ending = False
        self._unacknowledged = 0
        self._held = False
        self._asked_to_continue = False
        self._request_line = b"", b""

    # --- from the client -----------------------------------------------------------------------------------------------------

    def begin(self, headers: Iterable[tuple[bytes, bytes]], has_body: bool) -> None:
        """The head of the request is here. Raises BadHead."""
        pseudo: dict[bytes, bytes] = {}
        for name, value in headers:
            if name.startswith(b":"):
                pseudo[name] = value
            else:
                self.exchange.requestHeaders.addRawHeader(name, value)
        self._take_host(pseudo.get(b":authority"))
        length = self._length() if has_body else 0
        self.exchange.gotLength(length)
        method, target = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
        if not method.isalpha() or not method.isascii():
            raise BadHead
        self._request_line = method, target
        self._asked_to_continue = self.exchange.header(b"Expect").lower() == "100-continue"
        if length != 0 and (length is None or length > WHOLE_BODY or self._asked_to_continue):
            self.exchange.begin(method, target)

    def _take_host(self, authority: bytes | None) -> None:
        headers = self.exchange.requestHeaders
        if authority is not None:
            if any(host != authority for host in headers.getRawHeaders(b"Host", [])):
                raise BadHead
            headers.setRawHeaders(b"Host", [authority])

    def _length(self) -> int | None:
        lengths = self.exchange.headers(b"Content-Length")
        if not lengths:
            return None
        if len(lengths) > 1 or not lengths[0].isascii() or not lengths[0].isdigit() or len(lengths[0]) > MOST_DIGITS:
            raise BadHead
        return int(lengths[0])

    def feed(self, data: bytes, counted: int) -> None:
        """Bytes of the body; `counted` is what they cost of the client's window."""
        self._unacknowledged += counted
        self.exchange.handleContentChunk(data)
        if not self._held:
            self._acknowledge()

    def end_of_body(self) -> None:
        method, target = self._request_line
        self.exchange.requestReceived(method, target, b"HTTP/2")

    def lost(self, reason: Failure) -> None:
        """The client, or its interest in this, is gone."""
        if not self.closed:
            self.closed = True
            self._outbox.clear()
            self._waiting = 0
            self.exchange.connectionLost(reason)
            self.exchange.resume()

    @property
    def waits_for_client(self) -> bool:
        """Nothing goes on until the client sends more of its body."""
        return not self.exchange.body.complete and not self._held

    # --- the body's valve

    def body_wanted(self) -> None:
        if self._asked_to_continue and not self.closed:
            self._asked_to_continue = False
            self._carrier.state.send_headers(self.number, [(b":status", b"100")])
            self._carrier.flush()

    def hold_body(self) -> None:
        self._held = True

    def let_body_flow(self) -> None:
        self._held = False
        self._acknowledge()

    def _acknowledge(self) -> None:
        counted, self._unacknowledged = self._unacknowledged, 0
        if counted:
            self._carrier.acknowledge(self, counted)

    # --- to the client -------------------------------------------------------------------------------------------------------

    @property
    def connection(self) -> Stream:
        """Where an exchange writes to; and what it cuts, is only this stream."""
        return self

    @property
    def backed_up(self) -> bool:
        return self._waiting > READ_SIZE

    def send_head(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self.closed:
            return
        head = [(b":status", b"%d" % exchange.status)]
        for line in self.site.common_headers().splitlines():
            name, _, value = line.partition(b": ")
            head.append((name.lower(), value))
        head += [(name.lower(), value) for name, value in headers if name.lower() not in _NOT_SENT]
        self._carrier.state.send_headers(self.number, head)
        self._carrier.flush()

    def write(self, data: Bytes) -> None:
        if not self.closed and len(data):
            self._outbox.append(memoryview(data))
            self._waiting += len(data)
            self._carrier.pump()

    def concluded(self, exchange: Exchange) -> None:
        """All has been said by both."""
        self._ending = True
        self._carrier.pump()

    def linger(self) -> None:
        """All has been said by us, before the client was done."""
        self.concluded(self.exchange)

    def abortConnection(self) -> None:
        self._carrier.reset(self, ErrorCodes.INTERNAL_ERROR)

    def getPeer(self) -> Any:
        return self._carrier.wire.getPeer()

    def getHost(self) -> Any:
        return self._carrier.wire.getHost()

    # --- called by the connection's pump

    @property
    def is_sent(self) -> bool:
        return self._ending and not self._waiting

    def take(self, limit: int) -> bytes:
        """At most `limit` bytes of what waits."""
        if not self._outbox or limit <= 0:
            return b""
        first = self._outbox[0]
        piece = bytes(first[:limit])
        if len(first) > limit:
            self._outbox[0] = first[limit:]
        else:
            self._outbox.popleft()
        self._waiting -= len(piece)
        return piece


@implementer(IPushProducer)
class Http2Connection(Protocol, TimeoutMixin):
    """One connection of a client. Made by `channel` once TLS has agreed on HTTP/2."""

    def __init__(self, site: GatewaySite) -> None:
        self.site = site
        self.state = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._streams: dict[int, Stream] = {}
        self._blocked = False
        self._pumping = False
        self._control = 0
        self._resets = (0.0, 0)
        self._over = False
        self._clock: Any = site.reactor
        self.callLater = self._clock.callLater  # type: ignore[method-assign, assignment] # as Twisted's factories do

    @property
    def wire(self) -> Any:
        """The transport, which Twisted types as if it might not be there."""
        return self.transport

    def connectionMade(self) -> None:
        self.wire.registerProducer(self, True)
        self.setTimeout(self.site.timeOut)  # type: ignore[no-untyped-call]
        self.state.initiate_connection()
        self.state.update_settings(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
            }
        )
        # The connection's own window never is what a stream waits for: each has its own.
        self.state.increment_flow_control_window(MOST_STREAMS * WINDOW - self.state.inbound_flow_control_window)
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()  # type: ignore[no-untyped-call]
        try:
            for event in self.state.receive_data(data):
                handle = _HANDLERS.get(type(event))
                if handle is not None and not self._over:
                    handle(self, event)
        except ProtocolError:
            self._give_up()  # with a GOAWAY that says why
            return
        self.flush()
        self.pump()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._over = True
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.lost(reason)

    def timeoutConnection(self) -> None:
        """Nothing has come for a while. That matters if we wait for something."""
        if self._streams and not all(stream.waits_for_client for stream in self._streams.values()):
            self.setTimeout(STALL_SECONDS)  # type: ignore[no-untyped-call]
            return
        self._give_up(ErrorCodes.NO_ERROR)

    def _give_up(self, error: ErrorCodes | None = None) -> None:
        """End the connection, saying why."""
        if self._over:
            return
        self._over = True
        if error is not None:
            self.state.close_connection(error)
        self.wire.write(self.state.data_to_send())
        self.wire.unregisterProducer()
        self.wire.loseConnection()
        # Even if the client never takes that in.
        self.connectionLost(_gone())
        self._clock.callLater(CLOSING_SECONDS, self.wire.abortConnection)

    # --- what the client says ------------------------------------------------------------------------------------------------

    def _request_received(self, event: events.RequestReceived) -> None:
        number: Any = event.stream_id
        stream = self._streams[number] = Stream(self, number)
        self.setTimeout(STALL_SECONDS)  # type: ignore[no-untyped-call]
        try:
            stream.begin(event.headers or (), has_body=event.stream_ended is None)
        except BadHead:
            del self._streams[number]
            stream.closed = True
            self.state.send_headers(number, [(b":status", b"400")], end_stream=True)
            if event.stream_ended is None:
                self.state.reset_stream(number, ErrorCodes.NO_ERROR)

    def _data_received(self, event: events.DataReceived) -> None:
        number: Any = event.stream_id
        counted: int = event.flow_controlled_length or 0
        stream = self._streams.get(number)
        if stream is None:
            self.state.acknowledge_received_data(counted, number)  # of a stream that was answered already
        else:
            stream.feed(event.data or b"", counted)

    def _stream_ended(self, event: events.StreamEnded) -> None:
        number: Any = event.stream_id
        stream = self._streams.get(number)
        if stream is not None:
            stream.end_of_body()

    def _stream_reset(self, event: events.StreamReset) -> None:
        number: Any = event.stream_id
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.lost(_gone())
            self._ended()
        now = self._clock.seconds()
        since, count = self._resets
        self._resets = (now, 1) if now - since > RESETS_SECONDS else (since, count + 1)
        if count > MOST_RESETS:
            self._give_up(ErrorCodes.ENHANCE_YOUR_CALM)

    def _terminated(self, event: events.ConnectionTerminated) -> None:
        self._give_up()

    # --- what we say -----------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what the library has to say. Does not count what is in `pump`'s care."""
        data = self.state.data_to_send()
        if not data or self._over:
            return
        self.wire.write(data)
        if self._blocked:
            self._control += len(data)
            if self._control > MOST_CONTROL:
                self._over = True
                self.wire.abortConnection()

    def acknowledge(self, stream: Stream, counted: int) -> None:
        if not self._over:
            self.state.acknowledge_received_data(counted, stream.number)
            self.flush()

    def reset(self, stream: Stream, error: ErrorCodes) -> None:
        """Cut one stream."""
        if self._streams.pop(stream.number, None) is not None and not self._over:
            stream.closed = True
            self.state.reset_stream(stream.number, error)
            self.flush()
            self._ended()

    def pump(self) -> None:
        """Send what waits, as far as may be now."""
        if self._pumping:  # an exchange goes on writing: the loop below sees it
            return
        self._pumping = True
        try:
            moved = True
            while moved and not self._blocked and not self._over:
                sent = [self._send_some(stream) for stream in list(self._streams.values())]
                moved = any(sent)
        finally:
            self._pumping = False

    def _send_some(self, stream: Stream) -> bool:
        """Send a frame of `stream`, or its end. Whether there was anything to send."""
        if self._blocked or self._over or stream.closed:
            return False
        window = min(self.state.local_flow_control_window(stream.number), self.state.max_outbound_frame_size)
        piece = stream.take(window)
        if piece:
            self.state.send_data(stream.number, piece)
            self.wire.write(self.state.data_to_send())
            if not stream.backed_up:
                stream.exchange.resume()
        if stream.is_sent and not stream.closed:
            self._end(stream)
        return bool(piece)

    def _end(self, stream: Stream) -> None:
        stream.closed = True
        del self._streams[stream.number]
        self.state.end_stream(stream.number)
        if not stream.exchange.body.complete:
            self.state.reset_stream(stream.number, ErrorCodes.NO_ERROR)
        self.flush()
        self._ended()

    def _ended(self) -> None:
        if not self._streams and not self._over:
            self.setTimeout(self.site.timeOut)  # type: ignore[no-untyped-call]

    # --- what the transport says -----------------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        self._blocked = True

    def resumeProducing(self) -> None:
        self._blocked = False
        self._control = 0
        self.pump()

    def stopProducing(self) -> None:
        self._over = True


_HANDLERS: Mapping[type, Callable[[Http2Connection, Any], None]] = {
    events.RequestReceived: Http2Connection._request_received,
    events.DataReceived: Http2Connection._data_received,
    events.StreamEnded: Http2Connection._stream_ended,
    events.StreamReset: Http2Connection._stream_reset,
    events.ConnectionTerminated: Http2Connection._terminated,
}
"""Everything else that a client may say is the library's business."""
