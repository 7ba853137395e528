"""What must hold on every grid of both programs, whoever runs the servers and the introducer."""
from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import parse
from tests.process.grids import Client, Encoding, Grid
from tests.process.harness import LAFS, Program, peer

SIZES = (0, 55, 56, 1000, 1024 * 1024, 1024 * 1024 + 3, 5_000_000)
"""Around the end of literal files, around the end of a segment, several segments."""

ENCODING = Encoding(needed=2, happy=3, total=4)
"""Four shares on three servers: one has two."""

HEADER = 12
LEASE = 72
"""Bytes, of a share container. Spec: 05 §2.2."""


def grid_of(servers: list[Program], introducer: Program) -> Grid:
    """A grid with a client of each program."""
    return Grid(servers, encoding=ENCODING, clients=[LAFS, peer()], introducer=introducer)


class Exchange:
    """Tests of one grid; a subclass says which. Both clients have the same convergence secret."""

    class Tests(SynchronousTestCase):
        grid: Grid

        def setUp(self) -> None:
            self.lafs = self.grid.client(LAFS)
            self.peer = self.grid.client(peer())

        def test_the_peer_reads_what_lafs_wrote(self) -> None:
            self._exchange(self.lafs, self.peer)

        def test_lafs_reads_what_the_peer_wrote(self) -> None:
            self._exchange(self.peer, self.lafs)

        def _exchange(self, writer: Client, reader: Client) -> None:
            for size in SIZES:
                with self.subTest(size=size):
                    content = os.urandom(size)
                    self.assertEqual(reader.get(writer.put(content)), content)

        def test_lafs_reads_ranges_of_what_the_peer_wrote(self) -> None:
            content = os.urandom(3_000_000)
            cap = self.peer.put(content)
            for first, size in ((0, 10), (1_048_570, 20), (2_500_000, 500_000)):
                self.assertEqual(self.lafs.get_range(cap, first, size), content[first : first + size])

        def test_the_same_content_makes_the_same_cap(self) -> None:
            for size in SIZES:
                with self.subTest(size=size):
                    content = os.urandom(size)
                    self.assertEqual(self.lafs.put(content), self.peer.put(content))

        def test_shares_are_the_same_bytes(self) -> None:
            for size in (1000, 1024 * 1024 + 3, 5_000_000):
                with self.subTest(size=size):
                    content = os.urandom(size)
                    cap = self.lafs.put(content)
                    ours = self._shares(cap)
                    self._forget(cap)
                    self.assertEqual(self.peer.put(content), cap)
                    theirs = self._shares(cap)
                    self.assertEqual(set(ours), set(range(ENCODING.total)))
                    self.assertEqual(ours, theirs)

        def test_the_peer_finds_what_lafs_wrote_healthy(self) -> None:
            for size in (1000, 3_000_000):
                with self.subTest(size=size):
                    cap = self.lafs.put(os.urandom(size))
                    for verify in (False, True):
                        result = self.peer.check(cap, verify=verify)
                        self.assertTrue(result["results"]["healthy"], result)
                        self.assertEqual(result["results"]["count-shares-good"], ENCODING.total)
                        self.assertEqual(result["results"]["count-corrupt-shares"], 0)

        def test_every_share_that_lafs_wrote_has_a_lease(self) -> None:
            cap = self.lafs.put(os.urandom(10_000))
            for path in self._files(cap).values():
                self.assertEqual(_leases(path), 1)

        def test_the_second_upload_of_a_file_stores_nothing_more(self) -> None:
            content = os.urandom(50_000)
            cap = self.peer.put(content)
            before = self._shares(cap)
            self.assertEqual(self.lafs.put(content), cap)
            self.assertEqual(self._shares(cap), before)

        def test_a_file_with_lost_shares_is_made_whole_by_an_upload(self) -> None:
            content = os.urandom(60_000)
            cap = self.peer.put(content)
            whole = self._shares(cap)
            lost = min(self._files(cap).items(), key=lambda item: item[0][1])[1]
            lost.unlink()
            self.assertEqual(self.lafs.put(content), cap)
            self.assertEqual(self._shares(cap), whole)

        def test_the_commands_of_each_work_with_the_gateway_of_the_other(self) -> None:
            for program, gateway in ((peer(), self.lafs), (LAFS, self.peer)):
                with self.subTest(program=program.name):
                    content = os.urandom(200_000)
                    # Any directory will do: the gateway is named.
                    directory = self.grid.client(program).node.directory
                    cap = program.run("-d", directory, "put", "-u", gateway.url, "-", stdin=content).text
                    self.assertEqual(program.run("-d", directory, "get", "-u", gateway.url, cap).stdout, content)

        # --- the disks of the servers ---

        def _files(self, cap: str) -> Mapping[tuple[int, int], Path]:
            index = parse(cap).storage_index
            assert index is not None
            return self.grid.share_files(index.text)

        def _shares(self, cap: str) -> Mapping[int, bytes]:
            """Share number -> the share itself, without what the server has around it."""
            return {number: _share(path) for (_, number), path in self._files(cap).items()}

        def _forget(self, cap: str) -> None:
            """Remove every share of a file."""
            for folder in {path.parent for path in self._files(cap).values()}:
                shutil.rmtree(folder)


def _leases(container: Path) -> int:
    return int.from_bytes(container.read_bytes()[8:HEADER], "big")


def _share(container: Path) -> bytes:
    content = container.read_bytes()
    return content[HEADER : len(content) - LEASE * _leases(container)]
