"""The peer's own commands, about directories, on a gateway of lafs."""
from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS, peer

pytestmark = pytest.mark.peer


class Commands(SynchronousTestCase):
    def test_a_tree_is_copied_listed_moved_linked_and_unlinked(self) -> None:
        with (
            Grid([LAFS], encoding=Encoding(1, 1, 1), clients=[LAFS], introducer=LAFS) as grid,
            tempfile.TemporaryDirectory() as scratch,
        ):
            node = grid.clients[0].node.directory

            def tahoe(*arguments: str | Path) -> str:
                return peer().run("-d", node, *arguments).text

            local, back = Path(scratch, "local"), Path(scratch, "back")
            (local / "below").mkdir(parents=True)
            contents = {"small": b"x", "below/large": os.urandom(300_000)}
            for name, each in contents.items():
                (local / name).write_bytes(each)

            tahoe("create-alias", "theirs")
            self.assertIn("theirs:", tahoe("list-aliases"))
            tahoe("mkdir", "theirs:made")
            tahoe("cp", "-r", local, "theirs:made")
            self.assertEqual(tahoe("ls", "theirs:made/local").split(), ["below", "small"])
            tahoe("mv", "theirs:made/local", "theirs:moved")
            tahoe("ln", "theirs:moved/small", "theirs:linked")
            tahoe("unlink", "theirs:moved/small")
            self.assertEqual(tahoe("ls", "theirs:").split(), ["linked", "made", "moved"])
            tahoe("put", local / "small", "theirs:moved/put")
            tahoe("unlink", "theirs:made")
            self.assertEqual(tahoe("get", "theirs:moved/put"), "x")
            tahoe("cp", "-r", "theirs:moved", back)
            self.assertEqual((back / "moved" / "below" / "large").read_bytes(), contents["below/large"])
