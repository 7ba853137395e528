from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.body import HIGH_WATER, LOW_WATER
from frontends.web.channel import LINGER_SECONDS, LONGEST_LINGER_SECONDS, STALL_SECONDS, WHOLE_BODY
from frontends.web.site import IDLE_SECONDS
from lafs.capability import LiteralCap
from lafs.errors import SourceFailed, UnhappyUpload
from lafs.interfaces import Source, UploadResult
from tests.web.harness import HOST, Connection, Gateway, parse_responses, q, request_bytes

KIB = 1024
PIECES = (
    b"GET ", b"PUT ", b"POST ", b"HEAD ", b"/uri", b"/", b"/uri/URI:LIT:onug64tu", b"?t=upload", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n",
    b"Host: localhost\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"\r\n",
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"Range: bytes=1-\r\n", b"Connection: close\r\n",
    b"Content-Type: multipart/form-data; boundary=b\r\n", b"--b\r\n", b"--b--\r\n",
    b'Content-Disposition: form-data; name="file"\r\n', b"PUT /uri HTTP/1.1\r\nHost: localhost\r\n",
    b"POST /uri HTTP/1.1\r\nHost: localhost\r\n",
)
"""Of which requests, and nearly requests, are made."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def head(method: str, path: str, *lines: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", f"Host: {HOST}", *lines, "", ""]).encode()


class Uploads(SynchronousTestCase):
    """Work on a request begins with its head."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.files = self.gateway.files
        self.connection = self.gateway.connect()

    def start(self, size: int, *lines: str) -> None:
        self.connection.send(head("PUT", "/uri", f"Content-Length: {size}", *lines))

    def test_a_large_body_is_taken_while_it_arrives(self) -> None:
        self.start(4096 * KIB)
        self.connection.send(b"x" * 2048 * KIB)
        self.assertGreaterEqual(self.files.received, 1024 * KIB)
        self.assertEqual(self.connection.received, b"")
        self.connection.send(b"x" * 2048 * KIB)
        (response,) = self.connection.responses("PUT")
        self.assertEqual(response.status, 200)
        self.assertEqual(self.files.received, 4096 * KIB)
        self.assertFalse(self.connection.closed)

    def test_its_size_is_known_to_the_upload_and_nothing_promises_a_second_reading(self) -> None:
        self.start(4096 * KIB)
        self.assertEqual((self.files.sizes, self.files.rewindable), ([4096 * KIB], [False]))

    def test_a_small_body_can_be_read_twice(self) -> None:
        self.gateway.request("PUT", "/uri", b"x" * 1024 * KIB)
        self.assertEqual((self.files.sizes, self.files.rewindable), ([1024 * KIB], [True]))

    def test_a_small_chunked_body_has_a_size_by_the_time_it_is_stored(self) -> None:
        response = self.gateway.request("PUT", "/uri", b"x" * 1000, chunked=True)
        self.assertEqual(response.status, 200)
        self.assertEqual((self.files.sizes, self.files.rewindable), ([1000], [True]))

    def test_a_large_chunked_body_streams_with_unknown_size(self) -> None:
        self.connection.send(head("PUT", "/uri", "Transfer-Encoding: chunked"))
        for _ in range(32):
            self.connection.send(b"10000\r\n" + b"y" * 65536 + b"\r\n")
        self.assertEqual((self.files.sizes, self.files.rewindable), ([None], [False]))
        self.connection.send(b"0\r\n\r\n")
        self.assertEqual(self.connection.responses("PUT")[0].status, 200)
        self.assertEqual(self.files.received, 32 * 65536)

    def test_a_client_faster_than_the_grid_is_held_and_let_go_on(self) -> None:
        gate: Deferred[None] = Deferred()
        self.files.upload_gate = gate
        self.start(8192 * KIB)
        sent = 0
        while not self.connection.held:
            self.connection.send(b"x" * 64 * KIB)
            sent += 64 * KIB
        body = self.connection.channel.requests[0].body
        self.assertLessEqual(body.most_waiting, HIGH_WATER + 64 * KIB)
        self.assertLess(sent, 2048 * KIB)
        self.files.upload_gate = None
        gate.callback(None)
        self.assertFalse(self.connection.held)
        self.connection.send(b"x" * (8192 * KIB - sent))
        self.assertEqual(self.connection.responses("PUT")[0].status, 200)
        self.assertEqual(self.files.received, 8192 * KIB)

    def test_a_held_body_is_not_released_by_the_transport(self) -> None:
        self.files.upload_gate = Deferred()
        self.start(8192 * KIB)
        while not self.connection.held:
            self.connection.send(b"x" * 64 * KIB)
        self.connection.channel.resumeProducing()
        self.assertTrue(self.connection.held)

    def test_a_client_that_goes_away_fails_the_upload(self) -> None:
        self.start(4096 * KIB)
        self.connection.send(b"x" * 100 * KIB)
        self.connection.lose()
        self.assertEqual([type(error) for error in self.files.upload_errors], [SourceFailed])
        self.assertEqual(self.connection.received, b"")

    def test_a_client_that_goes_away_while_the_grid_is_slow_cancels_the_upload(self) -> None:
        cancelled: list[object] = []
        self.files.upload_gate = Deferred(cancelled.append)
        self.start(1024 * KIB)
        self.connection.send(b"x" * 1024 * KIB)
        self.connection.lose()
        self.assertEqual(len(cancelled), 1)

    def test_a_stalled_client_is_given_up_but_not_soon(self) -> None:
        self.start(4096 * KIB)
        self.connection.send(b"x")
        self.gateway.clock.advance(STALL_SECONDS - 1)
        self.assertFalse(self.connection.closed)
        self.gateway.clock.advance(2)
        self.assertTrue(self.connection.closed)

    def test_a_slow_grid_never_times_the_client_out(self) -> None:
        gate: Deferred[None] = Deferred()
        self.files.upload_gate = gate
        self.start(2048 * KIB)
        self.connection.send(b"x" * 2047 * KIB)
        self.assertTrue(self.connection.held)
        self.gateway.clock.advance(STALL_SECONDS * 10)
        self.assertFalse(self.connection.closed)
        self.files.upload_gate = None
        gate.callback(None)
        self.connection.send(b"x" * KIB)
        self.assertEqual(self.connection.responses("PUT")[0].status, 200)
        self.gateway.clock.advance(IDLE_SECONDS - 1)
        self.assertFalse(self.connection.closed)
        self.gateway.clock.advance(2)
        self.assertTrue(self.connection.closed)

    def test_a_malformed_chunk_is_refused_and_stores_nothing(self) -> None:
        self.connection.send(head("PUT", "/uri", "Transfer-Encoding: chunked") + b"zz\r\nhello")
        (response,) = self.connection.responses("PUT")
        self.assertEqual(response.status, 400)
        self.assertEqual(response.header("Connection"), "close")
        self.assertEqual(self.files.stored, {})

    def test_an_upload_that_takes_exactly_what_was_announced_keeps_the_connection(self) -> None:
        async def upload(source: Source) -> UploadResult:
            assert source.size is not None
            return UploadResult(LiteralCap(b""), len(await source.read(source.size)))

        self.files.upload = upload
        self.start(2048 * KIB)
        self.connection.send(b"x" * 2048 * KIB + head("GET", "/nope"))
        self.assertEqual([each.status for each in self.connection.responses("PUT", "GET")], [200, 404])

    def test_a_body_that_nobody_read_to_its_end_does_not_hold_what_follows(self) -> None:
        gate: Deferred[None] = Deferred()
        self.files.upload_gate = gate
        self.start(2048 * KIB)
        self.connection.send(b"x" * 1024 * KIB)
        self.connection.send(b"x" * 1024 * KIB)
        self.assertTrue(self.connection.held)
        gate.errback(UnhappyUpload("no"))
        self.connection.channel.pauseProducing()
        self.connection.channel.resumeProducing()
        self.assertFalse(self.connection.held)
        self.connection.send(head("GET", "/nope"))
        self.assertEqual([each.status for each in self.connection.responses("PUT", "GET")], [503, 404])

    def test_a_short_body_is_waited_for(self) -> None:
        self.start(WHOLE_BODY)
        self.connection.send(b"x" * (WHOLE_BODY - 1))
        self.assertEqual(self.files.sizes, [])
        self.connection.send(b"x")
        self.assertEqual(self.connection.responses("PUT")[0].status, 200)

    def test_no_length_means_an_empty_file(self) -> None:
        self.connection.send(head("PUT", "/uri"))
        self.assertEqual(self.connection.responses("PUT")[0].text, "URI:LIT:")


