"""Memory of a gateway is bounded by its windows, never by a file. `python -m benchmarks.memory` does the same with 4 GiB."""
from __future__ import annotations

import hashlib

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import path_of
from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS
from tests.process.long_files import PIECE, LongFile, put

pytestmark = pytest.mark.process

MOST_RESIDENT = 300_000_000
SIZE = 512 * PIECE

grid: Grid


def setUpModule() -> None:
    global grid
    grid = Grid([LAFS] * 3, encoding=Encoding(needed=2, happy=3, total=3))


def tearDownModule() -> None:
    grid.close()


class Memory(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = grid.client()
        self.client.node.forget_peak()

    def test_a_long_file_goes_up_and_comes_down_in_little_memory(self) -> None:
        file = LongFile(SIZE)
        cap = put(self.client, file)
        self.assertLess(self.client.node.peak_resident, MOST_RESIDENT)
        self.assertEqual(self._fetched(cap), file.hash.digest())
        self.assertLess(self.client.node.peak_resident, MOST_RESIDENT)
        for server in grid.servers:
            self.assertLess(server.peak_resident, MOST_RESIDENT)

    def test_a_long_file_that_changes_is_written_and_overwritten_in_little_memory(self) -> None:
        cap = put(self.client, LongFile(64 * PIECE), "/uri?format=mdmf")
        file = LongFile(64 * PIECE)
        put(self.client, file, path_of(cap))
        self.assertLess(self.client.node.peak_resident, MOST_RESIDENT)
        self.assertEqual(self._fetched(cap), file.hash.digest())
        self.assertLess(self.client.node.peak_resident, MOST_RESIDENT)

    def _fetched(self, cap: str) -> bytes:
        connection = self.client.connect()
        try:
            connection.request("GET", path_of(cap))
            response = connection.getresponse()
            found = hashlib.sha256()
            while piece := response.read(PIECE):
                found.update(piece)
            return found.digest()
        finally:
            connection.close()

    def test_a_reader_who_stops_reading_stops_the_download(self) -> None:
        file = LongFile(192 * PIECE)
        cap = put(self.client, file)
        self.client.node.forget_peak()
        before = self.client.node.peak_resident
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.request("GET", path_of(cap))
        connection.getresponse().read(PIECE)
        # While this one waits, the same gateway serves another to the end: it had every occasion to read ahead.
        self.assertEqual(self._fetched(cap), file.hash.digest())
        self.assertLess(self.client.node.peak_resident - before, 128 * PIECE)
