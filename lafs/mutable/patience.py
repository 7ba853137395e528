"""How long to wait for servers: what is remembered of their punctuality, so that one that hangs is waited for once.

One for all mutable files of a client. Told of every answer by those who ask. Pure; told the time by its callers.
"""
from __future__ import annotations

from statistics import median
from typing import Final
from weakref import WeakKeyDictionary

from attrs import define

from lafs.interfaces import GridServer

SUSPICION_SECONDS: Final = 60.0
"""For so long a server that was late is asked, but not waited for."""

ANSWER_SECONDS: Final = 15.0
"""After so long the answer to a small question is no longer expected at all."""

USUAL_RATE: Final = 500_000.0
"""Bytes a second of a line of which nothing is known. Taking a slow line for hung servers makes it slower still."""

LOWEST_RATE: Final = 5_000.0
"""Bytes a second of one server, below which it is as good as hung."""

WEIGHT: Final = 0.3
"""Of the newest answer in the average."""


@define
class _Record:
    latency: float | None = None
    suspected_until: float = 0.0


class Patience:
    """What is remembered of each server, for as long as anybody else remembers it."""

    def __init__(self) -> None:
        self._records: WeakKeyDictionary[GridServer, _Record] = WeakKeyDictionary()

    def answered(self, server: GridServer, elapsed: float) -> None:
        """Note that an answer came, `elapsed` seconds after it was asked for. Clears suspicion."""
        record = self._records.setdefault(server, _Record())
        record.suspected_until = 0.0
        last = record.latency
        record.latency = elapsed if last is None else last + WEIGHT * (elapsed - last)

    def late(self, server: GridServer, now: float) -> None:
        """Note that no answer came in time."""
        self._records.setdefault(server, _Record()).suspected_until = now + SUSPICION_SECONDS

    def is_suspect(self, server: GridServer, now: float) -> bool:
        """Whether `server` was late and has not answered since."""
        record = self._records.get(server)
        return record is not None and record.suspected_until > now

    def seconds(self, least: float, size: int = 0) -> float:
        """How long to wait for a server to answer or take `size` bytes: `least`, or more where all are slow."""
        latencies = [each.latency for each in self._records.values() if each.latency is not None]
        return max(least, 4 * median(latencies) if latencies else 0.0) + size / USUAL_RATE


def answer_seconds(size: int) -> float:
    """After so long an answer to a question about `size` bytes is no longer expected at all."""
    return ANSWER_SECONDS + size / LOWEST_RATE