class Expectations(SynchronousTestCase):
    """`Expect: 100-continue`."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.connection = self.gateway.connect()

    def test_a_body_that_is_wanted_is_asked_for_at_once(self) -> None:
        self.connection.send(head("PUT", "/uri", "Content-Length: 5", "Expect: 100-continue"))
        self.assertEqual(self.connection.received, CONTINUE)
        self.connection.send(b"short")
        (response,) = parse_responses(self.connection.received.removeprefix(CONTINUE), ["PUT"])
        self.assertEqual(response.text, "URI:LIT:onug64tu")

    def test_one_that_is_not_wanted_is_never_sent(self) -> None:
        self.connection.send(head("PUT", "/uri?format=foo", "Content-Length: 5000000", "Expect: 100-continue"))
        (response,) = self.connection.responses("PUT")
        self.assertEqual((response.status, response.header("Connection")), (400, "close"))

    def test_an_old_client_is_told_nothing_in_between(self) -> None:
        message = head("PUT", "/uri", "Content-Length: 5", "Expect: 100-continue", version="1.0") + b"short"
        self.connection.send(message)
        self.assertEqual(self.connection.responses("PUT")[0].text, "URI:LIT:onug64tu")


class EarlyAnswers(SynchronousTestCase):
    """A request that is refused before its body is there."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.connection = self.gateway.connect()
        self.connection.send(head("PUT", "/uri?format=foo", "Content-Length: 50000000"))

    def test_is_answered_without_waiting(self) -> None:
        self.assertEqual(self.connection.responses("PUT")[0].status, 400)
        self.assertFalse(self.connection.closed)

    def test_the_rest_is_read_and_dropped_so_that_the_client_sees_the_answer(self) -> None:
        for _ in range(100):
            self.connection.send(b"x" * 500_000)
            self.assertFalse(self.connection.held)
        self.assertTrue(self.connection.closed)

    def test_but_not_for_ever(self) -> None:
        self.connection.send(b"x" * 500_000)
        self.gateway.clock.advance(LINGER_SECONDS + 1)
        self.assertTrue(self.connection.closed)

    def test_not_even_from_one_that_never_stops(self) -> None:
        for _ in range(int(LONGEST_LINGER_SECONDS / 10) - 1):
            self.connection.send(b"x")
            self.gateway.clock.advance(10)
            self.assertFalse(self.connection.closed)
        self.gateway.clock.advance(11)
        self.assertTrue(self.connection.closed)

    def test_what_follows_on_the_connection_is_not_answered(self) -> None:
        self.connection.send(b"x" * 50_000_000 + head("GET", "/"))
        self.assertEqual(len(self.connection.responses("PUT")), 1)

    def test_nothing_is_left_on_the_clock_when_the_client_leaves(self) -> None:
        self.connection.lose()
        self.assertEqual(self.gateway.clock.getDelayedCalls(), [])

    def test_a_failing_upload_answers_before_the_body_is_over(self) -> None:
        connection = self.gateway.connect()
        self.gateway.files.upload_failure = SourceFailed("no")
        connection.send(head("PUT", "/uri", "Content-Length: 50000000"))
        self.assertEqual(connection.responses("PUT")[0].status, 400)


