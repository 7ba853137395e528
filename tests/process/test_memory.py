"""Memory of a gateway is bounded by its windows, never by a file. benchmarks/memory.py does the same with 4 GiB."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import Gateway, path_of
from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS

pytestmark = pytest.mark.process

MOST_RESIDENT = 300_000_000
SIZE = 512 * 1024 * 1024
PIECE = 1024 * 1024

grid: Grid


def setUpModule() -> None:
    global grid
    grid = Grid([LAFS] * 3, encoding=Encoding(needed=2, happy=3, total=3))


def tearDownModule() -> None:
    grid.close()


class Pieces:
    """A long file that nobody has to hold: each piece differs, all are known by their hash."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hash = hashlib.sha256()
        self._noise = os.urandom(PIECE)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.size // PIECE):
            piece = number.to_bytes(8, "big") + self._noise[8:]
            self.hash.update(piece)
            yield piece


def put(gateway: Gateway, pieces: Pieces) -> str:
    answer = gateway.ask("PUT", "/uri", iter(pieces), {"Content-Length": str(pieces.size)})
    if answer.status not in (200, 201):
        raise AssertionError(answer.text)
    return answer.body.decode()


class Memory(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = grid.client()
        self.client.node.forget_peak()

    def test_a_long_file_goes_up_and_comes_down_in_little_memory(self) -> None:
        pieces = Pieces(SIZE)
        cap = put(self.client, pieces)
        self.assertLess(self.client.node.peak_resident, MOST_RESIDENT)
        self.assertEqual(self._fetched(cap), pieces.hash.digest())
        self.assertLess(self.client.node.peak_resident, MOST_RESIDENT)
        for server in grid.servers:
            self.assertLess(server.peak_resident, MOST_RESIDENT)

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
        pieces = Pieces(192 * PIECE)
        cap = put(self.client, pieces)
        self.client.node.forget_peak()
        before = self.client.node.peak_resident
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.request("GET", path_of(cap))
        connection.getresponse().read(PIECE)
        # While this one waits, the same gateway serves another to the end: it had every occasion to read ahead.
        self.assertEqual(self._fetched(cap), pieces.hash.digest())
        self.assertLess(self.client.node.peak_resident - before, 128 * PIECE)
