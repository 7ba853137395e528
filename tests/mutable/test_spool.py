"""Large files are written without holding all their shares in memory; nothing of that stays on the disk."""
from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkdtemp
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import SourceFailed
from lafs.mutable import spool
from lafs.mutable.encoding import CodedSegment
from lafs.mutable.spool import BlockSpool
from lafs.mutable.tools import Tools
from lafs.sources import BytesSource
from lafs.tasks import Window, spawn
from tests.memory_grid import Grid, ms, random_bytes
from tests.mutable.slots import new_client, numbers_stored

SEGMENT = 131073


class Spooled(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(mkdtemp())
        self.addCleanup(self.folder.rmdir)  # which fails if anything was left in it
        self.patch(spool, "IN_MEMORY", 1_000_000)
        self.grid = Grid()
        self.tools: Tools = self.grid.client._mutable._tools
        object.__setattr__(self.tools, "spool", self.folder)
        self.reads = 0
        pread = os.pread

        def counted(*arguments: int) -> bytes:
            self.reads += 1
            return pread(*arguments)

        self.patch(os, "pread", counted)

    def test_large_files_are_written_from_a_file(self) -> None:
        contents = random_bytes(25 * SEGMENT + 7)
        node = self.grid.run(self.grid.client.create_mutable(BytesSource(contents), "MDMF"))
        self.assertGreater(self.reads, 100)
        self.assertEqual(self.grid.run(new_client(self.grid).open_mutable(node.cap).contents())[0], contents)
        self.grid.run(node.overwrite(BytesSource(contents[::-1])))
        self.grid.run(node.modify(lambda old: old + b"!"))
        self.assertEqual(self.grid.run(new_client(self.grid).open_mutable(node.cap).contents())[0], contents[::-1] + b"!")
        self.assertEqual({number for _, number in numbers_stored(self.grid, node.cap)}, {3})

    def test_small_ones_are_not(self) -> None:
        self.grid.run(self.grid.client.create_mutable(random_bytes(2 * SEGMENT), "MDMF"))
        self.assertEqual(self.reads, 0)

    def test_a_few_shares_are_sent_at_a_time(self) -> None:
        object.__setattr__(self.tools, "sending", Window(2_500_000))
        _, cost = self.grid._measured(self.grid.client.create_mutable(random_bytes(24 * SEGMENT), "MDMF"))
        self.assertEqual((cost.round_trips, self.tools.sending.in_flight), (5, 0))

    def test_one_that_hangs_does_not_hold_up_the_others_for_long(self) -> None:
        object.__setattr__(self.tools, "sending", Window(1))
        self.grid.hang(self.grid.machines[:2])
        contents = random_bytes(24 * SEGMENT)
        node, cost = self.grid._measured(self.grid.client.create_mutable(contents, "MDMF"))
        self.assertLess(cost.elapsed, 60)
        self.assertEqual(self.grid.run(new_client(self.grid).open_mutable(node.cap).contents())[0], contents)
        self.assertEqual(self.tools.sending.in_flight, 0)

    def test_whoever_gives_up_leaves_nothing(self) -> None:
        for moment in (ms(0), ms(60), ms(110)):
            running = spawn(self.grid.client.create_mutable(random_bytes(24 * SEGMENT), "MDMF"))
            running.addErrback(lambda _: None)
            self.grid.time.pass_time(moment)
            running.cancel()
            self.assertEqual(self.grid.leftovers(), [])
            self.assertEqual(self.tools.sending.in_flight, 0)

    def test_a_full_disk_is_an_error_that_says_so(self) -> None:
        full = mock.Mock(side_effect=OSError(28, "No space left on device"))
        self.patch(os, "pwrite", full)
        with self.assertRaisesRegex(SourceFailed, "No space left"):
            self.grid.run(self.grid.client.create_mutable(random_bytes(24 * SEGMENT), "MDMF"))


class Blocks(SynchronousTestCase):
    def test_are_those_that_were_put_in_until_it_is_closed(self) -> None:
        self.patch(spool, "IN_MEMORY", 0)
        folder = Path(mkdtemp())
        self.addCleanup(folder.rmdir)
        kept = BlockSpool(folder)
        segments = [CodedSegment(b"salt", [b"%d%d" % (number, share) for share in range(4)], [b"hash"] * 4) for number in range(3)]
        found = kept.put(segments)
        self.assertEqual([list(each.blocks) for each in found], [list(each.blocks) for each in segments])
        self.assertEqual((found[1].blocks[-1], found[1].blocks[1:3], len(found[1].blocks)), (b"13", [b"11", b"12"], 4))
        with self.assertRaises(IndexError):
            found[0].blocks[4]
        kept.close()
        with self.assertRaises(SourceFailed):
            found[0].blocks[0]
        with self.assertRaises(SourceFailed):
            kept.put(segments)
