"""What a running client or storage node says of itself: implements `lafs.interfaces.NodeStatus` for pages and commands.

Made by `client_node`, which feeds it. Spec: 07 §13.1, §13.2; 08 §22.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from lafs.node_status import IntroducerStatus, ServerStatus
from lafs.statistics import Counters
from lafs.tasks import Clock

Values = Mapping[str, float | int | None]

SAMPLE_SECONDS = 60.0
_AVERAGES = {"cpu_monitor.1min_avg": 1, "cpu_monitor.5min_avg": 5, "cpu_monitor.15min_avg": 15}


class CpuMonitor:
    """The share of one processor that this process has used of late, sampled once a minute."""

    def __init__(self, clock: Clock, cpu_seconds: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._cpu_seconds = cpu_seconds
        self._samples: deque[tuple[float, float]] = deque(maxlen=max(_AVERAGES.values()) + 1)
        self.sample()

    def sample(self) -> None:
        """Note the time and the processor time. To be called every SAMPLE_SECONDS."""
        self._samples.append((self._clock.seconds(), self._cpu_seconds()))

    def stats(self) -> Values:
        """Processor seconds so far, and the averages for which enough minutes have passed."""
        values: dict[str, float | int | None] = {"cpu_monitor.total": self._cpu_seconds()}
        now, used = self._samples[-1]
        for name, minutes in _AVERAGES.items():
            if len(self._samples) > minutes:
                then, used_then = self._samples[-1 - minutes]
                values[name] = (used - used_then) / max(now - then, 1e-9)
        return values


class ClientStatus:
    """The overview of a client or storage node. `servers` and `introducers` are asked each time."""

    def __init__(
        self,
        *,
        nickname: str,
        node_id: str,
        clock: Clock,
        counters: Counters,
        servers: Callable[[], Sequence[ServerStatus]],
        introducers: Callable[[], Sequence[IntroducerStatus]],
    ) -> None:
        self.nickname = nickname
        self.node_id = node_id
        self.servers = servers
        self.introducers = introducers
        self.storage: Values = {}
        """Statistics of this node's storage server, as last measured."""
        self._clock = clock
        self._counters = counters
        self._started = clock.seconds()
        self._cpu = CpuMonitor(clock)

    def sample(self) -> None:
        """Take note of the processor time. To be called every SAMPLE_SECONDS."""
        self._cpu.sample()

    def counters(self) -> Mapping[str, int]:
        return self._counters.snapshot()

    def stats(self) -> Values:
        uptime = {"node.uptime": self._clock.seconds() - self._started}
        return {**uptime, **self._cpu.stats(), **self.storage}
