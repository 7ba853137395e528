"""The machines of a simulated grid: storage servers that start, die and start again on their disks, and the grid a
client sees.

A `Machine` is a disk, the share store that runs on it, and the connection of the one client to it. A process that
dies takes its timers and open files with it and leaves its disk; loss of power also takes what the disk had not
synced.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from random import Random
from typing import Any, Literal

from attrs import define, evolve, field
from twisted.internet.defer import Deferred

from lafs.crypto.derivations import ring_position
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError
from lafs.interfaces import GridServer, ServerIdentity, StorageServer
from lafs.statistics import Counters
from lafs.tasks import uncancelled
from lafs.workers import InlineWorkers, Workers
from storage_server.share_store import ShareStore
from tests.simulation.disk import PowerCut, SimulatedDisk
from tests.simulation.network import Connection, Network
from tests.simulation.virtual_time import TenantClock, VirtualTime

ROOT = "/storage"


class Mount:
    """A disk as one process sees it: gone when the process is."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self._boot = disk.boots

    def __getattr__(self, verb: str) -> Any:
        if self._boot != self._disk.boots:
            raise PowerCut
        return getattr(self._disk, verb)


class TardyWorkers:
    """Workers that take their time: work is done some moments after it was asked for, so that other things happen in
    between.
    """

    def __init__(self, clock: TenantClock, random: Random, slowest_seconds: float) -> None:
        self._clock = clock
        self._random = random
        self._slowest_seconds = slowest_seconds
        self._jobs: dict[int, Deferred[None]] = {}
        self._begun = 0
        self._dead = False
        clock.on_evict.append(self._die)

    async def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Cancelling one who waits for a worker does not stop the worker: it runs on a timer of its own.
        return await uncancelled(self._do(work, *args, **kwargs))

    async def _do(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._dead:
            raise PowerCut
        number, turn = self._begun, Deferred[None]()
        self._begun += 1
        self._jobs[number] = turn
        self._clock.callLater(self._random.random() * self._slowest_seconds, turn.callback, None)
        try:
            await turn
        finally:
            self._jobs.pop(number, None)
        return work(*args, **kwargs)

    def _die(self) -> None:
        """The process ends: whoever waits in it comes to an end as well, and can do no more harm."""
        self._dead = True
        for turn in list(self._jobs.values()):
            turn.errback(PowerCut())

    async def run_sized(self, size: int, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await self.run(work, *args, **kwargs)


@define(eq=False)
class Machine:
    """One storage server. `disguise` is what its clients meet instead of the store: a liar, for instance."""

    identity: ServerIdentity
    disk: SimulatedDisk
    time: VirtualTime
    network: Network
    lag: Callable[[], float]
    bytes_per_second: float | None = None
    readonly: bool = False
    whole_shares: bool = False
    """Whether its clients are told that it takes and gives whole shares; servers of the peer do not."""
    durability: Literal["full", "relaxed"] = "full"
    disguise: Callable[[StorageServer], StorageServer] = lambda store: store
    workers_for: Callable[[TenantClock], Workers] = lambda clock: InlineWorkers()
    store: ShareStore | None = None
    connection: Connection | None = None
    server: GridServer | None = None
    """What the client's grid offers, while connected."""
    clock: TenantClock = field(init=False)
    on_death: Callable[[], None] = lambda: None
    on_disconnect: Callable[[], None] = lambda: None

    def __attrs_post_init__(self) -> None:
        self.clock = TenantClock(self.time)
        self.disk.on_power_cut = lambda: self.time.callLater(0, self._stop_dead)

    @property
    def name(self) -> str:
        return self.identity.short_name

    # --- life and death ---------------------------------------------------------------------------------------

    async def boot(self) -> bool:
        """Start the process on what the disk holds; whether it came up."""
        self.disk.boot()
        self.clock = TenantClock(self.time)
        disk = Mount(self.disk)
        store = ShareStore(
            ROOT,
            disk=disk,  # type: ignore[arg-type]
            workers=self.workers_for(self.clock),
            clock=self.clock,
            node_id=self.identity.lease_seed,
            readonly=self.readonly,
            durability=self.durability,
            counters=Counters(),
        )
        try:
            await store.start()
        except ServerError:
            return False  # The power was cut again, or the disk is full or fails.
        self.store = store
        return True

    async def connect(self) -> bool:
        """Let the client find this server; whether it did."""
        if self.store is None or (self.connection is not None and self.connection.connected):
            return False
        connection = Connection(self.network, self.name, self.disguise(self.store), self.lag, self.bytes_per_second)
        connection.on_cut = self._lose_client
        self.connection = connection
        try:
            version = await connection.version()
        except ServerError:
            connection.cut()
            return False
        if connection.connected:
            self.server = GridServer.of(self.identity, connection, evolve(version, whole_shares=self.whole_shares))
        return connection.connected

    def kill(self) -> None:
        """End the process at once (SIGKILL). The disk keeps all that was written, synced or not."""
        self._stop_dead()
        self.disk.boot()

    def lose_power(self) -> None:
        """End the process, and lose any part of what was not synced."""
        self.disk.cut_power()
        self._stop_dead()

    def _stop_dead(self) -> None:
        self.store = None
        if self.connection is not None:
            self.connection.server_is_dead()
            self.connection.cut()
        self.clock.evict()
        self.on_death()

    def _lose_client(self) -> None:
        self.server = None
        self.on_disconnect()

    # --- looking in -------------------------------------------------------------------------------------------

    def share_paths(self, storage_index: StorageIndex) -> dict[int, str]:
        """Share number -> path of its container on the disk."""
        bucket = f"{ROOT}/shares/{storage_index.text[:2]}/{storage_index.text}/"
        return {
            int(path.removeprefix(bucket)): path
            for path in self.disk.files()
            if path.startswith(bucket) and path.removeprefix(bucket).isdecimal()
        }

    def unfinished(self) -> list[str]:
        """Paths of shares that are being uploaded."""
        incoming = f"{ROOT}/shares/incoming/"
        return [path for path in self.disk.files() if path.startswith(incoming) and "journal" not in path]


@define
class MachineGrid:
    """The machines a client is connected to. Implements `lafs.interfaces.Grid`."""

    machines: Sequence[Machine]

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        servers = [each.server for each in self.machines if each.server is not None]
        return sorted(servers, key=lambda server: ring_position(storage_index, server.identity.permutation_seed))

    def for_upload(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        return self.for_reading(storage_index)


def identity_of(number: int) -> ServerIdentity:
    """The identity of server `number`: the same in every run."""
    digest = sha256(b"server %d" % number).digest()
    return ServerIdentity(f"v0-{digest.hex()[:8]}{number}", f"server {number}", digest, digest[:20])

