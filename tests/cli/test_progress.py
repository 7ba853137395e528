"""Sizes, durations and the progress line."""
from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.progress import Progress
from lafs.cli.quantities import clock_text, duration_text, size_text


class Quantities(SynchronousTestCase):
    """Numbers as people read them."""

    def test_sizes(self) -> None:
        for size, text in (
            (0, "0 B"), (500, "500 B"), (999, "999 B"), (1000, "1.00 kB"), (15_530, "15.53 kB"), (999_999, "1.00 MB"),
            (10**12, "1.00 TB"), (10**21, "1000.00 EB"),
        ):
            self.assertEqual(size_text(size), text)

    def test_durations_as_the_peer_cuts_them(self) -> None:
        day = 86400
        for seconds, text in (
            (119, "119 seconds"), (120, "2 minutes"), (10_799, "179 minutes"), (10_800, "3 hours"), (2 * day - 1, "47 hours"),
            (2 * day, "2 days"), (60 * day, "2 months"), (4 * 365 * day, "4 years"),
        ):
            self.assertEqual(duration_text(seconds), text)

    def test_clock(self) -> None:
        self.assertEqual([clock_text(each) for each in (5, 65, 3661)], ["0:05", "1:05", "1:01:01"])

    @given(st.integers(min_value=0, max_value=10**30))
    def test_any_size_is_short(self, size: int) -> None:
        self.assertRegex(size_text(size), r"^\d+(\.\d\d)? ([kMGTPE]?B)$")


class Line(SynchronousTestCase):
    """Drawn for a person who waits; never for a file or a pipe."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.terminal = StringIO()

    def progress(self, total: int | None, done: int = 0, columns: int = 80) -> Progress:
        return Progress(total, done, stream=self.terminal, clock=self.clock.seconds, columns=lambda: columns)

    def test_a_short_transfer_shows_nothing(self) -> None:
        with self.progress(1000) as progress:
            progress.advance(1000)
            progress.waiting("waiting")
        self.assertEqual(self.terminal.getvalue(), "")

    def test_rate_and_time_left(self) -> None:
        with self.progress(10_000_000) as progress:
            self.clock.advance(1)
            progress.advance(2_000_000)
            self.assertEqual(
                progress.line().partition("]")[2], "  20%  2.00 MB of 10.00 MB  2.00 MB/s  0:04 left"
            )
        self.assertTrue(self.terminal.getvalue().endswith("\r\x1b[K"))

    def test_what_was_there_before_is_not_counted_as_speed(self) -> None:
        progress = self.progress(10_000_000, done=8_000_000)
        self.clock.advance(1)
        progress.advance(1_000_000)
        self.assertIn("90%  9.00 MB of 10.00 MB  1.00 MB/s", progress.line())

    def test_an_unknown_total_shows_what_has_come(self) -> None:
        progress = self.progress(None)
        self.clock.advance(2)
        progress.advance(3_000_000)
        self.assertEqual(progress.line(), "3.00 MB  1.50 MB/s")

    def test_it_is_drawn_at_most_ten_times_a_second(self) -> None:
        progress = self.progress(10_000)
        self.clock.advance(1)
        for _ in range(100):
            progress.advance(1)
        self.assertEqual(self.terminal.getvalue().count("\r"), 1)

    def test_it_never_wraps(self) -> None:
        for columns in (10, 40, 60, 80, 200):
            self.terminal.truncate(0)
            self.clock.advance(10)
            progress = self.progress(10_000_000, columns=columns)
            self.clock.advance(10)
            progress.advance(5_000_000)
            drawn = self.terminal.getvalue().strip("\x00").removeprefix("\r").removesuffix("\x1b[K")
            self.assertTrue(0 < len(drawn) < columns, drawn)

    def test_without_a_terminal_nothing_is_drawn(self) -> None:
        progress = Progress(10, stream=None, clock=self.clock.seconds)
        self.clock.advance(10)
        progress.advance(10)
        progress.waiting("waiting")
        self.assertEqual(progress.done, 10)
