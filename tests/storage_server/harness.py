"""A share store on a real temporary directory, a clock moved by hand, and results of coroutines that need no reactor."""
from __future__ import annotations

from collections.abc import Awaitable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, evolve, field
from foolscap.api import Tub, flushEventualQueue
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import LeaseSecrets
from lafs.statistics import Counters
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from storage_server.disk import Disk, DiskSpace, RealDisk
from storage_server.foolscap_service import FoolscapStorageService
from storage_server.share_store import ShareStore

T = TypeVar("T")

NODE_ID = bytes(range(20))
PLENTY = 10**12
START = 1_700_000_000.0


def result_of(work: Awaitable[T]) -> T:
    """The result (or exception) of `work`, which must be finished when it returns."""
    outcome: list[T | Failure] = []
    running: Deferred[T] = spawn(work)
    running.addBoth(outcome.append)
    if not outcome:
        raise AssertionError("this is still waiting for something")
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]  # type: ignore[return-value]


class MeasuredDisk(RealDisk):
    """A real disk that has as much room as one says."""

    available = PLENTY

    def space(self, path: str) -> DiskSpace:
        return DiskSpace(total=2 * PLENTY, free_for_root=self.available, free_for_others=self.available)


def storage_index(number: int = 1) -> StorageIndex:
    return StorageIndex(number.to_bytes(16, "big"))


def secrets(number: int = 1) -> LeaseSecrets:
    return LeaseSecrets(renew=bytes([number]) * 32, cancel=bytes([128 + number]) * 32)


@define
class Harness:
    """One store and all that was passed into it."""

    root: Path
    disk: Disk = field(factory=MeasuredDisk)
    clock: Clock = field(factory=Clock)
    counters: Counters = field(factory=Counters)
    options: dict[str, object] = field(factory=dict)
    store: ShareStore = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not self.clock.seconds():
            self.clock.advance(START)
        self.store = ShareStore(
            self.root,
            disk=self.disk,
            workers=InlineWorkers(),
            clock=self.clock,
            node_id=NODE_ID,
            counters=self.counters,
            **self.options,  # type: ignore[arg-type]
        )
        result_of(self.store.start())

    def restarted(self, **changes: object) -> Harness:
        """A new store on the same directory, as after a kill."""
        return evolve(self, **changes)

    def share_path(self, index: StorageIndex, number: int) -> Path:
        return self.root / "shares" / index.text[:2] / index.text / str(number)

    def upload(self, index: StorageIndex, contents: dict[int, bytes], lease: int = 1) -> None:
        """Store whole shares of one file, all of one size."""
        size = len(next(iter(contents.values())))
        allocation = result_of(self.store.allocate_shares(index, frozenset(contents), size, secrets(lease)))
        for number, content in contents.items():
            writer = allocation.writers[number]
            if content:
                result_of(writer.write(0, content))
            result_of(writer.close())

    def contents(self, index: StorageIndex) -> dict[int, bytes]:
        """All finished immutable shares of a file."""
        found = result_of(self.store.list_shares(index))
        return {number: result_of(reader.read(0, 2**60)) for number, reader in found.items()}


class StoreCase(SynchronousTestCase):
    def make(self, **options: object) -> Harness:
        return Harness(Path(self.mktemp()).resolve(), options=dict(options))

    def plant(self, harness: Harness, index: Any, name: str, content: bytes) -> Path:
        """Put a file into a bucket behind the store's back."""
        path: Path = harness.share_path(index, 0).with_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def message_of(self, work: Any, kind: type[Exception]) -> str:
        return str(self.assertRaises(kind, result_of, work))





class SlowWorkers(InlineWorkers):
    """Workers that do nothing until they are told to."""

    def __init__(self) -> None:
        self.gates: list[Deferred[None]] = []

    async def run(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        gate: Deferred[None] = Deferred()
        self.gates.append(gate)
        await gate
        return work(*args, **kwargs)

    def release(self) -> None:
        while self.gates:
            self.gates.pop(0).callback(None)


@cache
def certificate(number: int) -> bytes:
    """The key and certificate of a tub. Making one costs more than most tests, so there are only a few."""
    made: bytes = Tub().getCertData()
    return made


class LoopbackCase(TestCase):
    """Tubs that meet over TCP on the loopback."""

    timeout = 20
    """Seconds after which trial calls a test hung."""

    async def connected(self, store: ShareStore) -> tuple[Any, Tub]:
        """A remote reference to the Foolscap door of `store`, and the client's tub that holds it."""
        server, client = self._tub(0), self._tub(1)
        listener = server.listenOn("tcp:0:interface=127.0.0.1")
        server.setLocation(f"tcp:127.0.0.1:{listener.getPortnum()}")
        return await client.getReference(server.registerReference(FoolscapStorageService(store))), client

    def _tub(self, number: int) -> Tub:
        tub = Tub(certData=certificate(number))
        tub.setOption("expose-remote-exception-types", False)
        tub.startService()
        self.addCleanup(flushEventualQueue)
        self.addCleanup(tub.stopService)
        return tub
