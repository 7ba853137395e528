"""What a store has done, and how long it took: counters, and latencies of the last calls of each kind.

Names are those of the peer, so that its dashboards read ours. Spec: 05 §10.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from lafs.statistics import Counters
from lafs.tasks import Clock

SAMPLES: Final = 1000

PERCENTILES: Final = (
    ("01_0_percentile", 0.01, 100),
    ("10_0_percentile", 0.1, 10),
    ("50_0_percentile", 0.5, 10),
    ("90_0_percentile", 0.9, 10),
    ("95_0_percentile", 0.95, 20),
    ("99_0_percentile", 0.99, 100),
    ("99_9_percentile", 0.999, 1000),
)
"""Name, position in the sorted samples, and the number of samples below which it says nothing."""


class Measurements:
    """Counts and times the operations of one store. On the reactor thread only."""

    def __init__(self, counters: Counters, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        self._samples: dict[str, deque[float]] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add to the counter `storage_server.NAME`."""
        self._counters.count(f"storage_server.{name}", by)

    @contextmanager
    def of(self, operation: str) -> Iterator[None]:
        """Count an operation, and time it until the block ends, whether it succeeds or not."""
        self.count(operation)
        started = self._clock.seconds()
        try:
            yield
        finally:
            samples = self._samples.setdefault(operation, deque(maxlen=SAMPLES))
            samples.append(self._clock.seconds() - started)

    def latencies(self) -> Mapping[str, float | int | None]:
        """All latencies in seconds, by their full names."""
        return {
            f"storage_server.latencies.{operation}.{name}": value
            for operation, samples in self._samples.items()
            for name, value in summary(sorted(samples)).items()
        }


def summary(ordered: list[float]) -> Mapping[str, float | int | None]:
    """Size, mean and percentiles of sorted samples; None where there are too few to tell."""
    count = len(ordered)
    found: dict[str, float | int | None] = {"samplesize": count, "mean": sum(ordered) / count if count > 1 else None}
    for name, position, needed in PERCENTILES:
        found[name] = ordered[int(position * count)] if count >= needed else None
    return found
