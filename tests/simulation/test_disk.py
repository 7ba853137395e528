"""The simulated disk keeps what was synced, always; and loses what was not, sometimes."""
from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from storage_server.disk import Disk
from tests.simulation.disk import SECTOR, PowerCut, SimulatedDisk

TRIES = 60
OLD, NEW = b"o" * 2000, b"n" * 2000


Act = Callable[[SimulatedDisk], None]


def outcomes(prepare: Act, act: Act) -> set[tuple[tuple[str, bytes], ...]]:
    """All that was found on disks where `prepare` was made durable, `act` done, and the power cut, over many seeds."""
    found = set()
    for seed in range(TRIES):
        disk = SimulatedDisk(Random(seed))
        prepare(disk)
        sync_all(disk)
        act(disk)
        disk.cut_power()
        disk.boot()
        found.add(tuple(disk.files().items()))
    return found


def write(disk: Disk, path: str, content: bytes, sync: bool = False) -> None:
    file = disk.create(path) if not disk.exists(path) else disk.open(path, writable=True)
    file.write(0, content)
    if sync:
        file.sync()
    file.close()


def sync_all(disk: SimulatedDisk) -> None:
    for path in disk.files():
        disk.open(path).sync()
    for directory in ("/", "/a", "/b"):
        if disk.is_directory(directory):
            disk.sync_directory(directory)


def nothing(disk: SimulatedDisk) -> None:
    pass


class WhatWasSynced(SynchronousTestCase):
    """Contents after `sync` and names after `sync_directory` survive every power cut."""

    def test_a_synced_file_in_a_synced_directory_is_always_there(self) -> None:
        def act(disk: SimulatedDisk) -> None:
            disk.make_directory("/a")
            write(disk, "/a/x", NEW, sync=True)
            disk.sync_directory("/a")
            disk.sync_directory("/")

        self.assertEqual(outcomes(nothing, act), {(("/a/x", NEW),)})

    def test_a_rename_survives_a_sync_of_the_directory_it_arrived_in(self) -> None:
        def prepare(disk: SimulatedDisk) -> None:
            disk.make_directory("/a")
            disk.make_directory("/b")

        def act(disk: SimulatedDisk) -> None:
            write(disk, "/a/x", NEW, sync=True)
            disk.rename("/a/x", "/b/y")
            disk.sync_directory("/b")

        self.assertEqual(outcomes(prepare, act), {(("/b/y", NEW),)})

    def test_what_was_there_before_is_unharmed_by_new_unsynced_files(self) -> None:
        for found in outcomes(lambda disk: write(disk, "/x", OLD), lambda disk: write(disk, "/y", NEW)):
            self.assertEqual(dict(found)["/x"], OLD)

    def test_a_removal_survives_a_sync_of_its_directory(self) -> None:
        def act(disk: SimulatedDisk) -> None:
            disk.remove("/x")
            disk.sync_directory("/")

        self.assertEqual(outcomes(lambda disk: write(disk, "/x", OLD), act), {()})

    def test_a_running_process_sees_what_it_did_synced_or_not(self) -> None:
        disk = SimulatedDisk(Random(1))
        write(disk, "/x", OLD)
        disk.rename("/x", "/y")
        self.assertEqual(disk.open("/y").read(0, 9999), OLD)
        self.assertEqual(list(disk.list_directory("/")), ["y"])


class WhatWasNotSynced(SynchronousTestCase):
    """Every careless habit is punished for some seed."""

    def test_an_unsynced_write_is_kept_lost_or_torn(self) -> None:
        found = {dict(each)["/x"] for each in outcomes(lambda d: write(d, "/x", OLD), lambda d: write(d, "/x", NEW))}
        self.assertIn(OLD, found)
        self.assertIn(NEW, found)
        torn = found - {OLD, NEW}
        self.assertTrue(torn, "some write is torn")
        self.assertTrue(any(len(each.rstrip(b"o")) % SECTOR for each in torn), "at a byte")
        self.assertTrue(any(each.startswith(b"o") and b"n" in each for each in torn), "and out of order")

    def test_a_name_that_was_not_synced_is_sometimes_lost_although_its_contents_were(self) -> None:
        found = outcomes(nothing, lambda disk: write(disk, "/x", NEW, sync=True))
        self.assertEqual(found, {(), (("/x", NEW),)})

    def test_a_file_in_a_directory_whose_own_name_was_not_synced_is_sometimes_lost(self) -> None:
        def act(disk: SimulatedDisk) -> None:
            disk.make_directory("/a")
            write(disk, "/a/x", NEW, sync=True)
            disk.sync_directory("/a")

        self.assertIn((), outcomes(nothing, act))

    def test_a_rename_without_sync_of_the_contents_sometimes_leaves_an_empty_file(self) -> None:
        def act(disk: SimulatedDisk) -> None:
            write(disk, "/x.new", NEW)
            disk.rename("/x.new", "/x")

        found = outcomes(lambda disk: write(disk, "/x", OLD), act)
        self.assertIn((("/x", b""),), found)
        self.assertIn((("/x", OLD),), found)

    def test_an_unsynced_removal_is_sometimes_undone(self) -> None:
        found = outcomes(lambda disk: write(disk, "/x", OLD), lambda disk: disk.remove("/x"))
        self.assertEqual(found, {(), (("/x", OLD),)})

    def test_names_survive_out_of_order(self) -> None:
        def act(disk: SimulatedDisk) -> None:
            write(disk, "/first", NEW, sync=True)
            write(disk, "/second", NEW, sync=True)

        self.assertIn((("/second", NEW),), outcomes(nothing, act))

    def test_a_grown_file_sometimes_has_its_size_and_not_its_bytes(self) -> None:
        found = outcomes(lambda disk: write(disk, "/x", b""), lambda disk: write(disk, "/x", NEW))
        self.assertIn((("/x", bytes(len(NEW))),), found)
        grown = {content for ((_, content),) in found if len(content) == len(NEW)}
        self.assertTrue(grown - {NEW, bytes(len(NEW))}, "and sometimes with other bytes")

    def test_a_rename_is_whole_or_not_at_all(self) -> None:
        found = outcomes(lambda disk: write(disk, "/x", OLD), lambda disk: disk.rename("/x", "/y"))
        self.assertEqual(found, {(("/x", OLD),), (("/y", OLD),)})


