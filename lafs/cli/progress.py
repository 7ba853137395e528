"""A line on the terminal that says how far a transfer is. Only on a terminal, and only for transfers one has to wait for."""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from lafs.cli.invocation import Invocation
from lafs.cli.quantities import clock_text, size_text

FIRST_SECONDS = 0.7
"""A transfer that ends sooner shows nothing."""

REDRAW_SECONDS = 0.1
MEMORY_SECONDS = 5.0
"""The rate shown is a mean over about this long."""


class Progress:
    """Counts bytes, and draws at most ten times a second on `stream`; never if that is None.

    `done` bytes were there before (a download that is continued).
    """

    def __init__(
        self, total: int | None, done: int = 0, *,
        stream: TextIO | None, clock: Callable[[], float] = time.monotonic, columns: Callable[[], int] | None = None,
    ) -> None:
        self.total = total
        self.done = done
        self._stream = stream
        self._clock = clock
        self._columns = columns or terminal_columns
        self._drawn_at = self._measured_at = clock()
        self._next = self._drawn_at + FIRST_SECONDS
        self._measured = done
        self._rate = 0.0
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def advance(self, count: int) -> None:
        """`count` more bytes have been moved."""
        self.done += count
        now = self._clock()
        if self._stream is not None and now >= self._next:
            self._measure(now)
            self._draw(self.line())
            self._next = now + REDRAW_SECONDS

    def waiting(self, text: str) -> None:
        """All bytes are moved; say what is waited for now, if the person has been waiting already."""
        if self._shown:
            self._draw(text)

    def line(self) -> str:
        """What is shown now."""
        rate = f"{size_text(self._rate)}/s"
        if not self.total:
            return f"{size_text(self.done)}  {rate}"
        fraction = min(1.0, self.done / self.total)
        left = f"  {clock_text((self.total - self.done) / self._rate)} left" if self._rate > 0 else ""
        numbers = f" {fraction:4.0%}  {size_text(self.done)} of {size_text(self.total)}  {rate}{left}"
        width = min(40, self._columns() - len(numbers) - 3)
        if width < 5:
            return numbers.strip()
        filled = int(fraction * width)
        return f"[{'#' * filled}{'.' * (width - filled)}]{numbers}"

    def _measure(self, now: float) -> None:
        elapsed = now - self._measured_at
        if elapsed <= 0:
            return
        latest = (self.done - self._measured) / elapsed
        weight = 1.0 if not self._rate else min(1.0, elapsed / MEMORY_SECONDS)
        self._rate += (latest - self._rate) * weight
        self._measured, self._measured_at = self.done, now

    def _draw(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(f"\r{text[: self._columns() - 1]}\x1b[K")
            self._stream.flush()
            self._shown = True


def terminal_columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def progress_for(invocation: Invocation, total: int | None, done: int = 0) -> Progress:
    """A progress line on stderr, if a person is looking at it and did not say -q."""
    shown = not invocation.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Progress(total, done, stream=sys.stderr if shown else None)
