"""Servers without room: an upload goes around them, and says why when it cannot."""
from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import parse
from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS, Node, set_options

pytestmark = pytest.mark.process

SMALL = 4 * 1024 * 1024
"""Bytes of the disk that is too small."""

grid: Grid
small_disk: Path | None


def setUpModule() -> None:
    """Four servers: the first keeps more space free than there is, the second has a small disk."""
    global grid, small_disk
    small_disk = _mounted()

    def prepare(server: Node) -> None:
        configuration = server.directory / "lafs.cfg"
        set_options(configuration, "storage", {"reserved_space": "0"})
        if server.directory.name == "server1":
            set_options(configuration, "storage", {"reserved_space": "9000TB"})
        if server.directory.name == "server2" and small_disk is not None:
            set_options(configuration, "storage", {"storage_dir": str(small_disk)})

    try:
        grid = Grid([LAFS] * 4, encoding=Encoding(needed=1, happy=2, total=3), prepare=prepare)
    except BaseException:
        _unmount()
        raise


def tearDownModule() -> None:
    grid.close()
    _unmount()


def _mounted() -> Path | None:
    """A file system of its own with little room; None where we may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="lafs-small-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    if shutil.which("mount") and os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        return folder
    folder.rmdir()
    return None


def _unmount() -> None:
    if small_disk is not None:
        subprocess.run(["umount", "-l", str(small_disk)], check=True)
        small_disk.rmdir()


class FullDisks(SynchronousTestCase):
    def _holders(self, cap: str) -> set[int]:
        """The numbers of the servers that have shares of a file."""
        index = parse(cap).storage_index
        assert index is not None
        folders = [server.directory / "storage" for server in grid.servers]
        if small_disk is not None:
            folders[1] = small_disk
        return {number for number, folder in enumerate(folders, 1) if (folder / "shares" / index.text[:2] / index.text).exists()}

    def test_a_file_that_fits_nowhere_but_on_two_goes_there(self) -> None:
        content = os.urandom(6 * 1024 * 1024)
        cap = grid.client().put(content)
        self.assertEqual(grid.client().get(cap), content)
        self.assertEqual(self._holders(cap), {3, 4} if small_disk is not None else {2, 3, 4})

    def test_a_disk_filled_to_the_brim_still_serves_what_it_has(self) -> None:
        if small_disk is None:
            self.skipTest("may not mount a small disk here")
        contents = [os.urandom(400_000) for _ in range(14)]
        caps = [grid.client().put(each) for each in contents]
        self.assertTrue(any(2 in self._holders(cap) for cap in caps))
        self.assertLess(shutil.disk_usage(small_disk).free, 1_000_000)
        self.assertEqual([grid.client().get(each) for each in caps], contents)

    def test_with_too_little_room_the_upload_fails_and_says_who_was_full(self) -> None:
        grid.servers[3].stop()
        self.addCleanup(grid.heal)
        grid.client().wait_connected(3)
        answer = grid.client().ask("PUT", "/uri", os.urandom(6 * 1024 * 1024))
        if small_disk is None:
            self.assertIn(answer.status, (200, 201))
            return
        self.assertGreaterEqual(answer.status, 500)
        self.assertEqual(grid.incoming(), [])
