"""A whole grid in memory, in virtual time: the real client, real share stores, simulated disks and a simulated
network between.

grid = Grid(servers=10, latency=ms(50)) cap = grid.upload(content) grid.hang(grid.holders_of(cap)[:3]) result =
grid.download(cap) # .content, .elapsed, .round_trips, ...

Synchronous: each call runs the clock until the operation is done. A message takes `latency` seconds one way and disks
take no time, so `elapsed / (2 * latency)` is the exact number of round trips that had to wait for one another. An
operation that waits for ever, or longer than an hour of virtual time, fails the test; so does a server that raises
anything but a `ServerError`.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from random import Random
from typing import TypeVar

from attrs import define, field, frozen

from lafs.capability import Cap
from lafs.crypto.storage_index import StorageIndex
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import Bytes, FileNode, StorageServer, UploadResult
from lafs.sources import BytesSource
from lafs.statistics import Counters
from lafs.tasks import gather, sleep
from lafs.workers import InlineWorkers
from tests.private_keys import known_keys
from tests.simulation.disk import SimulatedDisk
from tests.simulation.machines import Machine, MachineGrid, identity_of
from tests.simulation.network import Message, Network
from tests.simulation.virtual_time import TenantClock, VirtualTime

T = TypeVar("T")

CONTAINER_HEADER = 12
"""Bytes of a share container before the share. Spec: 05 §2.2."""


def ms(milliseconds: float) -> float:
    """In seconds."""
    return milliseconds / 1000


def random_bytes(size: int, seed: int = 0) -> bytes:
    """The same bytes for the same arguments, in every run."""
    return Random(seed).randbytes(size)


@frozen
class Cost:
    """What an operation cost: seconds of virtual time, round trips that waited for one another, messages and bytes."""

    elapsed: float
    round_trips: float
    requests: Counter[str]
    bytes_asked: int
    bytes_answered: int
    bytes_written: int


@frozen
class Upload:
    """A finished upload."""

    result: UploadResult
    cost: Cost

    @property
    def cap(self) -> Cap:
        return self.result.cap

    @property
    def elapsed(self) -> float:
        return self.cost.elapsed


@frozen
class Download:
    """A finished download."""

    content: bytes = field(repr=False)
    cost: Cost

    @property
    def elapsed(self) -> float:
        return self.cost.elapsed


@define
class Collector:
    """A sink that keeps what it is given. It takes `pause_seconds` to swallow each piece after the first `quick` ones."""

    clock: TenantClock
    pause_seconds: float = 0.0
    quick: int = 0
    pieces: list[bytes] = field(factory=list)

    async def write(self, data: Bytes) -> None:
        self.pieces.append(bytes(data))
        if self.pause_seconds and len(self.pieces) > self.quick:
            await sleep(self.pause_seconds, self.clock)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


class Grid:
    """`servers` machines and one client. `latency` in seconds, one way; `capacity` of each disk in bytes.

    With `whole_shares`, small files go the short way.
    """

    def __init__(
        self,
        servers: int = 10,
        encoding: EncodingParameters | None = None,
        latency: float = ms(50),
        seed: int = 0,
        bytes_per_second: float | None = None,
        capacity: int | None = None,
        whole_shares: bool = False,
    ) -> None:
        self.time = VirtualTime(start=1_000_000.0)
        self._generate_key = known_keys()
        self.network = Network(self.time)
        self.encoding = encoding if encoding is not None else EncodingParameters()
        self.latency = latency
        self.machines = [
            Machine(
                identity_of(number),
                SimulatedDisk(Random(f"{seed} {number}"), capacity),
                self.time,
                self.network,
                lambda: latency,
                bytes_per_second,
                whole_shares=whole_shares,
            )
            for number in range(servers)
        ]
        self.time.run(self._start(self.machines))
        self.forget()

    async def _start(self, machines: Iterable[Machine]) -> None:
        for machine in machines:
            assert await machine.boot()
        await gather(machine.connect() for machine in machines)

    def forget(self) -> None:
        """Go on with a new client, which knows the servers and nothing else."""
        self.clock = TenantClock(self.time)
        self.client = Filesystem(
            MachineGrid(self.machines),
            InlineWorkers(),
            self.clock,
            ClientSecrets(lease_secret=bytes(32), convergence=b"convergence secret"),
            self.encoding,
            Counters(),
            generate_key=self._generate_key,
        )

    # --- operations -------------------------------------------------------------------------------------------

    def run(self, work: Awaitable[T]) -> T:
        """The result of `work`, in virtual time. Raises what it raises, or `WaitsForEver`."""
        try:
            return self.time.run(work)
        finally:
            for surprise in self.network.surprises:
                surprise.raiseException()

    def upload(self, content: bytes) -> Cap:
        """Store `content`."""
        return self.store(content).cap

    def store(self, content: bytes) -> Upload:
        """Store `content`, and tell what it cost."""
        result, cost = self._measured(self.client.upload(BytesSource(content)))
        return Upload(result, cost)

    def open(self, cap: Cap) -> FileNode:
        return self.client.open(cap)

    def download(self, cap: Cap, offset: int = 0, size: int | None = None, pause_seconds: float = 0.0) -> Download:
        """Read a file, or a range of it, into a sink that takes `pause_seconds` for every piece."""
        sink = self.sink(pause_seconds)
        _, cost = self._measured(self.client.open(cap).read(sink, offset, size))
        return Download(sink.content, cost)

    def sink(self, pause_seconds: float = 0.0, quick: int = 0) -> Collector:
        return Collector(self.clock, pause_seconds, quick)

    def _measured(self, work: Awaitable[T]) -> tuple[T, Cost]:
        network = self.network
        began = self.time.seconds()
        requests = Counter(network.requests)
        asked, answered, written = network.bytes_asked, network.bytes_answered, network.bytes_written
        result = self.run(work)
        elapsed = self.time.seconds() - began
        return result, Cost(
            elapsed=elapsed,
            round_trips=round(elapsed / (2 * self.latency), 3),
            requests=network.requests - requests,
            bytes_asked=network.bytes_asked - asked,
            bytes_answered=network.bytes_answered - answered,
            bytes_written=network.bytes_written - written,
        )

    # --- faults -----------------------------------------------------------------------------------------------

    def hang(self, machines: Iterable[Machine]) -> None:
        """From now on these never answer, and do nothing."""
        for machine in machines:
            assert machine.connection is not None
            machine.connection.freeze()

    def thaw(self, machines: Iterable[Machine]) -> None:
        """End a `hang`."""
        for machine in machines:
            assert machine.connection is not None
            machine.connection.thaw()

    def slow(self, machines: Iterable[Machine], latency: float) -> None:
        """From the next connection on, these are `latency` seconds away; they are connected anew."""
        for machine in machines:
            machine.lag = lambda: latency
        self.reconnect(machines)

    def disconnect(self, machines: Iterable[Machine]) -> None:
        """Break the connections to these, and let both ends notice."""
        for machine in machines:
            if machine.connection is not None:
                machine.connection.cut()
        self.time.pass_time(0)

    def reconnect(self, machines: Iterable[Machine]) -> None:
        """Break the connections to these, and make new ones."""
        machines = list(machines)
        self.disconnect(machines)
        self.time.run(gather(machine.connect() for machine in machines))

    def kill(self, machines: Iterable[Machine]) -> None:
        """End these servers at once; their disks keep all that was written."""
        for machine in machines:
            machine.kill()

    def lose_power(self, machines: Iterable[Machine]) -> None:
        """End these servers, and lose what they had not synced."""
        for machine in machines:
            machine.lose_power()

    def restart(self, machines: Iterable[Machine]) -> None:
        """Start these again, and connect to them."""
        machines = list(machines)
        self.kill(machine for machine in machines if machine.store is not None)
        self.time.run(self._start(machines))

    def fill(self, machines: Iterable[Machine]) -> None:
        """Leave no room on the disks of these. Their clients still believe what they announced."""
        for machine in machines:
            machine.disk.capacity = machine.disk.used()

    def make_readonly(self, machines: Iterable[Machine]) -> None:
        """Restart these as read-only servers."""
        machines = list(machines)
        for machine in machines:
            machine.readonly = True
        self.restart(machines)

    def disguise(self, machines: Iterable[Machine], mask: Callable[[StorageServer], StorageServer]) -> None:
        """Put `mask` before the stores of these, and connect anew."""
        machines = list(machines)
        for machine in machines:
            machine.disguise = mask
        self.reconnect(machines)

    def cut_at(self, numbers: Collection[int]) -> None:
        """Cut the connections on which the messages with these numbers, counted from now, would arrive."""
        first = self.network.messages
        self.network.cuts = lambda message: message.number - first in numbers

    def record_messages(self) -> list[Message]:
        """A list to which every message from now on is added as it arrives."""
        seen: list[Message] = []
        self.network.cuts = lambda message: bool(seen.append(message))
        return seen

    # --- shares on disks --------------------------------------------------------------------------------------

    def holders_of(self, cap: Cap) -> list[Machine]:
        """The machines whose disks hold shares of the file, in the order of their lowest share number."""
        storage_index = index_of(cap)
        holding = [(min(paths), machine) for machine in self.machines if (paths := machine.share_paths(storage_index))]
        return [machine for _, machine in sorted(holding, key=lambda entry: entry[0])]

    def shares_of(self, cap: Cap) -> dict[int, list[Machine]]:
        """Share number -> machines whose disks hold it."""
        shares: dict[int, list[Machine]] = {}
        for machine in self.machines:
            for number in machine.share_paths(index_of(cap)):
                shares.setdefault(number, []).append(machine)
        return dict(sorted(shares.items()))

    def share(self, cap: Cap, number: int) -> bytes:
        """The bytes of a share, as its first holder has it on disk."""
        machine = self.shares_of(cap)[number][0]
        container = machine.disk.files()[machine.share_paths(index_of(cap))[number]]
        leases = int.from_bytes(container[8:12], "big")
        return container[CONTAINER_HEADER : len(container) - 72 * leases]

    def corrupt(self, cap: Cap, damage: Callable[[bytes], bytes], numbers: Collection[int] | None = None) -> None:
        """Replace the bytes of shares (all, or those with these numbers) on every disk with `damage` of them."""
        for number, machines in self.shares_of(cap).items():
            if numbers is not None and number not in numbers:
                continue
            for machine in machines:
                path = machine.share_paths(index_of(cap))[number]
                container = machine.disk.files()[path]
                end = len(container) - 72 * int.from_bytes(container[8:12], "big")
                data = damage(container[CONTAINER_HEADER:end])
                machine.disk.replace(path, container[:CONTAINER_HEADER] + data + container[end:])

    def lose_shares(self, cap: Cap, numbers: Collection[int]) -> None:
        """Remove these shares from every disk."""
        for number, machines in self.shares_of(cap).items():
            if number in numbers:
                for machine in machines:
                    machine.disk.unlink(machine.share_paths(index_of(cap))[number])

    # --- what must not be left behind -------------------------------------------------------------------------

    def leftovers(self) -> list[str]:
        """What operations have left behind once all messages have arrived: timers, open writers, unfinished shares."""
        self.time.pass_time(max(10 * self.latency, 1.0))
        found = [f"timer of the client: {call}" for call in self.clock.getDelayedCalls()]
        for machine in self.machines:
            if machine.connection is not None and machine.connection.open_writers:
                found.append(f"{machine.connection.open_writers} open writers at {machine.identity.nickname}")
            if machine.store is not None:
                found += [f"unfinished share at {machine.identity.nickname}: {path}" for path in machine.unfinished()]
        return found


def index_of(cap: Cap) -> StorageIndex:
    """The storage index of a cap that has one."""
    storage_index = cap.storage_index
    assert isinstance(storage_index, StorageIndex)
    return storage_index