class Connections(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()
        self.connection = self.gateway.connect()

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        self.connection.send(
            request_bytes("PUT", "/uri", b"short")
            + request_bytes("GET", "/uri/URI:LIT:onug64tu")
            + request_bytes("PUT", "/uri", b"x" * 100_000)
            + request_bytes("GET", "/nope")
        )
        answers = self.connection.responses("PUT", "GET", "PUT", "GET")
        self.assertEqual([answer.status for answer in answers], [200, 200, 200, 404])
        self.assertEqual(answers[1].text, "short")

    def test_many_pipelined_requests_do_not_exhaust_the_stack(self) -> None:
        self.connection.send(request_bytes("GET", "/uri/URI:LIT:onug64tu") * 2000)
        self.assertEqual(self.connection.received.count(b"HTTP/1.1 200 OK"), 2000)

    def test_a_request_behind_a_slow_one_waits(self) -> None:
        gate: Deferred[None] = Deferred()
        self.gateway.files.upload_gate = gate
        self.connection.send(request_bytes("PUT", "/uri", b"x" * 100) + request_bytes("GET", "/nope"))
        self.assertEqual(self.connection.received, b"")
        gate.callback(None)
        self.assertEqual([each.status for each in self.connection.responses("PUT", "GET")], [200, 404])

    def test_requests_arriving_byte_by_byte_are_understood(self) -> None:
        for byte in request_bytes("PUT", "/uri", b"short", chunked=True):
            self.connection.send(bytes([byte]))
        self.assertEqual(self.connection.responses("PUT")[0].text, "URI:LIT:onug64tu")

    def test_an_old_client_gets_its_answer_and_the_end_of_the_connection(self) -> None:
        self.connection.send(b"GET /uri/URI:LIT:onug64tu HTTP/1.0\r\n\r\n")
        (response,) = self.connection.responses("GET")
        self.assertEqual((response.text, response.header("Connection")), ("short", "close"))
        self.assertTrue(self.connection.closed)

    def test_close_is_heeded(self) -> None:
        self.connection.send(head("GET", "/nope", "Connection: close"))
        self.assertEqual(self.connection.responses("GET")[0].header("Connection"), "close")
        self.assertTrue(self.connection.closed)

    def test_an_idle_connection_is_closed_after_a_minute(self) -> None:
        self.connection.send(head("GET", "/nope"))
        self.gateway.clock.advance(IDLE_SECONDS + 1)
        self.assertTrue(self.connection.closed)

    def test_a_request_at_work_is_not_idle(self) -> None:
        self.gateway.files.upload_gate = Deferred()
        self.connection.send(request_bytes("PUT", "/uri", b"x" * 100))
        self.gateway.clock.advance(IDLE_SECONDS * 100)
        self.assertFalse(self.connection.closed)

    def test_what_is_not_http_is_refused_with_the_safe_headers(self) -> None:
        for nonsense in (b"hello\r\n", b"GET / HTTP/9.9\r\n\r\n", head("GET", "/", "Content-Length: x"),
                         head("GET", "/", "Content-Length: " + "9" * 5000),
                         head("PUT", "/uri", "Content-Length: 5", "Transfer-Encoding: chunked")):
            connection = self.gateway.connect()
            connection.send(nonsense)
            (response,) = connection.responses("GET")
            self.assertEqual((response.status, response.header("X-Frame-Options")), (400, "DENY"), nonsense[:60])
            self.assertTrue(connection.closed)

    @settings(max_examples=150)
    @given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=20), st.integers(1, 50))
    def test_any_bytes_are_survived_and_answered_in_http(self, pieces: list[bytes], size: int) -> None:
        connection = Gateway().connect()
        data = b"".join(pieces)
        for start in range(0, len(data), size):
            if not connection.closed:
                connection.send(data[start : start + size])
        answers = connection.received.count(b"HTTP/1.1 ")
        self.assertTrue(answers or not connection.received)
        self.assertEqual(connection.received.count(b"X-Frame-Options: DENY"), answers - connection.received.count(CONTINUE))
        self.assertNotIn(b"HTTP/1.1 500 ", connection.received)

    def test_a_client_that_leaves_in_the_middle_of_a_head_costs_nothing(self) -> None:
        self.connection.send(b"GET / HTTP/1.1\r\nHost: x")
        self.connection.lose()
        self.assertEqual(self.gateway.clock.getDelayedCalls(), [])


