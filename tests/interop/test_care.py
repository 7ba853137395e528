"""Checks, repairs and walks with the real peer: its commands on a gateway of lafs, ours on its gateway, and repaired files."""
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import parse
from tests.process.gateway import path_of
from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS, Program, peer

pytestmark = pytest.mark.peer

CONTENTS = os.urandom(300_000)

grid: Grid


def setUpModule() -> None:
    global grid
    grid = Grid([LAFS, LAFS, LAFS, peer()], encoding=Encoding(2, 4, 4), clients=[LAFS, peer()])


def tearDownModule() -> None:
    grid.close()


def shares_of(cap: str) -> Sequence[Path]:
    """The files of its shares, by share number."""
    index = parse(cap).storage_index
    assert index is not None
    found = grid.share_files(index.text)
    return [found[place] for place in sorted(found, key=lambda place: place[1])]


class Care(SynchronousTestCase):
    """Whoever stored something, both programs look after it."""

    def setUp(self) -> None:
        self.ours, self.theirs = grid.client(LAFS), grid.client(peer())

    def tree(self, program: Program) -> tuple[str, str]:
        """A directory with a file in a directory: the caps of the root and of the file."""
        client = self.ours if program is LAFS else self.theirs
        root = client.ask("POST", "/uri?t=mkdir").text
        file = client.put(CONTENTS + os.urandom(8))
        client.ask("PUT", f"{path_of(root)}/below?t=mkdir", b"")
        client.ask("PUT", f"{path_of(root)}/below/file?t=uri", file.encode())
        client.ask("PUT", f"{path_of(root)}/small", b"x")
        return root, file

    def test_commands_of_the_peer_on_our_gateway(self) -> None:
        node = self.ours.node.directory
        root, file = self.tree(LAFS)

        def tahoe(*arguments: str) -> str:
            return peer().run("-d", node, *arguments, root).text

        self.assertEqual(tahoe("deep-check").strip(), "done: 4 objects checked, 4 healthy, 0 unhealthy")
        shown = tahoe("check", "--verify", "--add-lease")
        self.assertIn("Summary: Healthy", shown)
        self.assertIn("good-shares: 4 (encoding is 2-of-4)", shown)
        self.assertIn(f"{file} below/file", tahoe("manifest").splitlines())
        self.assertIn("count-immutable-files: 1", tahoe("stats"))

        shares_of(file)[1].unlink()
        shares_of(root)[0].unlink()
        shown = tahoe("deep-check", "-v")
        self.assertIn("done: 4 objects checked, 2 healthy, 2 unhealthy", shown)
        self.assertIn("below/file': Not Healthy: 3 shares (enc 2-of-4)", shown)
        shown = tahoe("deep-check", "--repair", "--verify")
        self.assertIn("2 repairs attempted, 2 successful, 0 failed", shown)
        self.assertIn("done: 4 objects checked, 4 healthy, 0 unhealthy", tahoe("deep-check", "--verify"))
        self.assertTrue(self.theirs.check(file, verify=True)["results"]["healthy"])
        self.assertTrue(self.theirs.check(root, verify=True)["results"]["healthy"])

    def test_our_commands_on_the_gateway_of_the_peer(self) -> None:
        root, file = self.tree(peer())

        def lafs(*arguments: str, expect: int = 0) -> str:
            return LAFS.run(*arguments, "-u", self.theirs.url, root, expect=expect).text

        self.assertEqual(lafs("deep-check").strip(), "done: 4 objects checked, 4 healthy, 0 unhealthy")
        self.assertIn("Summary: Healthy", lafs("check", "--verify"))
        self.assertIn(f"{file} below/file", lafs("manifest").splitlines())
        self.assertEqual(json.loads(lafs("stats", "--raw"))["count-files"], 2)
        shares_of(file)[3].unlink()
        self.assertIn("1 unhealthy", lafs("deep-check", expect=1))
        self.assertIn("post-repair: 4 healthy", lafs("deep-check", "--repair"))
        self.assertIn("done: 4 objects checked, 4 healthy", lafs("deep-check"))

    def test_a_file_damaged_on_disk_and_repaired_by_us_is_read_by_the_peer(self) -> None:
        file = self.theirs.put(CONTENTS + os.urandom(8))
        contents = self.theirs.get(file)
        shares = shares_of(file)
        damaged = bytearray(shares[0].read_bytes())
        damaged[5000] ^= 1
        shares[0].write_bytes(damaged)
        shares[1].unlink()
        result = LAFS.run("check", "--repair", "--verify", "-u", self.ours.url, file).text
        self.assertIn(" corrupt shares:", result)
        self.assertIn(" repair successful", result)
        # Only what was made anew is left.
        for share in shares_of(file):
            if share in shares and share != shares[1]:
                share.unlink()
        left = [int(share.name) for share in shares_of(file)]
        self.assertEqual(sorted(left), [0, 1])
        self.assertEqual(self.theirs.get(file), contents)
        self.assertEqual(self.theirs.check(file, verify=True)["results"]["count-shares-good"], 2)

    def test_corrupt_shares_are_found_by_both_alike(self) -> None:
        file = self.ours.put(CONTENTS + os.urandom(8))
        share = shares_of(file)[2]
        damaged = bytearray(share.read_bytes())
        damaged[20_000] ^= 1
        share.write_bytes(damaged)
        ours, theirs = (client.check(file, verify=True)["results"] for client in (self.ours, self.theirs))
        for key in ("count-shares-good", "count-corrupt-shares", "list-corrupt-shares", "sharemap", "healthy", "recoverable"):
            self.assertEqual(ours[key], theirs[key], key)
        self.assertEqual(ours["count-corrupt-shares"], 1)
