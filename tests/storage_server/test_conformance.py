"""The conformance suite, run on the share store in process, and at the far end of a real Foolscap connection."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from twisted.internet import defer, reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from lafs.grid.foolscap_server import FoolscapServer
from lafs.statistics import Counters
from lafs.workers import InlineWorkers, ThreadWorkers
from storage_server.share_store import ShareStore
from tests.storage_server.conformance import StorageServerConformance, WholeShareConformance
from tests.storage_server.harness import NODE_ID, LoopbackCase, MeasuredDisk


async def made_store(test: TestCase, workers: Any = None, durability: Literal["full", "relaxed"] = "full") -> ShareStore:
    """A store that is stopped when `test` is over."""
    clock = Clock()
    clock.advance(1_700_000_000)
    store = ShareStore(
        Path(test.mktemp()),
        disk=MeasuredDisk(),
        workers=workers or InlineWorkers(),
        clock=clock,
        node_id=NODE_ID,
        durability=durability,
        counters=Counters(),
    )
    await store.start()
    test.addCleanup(lambda: defer.ensureDeferred(store.stop()))
    return store


class InProcess(StorageServerConformance, WholeShareConformance, TestCase):
    """The store itself, its disk work done at once."""

    timeout = 20

    async def make_server(self) -> ShareStore:
        return await made_store(self)


class Relaxed(InProcess):
    """Without syncs."""

    async def make_server(self) -> ShareStore:
        return await made_store(self, durability="relaxed")


class InThreads(InProcess):
    """The store with its disk work in real threads."""

    async def make_server(self) -> ShareStore:
        workers = ThreadWorkers(reactor, threads=4)  # type: ignore[arg-type]
        self.addCleanup(workers.stop)  # Cleanups run in reverse: the store stops while there are threads yet.
        return await made_store(self, workers)


class OverFoolscap(StorageServerConformance, WholeShareConformance, LoopbackCase):
    """The store behind its Foolscap door, and our own client's half in front of it."""

    async def make_server(self) -> FoolscapServer:
        remote, _ = await self.connected(await made_store(self))
        return FoolscapServer(remote, reactor)