class Downloads(SynchronousTestCase):
    """An answer is sent no faster than it is taken, and a broken one is never taken for a whole one."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.connection = self.gateway.connect()
        self.file = self.gateway.files.add(bytes(range(256)) * 16 * KIB)  # 4 MiB: 8 pieces

    def ask(self) -> Connection:
        self.connection.send(head("GET", "/uri/" + q(self.file.cap.text)))
        return self.connection

    def test_a_whole_file_arrives(self) -> None:
        self.assertEqual(self.ask().responses("GET")[0].body, self.file.contents)

    def test_a_slow_reader_holds_the_download_until_it_goes_on(self) -> None:
        self.connection.channel.pauseProducing()
        self.ask()
        self.assertLess(len(self.connection.received), 2 * LOW_WATER + 512 * KIB)
        for _ in range(8):
            self.connection.channel.resumeProducing()
        self.assertEqual(self.connection.responses("GET")[0].body, self.file.contents)

    def test_a_reader_that_goes_away_cancels_the_download(self) -> None:
        self.file.fails_after = 1024 * KIB
        self.file.waits_for = Deferred()
        self.ask().lose()
        self.assertTrue(self.file.cancelled)

    def test_a_reader_that_goes_away_while_it_is_waited_for_ends_the_download(self) -> None:
        self.connection.channel.pauseProducing()
        self.ask().lose()
        self.assertEqual(len(self.gateway.site._gateway.history.active()), 0)

    def test_an_error_before_the_first_byte_has_a_status_of_its_own(self) -> None:
        self.file.fails_after = 0
        (response,) = self.ask().responses("GET")
        self.assertEqual(response.status, 410)
        self.assertTrue(response.text.startswith("NoSharesError: "))
        self.assertFalse(self.connection.closed)

    def test_an_error_after_it_cuts_the_connection(self) -> None:
        self.file.fails_after = 1024 * KIB
        self.ask()
        self.assertTrue(self.connection.wire.aborted)
        self.assertIn(b"Content-Length: 4194304\r\n", self.connection.received)
        self.assertNotIn(b"NoShares", self.connection.received)

    def test_a_file_that_ends_too_early_cuts_the_connection(self) -> None:
        self.file.contents = self.file.contents[: 3 * 1024 * KIB]
        self.ask()
        self.assertTrue(self.connection.wire.aborted)
