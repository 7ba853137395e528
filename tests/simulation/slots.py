"""Mutable slots of one storage server, written, torn and crashed, against a model of what they may hold.

Writers send test-and-writes to a few slots while the power fails at any change of the disk, the process is killed, the
disk fails or is full. The model keeps, for each slot, every state it may be in: one, as long as answers come; after
an unanswered or failed call also the state in which that call was carried out, on all its shares. Whatever the server
answers, and whatever it holds after a restart, must be one of those.

`play_slots(seed)` runs one such story; raises `Broken` with the seed. Used by `test_slots.py`.
"""
from __future__ import annotations

import errno
from collections import Counter, deque
from collections.abc import Mapping
from hashlib import sha256
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError
from lafs.interfaces import ByteRange, LeaseSecrets, SlotSecrets, SlotTest, SlotWrite
from lafs.tasks import gather, sleep, spawn
from lafs.workers import InlineWorkers
from tests.simulation.disk import CHANGING, Operation, SimulatedDisk
from tests.simulation.machines import Machine, TardyWorkers, identity_of
from tests.simulation.network import Network
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.world import Broken, Played

SECRETS = SlotSecrets(bytes(32), LeaseSecrets(b"r" * 32, b"c" * 32))
EVERYTHING = [ByteRange(0, 10**6)]
SLOTS = 3
SHARES = (0, 1, 2, 7)
EVENTS_SHOWN = 60

State = tuple[tuple[int, bytes], ...]
"""What a slot holds: (share number, data), ascending."""

Writes = Mapping[int, SlotWrite]


def carried_out(state: State, writes: Writes) -> State:
    """The state after a write whose tests hold. Spec: 05 §6.1, §6.2; an empty write extends nothing."""
    shares = {number: bytearray(data) for number, data in state}
    for number, write in writes.items():
        if write.new_length == 0:
            shares.pop(number, None)
            continue
        data = shares.setdefault(number, bytearray())
        for offset, piece in write.writes:
            if piece:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + len(piece)] = piece
        if write.new_length is not None:
            del data[write.new_length :]
    return tuple((number, bytes(shares[number])) for number in sorted(shares))


def holds(state: State, writes: Writes) -> bool:
    """Whether all tests hold."""
    shares = dict(state)
    return all(
        shares.get(number, b"")[test.offset : test.offset + test.length] == test.specimen
        for number, write in writes.items()
        for test in write.tests
    )


@define
class Slot:
    """One slot, and the states it may be in."""

    storage_index: StorageIndex
    possible: set[State] = field(factory=lambda: {()})

    def doubtful(self, writes: Writes) -> None:
        """A call was not answered, or failed: it was carried out, or it was not."""
        self.possible |= {carried_out(state, writes) for state in self.possible if holds(state, writes)}

    def answered(self, writes: Writes, passed: bool, read: State) -> bool:
        """A call was answered; whether that is possible."""
        if read not in self.possible or holds(read, writes) != passed:
            return False
        self.possible = {carried_out(read, writes) if passed else read}
        return True


