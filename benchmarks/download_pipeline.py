"""How fast is the client's own part of a download: verifying, decoding, decrypting, and all that decides what to
read?

Shares are in memory and answers come in the next turn of the reactor, so neither network nor disk is measured.
Printed beside it is the floor: the same bytes through SHA-256 twice and AES once. Run `python
benchmarks/download_pipeline.py` from the top of the repository.

When it was written, 3-of-10 with 1 MiB segments on two cores of an EPYC: 540 MB/s and 0.18 s of CPU for 100 MB from
primary shares (floor 0.15 s), 300 MB/s and 0.33 s from secondary shares, where decoding adds 0.13 s.
"""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from attrs import frozen
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

sys.path.insert(0, str(Path(__file__).parent.parent))

from lafs.crypto.aes import ctr
from lafs.crypto.storage_index import StorageIndex
from lafs.immutable.downloader import Downloader
from lafs.interfaces import Bytes, GridServer, ServerIdentity, ServerVersion, StorageServer
from lafs.statistics import Counters
from lafs.tasks import spawn
from lafs.workers import ThreadWorkers
from tests.immutable.fake_servers import CodedFile, coded

SIZE = 100_000_000
ROUNDS = 5
CHOICES: Mapping[str, range] = {"primary shares": range(10), "secondary shares": range(3, 10)}

reactor = cast(Any, _reactor)


@frozen
class MemoryReader:
    content: bytes

    async def read(self, offset: int, length: int) -> bytes:
        turn: Deferred[None] = Deferred()
        reactor.callLater(0, turn.callback, None)
        await turn
        return self.content[offset : offset + length]

    async def report_corruption(self, reason: str) -> None:
        raise AssertionError(reason)


@frozen
class MemoryServer:
    number: int
    content: bytes

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, MemoryReader]:
        return {self.number: MemoryReader(self.content)}


class MemoryGrid:
    def __init__(self, file: CodedFile, numbers: range) -> None:
        version = ServerVersion("memory", 0, 0)
        self._servers = [
            GridServer(
                ServerIdentity(f"v0-{number}", f"{number}", bytes(20), bytes(20)),
                cast(StorageServer, MemoryServer(number, file.shares[number])),
                version,
            )
            for number in numbers
        ]

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        return self._servers

    for_upload = for_reading


class Drain:
    async def write(self, data: Bytes) -> None:
        pass


def floor(megabyte: bytes) -> float:
    """CPU seconds for `SIZE` bytes of the work that nothing can avoid."""
    start = time.process_time()
    for _ in range(SIZE // len(megabyte)):
        sha256(megabyte).digest()
        sha256(megabyte).digest()
        ctr(bytes(16), megabyte)
    return time.process_time() - start


async def measure(workers: ThreadWorkers) -> None:
    megabyte = os.urandom(1_000_000)
    file = coded(megabyte * (SIZE // len(megabyte)))
    print(f"floor: {floor(megabyte):.3f} s of CPU for {SIZE / 1e6:.0f} MB")
    for name, numbers in CHOICES.items():
        walls, cpus = [], []
        for _ in range(ROUNDS):
            node = Downloader(MemoryGrid(file, numbers), workers, reactor, Counters()).open(file.cap)
            wall, cpu = time.perf_counter(), time.process_time()
            await node.read(Drain())
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        print(f"{name}: {SIZE / min(walls) / 1e6:.0f} MB/s, {min(cpus):.3f} s of CPU")


def main() -> None:
    workers = ThreadWorkers(reactor, os.cpu_count() or 1)

    def finish(outcome: Failure | None) -> None:
        if outcome is not None:
            outcome.printTraceback()
        reactor.stop()

    reactor.callWhenRunning(lambda: spawn(measure(workers)).addBoth(finish))
    reactor.run()
    workers.stop()


if __name__ == "__main__":
    main()
