"""The read window grows while that helps, on a model of a line."""
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lafs.immutable.read_window import LARGEST, TOGETHER, ReadWindow, WindowBudget

MB = 1024 * 1024


def settled(bytes_per_second: float, round_trip: float, rounds: int = 400, waited: bool = True) -> tuple[int, int]:
    """The window after a long read over a line, and the widest it ever was."""
    now, widest = 0.0, 0
    window = ReadWindow(8 * MB, now)
    for _ in range(rounds):
        now += max(MB * round_trip / window.size, MB / bytes_per_second)
        window.arrived(MB, now, waited)
        widest = max(widest, window.size)
    return window.size, widest


class Windows(SynchronousTestCase):
    """Enough to fill the line, no more."""

    def test_a_long_fast_line_gets_a_wide_window(self) -> None:
        size, _ = settled(bytes_per_second=1e9, round_trip=0.1)
        self.assertEqual(size, LARGEST)

    def test_a_short_line_keeps_a_small_one(self) -> None:
        size, _ = settled(bytes_per_second=100e6, round_trip=0.001)
        self.assertLessEqual(size, 16 * MB)

    def test_a_slow_line_keeps_a_small_one(self) -> None:
        size, _ = settled(bytes_per_second=1e6, round_trip=0.1)
        self.assertLessEqual(size, 16 * MB)

    def test_no_window_is_wider_than_allowed(self) -> None:
        for rate in (1e5, 1e7, 1e9, 1e12):
            for round_trip in (0.0, 0.001, 0.1, 10.0):
                _, widest = settled(rate, round_trip)
                self.assertLessEqual(widest, LARGEST)

    def test_a_slow_consumer_is_no_reason_to_read_ahead(self) -> None:
        _, widest = settled(bytes_per_second=1e9, round_trip=0.1, waited=False)
        self.assertEqual(widest, 8 * MB)

    def test_a_line_that_becomes_faster_is_noticed(self) -> None:
        now = 0.0
        window = ReadWindow(8 * MB, now)
        for _ in range(200):
            now += 1.0
            window.arrived(MB, now, True)
        for _ in range(3000):
            now += max(0.1 * MB / window.size, MB / 1e9)
            window.arrived(MB, now, True)
        self.assertEqual(window.size, LARGEST)

    def test_a_clock_that_stands_still_changes_nothing(self) -> None:
        window = ReadWindow(8 * MB, 5.0)
        for _ in range(100):
            window.arrived(MB, 5.0, True)
        self.assertEqual(window.size, 8 * MB)


class Budgets(SynchronousTestCase):
    """Memory is divided over the reads that are going on."""

    def test_all_reads_together_stay_within_the_budget(self) -> None:
        budget = WindowBudget()
        for reads in range(1, 100):
            budget.enter()
            self.assertLessEqual(budget.share(), LARGEST)
            self.assertLessEqual(budget.share() * reads, max(TOGETHER, LARGEST))
        for _ in range(99):
            budget.leave()
        self.assertEqual(budget.share(), LARGEST)
