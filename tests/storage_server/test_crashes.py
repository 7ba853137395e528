"""The power is cut before every single disk operation, in turn: what was acknowledged is there afterwards, whole.

Runs the real store on the simulated disk, which keeps any part of what was not synced. After each cut the store starts
again on what is left, sometimes with a second cut in the middle of its recovery.
"""
from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.derivations import stored_lease_secret
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError
from lafs.interfaces import ByteRange, LeaseSecrets, SlotSecrets, SlotTest, SlotWrite
from lafs.statistics import Counters
from lafs.workers import InlineWorkers
from storage_server.commits import CHECKPOINT_SECONDS
from storage_server.share_files import read_container, read_lease_area
from storage_server.share_store import ShareStore
from tests.simulation.disk import SimulatedDisk
from tests.storage_server.conformance import contents
from tests.storage_server.harness import NODE_ID, result_of, secrets

ROOT = "/storage"
OLD, FRESH, SLOT, LONE, ELSEWHERE, WHOLE, MEDIUM = (
    StorageIndex(bytes([number]) * 16) for number in (1, 80, 160, 240, 20, 120, 200)
)
"""In different prefix directories, so that none is synced for the sake of another."""
SMALL = contents(3000, seed=1)
AVERAGE = contents(70_000, seed=3)
LARGE = contents(600_000, seed=2)
WRITE_ENABLER = b"w" * 32

Slot = Mapping[int, bytes]


