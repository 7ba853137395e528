from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.body import HIGH_WATER, LOW_WATER, Body, StreamSource
from lafs.errors import SourceFailed
from lafs.tasks import spawn


class Valve:
    """A tap that remembers how it stands."""

    wanted = 0
    held = False

    def body_wanted(self) -> None:
        self.wanted += 1

    def hold_body(self) -> None:
        self.held = True

    def let_body_flow(self) -> None:
        self.held = False


class Bodies(SynchronousTestCase):
    def setUp(self) -> None:
        self.valve = Valve()
        self.body = Body(None, self.valve)

    def read(self, size: int) -> bytes:
        return self.successResultOf(spawn(self.body.read(size)))

    def test_it_is_asked_for_once_when_somebody_first_waits_for_it(self) -> None:
        self.assertEqual(self.valve.wanted, 0)
        reading = spawn(self.body.read(10))
        self.assertEqual(self.valve.wanted, 1)
        self.body.feed(b"12345")
        self.body.feed(b"67890")
        self.assertEqual(self.successResultOf(reading), b"1234567890")
        spawn(self.body.read(10)).addErrback(lambda _: None)
        self.assertEqual(self.valve.wanted, 1)

    def test_one_that_came_by_itself_is_not_asked_for(self) -> None:
        self.body.feed(b"abc")
        self.body.end()
        self.assertEqual(self.read(10), b"abc")
        self.assertEqual(self.valve.wanted, 0)

    def test_it_is_held_when_full_and_let_go_on_when_nearly_empty(self) -> None:
        self.body.feed(bytes(HIGH_WATER - 1))
        self.assertFalse(self.valve.held)
        self.body.feed(b"x")
        self.assertTrue(self.valve.held)
        self.read(HIGH_WATER - LOW_WATER - 1)
        self.assertTrue(self.valve.held)
        self.read(1)
        self.assertFalse(self.valve.held)

    def test_a_read_larger_than_all_that_may_wait_is_served(self) -> None:
        reading = spawn(self.body.read(4 * HIGH_WATER))
        for _ in range(4):
            self.body.feed(bytes(HIGH_WATER))
            self.assertFalse(self.valve.held)
        self.assertEqual(len(self.successResultOf(reading)), 4 * HIGH_WATER)

    def test_what_is_read_some_at_a_time_is_not_waited_for(self) -> None:
        self.body.feed(b"a")
        self.assertEqual(self.successResultOf(spawn(self.body.read_some())), b"a")
        self.body.end()
        self.assertEqual(self.successResultOf(spawn(self.body.read_some())), b"")

    def test_failure_reaches_the_reader_who_waits_and_all_after(self) -> None:
        reading = spawn(self.body.read(10))
        self.body.feed(b"abc")
        self.body.fail("gone")
        self.failureResultOf(reading, SourceFailed)
        self.failureResultOf(spawn(self.body.read(1)), SourceFailed)

    def test_a_body_that_is_whole_does_not_fail_any_more(self) -> None:
        self.body.feed(b"abc")
        self.body.end()
        self.body.fail("gone")
        self.assertEqual(self.read(3), b"abc")

    def test_what_nobody_wants_is_dropped(self) -> None:
        self.body.feed(bytes(HIGH_WATER))
        self.body.discard()
        self.assertFalse(self.valve.held)
        self.body.feed(bytes(10 * HIGH_WATER))
        self.assertFalse(self.valve.held)

    def test_a_cancelled_read_leaves_the_bytes_for_the_next(self) -> None:
        reading = spawn(self.body.read_some())
        reading.addErrback(lambda _: None)
        reading.cancel()
        self.body.feed(b"abc")
        self.assertEqual(self.successResultOf(spawn(self.body.read_some())), b"abc")

    def test_a_source_knows_what_the_client_announced_and_cannot_start_again(self) -> None:
        source = StreamSource(Body(7, self.valve))
        self.assertEqual((source.size, source.rewindable), (7, False))
        self.failureResultOf(spawn(source.rewind()), SourceFailed)

    @given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(1, 60)), st.binary(max_size=20))
    def test_bytes_come_out_as_they_went_in_however_they_are_cut(
        self, chunks: list[bytes], sizes: list[int], returned: bytes
    ) -> None:
        body = Body(None, Valve())
        for chunk in chunks:
            body.feed(chunk)
        body.end()
        whole = b"".join(chunks)
        out = b""
        for size in sizes:
            piece = self.successResultOf(spawn(body.read(size)))
            self.assertEqual(len(piece), min(size, len(whole) - len(out)))
            out += piece
        body.unread(returned)
        rest = self.successResultOf(spawn(body.read(10**6)))
        self.assertEqual(out + rest, whole[: len(out)] + returned + whole[len(out) :])
