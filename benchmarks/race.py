"""The race: the same work on a grid of lafs and on one of the peer, turn by turn, on the same machine in the same minutes.

Ten servers and three gateways each, all real processes, over Foolscap. One gateway stores, one fetches and one reads ranges,
so that nobody finds in its own memory what it should fetch. Content is random and fresh each time. Run by `__main__`.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field, frozen

from tests.process.gateway import Gateway
from tests.process.grids import Encoding, Grid
from tests.process.harness import Program

ENCODING = Encoding(needed=3, happy=7, total=10)
SERVERS = 10

LARGE = 100_000_000
RANGE = 4096
RANGES = 10
"""How often a range of the same file is read again."""


@frozen
class Sample:
    """What one piece of work took. All in seconds."""

    elapsed: float
    gateway: float
    """Processor time of the gateway that did it."""
    servers: float
    """Processor time of all servers together."""


@frozen
class Size:
    """Files of one size, stored and fetched `rounds` times."""

    name: str
    size: int
    rounds: int
    together: int = 1
    """So many files are one sample, for work too short to be measured alone by the kernel's clock of processor time."""


@define
class Runner:
    """One of the two in the race."""

    program: Program
    grid: Grid
    samples: dict[str, list[Sample]] = field(factory=dict)

    @property
    def peak_resident(self) -> int:
        """Bytes, of the gateway that stored and the one that fetched, whichever had more."""
        return max(client.node.peak_resident for client in self.grid.clients[:2])

    def measure(self, work: str, gateway: int, count: int, do: Callable[[Gateway], None]) -> None:
        """Do it with the gateway of that number; the sample is divided by `count`."""
        client = self.grid.clients[gateway]
        gateway_before, servers_before = client.node.cpu_seconds, self._servers()
        started = time.perf_counter()
        do(client)
        elapsed = time.perf_counter() - started
        sample = Sample(
            elapsed / count, (client.node.cpu_seconds - gateway_before) / count, (self._servers() - servers_before) / count
        )
        self.samples.setdefault(work, []).append(sample)

    def _servers(self) -> float:
        return sum(server.cpu_seconds for server in self.grid.servers)


@contextmanager
def runner(program: Program, folder: Path | None) -> Iterator[Runner]:
    """A grid of ten servers and three gateways that all run `program`."""
    with Grid([program] * SERVERS, encoding=ENCODING, clients=[program] * 3, introducer=program, folder=folder) as grid:
        _warm(grid)
        yield Runner(program, grid)


def _warm(grid: Grid) -> None:
    """What is done once in the life of a process (imports, first connections) is no part of the race."""
    cap = grid.clients[0].put(os.urandom(10_000))
    for client in grid.clients[1:]:
        client.get(cap)


def race(runners: list[Runner], sizes: list[Size], tell: Callable[[str], None]) -> None:
    """Everybody does everything, by turns; who begins changes from round to round."""
    for size in sizes:
        for number in range(size.rounds):
            tell(f"{size.name}: round {number + 1} of {size.rounds}")
            order = runners if number % 2 == 0 else runners[::-1]
            for each in order:
                _store_and_fetch(each, size)


def _store_and_fetch(runner: Runner, size: Size) -> None:
    contents = [os.urandom(size.size) for _ in range(size.together)]
    caps: list[str] = []
    runner.measure(f"put {size.name}", 0, size.together, lambda gateway: caps.extend(map(gateway.put, contents)))
    fetched: list[bytes] = []
    runner.measure(f"get {size.name}", 1, size.together, lambda gateway: fetched.extend(map(gateway.get, caps)))
    if fetched != contents:
        raise AssertionError(f"{runner.program.name} fetched something else than it stored")
    if size.size == LARGE:
        _ranges(runner, caps[0], contents[0])


def _ranges(runner: Runner, cap: str, content: bytes) -> None:
    """4 KiB out of the middle of a large file: the first time this gateway sees the file, and again elsewhere in it."""

    def read(gateway: Gateway, first: int) -> None:
        if gateway.get_range(cap, first, RANGE) != content[first : first + RANGE]:
            raise AssertionError(f"{runner.program.name} read a wrong range")

    runner.measure("4 KiB range, first", 2, 1, lambda gateway: read(gateway, len(content) // 2))
    places = [len(content) // (RANGES + 1) * number for number in range(1, RANGES + 1)]

    def read_all(gateway: Gateway) -> None:
        for each in places:
            read(gateway, each)

    runner.measure("4 KiB range, again", 2, RANGES, read_all)