@define
class Life:
    """A server's disk, the process on it, and what was promised to clients."""

    random: Random
    disk: SimulatedDisk = field(init=False)
    store: ShareStore = field(init=False)
    clock: Clock = field(init=False)
    shares: dict[tuple[StorageIndex, int], bytes] = field(factory=dict)
    """Acknowledged: these are there."""
    tried: dict[tuple[StorageIndex, int], bytes] = field(factory=dict)
    """Begun: these are there, or not."""
    leases: set[tuple[StorageIndex, int, bytes]] = field(factory=set)
    slot: Slot = field(factory=dict)
    next_slot: Slot | None = None
    """What a write that was not answered would make of the slot."""

    def __attrs_post_init__(self) -> None:
        self.disk = SimulatedDisk(self.random)

    def start(self) -> None:
        """A new process. Raises ServerError when the power is cut meanwhile."""
        self.disk.boot()
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.store = ShareStore(
            ROOT, disk=self.disk, workers=InlineWorkers(), clock=self.clock, node_id=NODE_ID, counters=Counters()
        )
        result_of(self.store.start())

    # --- what clients do ---------------------------------------------------------------------------------------------

    async def upload(self, index: StorageIndex, number: int, content: bytes, lease: LeaseSecrets) -> None:
        allocation = await self.store.allocate_shares(index, frozenset([number]), len(content), lease)
        for present in allocation.existing:
            self.leases.add((index, present, lease.renew))
        if number in allocation.existing:
            assert self.shares.get((index, number), content) == content
            self.shares[index, number] = content
            return
        self.tried[index, number] = content
        if number not in allocation.writers:
            raise ServerError("refused")
        writer = allocation.writers[number]
        for start in range(0, len(content), 250_000):
            await writer.write(start, content[start : start + 250_000])
        await writer.close()
        self.shares[index, number] = content
        self.leases.add((index, number, lease.renew))

    async def store_whole(self, index: StorageIndex, shares: Mapping[int, bytes], lease: LeaseSecrets) -> None:
        self.tried |= {(index, number): content for number, content in shares.items()
                       if (index, number) not in self.shares}
        answer = await self.store.store_shares(index, lease, shares)
        there = answer.already | answer.stored
        self.leases |= {(index, number, lease.renew) for number in there}
        self.shares |= {(index, number): shares[number] for number in there & shares.keys()}
        if answer.refused:
            raise ServerError("refused")

    async def add_lease(self, index: StorageIndex, lease: LeaseSecrets) -> None:
        await self.store.add_lease(index, lease)
        self.leases |= {(index, number, lease.renew) for of, number in self.shares if of == index}

    async def write_slot(self, outcome: Slot, writes: Mapping[int, SlotWrite], lease: LeaseSecrets) -> None:
        self.next_slot = outcome
        passed, _ = await self.store.test_and_write_slot(SLOT, SlotSecrets(WRITE_ENABLER, lease), writes, [])
        assert passed
        self.slot, self.next_slot = outcome, None

    async def report(self) -> None:
        await self.store.report_corruption("immutable", OLD, 0, "smells")

    def script(self) -> list[Callable[[], Awaitable[None]]]:
        """Everything that changes a disk, in an order that makes each step meet the traces of others."""
        first = {0: b"zero", 1: b"one" * 500}
        second = {0: b"ZERO", 1: b"one" * 500 + b"!" * 3000, 2: b"two"}
        third = {0: b"ZE", 1: second[1]}
        return [
            lambda: self.upload(FRESH, 0, SMALL, secrets(1)),
            lambda: self.upload(FRESH, 1, LARGE, secrets(2)),
            lambda: self.upload(LONE, 0, LARGE, secrets(1)),
            lambda: self.store_whole(WHOLE, {0: SMALL, 4: b"tiny"}, secrets(1)),
            lambda: self.store_whole(MEDIUM, {1: AVERAGE}, secrets(1)),
            lambda: self.add_lease(FRESH, secrets(3)),
            lambda: self.write_slot(
                first,
                {number: SlotWrite([SlotTest(0, 1, b"")], [(0, data)]) for number, data in first.items()},
                secrets(1),
            ),
            self.let_time_pass,
            lambda: self.add_lease(OLD, secrets(4)),
            lambda: self.write_slot(
                second,
                {
                    0: SlotWrite([], [(0, b"ZERO")]),
                    1: SlotWrite([], [(1500, b"!" * 3000)]),
                    2: SlotWrite([], [(0, b"two")]),
                },
                secrets(2),
            ),
            self.report,
            self.let_time_pass,
            lambda: self.upload(OLD, 0, SMALL, secrets(5)),
            lambda: self.write_slot(
                third, {0: SlotWrite([], [], new_length=2), 2: SlotWrite([], [], new_length=0)}, secrets(3)
            ),
            lambda: self.write_slot(
                {**third, 9: LARGE}, {9: SlotWrite([SlotTest(0, 1, b"")], [(0, LARGE)])}, secrets(3)
            ),
            lambda: self.upload(OLD, 7, SMALL, secrets(1)),
            lambda: self.store_whole(WHOLE, {0: SMALL, 4: b"tiny", 5: b"more"}, secrets(2)),
            self.checkpoint,
        ]

    async def let_time_pass(self) -> None:
        self.clock.advance(CHECKPOINT_SECONDS)

    async def checkpoint(self) -> None:
        await self.store._commits.checkpoint()

    # --- what must be true afterwards ----------------------------------------------------------------------------------

    def check(self, test: SynchronousTestCase) -> None:
        for index in (OLD, FRESH, LONE, ELSEWHERE, WHOLE, MEDIUM):
            readers = result_of(self.store.list_shares(index))
            found = {(index, number): result_of(reader.read(0, 2**40)) for number, reader in readers.items()}
            promised = {key: content for key, content in self.shares.items() if key[0] == index}
            test.assertLessEqual(promised.items(), found.items())
            for key, content in found.items():
                test.assertEqual(content, self.tried.get(key, self.shares.get(key)))
        test.assertIn(self.read_slot(), [self.slot, self.next_slot] if self.next_slot is not None else [self.slot])
        for index, number, renew in self.leases:
            test.assertIn(stored_lease_secret(renew), self.renewers(index, number))

    def read_slot(self) -> Slot:
        found = result_of(self.store.read_slot(SLOT, frozenset(), [ByteRange(0, 2**40)]))
        return {number: pieces[0] for number, pieces in found.items()}

    def renewers(self, index: StorageIndex, number: int) -> list[bytes]:
        file = self.disk.open(f"{ROOT}/shares/{index.text[:2]}/{index.text}/{number}")
        container = read_container(file)
        return [lease.renew for lease in container.leases(read_lease_area(file, container))]  # type: ignore[union-attr]

    def try_again(self) -> None:
        """Clients whose uploads were not answered come back."""
        for (index, number), content in self.tried.items():
            result_of(self.upload(index, number, content, secrets(8)))

    def go_on(self, test: SynchronousTestCase) -> None:
        """The server works as if nothing had been: everything that was tried can be tried again."""
        for (index, number), content in self.tried.items():
            result_of(self.upload(index, number, content, secrets(9)))
        slot = {number: data + b"+" for number, data in self.read_slot().items()} or {4: b"new"}
        whole = {number: SlotWrite([], [(0, data)]) for number, data in slot.items()}
        result_of(self.write_slot(slot, whole, secrets(9)))
        self.check_again(test)

    def check_again(self, test: SynchronousTestCase) -> None:
        result_of(self.store.stop())
        self.start()
        self.check(test)

    def observe_slot(self) -> None:
        """What was read once is what is there from now on."""
        self.slot, self.next_slot = self.read_slot(), None

    def leftovers(self) -> list[str]:
        return [path for path in self.disk.files() if path.startswith(f"{ROOT}/shares/incoming/")]


