"""Servers that die, hang or are cut off, at the worst moments. Five of them, two shares bring a file back."""
from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.gateway import path_of
from tests.process.grids import Client, Encoding, Grid
from tests.process.harness import LAFS, ProcessFailed, wait_until

pytestmark = pytest.mark.process

PIECE = 1_000_000

grid: Grid


def setUpModule() -> None:
    global grid
    grid = Grid([LAFS] * 5, encoding=Encoding(needed=2, happy=3, total=5))


def tearDownModule() -> None:
    grid.close()


class LostServers(SynchronousTestCase):
    def setUp(self) -> None:
        grid.heal()
        self.client = grid.client()

    def _put_disturbed(self, content: bytes, disturb: Iterator[None]) -> str:
        """Store `content`, sending it piece by piece; before each piece `disturb` takes a step."""

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(content), PIECE):
                next(disturb, None)
                yield content[start : start + PIECE]

        # A client without convergence sends to the servers while the body still comes in.
        streaming = self._streaming_client()
        answer = streaming.ask("PUT", "/uri", pieces(), {"Content-Length": str(len(content))})
        self.assertIn(answer.status, (200, 201), answer.text[:1000])
        return answer.body.decode()

    def _streaming_client(self) -> Client:
        if len(grid.clients) == 1:
            grid.add_client(options={"convergence": "none"})
        return grid.clients[1]

    def test_servers_killed_during_an_upload_do_not_stop_it(self) -> None:
        content = os.urandom(20 * PIECE)

        def kill_two() -> Iterator[None]:
            yield from [None] * 5
            wait_until(grid.incoming, "shares on their way")
            grid.servers[0].kill()
            yield from [None] * 5
            grid.servers[3].kill()
            yield

        cap = self._put_disturbed(content, kill_two())
        self.assertEqual(self.client.get(cap), content)

    def test_a_server_that_hangs_during_an_upload_does_not_stop_it(self) -> None:
        content = os.urandom(12 * PIECE)

        def hang_one() -> Iterator[None]:
            yield from [None] * 4
            wait_until(grid.incoming, "shares on their way")
            grid.servers[2].pause()
            yield

        cap = self._put_disturbed(content, hang_one())
        self.assertEqual(self.client.get(cap), content)

    def test_servers_killed_during_a_download_down_to_k_do_not_stop_it(self) -> None:
        content = os.urandom(40 * PIECE)
        cap = self.client.put(content)
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.request("GET", path_of(cap))
        response = connection.getresponse()
        fetched = response.read(PIECE)
        for server in grid.servers[1:4]:
            server.kill()
            fetched += response.read(PIECE)
        self.assertEqual(fetched + response.read(), content)

    def test_with_fewer_than_k_left_the_error_says_what_is_missing(self) -> None:
        cap = self.client.put(os.urandom(2 * PIECE))
        for server in grid.servers[1:]:
            server.kill()
        self.client.wait_connected(1)
        answer = self.client.ask("GET", path_of(cap))
        self.assertEqual(answer.status, 410)
        self.assertIn("2", answer.text)
        self.assertIn("share", answer.text)

    def test_with_too_few_servers_an_upload_fails_and_says_so(self) -> None:
        for server in grid.servers[2:]:
            server.kill()
        self.client.wait_connected(2)
        answer = self.client.ask("PUT", "/uri", os.urandom(PIECE))
        self.assertGreaterEqual(answer.status, 500)
        self.assertIn("3", answer.text)

    def test_hung_servers_do_not_stop_a_download(self) -> None:
        content = os.urandom(5 * PIECE)
        cap = self.client.put(content)
        for server in grid.servers[:3]:
            server.pause()
        self.assertEqual(self.client.get(cap), content)

    def test_an_answered_upload_survives_a_kill_of_every_server(self) -> None:
        contents = [os.urandom(size) for size in (1000, 100_000, 5 * PIECE)]
        caps = [self.client.put(each) for each in contents]
        for server in grid.servers:
            server.kill()
        grid.heal()
        self.assertEqual([self.client.get(each) for each in caps], contents)

    def test_an_upload_that_was_not_answered_is_whole_or_nowhere(self) -> None:
        """Every server is killed in the middle of it: what is left is no half share, and a second try is answered."""
        content = os.urandom(10 * PIECE)

        def kill_all() -> Iterator[None]:
            yield from [None] * 6
            wait_until(grid.incoming, "shares on their way")
            for server in grid.servers:
                server.kill()
            yield

        with self.assertRaises((AssertionError, ProcessFailed, OSError)):
            self._put_disturbed(content, kill_all())
        grid.heal()
        wait_until(lambda: not grid.incoming(), "the servers to clear up")
        self.assertEqual(self.client.get(self.client.put(content)), content)

    def test_a_gateway_killed_and_started_again_serves_as_before(self) -> None:
        content = os.urandom(PIECE)
        cap = self.client.put(content)
        self.client.node.kill()
        grid.heal()
        self.assertEqual(self.client.get(cap), content)
