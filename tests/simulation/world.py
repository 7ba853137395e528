"""A scenario, played: the real client and real share stores live through it, and are held to their promises.

* Nothing acknowledged is lost: every share an upload was told of is whole on its server's disk after all machines lost
  power, and a file whose needed shares are on honest servers can be read.
* Nothing wrong is ever returned: a read gives the very bytes, or an error of `lafs.errors`.
* Nothing waits for ever: every operation ends within `PATIENCE_SECONDS`, and leaves no timer, open writer or unfinished
  share behind.
* A repair stores nothing but shares of the file, and in the end, when all is sound again, every share.
* A failed upload says why, naming servers; with nothing going wrong nothing fails.

`play(seed)` runs one world and returns what happened; raises `Broken` with the seed, the scenario and the last events.
"""
from __future__ import annotations

import errno
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from hashlib import sha256
from random import Random
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lafs.capability import Cap
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadCiphertext, LafsError, SourceFailed, UnhappyUpload
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.health import RepairResults
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import GridServer, UploadResult
from lafs.statistics import Counters
from lafs.tasks import gather, sleep, spawn
from lafs.workers import InlineWorkers, Workers
from tests.memory_grid import Collector, Grid
from tests.simulation.disk import Operation, SimulatedDisk
from tests.simulation.liars import Liar
from tests.simulation.machines import Machine, MachineGrid, TardyWorkers, identity_of
from tests.simulation.network import Message, Network
from tests.simulation.scenario import DAY_SECONDS, Errand, Scenario, ServerPlan, TroublePlan, draw
from tests.simulation.sources import source_of
from tests.simulation.virtual_time import TenantClock, VirtualTime, WaitsForEver

CONVERGENCE = b"convergence secret"
PATIENCE_SECONDS = 180.0
EVENTS_SHOWN = 40


class Broken(AssertionError):
    """A promise was not kept."""


@frozen
class Played:
    """What happened in a world: a fingerprint of all its events, and how its errands ended (kind and result -> number)."""

    fingerprint: str
    endings: tuple[tuple[str, int], ...]
    slowest_seconds: float


@frozen
class Original:
    """A file as it must be: its cap and all its shares."""

    content: bytes = field(repr=False)
    cap: Cap
    shares: dict[int, bytes] = field(repr=False)


@cache
def original(size: int, number: int, encoding: EncodingParameters) -> Original:
    """What an upload of contents `number`, of `size` bytes, must result in."""
    content = Random(f"{size} {number}").randbytes(size)
    lenient = EncodingParameters(encoding.needed, 1, encoding.total, encoding.max_segment_size)
    grid = Grid(servers=1, encoding=lenient)
    cap = grid.upload(content)
    shares = {share: grid.share(cap, share) for share in grid.shares_of(cap)} if cap.storage_index else {}
    return Original(content, cap, shares)


@define(eq=False)
class Running:
    """An errand under way: how it ended, once it has."""

    errand: Errand
    began: float
    work: Deferred[Any] = field(factory=Deferred, repr=False)
    ended: float | None = None
    outcome: Any = None
    cancelled: bool = False

    def end(self, outcome: Any, now: float) -> None:
        if self.ended is None:
            self.ended = now
            self.outcome = outcome


class Client:
    """One life of the client process."""

    def __init__(self, time: VirtualTime, machines: Sequence[Machine], scenario: Scenario, random: Random) -> None:
        self.clock = TenantClock(time)
        self.grid = ClientGrid(machines)
        self.filesystem = Filesystem(
            self.grid,
            workers_for(scenario.client_worker_seconds, random)(self.clock),
            self.clock,
            ClientSecrets(lease_secret=bytes(32), convergence=CONVERGENCE),
            scenario.encoding,
            Counters(),
        )


