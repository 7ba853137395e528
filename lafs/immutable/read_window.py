"""How much of a file to have in flight while it is read: enough to fill the line, no more.

The window doubles as long as that makes the bytes come faster, and goes back one step when it does not; after a while
it tries again, since lines change. Only time spent waiting for the network counts: a slow consumer is no reason to
read further ahead.

Pure; told the time by its caller, the reading of one file. Sizes in bytes of plaintext, times in seconds.
"""
from __future__ import annotations

from typing import Final

WORTH_IT: Final = 1.15
"""A doubled window stays if the rate grew by this factor."""

PATIENCE: Final = 16
"""Rounds without growth before another attempt."""


LARGEST: Final = 32 * 1024 * 1024
"""What one read may have in flight."""

TOGETHER: Final = 64 * 1024 * 1024
"""What all reads of a client may have in flight, roughly: each may have one run of segments, however many they are."""


class WindowBudget:
    """Divides memory evenly over the reads that are going on."""

    def __init__(self) -> None:
        self._reads = 0

    def enter(self) -> None:
        """A read begins."""
        self._reads += 1

    def leave(self) -> None:
        """A read is over."""
        self._reads -= 1

    def share(self) -> int:
        """The largest window that a read may have now."""
        return min(LARGEST, TOGETHER // max(self._reads, 1))


class ReadWindow:
    """A window that starts at `smallest` and adapts between it and `LARGEST`."""

    def __init__(self, smallest: int, now: float) -> None:
        self.size = smallest
        self._smallest = smallest
        self._round_start = now
        self._round_bytes = 0
        self._round_waited = False
        self._rate = 0.0
        self._trying = True
        self._rest = 0

    def arrived(self, size: int, now: float, waited: bool) -> None:
        """Note that `size` bytes came; `waited` if the reader was waiting for them, and not they for the reader."""
        self._round_bytes += size
        self._round_waited |= waited
        if self._round_bytes >= self.size:
            self._end_round(now)

    def _end_round(self, now: float) -> None:
        elapsed = now - self._round_start
        if self._round_waited and elapsed > 0:
            self._judge(self._round_bytes / elapsed)
        self._round_start, self._round_bytes, self._round_waited = now, 0, False

    def _judge(self, rate: float) -> None:
        if self._trying and rate >= self._rate * WORTH_IT:
            self._rate = rate
            self._resize(self.size * 2)
        elif self._trying:
            self._resize(self.size // 2)
            self._trying, self._rest = False, PATIENCE
        else:
            self._rate = (self._rate + rate) / 2
            self._rest -= 1
            if self._rest <= 0:
                self._trying = True
                self._resize(self.size * 2)

    def _resize(self, size: int) -> None:
        self.size = min(max(size, self._smallest), max(LARGEST, self._smallest))
