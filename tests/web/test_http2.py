"""HTTP/2, spoken by the library's client to the gateway, over a transport in memory."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from frontends.web import http2
from frontends.web.body import HIGH_WATER
from frontends.web.channel import READ_SIZE, STALL_SECONDS
from frontends.web.http2 import CLOSING_SECONDS, MOST_CONTROL, MOST_STREAMS, WINDOW
from frontends.web.site import IDLE_SECONDS
from tests.web.harness import HOST, Gateway, Wire, q

Pairs = Iterable[tuple[str, str]]


@implementer(ISSLTransport)
class SecureWire(Wire):
    """A transport on which TLS has agreed on HTTP/2."""

    negotiatedProtocol = b"h2"  # noqa: N815 - Twisted's name

    def getPeerCertificate(self) -> None:
        """The client has none."""

    def setTcpNoDelay(self, _: bool) -> None:
        """It delays nothing."""

    def setTcpKeepAlive(self, _: bool) -> None:
        """It lives as long as it is kept."""


class Answered:
    """What came back on one stream."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.interim: list[str] = []
        self.body = bytearray()
        self.ended = False
        self.reset: ErrorCodes | int | None = None

    @property
    def status(self) -> int:
        return int(self.headers[":status"])


class Client:
    """A browser's side of a connection. Reads as much as its windows let the gateway send, at once."""

    def __init__(self, gateway: Gateway, window: int | None = None) -> None:
        self.wire = SecureWire()
        self.channel: Any = gateway.site.buildProtocol(self.wire.getPeer())
        self.channel.makeConnection(self.wire)
        self.state = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.answers: dict[int, Answered] = {}
        self.goodbye: ErrorCodes | int | None = None
        self.state.initiate_connection()
        if window is not None:
            self.state.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
            self.state.increment_flow_control_window(10_000_000)
        self._acknowledges = window is None
        self.talk()

    def talk(self) -> None:
        """Exchange bytes until neither side has more to say."""
        while True:
            said = self.state.data_to_send()
            if said:
                self.channel.dataReceived(said)
            heard = self.wire.value()
            self.wire.clear()
            if not said and not heard:
                return
            if heard and self.goodbye is None:
                for event in self.state.receive_data(heard):
                    self._note(event)

    def _note(self, event: events.Event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", None) or 0, Answered())
        match event:
            case events.InformationalResponseReceived(headers=headers):
                answer.interim.append(dict(headers or ())[":status"])  # type: ignore[arg-type]
            case events.ResponseReceived(headers=headers):
                answer.headers = dict(headers or ())  # type: ignore[arg-type]
            case events.DataReceived(data=data, stream_id=number, flow_controlled_length=counted):
                answer.body += data or b""
                if self._acknowledges:
                    self.state.acknowledge_received_data(counted or 0, number or 0)
            case events.StreamEnded():
                answer.ended = True
            case events.StreamReset(error_code=code):
                answer.reset = code
            case events.ConnectionTerminated(error_code=code):
                self.goodbye = code

    def send(self, method: str, path: str, headers: Pairs = (), end: bool = True, host: str = HOST) -> int:
        """Send the head of a request. Returns the number of its stream."""
        number = self.state.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        self.answers[number] = Answered()
        self.state.send_headers(number, [*pseudo, *headers], end_stream=end)
        self.talk()
        return number

    def body(self, number: int, data: bytes, end: bool = True) -> int:
        """Send as much of `data` as the gateway takes now; returns how much."""
        sent = 0
        if self.answers[number].ended:
            return sent
        while sent < len(data):
            size = min(self.state.local_flow_control_window(number), self.state.max_outbound_frame_size, len(data) - sent)
            if size <= 0:
                break
            self.state.send_data(number, data[sent : sent + size])
            sent += size
            self.talk()
            if self.answers[number].ended or self.answers[number].reset is not None:
                return sent
        if end and sent == len(data):
            self.state.end_stream(number)
            self.talk()
        return sent

    def ask(self, method: str, path: str, headers: Pairs = (), body: bytes | None = None) -> Answered:
        number = self.send(method, path, headers, end=body is None)
        if body is not None:
            self.body(number, body)
        return self.answers[number]

    def lose(self) -> None:
        self.channel.connectionLost(Failure(ConnectionDone()))


class Http2Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()
        self.client = Client(self.gateway)


class Exchanges(Http2Case):
    def test_a_page(self) -> None:
        answer = self.client.ask("GET", "/?t=json")
        self.assertEqual((answer.status, answer.ended), (200, True))
        for name, value in (("server", "lafs"), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")):
            self.assertEqual(answer.headers[name], value)
        self.assertNotIn("connection", answer.headers)

    def test_a_file_and_a_part_of_it(self) -> None:
        contents = bytes(range(256)) * 8000
        path = f"/uri/{q(self.gateway.files.add(contents).cap.text)}"
        answer = self.client.ask("GET", path)
        self.assertEqual((bytes(answer.body), answer.headers["content-length"]), (contents, str(len(contents))))
        part = self.client.ask("GET", path, [("range", "bytes=1000000-1000009")])
        self.assertEqual((part.status, bytes(part.body)), (206, contents[1_000_000:1_000_010]))
        head = self.client.ask("HEAD", path)
        self.assertEqual((head.status, head.headers["content-length"], head.body, head.ended), (200, str(len(contents)), b"", True))

    def test_uploads_of_any_size(self) -> None:
        for size in (0, 1, 1000, 100_000, 3_000_000):
            body = b"%d" % size * (size // len(b"%d" % size) + 1)
            measured = self.client.ask("PUT", "/uri", [("content-length", str(size))], body[:size])
            unmeasured = self.client.ask("PUT", "/uri", (), body[:size])
            self.assertEqual((measured.status, unmeasured.status, measured.body), (200, 200, unmeasured.body))
            self.assertEqual(bytes(self.client.ask("GET", f"/uri/{q(measured.body.decode())}").body), body[:size])

    def test_many_at_once(self) -> None:
        caps = [self.gateway.files.add(b"%d" % number * 50_000).cap.text for number in range(MOST_STREAMS)]
        numbers = [self.client.send("GET", f"/uri/{q(cap)}") for cap in caps]
        bodies = [bytes(self.client.answers[number].body) for number in numbers]
        self.assertEqual(bodies, [b"%d" % number * 50_000 for number in range(MOST_STREAMS)])

    def test_nothing_is_sent_before_somebody_wants_it(self) -> None:
        number = self.client.send("PUT", "/uri", [("expect", "100-continue"), ("content-length", "5")], end=False)
        self.assertEqual(self.client.answers[number].interim, ["100"])
        self.client.body(number, b"hello")
        self.assertEqual(self.client.answers[number].status, 200)

    def test_a_refusal_comes_before_the_body_and_stops_it(self) -> None:
        number = self.client.send("PUT", "/uri", [("content-length", "10000000"), ("origin", "http://evil.example")], end=False)
        answer = self.client.answers[number]
        self.assertEqual((answer.status, answer.ended, answer.reset), (403, True, ErrorCodes.NO_ERROR))
        self.assertEqual(self.client.ask("GET", "/?t=json").status, 200)

    def test_cookies_in_several_headers(self) -> None:
        session, cookie = self.gateway.sessions.open()
        file = self.gateway.files.add(b"x" * 100)
        handle = self.gateway.sessions.handle_for(session, file.cap)
        cookies = [("cookie", "a=b"), ("cookie", f"__Host-lafs-session-3456={cookie}")]
        self.assertEqual(bytes(self.client.ask("GET", f"/h/{handle}", cookies).body), b"x" * 100)
        self.assertEqual(self.client.ask("GET", f"/h/{handle}").status, 403)

    def test_a_file_that_breaks_off_does_not_look_complete(self) -> None:
        file = self.gateway.files.add(b"x" * 2_000_000)
        file.fails_after = 1_000_000
        answer = self.client.ask("GET", f"/uri/{q(file.cap.text)}")
        self.assertEqual((answer.ended, answer.reset), (False, ErrorCodes.INTERNAL_ERROR))
        self.assertEqual(self.client.ask("GET", "/?t=json").status, 200)


class Safety(Http2Case):
    def test_foreign_names_and_sites_are_refused_as_ever(self) -> None:
        number = self.client.send("GET", "/", host="evil.example")
        self.assertEqual(self.client.answers[number].status, 403)
        self.assertEqual(self.client.ask("POST", "/uri", [("sec-fetch-site", "cross-site")], b"x").status, 403)

    def test_two_names_at_once_are_none(self) -> None:
        self.client.state.config.validate_outbound_headers = False
        number = self.client.send("GET", "/", [("host", "evil.example")])
        self.assertEqual((self.client.answers[number].headers, self.client.goodbye), ({}, ErrorCodes.PROTOCOL_ERROR))

    def test_a_length_that_is_none(self) -> None:
        self.client.state.config.validate_outbound_headers = False
        number = self.client.send("PUT", "/uri", [("content-length", "9" * 19)], end=False)
        self.assertEqual(self.client.answers[number].status, 400)

    def test_what_is_no_http2_ends_the_connection(self) -> None:
        self.client.channel.dataReceived(b"\0" * 100)
        self.client.talk()
        self.assertEqual(self.client.goodbye, ErrorCodes.PROTOCOL_ERROR)
        self.assertTrue(self.client.wire.disconnecting)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_survived(self, data: bytes) -> None:
        gateway = Gateway()
        client = Client(gateway)
        client.channel.dataReceived(data)
        self.assertEqual(Client(gateway).ask("GET", "/?t=json").status, 200)

    def test_who_asks_and_gives_up_again_and_again_is_sent_away(self) -> None:
        self.patch(http2, "MOST_RESETS", 50)
        file = self.gateway.files.add(b"x" * 10_000_000)
        client = Client(self.gateway, window=0)
        for _ in range(52):
            if client.goodbye is None:
                number = client.send("GET", f"/uri/{q(file.cap.text)}")
                client.state.reset_stream(number)
                client.talk()
        self.assertEqual(client.goodbye, ErrorCodes.ENHANCE_YOUR_CALM)

    def test_who_makes_us_talk_and_does_not_listen_is_cut_off(self) -> None:
        self.client.wire.producer.pauseProducing()
        for _ in range(MOST_CONTROL // 17 + 2):
            if not self.client.wire.aborted:
                self.client.state.ping(b"12345678")
                self.client.channel.dataReceived(self.client.state.data_to_send())
        self.assertTrue(self.client.wire.aborted)

    def test_over_http1_nothing_of_this_happens(self) -> None:
        channel: Any = self.gateway.site.buildProtocol(self.client.wire.getPeer())
        wire = SecureWire()
        wire.negotiatedProtocol = b"http/1.1"
        channel.makeConnection(wire)
        channel.dataReceived(f"GET /?t=json HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 200 OK\r\n"))


class Patience(Http2Case):
    """Nothing piles up, and nobody waits for ever."""

    def test_an_upload_is_held_when_nobody_reads_it_and_others_go_on(self) -> None:
        self.gateway.files.upload_gate = Deferred()
        number = self.client.send("PUT", "/uri", [("content-length", "10000000")], end=False)
        sent = self.client.body(number, b"x" * 100_000_000, end=False)
        self.assertLessEqual(sent, HIGH_WATER + 2 * WINDOW)
        self.assertEqual(self.client.ask("GET", "/?t=json").status, 200)
        self.client.lose()

    def test_a_download_is_held_when_nobody_takes_it(self) -> None:
        file = self.gateway.files.add(b"x" * 10_000_000)
        client = Client(self.gateway, window=100_000)
        number = client.send("GET", f"/uri/{q(file.cap.text)}")
        self.assertEqual(len(client.answers[number].body), 100_000)
        stream = client.channel._successor._streams[number]
        self.assertLessEqual(stream._waiting, 4 * READ_SIZE)
        self.assertEqual(client.ask("GET", "/?t=json").ended, True)
        client.state.increment_flow_control_window(50_000, number)
        client.talk()
        self.assertEqual(len(client.answers[number].body), 150_000)

    def test_or_when_the_transport_is_full(self) -> None:
        file = self.gateway.files.add(b"x" * 5_000_000)
        self.client.wire.producer.pauseProducing()
        number = self.client.send("GET", f"/uri/{q(file.cap.text)}")
        self.assertEqual(len(self.client.answers[number].body), 0)
        self.client.wire.producer.resumeProducing()
        self.client.talk()
        self.assertEqual(len(self.client.answers[number].body), 5_000_000)

    def test_a_download_that_nobody_wants_any_more_is_cancelled(self) -> None:
        file = self.gateway.files.add(b"x" * 10_000_000)
        client = Client(self.gateway, window=1000)
        number = client.send("GET", f"/uri/{q(file.cap.text)}")
        client.state.reset_stream(number, ErrorCodes.CANCEL)
        client.talk()
        self.assertTrue(file.read_over.called)
        self.assertEqual(client.ask("GET", "/?t=json").status, 200)

    def test_so_is_everything_when_the_client_is_gone(self) -> None:
        file = self.gateway.files.add(b"x" * 10_000_000)
        client = Client(self.gateway, window=1000)
        client.send("GET", f"/uri/{q(file.cap.text)}")
        client.lose()
        self.client.lose()
        self.assertTrue(file.read_over.called)
        self.assertEqual(self.gateway.clock.getDelayedCalls(), [])

    def test_a_connection_without_requests_is_closed_after_a_while(self) -> None:
        self.client.ask("GET", "/?t=json")
        self.gateway.clock.advance(IDLE_SECONDS)
        self.client.talk()
        self.assertEqual(self.client.goodbye, ErrorCodes.NO_ERROR)
        self.assertTrue(self.client.wire.disconnecting)
        self.gateway.clock.advance(CLOSING_SECONDS)
        self.assertTrue(self.client.wire.aborted)

    def test_one_whose_client_stops_sending_too_but_not_one_that_we_keep_waiting(self) -> None:
        self.client.send("PUT", "/uri", [("content-length", "10000000")], end=False)
        self.gateway.clock.advance(STALL_SECONDS)
        self.assertTrue(self.client.wire.disconnecting)
        patient = Client(self.gateway, window=1000)
        patient.send("GET", f"/uri/{q(self.gateway.files.add(b'x' * 100_000).cap.text)}")
        for _ in range(5):
            self.gateway.clock.advance(STALL_SECONDS)
        self.assertFalse(patient.wire.disconnecting)
