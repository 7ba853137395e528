"""Share files as they are read: what a skimmed file tells is what the file tells."""
from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from storage_server.disk import RealDisk
from storage_server.share_files import SKIMMED_SIZE, SkimmedFile
from tests.storage_server.conformance import contents


class Skimming(SynchronousTestCase):
    def test_every_read_gives_what_the_file_has_there(self) -> None:
        edges = (0, 1, 12, SKIMMED_SIZE - 1, SKIMMED_SIZE, SKIMMED_SIZE + 1, 3 * SKIMMED_SIZE, 2**40)
        for size in edges[:-1]:
            path = Path(self.mktemp())
            path.write_bytes(content := contents(size))
            file = RealDisk().open(str(path))
            self.addCleanup(file.close)
            skimmed = SkimmedFile(file)
            self.assertEqual(skimmed.size(), size)
            for start in edges:
                for length in edges[:-1]:
                    self.assertTrue(skimmed.read(start, length) == content[start : start + length], (size, start, length))

    def test_a_lease_that_was_added_meanwhile_makes_a_file_longer_never_shorter(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"short")
        file = RealDisk().open(str(path), writable=True)
        self.addCleanup(file.close)
        skimmed = SkimmedFile(file)
        file.write(5, b" no more")
        self.assertEqual(skimmed.size(), 13)
