"""The part of the race that is run on immutable files, over the web API both programs share. Run by `__main__`."""
from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.race import Racer
from tests.process.gateway import Gateway
from tests.process.grids import Client
from tests.process.long_files import LongFile, fetched, put

SMALL = 10_000
MEDIUM = 1_000_000
LARGE = 100_000_000
HUGE = 1024**3

RANGE = 4096
RANGES = 10
"""How often a range of the same file is read again."""

AT_ONCE = 8


def small_files(racer: Racer, amount: int) -> None:
    """One by one."""
    _store_and_fetch(racer, "10 kB", SMALL, amount)


def medium_files(racer: Racer, amount: int) -> None:
    _store_and_fetch(racer, "1 MB", MEDIUM, amount)


def large_files(racer: Racer, amount: int) -> None:
    """And ranges of the last of them, at a gateway that has not seen it."""
    caps, contents = _store_and_fetch(racer, "100 MB", LARGE, amount)
    _ranges(racer, caps[-1], contents[-1])


def many_small_files(racer: Racer, amount: int) -> None:
    """Eight at once; a sample is the time for one file, which is shorter than any of them takes."""
    contents = [os.urandom(SMALL) for _ in range(amount)]
    caps: list[str] = []
    found: list[bytes] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        racer.measure("put 10 kB, 8 at once", 0, amount, lambda gateway: caps.extend(pool.map(gateway.put, contents)))
        racer.measure("get 10 kB, 8 at once", 1, amount, lambda gateway: found.extend(pool.map(gateway.get, caps)))
    _compare(racer, found, contents)


def huge_file(racer: Racer, amount: int) -> None:
    """A file of 1 GiB goes up and comes down through a gateway that did little else: what memory that takes."""
    file, cap = LongFile(HUGE), ""
    client = racer.clients[2]
    nodes = [client.node, *racer.grid.servers]
    for node in nodes:
        node.forget_peak()

    def store(gateway: Client) -> None:
        nonlocal cap
        cap = put(gateway, file)

    racer.measure("put 1 GiB", 2, 1, store)
    racer.measure("get 1 GiB", 2, 1, lambda gateway: _compare(racer, [fetched(gateway, cap)], [file.hash.digest()]))
    racer.memory["gateway at most"], racer.memory["gateway after"] = client.node.peak_resident, client.node.resident
    racer.memory["server at most"] = max(server.peak_resident for server in racer.grid.servers)
    racer.memory["server after"] = max(server.resident for server in racer.grid.servers)


def _store_and_fetch(racer: Racer, name: str, size: int, amount: int) -> tuple[Sequence[str], Sequence[bytes]]:
    contents = [os.urandom(size) for _ in range(amount)]
    caps: list[str] = []
    racer.measure(f"put {name}", 0, amount, lambda gateway: caps.extend(map(gateway.put, contents)))
    found: list[bytes] = []
    racer.measure(f"get {name}", 1, amount, lambda gateway: found.extend(map(gateway.get, caps)))
    _compare(racer, found, contents)
    return caps, contents


def _ranges(racer: Racer, cap: str, content: bytes) -> None:
    """4 KiB out of the middle of a large file: the first time this gateway sees the file, and again elsewhere in it."""

    def read(gateway: Gateway, first: int) -> None:
        _compare(racer, [gateway.get_range(cap, first, RANGE)], [content[first : first + RANGE]])

    racer.measure("4 KiB range, first", 2, 1, lambda gateway: read(gateway, len(content) // 2))
    places = [len(content) // (RANGES + 1) * number for number in range(1, RANGES + 1)]

    def read_all(gateway: Gateway) -> None:
        for each in places:
            read(gateway, each)

    racer.measure("4 KiB range, again", 2, RANGES, read_all)


def _compare(racer: Racer, found: Sequence[bytes], stored: Sequence[bytes]) -> None:
    if found != stored:
        raise AssertionError(f"{racer.name} fetched something else than it stored")
