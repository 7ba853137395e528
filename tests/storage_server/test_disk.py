"""The verbs of a disk, on the real one."""
from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from storage_server.disk import Disk, RealDisk


class RealDiskVerbs(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()
        self.root.mkdir(parents=True)
        self.disk: Disk = RealDisk()

    def test_a_gap_reads_as_zeros_and_reads_stop_at_the_end(self) -> None:
        file = self.disk.create(f"{self.root}/a")
        file.write(3, memoryview(b"xyz"))

        self.assertEqual(file.read(0, 1000), b"\0\0\0xyz")
        self.assertEqual(file.read(5, 1), b"z")
        self.assertEqual(file.read(6, 10), b"")
        self.assertEqual(file.size(), 6)
        file.close()

    def test_create_never_takes_an_existing_name(self) -> None:
        self.disk.create(f"{self.root}/a").close()
        self.assertRaises(FileExistsError, self.disk.create, f"{self.root}/a")

    def test_files_and_directories_are_for_the_owner_only(self) -> None:
        self.disk.create(f"{self.root}/a").close()
        self.assertTrue(self.disk.make_directory(f"{self.root}/d"))

        self.assertEqual(stat.S_IMODE(os.stat(self.root / "a").st_mode) & 0o077, 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.root / "d").st_mode) & 0o077, 0)

    def test_making_a_directory_again_is_harmless_unless_a_file_has_the_name(self) -> None:
        self.disk.make_directory(f"{self.root}/d")
        self.assertFalse(self.disk.make_directory(f"{self.root}/d"))
        self.disk.create(f"{self.root}/a").close()
        self.assertRaises(FileExistsError, self.disk.make_directory, f"{self.root}/a")

    def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(self) -> None:
        os.mkfifo(self.root / "pipe")
        self.assertRaises(OSError, self.disk.open, f"{self.root}/pipe")
        self.assertRaises(OSError, self.disk.open, f"{self.root}", writable=False)

    def test_a_file_open_only_for_reading_cannot_be_written(self) -> None:
        self.disk.create(f"{self.root}/a").close()
        file = self.disk.open(f"{self.root}/a")
        self.addCleanup(file.close)
        self.assertRaises(OSError, file.write, 0, b"x")

    def test_a_sync_may_be_begun_anywhere_and_changes_nothing(self) -> None:
        file = self.disk.create(f"{self.root}/a")
        file.write(0, b"abc")
        for offset, size in ((0, 3), (1, 1), (0, 2**40), (2**40, 1)):
            file.begin_sync(offset, size)
        self.assertEqual(file.read(0, 10), b"abc")
        file.close()
        file.begin_sync(0, 3)

    def test_everything_can_be_synced_at_once_and_failure_is_told(self) -> None:
        self.disk.create(f"{self.root}/a").close()
        self.disk.sync_everything(str(self.root))
        self.assertRaises(FileNotFoundError, self.disk.sync_everything, f"{self.root}/nowhere")

    def test_space_is_that_of_the_file_system(self) -> None:
        space = self.disk.space(str(self.root))
        self.assertGreaterEqual(space.total, space.free_for_root)
        self.assertGreaterEqual(space.free_for_root, space.free_for_others)