class Failures(SynchronousTestCase):
    """Full disks, failing operations, and power cuts in mid-work."""

    def test_a_full_disk_takes_what_fits_and_says_so(self) -> None:
        disk = SimulatedDisk(Random(0), capacity=1500)
        file = disk.create("/x")
        with self.assertRaises(OSError) as raised:
            file.write(0, NEW)
        self.assertEqual(raised.exception.errno, errno.ENOSPC)
        self.assertEqual(disk.space("/").free_for_others, 0)
        file.write(0, OLD[:1500])  # overwriting needs no room
        self.assertEqual(file.read(0, 2000), OLD[:1500])

    def test_the_power_is_cut_before_the_chosen_change_and_stays_off_until_boot(self) -> None:
        for cut_at in range(4):
            disk = SimulatedDisk(Random(cut_at))
            cuts: list[bool] = []
            disk.on_power_cut = lambda cuts=cuts: cuts.append(True)
            disk.cut_power_at = cut_at
            with self.assertRaises(PowerCut):
                write(disk, "/x", NEW, sync=True)
                disk.sync_directory("/")
            self.assertEqual((disk.changes, cuts), (cut_at, [True]))
            with self.assertRaises(PowerCut):
                disk.exists("/x")
            disk.boot()
            self.assertEqual(disk.exists("/x"), bool(disk.files()))

    def test_files_opened_before_a_boot_are_dead_after_it(self) -> None:
        disk = SimulatedDisk(Random(0))
        file = disk.create("/x")
        disk.boot()
        with self.assertRaises(PowerCut):
            file.write(0, NEW)
        self.assertTrue(disk.exists("/x"), "the end of a process loses nothing that was written")

    def test_a_failed_sync_forgets_what_it_did_not_write(self) -> None:
        disk = SimulatedDisk(Random(0))
        write(disk, "/x", OLD, sync=True)
        disk.sync_directory("/")
        file = disk.open("/x", writable=True)
        file.write(0, NEW)
        disk.faults = lambda operation: OSError(errno.EIO, "I/O error") if operation.verb == "sync" else None
        with self.assertRaises(OSError):
            file.sync()
        disk.faults = lambda operation: None
        file.sync()
        self.assertEqual(file.read(0, 9999), NEW)
        disk.cut_power()
        disk.boot()
        self.assertEqual(disk.files()["/x"], OLD)

    def test_errors_are_those_of_the_operating_system(self) -> None:
        disk = SimulatedDisk(Random(0))
        disk.make_directory("/a")
        write(disk, "/a/x", NEW)
        for error, act in (
            (FileExistsError, lambda: disk.create("/a/x")),
            (FileNotFoundError, lambda: disk.open("/a/y")),
            (FileNotFoundError, lambda: disk.create("/missing/y")),
            (FileNotFoundError, lambda: disk.rename("/a/y", "/a/z")),
            (IsADirectoryError, lambda: disk.remove("/a")),
            (NotADirectoryError, lambda: disk.list_directory("/a/x")),
            (OSError, lambda: disk.remove_directory("/a")),
            (OSError, lambda: disk.open("/a/x").write(0, b"read only")),
        ):
            with self.assertRaises(error):
                act()
        self.assertFalse(disk.make_directory("/a"))

    def test_the_same_seed_loses_the_same_bytes(self) -> None:
        def run() -> dict[str, bytes]:
            disk = SimulatedDisk(Random(11))
            for number in range(20):
                write(disk, f"/{number}", NEW)
            disk.cut_power()
            disk.boot()
            return disk.files()

        self.assertEqual(run(), run())
