"""The long line of the benchmarks: nothing comes early, nothing is lost, and the ends of connections come through too."""
from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from unittest import TestCase

import pytest

from benchmarks.relay import LOOPBACK, relay

DELAY = 0.05
PATIENCE = 60.0

pytestmark = pytest.mark.process


@contextmanager
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection through a relay."""
    with socket.create_server((LOOPBACK, 0)) as server, relay(DELAY, [server.getsockname()[1]]) as ports:
        (port,) = ports.values()
        with socket.create_connection((LOOPBACK, port), PATIENCE) as near, server.accept()[0] as far:
            far.settimeout(PATIENCE)
            yield near, far


def read_all(end: socket.socket) -> bytes:
    pieces = []
    while piece := end.recv(1_000_000):
        pieces.append(piece)
    return b"".join(pieces)


class ALongLine(TestCase):
    def test_an_answer_never_comes_before_two_delays(self) -> None:
        with line() as (near, far):
            started = time.monotonic()
            near.sendall(b"?")
            far.sendall(far.recv(1))
            self.assertEqual(near.recv(1), b"?")
            self.assertGreaterEqual(time.monotonic() - started, 2 * DELAY)

    def test_megabytes_come_through_whole_in_both_directions_at_once(self) -> None:
        there, back = bytes(range(256)) * 40_000, bytes(range(255)) * 40_000

        def send(end: socket.socket, content: bytes) -> None:
            end.sendall(content)
            end.shutdown(socket.SHUT_WR)

        with line() as (near, far):
            senders = [Thread(target=send, args=(near, there)), Thread(target=send, args=(far, back))]
            for each in senders:
                each.start()
            received: list[bytes] = []
            reader = Thread(target=lambda: received.append(read_all(near)))
            reader.start()
            self.assertEqual(read_all(far), there)
            reader.join(PATIENCE)
            self.assertEqual(received, [back])
            for each in senders:
                each.join(PATIENCE)

    def test_who_has_said_all_can_still_hear(self) -> None:
        with line() as (near, far):
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(far.recv(1), b"")
            far.sendall(b"late")
            far.close()
            self.assertEqual(read_all(near), b"late")