class SlotStory:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"slots {seed}")
        self.time = VirtualTime(start=1_000_000.0)
        self.events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self.endings: Counter[str] = Counter()
        self._digest = sha256()
        self._waiting: dict[int, Deferred[Any]] = {}
        self._calls = 0
        self._over = False
        slowest = self.random.choice([0.0, 0.05])
        disk_random = Random(f"slot disk {seed}")
        self._fails = self.random.choice([0.0, 0.0, 0.0, 0.02, 0.2])
        disk = SimulatedDisk(disk_random, self.random.choice([None, None, None, 5_000, 20_000]))
        disk.faults = self._disk_fault
        self.machine = Machine(identity_of(0), disk, self.time, Network(self.time), lambda: 0.0)
        if slowest:
            self.machine.workers_for = lambda clock: TardyWorkers(clock, disk_random, slowest)
        self.machine.on_death = self._die
        self.slots = [Slot(StorageIndex(bytes([number]) * 16)) for number in range(SLOTS)]

    def play(self) -> Played:
        """Write, crash, write on; then look. Raises `Broken`."""
        try:
            self.time.run(self.machine.boot())
            self.time.run(gather([*(self._write_to(slot) for slot in self.slots), self._make_trouble()]))
            self._over = True
            self.time.pass_time(60)
            self.machine.disk.capacity = None
            self.machine.lose_power()
            self.machine.workers_for = lambda clock: InlineWorkers()
            assert self.time.run(self.machine.boot()), "a sound machine must start"
            for slot in self.slots:
                self.time.run(self._look(slot))
        except Exception as problem:
            summary = f"fails {self._fails}, capacity {self.machine.disk.capacity}, play_slots({self.seed})"
            lines = [f"{type(problem).__name__}: {problem}", summary, *self.events]
            raise Broken("\n".join(lines)) from problem
        return Played(self._digest.hexdigest(), tuple(sorted(self.endings.items())), 0.0)

    # --- writing --------------------------------------------------------------------------------------------------------

    async def _write_to(self, slot: Slot) -> None:
        for _ in range(self.random.randint(3, 12)):
            await sleep(self.random.choice([0.0, 0.01, 0.2, 20.0]), self.time)
            while self.machine.store is None:
                await sleep(0.1, self.time)
            if self.random.random() < 0.25:
                await self._look(slot)
            else:
                await self._send(slot, self._draw_writes(slot))

    def _draw_writes(self, slot: Slot) -> Writes:
        random = self.random
        state = dict(sorted(slot.possible)[0])
        writes = {}
        for number in random.sample(SHARES, random.randint(1, 3)):
            data = state.get(number, b"")
            tests = [SlotTest(0, 10, data[:10])] if random.random() < 0.5 else []
            pieces = [
                (random.choice([0, 0, 5, len(data), 600, 2000]), random.randbytes(random.choice([0, 1, 30, 700, 3000])))
                for _ in range(random.randint(0, 3))
            ]
            writes[number] = SlotWrite(tests, pieces, random.choice([None, None, None, 0, 3, 500, 9000]))
        return writes

    async def _send(self, slot: Slot, writes: Writes) -> None:
        store = self.machine.store
        assert store is not None
        self._note(f"write {slot.storage_index.text[:4]} {sorted(writes)}")
        outcome = await self._answer(
            spawn(store.test_and_write_slot(slot.storage_index, SECRETS, writes, EVERYTHING))
        )
        if outcome is None or (isinstance(outcome, Failure) and isinstance(outcome.value, ServerError)):
            self.endings["unanswered" if outcome is None else type(outcome.value).__name__] += 1
            slot.doubtful(writes)
        elif isinstance(outcome, Failure):
            outcome.raiseException()
        else:
            passed, read = outcome
            self.endings["written" if passed else "refused"] += 1
            if not slot.answered(writes, passed, _state(read)):
                raise Broken(f"slot {slot.storage_index.text[:4]} answered {_sizes(_state(read))}, {self._could(slot)}")

    async def _look(self, slot: Slot) -> None:
        store = self.machine.store
        assert store is not None
        self._note(f"read {slot.storage_index.text[:4]}")
        outcome = await self._answer(spawn(store.read_slot(slot.storage_index, frozenset(), EVERYTHING)))
        if outcome is None or (isinstance(outcome, Failure) and isinstance(outcome.value, ServerError) and self._troubled):
            return
        if isinstance(outcome, Failure):
            outcome.raiseException()
        state = _state(outcome)
        self.endings["read"] += 1
        if state not in slot.possible:
            raise Broken(f"slot {slot.storage_index.text[:4]} holds {_sizes(state)}, {self._could(slot)}")
        slot.possible = {state}

    @property
    def _troubled(self) -> bool:
        """Whether a call may fail."""
        return not self._over and (bool(self._fails) or self.machine.disk.capacity is not None)

    def _could(self, slot: Slot) -> str:
        return "and might hold: " + " or ".join(str(_sizes(state)) for state in sorted(slot.possible))

    async def _answer(self, work: Deferred[Any]) -> Any:
        """What the server answers: a result, a Failure, or None if it died."""
        answer: Deferred[Any] = Deferred()
        self._calls += 1
        number = self._calls
        self._waiting[number] = answer

        def arrive(outcome: Any) -> None:
            if self._waiting.pop(number, None) is not None:
                # A Failure handed to a callback would be raised; it is a result here. The dead do not answer.
                answer.callback([outcome if self.machine.disk.powered else None])

        work.addBoth(arrive)
        return (await answer)[0]

    # --- trouble --------------------------------------------------------------------------------------------------------

    async def _make_trouble(self) -> None:
        for _ in range(self.random.choice([0, 1, 2, 4])):
            await sleep(self.random.uniform(0, 20), self.time)
            kind = self.random.choice(["power", "kill", "power at a change", "power at a change", "power at a change"])
            self._note(kind)
            if kind == "power at a change":
                self.machine.disk.cut_power_at = self.machine.disk.changes + self.random.randrange(40)
            elif self.machine.store is not None:
                end = self.machine.kill if kind == "kill" else self.machine.lose_power
                end()

    def _die(self) -> None:
        self._note("dead")
        waiting, self._waiting = self._waiting, {}
        for number in sorted(waiting):
            self.time.callLater(0, waiting[number].callback, [None])
        if not self._over:
            self.time.callLater(self.random.choice([0.5, 5.0]), self._restart)

    def _restart(self) -> None:
        async def restart() -> None:
            if self.machine.store is None and not await self.machine.boot() and self.machine.disk.powered:
                self._note("does not start")
                self.endings["does not start"] += 1
                self.machine.disk.capacity = None
                self.time.callLater(1, self._restart)

        spawn(restart())

    def _disk_fault(self, operation: Operation) -> OSError | None:
        self._note(f"disk {operation.verb} {operation.path}")
        # A share that cannot be read is left out of an answer, and says nothing against the model: only writes fail here.
        failing = self._fails and not self._over and self.machine.store is not None and operation.verb in CHANGING
        if failing and self.random.random() < self._fails:
            return OSError(errno.EIO, "input/output error")
        return None

    def _note(self, event: str) -> None:
        line = f"{self.time.seconds() - 1_000_000:.6f} {event}"
        self._digest.update(line.encode() + b"\n")
        self.events.append(line)


def _state(read: Mapping[int, Any]) -> State:
    return tuple((number, read[number][0]) for number in sorted(read))


def _sizes(state: State) -> list[str]:
    return [f"{number}: {len(data)} bytes {sha256(data).hexdigest()[:6]}" for number, data in state]


def play_slots(seed: int) -> Played:
    """Run the story of `seed`."""
    return SlotStory(seed).play()