class ClientGrid(MachineGrid):
    """The grid of a client that may be dead: then there is nobody to talk to any more."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        super().__init__(machines)
        self.alive = True

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        return super().for_reading(storage_index) if self.alive else []


def has_whole_shares(seed: int) -> bool:
    """In every other world small files go the short way."""
    return seed % 2 == 1


class World:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.time = VirtualTime(start=1_000_000.0)
        self.random = Random(f"world {scenario.seed}")
        self.network = Network(self.time, cuts=self._cuts, trace=self._note, notice_seconds=self._notice_seconds)
        self.events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self.over = False
        """No more trouble from now on."""
        self.running: list[Running] = []
        self.files = [original(size, number, scenario.encoding) for number, size in enumerate(scenario.contents)]
        self._digest = sha256()
        self.machines = [self._build(plan) for plan in scenario.servers]
        self.client = self._new_client()

    # --- building -------------------------------------------------------------------------------------------------------

    def _build(self, plan: ServerPlan) -> Machine:
        random = Random(f"machine {self.scenario.seed} {plan.number}")
        disk = SimulatedDisk(random, plan.capacity)
        machine = Machine(
            identity=identity_of(plan.number),
            disk=disk,
            time=self.time,
            network=self.network,
            lag=lambda: plan.lag * random.uniform(1, plan.jitter),
            readonly=plan.readonly,
            whole_shares=has_whole_shares(self.scenario.seed),
            workers_for=workers_for(plan.worker_seconds, random),
        )
        if plan.lies:
            machine.disguise = lambda store: Liar(store, random, plan.lies)
        machine.on_death = lambda: self._later("restart", machine, self._restart)
        machine.on_disconnect = lambda: self._later("reconnect", machine, self._reconnect)
        disk.faults = lambda operation: self._disk_fault(plan, random, operation)
        return machine

    def _disk_fault(self, plan: ServerPlan, random: Random, operation: Operation) -> OSError | None:
        self._note(f"disk {plan.number} {operation.verb} {operation.path}")
        # A disk that fails while a server starts keeps it from starting: true, and not worth repeating.
        if plan.disk_fails and not self.over and random.random() < plan.disk_fails and self.machines[plan.number].store:
            return OSError(errno.EIO, "input/output error")
        return None

    def _new_client(self) -> Client:
        return Client(self.time, self.machines, self.scenario, self.random)

    # --- trouble --------------------------------------------------------------------------------------------------------

    def _cuts(self, message: Message) -> bool:
        return not self.over and message.number in self.scenario.cuts

    def _notice_seconds(self) -> float:
        return self.random.choice([0.0, 0.1, 5.0])

    def _later(self, what: str, machine: Machine, do: Callable[[Machine], Awaitable[None]]) -> None:
        delay = self.random.choice([0.05, 0.5, 3.0, 20.0])
        self._note(f"{what} {machine.name} in {delay} s")
        self.time.callLater(delay, lambda: spawn(do(machine)).addErrback(self.network.surprises.append))

    async def _restart(self, machine: Machine) -> None:
        if machine.store is not None:
            return
        if await machine.boot():
            await machine.connect()
        elif machine.disk.powered:
            self._note(f"{machine.name} does not start")
            self._later("restart", machine, self._restart)

    async def _reconnect(self, machine: Machine) -> None:
        await machine.connect()

    async def _bring_trouble(self, plan: TroublePlan) -> None:
        await sleep(plan.at, self.time)
        if self.over:
            return
        machine = self.machines[plan.server]
        connection = machine.connection
        self._note(f"trouble: {plan.kind} {machine.name}")
        if plan.kind == "kill" and machine.store is not None:
            machine.kill()
        elif plan.kind == "power" and machine.store is not None:
            machine.lose_power()
        elif plan.kind == "power at a change":
            machine.disk.cut_power_at = machine.disk.changes + plan.change
        elif plan.kind == "cut" and connection is not None:
            connection.cut()
        elif plan.kind in ("hang", "mute") and connection is not None:
            connection.freeze(answers_only=plan.kind == "mute")
            await sleep(plan.lasts, self.time)
            connection.thaw()
        elif plan.kind == "fill" and machine.disk.capacity is None:
            machine.disk.capacity = machine.disk.used() + plan.change * 10
            await sleep(plan.lasts, self.time)
            machine.disk.capacity = None
        elif plan.kind == "client dies":
            self._end_client()

    def _end_client(self) -> None:
        for each in self.running:
            each.end("client died", self.time.seconds())
        self.client.grid.alive = False
        for machine in self.machines:
            if machine.connection is not None:
                machine.connection.cut()
        # Nothing it does reaches anybody any more; but what waits in it must not be left to the garbage collector.
        for each in self.running:
            each.work.cancel()
        self.client.clock.evict()
        self.client = self._new_client()

    # --- errands --------------------------------------------------------------------------------------------------------

    async def _run_errand(self, errand: Errand) -> None:
        await sleep(errand.at, self.time)
        client = self.client
        running = Running(errand, self.time.seconds())
        self.running.append(running)
        self._note(f"begin {errand}")
        begin: dict[str, Callable[[Errand, Client], Awaitable[Any]]] = {
            "upload": self._upload, "download": self._read, "care": self._look_after,
        }  # fmt: skip
        running.work = spawn(begin[errand.kind](errand, client))
        running.work.addBoth(lambda outcome: running.end(outcome, self.time.seconds()))
        if errand.cancel_after is not None:
            await sleep(errand.cancel_after, self.time)
            if running.ended is None:
                running.cancelled = True
                running.work.cancel()

    async def _upload(self, errand: Errand, client: Client) -> UploadResult:
        return await client.filesystem.upload(source_of(errand.source, self.files[errand.content].content, client.clock))

    async def _read(self, errand: Errand, client: Client) -> bytes:
        sink = Collector(client.clock, errand.sink_seconds)
        node = client.filesystem.open(self.files[errand.content].cap)
        await node.read(sink, errand.offset, errand.size)
        return sink.content

    async def _look_after(self, errand: Errand, client: Client) -> RepairResults | str:
        cap = self.files[errand.content].cap
        return await client.filesystem.check_and_repair(cap, errand.verify, add_lease=True) or "nothing to look after"

    # --- the story ------------------------------------------------------------------------------------------------------

    def play(self) -> Played:
        """Live through the scenario, then judge. Raises `Broken`."""
        try:
            self.time.run(self._start())
            works = [spawn(self._run_errand(errand)) for errand in self.scenario.errands]
            for trouble in self.scenario.troubles:
                spawn(self._bring_trouble(trouble))
            deadline = 2 * DAY_SECONDS + PATIENCE_SECONDS
            self.time.run_until(lambda: self._all_ended(works), deadline)
            for running in self.running:
                self._judge(running)
            self._judge_leftovers()
            self.time.run(self._recover())
            self._judge_disks()
            self._judge_reading()
        except (Broken, WaitsForEver) as broken:
            raise Broken(self._report(broken)) from None
        except Exception as unexpected:
            raise Broken(self._report(unexpected)) from unexpected
        endings = sorted((name, self._endings().count(name)) for name in set(self._endings()))
        slowest = max([each.ended - each.began for each in self.running if each.ended is not None], default=0.0)
        return Played(self._digest.hexdigest(), tuple(endings), slowest)

    async def _start(self) -> None:
        for machine in self.machines:
            assert await machine.boot()
        await gather(machine.connect() for machine in self.machines)

    def _all_ended(self, works: Sequence[Deferred[None]]) -> bool:
        return all(work.called for work in works) and all(each.ended is not None for each in self.running)

    async def _recover(self) -> None:
        """All machines lose power, and start again: honest, sound and connected."""
        for machine in self.machines:
            machine.lose_power()
            machine.clock.evict()
            machine.disguise = lambda store: store
            machine.workers_for = lambda clock: InlineWorkers()
            machine.lag = lambda: 0.01
            machine.disk.capacity = None
        for machine in self.machines:
            assert await machine.boot(), "a sound machine must start"
        await gather(machine.connect() for machine in self.machines)

    # --- judgement ------------------------------------------------------------------------------------------------------

    def _judge(self, running: Running) -> None:
        errand, outcome = running.errand, running.outcome
        assert running.ended is not None
        if running.ended - running.began > PATIENCE_SECONDS + 10 * errand.sink_seconds:
            raise Broken(f"{errand} took {running.ended - running.began:.1f} s")
        if isinstance(outcome, Failure):
            self._judge_failure(running, outcome)
        elif errand.kind == "download" and isinstance(outcome, bytes):
            end = None if errand.size is None else errand.offset + errand.size
            if outcome != self.files[errand.content].content[errand.offset : end]:
                raise Broken(f"{errand} returned wrong bytes")
        elif isinstance(outcome, RepairResults):
            if outcome.successful != (outcome.attempted and outcome.after.healthy):
                raise Broken(f"{errand} says that it was successful: {outcome.successful}, and healthy: {outcome.after.healthy}")
        elif isinstance(outcome, UploadResult) and errand.source == "failing":
            raise Broken(f"{errand} succeeded although its source broke off")
        elif isinstance(outcome, UploadResult) and outcome.cap != self.files[errand.content].cap:
            raise Broken(f"{errand} returned the cap of something else")

    def _judge_failure(self, running: Running, failure: Failure) -> None:
        if running.cancelled and failure.check(CancelledError):
            return
        if failure.check(LafsError) is None:
            raise Broken(f"{running.errand} failed with {_name(failure)}:\n{failure.getTraceback()}")
        message = str(failure.value)
        if failure.check(BadCiphertext):
            raise Broken(f"an honest uploader was blamed by {running.errand}: {message}")
        if failure.check(SourceFailed) and running.errand.source != "failing":
            raise Broken(f"the source of {running.errand} was blamed without reason: {message}")
        if failure.check(UnhappyUpload) and not any(machine.name in message for machine in self.machines):
            raise Broken(f"an unhappy upload names no server: {message}")
        if self.scenario.weather == "calm" and not self._may_fail_in_calm(running):
            raise Broken(f"nothing went wrong, and yet {running.errand} failed: {message}")

    def _may_fail_in_calm(self, running: Running) -> bool:
        """Only a read of what is not stored yet."""
        return running.errand.kind == "download" and not any(
            isinstance(each.outcome, UploadResult) and each.ended is not None and each.ended <= running.began
            for each in self.running
            if each.errand.content == running.errand.content
        )

    def _judge_leftovers(self) -> None:
        self.over = True
        for machine in self.machines:
            machine.disk.cut_power_at = None
            if machine.connection is not None:
                machine.connection.thaw()
        self.time.pass_time(120)
        timers = self.client.clock.getDelayedCalls()
        if timers:
            raise Broken(f"timers are left behind: {timers}")
        for plan, machine in zip(self.scenario.servers, self.machines, strict=True):
            if machine.store is None or plan.lies:
                continue
            allocated = self.time.run(machine.store.statistics())["storage_server.allocated"]
            # A disk that fails may have refused the removal; the next start removes what is left.
            if allocated or (machine.unfinished() and not plan.disk_fails):
                raise Broken(f"{machine.identity.nickname} is left with {allocated} bytes allocated {machine.unfinished()}")
        if self.network.surprises:
            raise Broken(f"a server raised {self.network.surprises[0].getTraceback()}")

    def _acknowledged(self) -> list[tuple[int, int, Machine]]:
        """Shares that honest servers have acknowledged to uploads and repairs: (content, share number, machine)."""
        by_id = {
            machine.identity.server_id: machine
            for plan, machine in zip(self.scenario.servers, self.machines, strict=True)
            if not plan.lies
        }
        return [
            (running.errand.content, number, by_id[server_id])
            for running in self.running
            for number, server_ids in _stored_by(running.outcome)
            for server_id in sorted(server_ids)
            if server_id in by_id
        ]

    def _judge_disks(self) -> None:
        for content, number, machine in self._acknowledged():
            file = self.files[content]
            path = machine.share_paths(file.cap.storage_index).get(number)  # type: ignore[arg-type]
            if path is None:
                raise Broken(f"{machine.identity.nickname} lost share {number} of content {content}")
            stored = self.time.run(self._share(machine, file, number))
            if stored != file.shares[number]:
                raise Broken(f"{machine.identity.nickname} spoiled share {number} of content {content}")

    async def _share(self, machine: Machine, file: Original, number: int) -> bytes | None:
        assert machine.store is not None
        readers = await machine.store.list_shares(file.cap.storage_index)  # type: ignore[arg-type]
        return await readers[number].read(0, 2**40) if number in readers else None

    def _judge_reading(self) -> None:
        acknowledged = self._acknowledged()
        client = Client(self.time, self.machines, self.scenario, self.random)
        for content, file in enumerate(self.files):
            numbers = {number for where, number, _ in acknowledged if where == content}
            if len(numbers) >= self.scenario.encoding.needed:
                sink = Collector(client.clock)
                self.time.run(client.filesystem.open(file.cap).read(sink))
                if sink.content != file.content:
                    raise Broken(f"content {content} reads differently at the end")
                if file.shares:
                    self._judge_repair(client, content, file)

    def _judge_repair(self, client: Client, content: int, file: Original) -> None:
        """Now that all are honest, a repair must bring back every share there ever was."""
        done = self.time.run(client.filesystem.check_and_repair(file.cap, verify=True))
        assert done is not None
        if all(plan.readonly for plan in self.scenario.servers):
            return
        if done.after.good_shares < self.scenario.encoding.total:
            raise Broken(f"content {content} could not be repaired in the end: {done.after.summary}, {done.trouble}")
        for machine in self.machines:
            for number in machine.share_paths(file.cap.storage_index):  # type: ignore[arg-type]
                if self.time.run(self._share(machine, file, number)) != file.shares[number] and not done.before.corrupt:
                    raise Broken(f"{machine.identity.nickname} has a wrong share {number} of content {content} after the repair")

    # --- what is told ---------------------------------------------------------------------------------------------------

    def _note(self, event: str) -> None:
        line = f"{self.time.seconds() - 1_000_000:.6f} {event}"
        self._digest.update(line.encode() + b"\n")
        self.events.append(line)

    def _endings(self) -> list[str]:
        return [f"{each.errand.kind}: {_name(each.outcome)}" for each in self.running]

    def _report(self, problem: Exception) -> str:
        lines = [f"{type(problem).__name__}: {problem}", "", "the last events:", *self.events, "", str(self.scenario)]
        lines += [
            f"  {each.began - 1_000_000:.3f} to {(each.ended or 0) - 1_000_000:.3f}: {each.errand}: {_name(each.outcome)}"
            for each in self.running
        ]
        return "\n".join([*lines, "", f"replay: LAFS_SEED={self.scenario.seed} pytest tests/simulation/test_simulation.py"])


def _stored_by(outcome: object) -> list[tuple[int, set[str]]]:
    """Share numbers, and the servers that have acknowledged them to an errand that ended so."""
    if isinstance(outcome, UploadResult):
        return [(number, set(server_ids)) for number, server_ids in sorted(outcome.sharemap.items())]
    if isinstance(outcome, RepairResults):
        before = outcome.before.sharemap
        after = sorted(outcome.after.sharemap.items())
        return [(int(label), set(server_ids) - set(before.get(label, ()))) for label, server_ids in after]
    return []


def _name(outcome: object) -> str:
    if isinstance(outcome, RepairResults):
        return "repaired" if outcome.successful else "not repaired" if outcome.attempted else "looked at"
    if isinstance(outcome, Failure):
        return type(outcome.value).__name__
    return outcome if isinstance(outcome, str) else "pending" if outcome is None else "done"


def workers_for(seconds: float, random: Random) -> Callable[[TenantClock], Workers]:
    """Makes workers that take up to `seconds` for each job."""
    return lambda clock: TardyWorkers(clock, random, seconds) if seconds else InlineWorkers()


def play(seed: int) -> Played:
    """Run the world of `seed`."""
    return World(draw(seed)).play()