def begun(seed: int) -> Life:
    """A server with an old share on a disk that is safe."""
    life = Life(Random(seed))
    life.start()
    result_of(life.upload(OLD, 0, SMALL, secrets(1)))
    result_of(life.store.stop())
    life.start()
    return life


def live(life: Life) -> None:
    """Run the script until the power goes."""
    for step in life.script():
        try:
            result_of(step())
        except ServerError:
            if life.disk.powered:
                raise
            return


def changes_of_a_whole_life() -> int:
    life = begun(0)
    before = life.disk.changes
    live(life)
    return life.disk.changes - before


class PowerCuts(SynchronousTestCase):
    """One cut before each operation of a busy life."""

    def test_what_was_acknowledged_is_there_whole_and_the_rest_is_whole_or_absent(self) -> None:
        operations = changes_of_a_whole_life()
        self.assertGreater(operations, 60)
        for seed in range(2):
            for operation in range(operations + 1):
                life = begun(seed * 1000 + operation)
                life.disk.cut_power_at = life.disk.changes + operation
                live(life)
                if life.disk.powered:
                    life.disk.cut_power()
                life.start()
                self.assertEqual(life.leftovers(), [])
                life.check(self)
                life.go_on(self)

    def test_the_same_when_everything_is_synced_at_once(self) -> None:
        import storage_server.journal as module

        self.patch(module, "SYNCED_ONE_BY_ONE", 1)
        operations = changes_of_a_whole_life()
        for operation in range(operations + 1):
            life = begun(operation)
            life.disk.cut_power_at = life.disk.changes + operation
            live(life)
            if life.disk.powered:
                life.disk.cut_power()
            life.start()
            life.check(self)

    def test_a_second_cut_during_recovery_changes_nothing(self) -> None:
        operations = changes_of_a_whole_life()
        for operation in range(0, operations, 3):
            for again in range(0, 12, 2):
                life = begun(operation * 100 + again)
                life.disk.cut_power_at = life.disk.changes + operation
                live(life)
                life.disk.cut_power_at = life.disk.changes + again
                try:
                    life.start()
                except ServerError:
                    self.assertFalse(life.disk.powered)
                    life.start()
                life.disk.cut_power_at = None
                life.check(self)

    def test_a_kill_without_a_power_cut_loses_nothing_even_if_the_power_goes_later(self) -> None:
        operations = changes_of_a_whole_life()
        for operation in range(0, operations, 2):
            life = begun(operation)
            life.disk.cut_power_at = life.disk.changes + operation
            life.disk.cut_power = self.kill_of(life)  # type: ignore[method-assign]
            live(life)
            del life.disk.cut_power
            life.start()
            life.check(self)
            if operation % 4:
                life.try_again()
            life.observe_slot()
            life.disk.cut_power()
            life.start()
            life.check(self)
            life.go_on(self)

    def kill_of(self, life: Life) -> Callable[[], None]:
        """The process ends, the page cache stays."""

        def kill() -> None:
            life.disk.powered = False
            life.disk.cut_power_at = None

        return kill


class FailingDisks(SynchronousTestCase):
    """Every operation fails once, in turn, with the power on; then it goes. Nothing that was promised is lost or torn."""

    def fail(self, width: int, *, killed: bool = False) -> None:
        """`width` operations in a row fail, wherever the first of them is; then the process is `killed`, or all sorts."""
        operations = changes_of_a_whole_life()
        for failing in range(operations * 2):
            life = begun(failing)
            first = life.disk.operations + failing
            life.disk.faults = lambda operation, broken=range(first, first + width): (  # type: ignore[misc]
                OSError(5, "input/output error") if operation.number in broken else None
            )
            with contextlib.suppress(ServerError):
                for step in life.script():
                    result_of(step())
            life.disk.faults = lambda operation: None
            if failing % 2 and not killed:
                result_of(life.upload(ELSEWHERE, 0, SMALL, secrets(1)))
            life.check(self)
            life.observe_slot()
            if failing % 3 == 0 and not killed:
                result_of(life.checkpoint())
            if failing % 3 < 2 and not killed:
                life.disk.cut_power()
            life.start()
            life.check(self)
            life.go_on(self)

    def test_one_failure_anywhere_breaks_no_promise(self) -> None:
        self.fail(1)

    def test_two_failures_in_a_row_break_none_either(self) -> None:
        self.fail(2)

    def test_what_was_refused_stays_refused_after_a_kill(self) -> None:
        self.fail(2, killed=True)
