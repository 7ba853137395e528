"""A disk that refuses some things for ever: what it refuses concerns its own bucket, and is not lost; all others go on."""
from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError
from lafs.interfaces import ByteRange
from lafs.statistics import Counters
from lafs.workers import InlineWorkers
from storage_server import journal
from storage_server.commits import CHECKPOINT_SECONDS
from storage_server.share_store import ShareStore
from tests.simulation.disk import Operation, SimulatedDisk
from tests.storage_server.conformance import contents
from tests.storage_server.harness import NODE_ID, result_of, secrets

BAD, GOOD, LATE, LATER = (StorageIndex(bytes([number]) * 16) for number in (7, 90, 170, 230))
CONTENT = contents(2000)

Fault = Callable[[Operation], OSError | None]


def full(operation: Operation) -> OSError | None:
    """There is no room for what belongs to the bad bucket, nor for a new journal."""
    grows = operation.verb in ("create", "write", "make_directory")
    wanted = BAD.text in operation.path or "journal" in operation.path
    return OSError(errno.ENOSPC, "no space left on device") if grows and wanted else None


def unsyncable(operation: Operation) -> OSError | None:
    bad = operation.verb == "sync" and BAD.text in operation.path
    return OSError(errno.EIO, "input/output error") if bad else None


@define
class Machine:
    """A server on a simulated disk."""

    random: Random
    disk: SimulatedDisk = field(init=False)
    clock: Clock = field(init=False)
    store: ShareStore = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.disk = SimulatedDisk(self.random)
        self.start()

    def start(self) -> None:
        self.disk.boot()
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.store = ShareStore(
            "/storage", disk=self.disk, workers=InlineWorkers(), clock=self.clock, node_id=NODE_ID, counters=Counters()
        )
        result_of(self.store.start())

    def put(self, index: StorageIndex) -> None:
        answer = result_of(self.store.store_shares(index, secrets(), {0: CONTENT}))
        assert answer.stored | answer.already == {0}

    def has(self, index: StorageIndex) -> bool:
        found = result_of(self.store.read_shares(index, [ByteRange(0, 2**20)]))
        return {number: list(pieces) for number, pieces in found.items()} == {0: [CONTENT]}


class FullDisks(SynchronousTestCase):
    """The disk filled up while the server was down."""

    def test_a_server_starts_and_serves_all_but_the_share_there_is_no_room_for(self) -> None:
        for seed in range(20):
            machine = Machine(Random(seed))
            machine.put(GOOD)
            result_of(machine.store.stop())
            machine.start()
            machine.put(BAD)
            machine.disk.cut_power()
            machine.disk.faults = full
            for _ in range(3):
                machine.start()
                self.assertTrue(machine.has(GOOD))
                # It may have come to the disk before the power went. Then nothing need be done for it but to sync it.
                lost = f"/storage/shares/{BAD.text[:2]}/{BAD.text}/0" not in machine.disk.files()
                if lost:
                    self.assertRaises(ServerError, result_of, machine.store.list_shares(BAD))
                    self.assertRaises(ServerError, result_of, machine.store.store_shares(BAD, secrets(), {1: CONTENT}))
            machine.disk.faults = lambda operation: None
            self.assertTrue(machine.has(BAD))
            machine.put(LATE)
            machine.disk.cut_power()
            machine.start()
            self.assertTrue(machine.has(GOOD) and machine.has(BAD) and machine.has(LATE))

    def test_what_there_is_no_room_for_survives_a_cut_at_any_moment(self) -> None:
        for cut in range(40):
            machine = Machine(Random(cut))
            machine.put(BAD)
            machine.disk.cut_power()
            machine.disk.faults = full
            machine.disk.cut_power_at = machine.disk.changes + cut
            try:
                machine.start()
                machine.disk.faults = lambda operation: None
                machine.put(GOOD)
                result_of(machine.store.stop())
            except ServerError:
                self.assertFalse(machine.disk.powered)
            machine.disk.faults = lambda operation: None
            machine.disk.cut_power()
            machine.start()
            self.assertTrue(machine.has(BAD))


class UnsyncableShares(SynchronousTestCase):
    """The disk never syncs one file."""

    def live(self, machine: Machine) -> None:
        """Checkpoints come and go; a share is stored after each, and every one is there all the time."""
        machine.put(BAD)
        machine.put(GOOD)
        for index in (LATE, LATER):
            machine.clock.advance(CHECKPOINT_SECONDS)
            machine.put(index)
            self.assertTrue(all(map(machine.has, (BAD, GOOD, index))))

    def test_all_other_commits_go_on(self) -> None:
        for synced_one_by_one in (1, 32):
            self.patch(journal, "SYNCED_ONE_BY_ONE", synced_one_by_one)
            machine = Machine(Random(1))
            machine.disk.faults = unsyncable
            self.live(machine)
            for _ in range(2):
                machine.disk.cut_power()
                machine.start()
                self.assertTrue(all(map(machine.has, (BAD, GOOD, LATE, LATER))))
                machine.clock.advance(CHECKPOINT_SECONDS)
            machine.disk.faults = lambda operation: None
            result_of(machine.store.stop())
            self.assertFalse([path for path in machine.disk.files() if "incoming/" in path])

    def test_nothing_is_lost_whenever_the_power_goes(self) -> None:
        for cut in range(80):
            machine = Machine(Random(cut))
            machine.disk.faults = unsyncable
            machine.put(BAD)
            machine.put(GOOD)
            machine.disk.cut_power_at = machine.disk.changes + cut
            stored = [BAD, GOOD]
            try:
                for index in (LATE, LATER):
                    machine.clock.advance(CHECKPOINT_SECONDS)
                    machine.put(index)
                    stored.append(index)
            except ServerError:
                self.assertFalse(machine.disk.powered)
            if cut % 2:
                machine.disk.faults = lambda operation: None
            machine.disk.cut_power()
            machine.start()
            self.assertTrue(all(map(machine.has, stored)))
