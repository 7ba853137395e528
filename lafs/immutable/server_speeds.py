"""How fast each server has been answering, and which of them seem to hang.

One for a whole client, so that what one download finds out spares the next. Told of every answer by those who ask;
asked by those who choose. Pure; told the time by its callers. A server that is forgotten by everyone else is
forgotten here.
"""
from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Final
from weakref import WeakKeyDictionary

from attrs import define

from lafs.interfaces import GridServer

HEDGE_DELAY: Final = 0.5
"""Seconds without an answer after which another server is asked as well; more when answers usually take longer."""

SUSPICION: Final = 60.0
"""Seconds for which a server that did not answer in time is used only when there is no other."""

BULK: Final = 64 * 1024
"""Answers of so many bytes say something of the rate of a server, smaller ones of its latency."""

TYPICAL: Final = 512 * 1024
"""Bytes of a read, for comparing servers."""

SAME: Final = 0.020
"""Seconds to answer, below which servers are equally fast."""

WEIGHT: Final = 0.3
"""Of the newest answer in the averages."""


ASSUMED_RATE: Final = 500_000.0
"""Bytes a second of a line of which nothing is known yet. Taking a slow line for hung servers makes it slower still."""


@define
class _Record:
    latency: float | None = None
    seconds_per_byte: float | None = None
    suspected_until: float = 0.0
    hangs_in_reads: bool = False

    def time(self, default_rate: float) -> float:
        """Seconds to answer a read of typical size."""
        rate = default_rate if self.seconds_per_byte is None else self.seconds_per_byte
        return (self.latency or 0.0) + rate * TYPICAL


class ServerSpeeds:
    """What is remembered of each server."""

    def __init__(self) -> None:
        self._records: WeakKeyDictionary[GridServer, _Record] = WeakKeyDictionary()

    def answered(self, server: GridServer, elapsed: float, size: int = 0) -> None:
        """Note that an answer of `size` bytes came after `elapsed` seconds; `size` 0 for anything but a read.

        Clears suspicion; but a server that hangs in reads may well answer everything else.
        """
        record = self._record(server)
        if size or not record.hangs_in_reads:
            record.suspected_until, record.hangs_in_reads = 0.0, False
        if size >= BULK:
            self._transferred(record, elapsed, size)
        else:
            record.latency = _averaged(record.latency, elapsed)

    def waiting(self, server: GridServer, elapsed: float, size: int) -> None:
        """Note that an answer of `size` bytes has not come after `elapsed` seconds, and is waited for no longer."""
        record = self._record(server)
        if size >= BULK and elapsed / size > (record.seconds_per_byte or 0.0):
            self._transferred(record, elapsed, size)

    def suspect(self, server: GridServer, now: float, reading: bool = False) -> None:
        """Note that `server` does not answer in time."""
        record = self._record(server)
        record.suspected_until = now + SUSPICION
        record.hangs_in_reads |= reading

    def is_suspect(self, server: GridServer, now: float) -> bool:
        """Whether `server` did not answer in time, and has not answered since."""
        record = self._records.get(server)
        return record is not None and record.suspected_until > now

    def hedge_delay(self, size: int = 0, line_load: int = 0) -> float:
        """Seconds after which an answer of `size` bytes is late, by what servers usually take.

        `line_load` is all that is to come over the line meanwhile, of all servers.
        """
        records = list(self._records.values())
        latencies = [each.latency for each in records if each.latency is not None]
        rates = [each.seconds_per_byte for each in records if each.seconds_per_byte is not None]
        latency = median(latencies) if latencies else 0.0
        transfer = 3 * median(rates) * size if rates else line_load / ASSUMED_RATE
        return max(HEDGE_DELAY, 3 * latency + transfer)

    def latency(self, server: GridServer) -> float:
        """Seconds that `server` takes to answer at all, 0 when unknown."""
        record = self._records.get(server)
        return (record and record.latency) or 0.0

    def handicaps(self, servers: Iterable[GridServer]) -> dict[GridServer, int]:
        """For each of `servers`, 0 if it is about as fast as the fastest, and one more for every doubling of its time.

        That is the time to answer a read of typical size. A server whose rate is not known is given the best that is:
        so it is tried in place of one that is known to be slow, but not just out of curiosity.
        """
        records = {server: self._records.get(server) or _Record() for server in servers}
        rates = [each.seconds_per_byte for each in records.values() if each.seconds_per_byte is not None]
        best_rate = min(rates, default=0.0)
        times = {server: max(record.time(best_rate), SAME) for server, record in records.items()}
        best = min(times.values(), default=SAME)
        return {server: int(time / best).bit_length() - 1 for server, time in times.items()}

    @staticmethod
    def _transferred(record: _Record, elapsed: float, size: int) -> None:
        seconds = max(elapsed - (record.latency or 0.0), 0.0)
        record.seconds_per_byte = _averaged(record.seconds_per_byte, seconds / size)

    def _record(self, server: GridServer) -> _Record:
        return self._records.setdefault(server, _Record())


def _averaged(average: float | None, newest: float) -> float:
    return newest if average is None else average + WEIGHT * (newest - average)
