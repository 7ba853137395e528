"""A long line: a relay of TCP connections on loopback that delivers everything so many milliseconds later, in both directions.

    python -m benchmarks.relay MILLISECONDS PORT...     relays to each PORT of loopback, prints where it listens for each, in order

One process for all servers of a grid. It must not be what the race measures: one thread without locks, bytes received in
large pieces and sent as the same objects, one queue for all connections (everything is delayed alike, so what came first is
due first). It models delay and nothing else: the line has no limit of speed, nothing is lost, connections open at once.
"""
from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import define, field

PIECE = 512 * 1024
"""Bytes that are received at once, at most."""

UNDER_WAY = 64 * 1024 * 1024
"""Bytes that one direction of a connection holds before it stops receiving: more than anybody sends without an answer."""

LOOPBACK = "127.0.0.1"

NEVER = 3600.0


@define(eq=False)
class _End:
    """One of the two sockets of a connection: what arrives at it is sent from `other`."""

    socket: socket.socket
    other: _End = field(init=False)
    overdue: deque[memoryview] = field(factory=deque)
    """What should be sent from here already and finds no room."""
    under_way: int = 0
    """Bytes that arrived here and are not yet sent from `other`."""
    hears: bool = True
    done: bool = False
    """Nothing more will be sent from here."""
    closed: bool = False
    interest: int = 0


@define
class Relay:
    """All connections and the queue."""

    delay_seconds: float
    _poll: select.epoll = field(factory=select.epoll)
    _listeners: dict[int, tuple[socket.socket, int]] = field(factory=dict)
    _ends: dict[int, _End] = field(factory=dict)
    _queue: deque[tuple[float, _End, bytes]] = field(factory=deque)
    """What arrived, and the moment when it is to leave. No bytes: the sender has said that it is done."""

    def listen(self, target: int) -> int:
        """Relay to that port of loopback from now on. Returns the port to connect to."""
        listener = socket.create_server((LOOPBACK, 0), backlog=128)
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener, target
        self._poll.register(listener, select.EPOLLIN)
        return int(listener.getsockname()[1])

    def run(self) -> None:
        """For ever."""
        while True:
            self._wait()
            for number, event in self._poll.poll(0):
                if number in self._listeners:
                    self._accept(*self._listeners[number])
                elif number in self._ends:
                    self._attend(self._ends[number], event)

    def _wait(self) -> None:
        """Until something arrives, delivering what falls due. epoll itself waits whole milliseconds only, select can be exact."""
        while True:
            now = time.monotonic()
            while self._queue and self._queue[0][0] <= now:
                _, end, data = self._queue.popleft()
                self._deliver(end, data)
            patience = self._queue[0][0] - now if self._queue else NEVER
            if select.select([self._poll], [], [], patience)[0]:
                return

    def _accept(self, listener: socket.socket, target: int) -> None:
        near, _ = listener.accept()
        try:
            far = socket.create_connection((LOOPBACK, target))
        except OSError:
            near.close()
            return
        ends = _End(near), _End(far)
        for end, other in zip(ends, reversed(ends), strict=True):
            end.other = other
            end.socket.setblocking(False)
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end.socket.fileno()] = end
            self._poll.register(end.socket, 0)
            self._look(end)

    def _attend(self, end: _End, event: int) -> None:
        if event & select.EPOLLOUT:
            self._send(end)
        if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and end.hears and not end.closed:
            self._receive(end)

    def _receive(self, end: _End) -> None:
        try:
            data = end.socket.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._close(end)
            return
        end.hears = bool(data)
        end.under_way += len(data)
        self._queue.append((time.monotonic() + self.delay_seconds, end, data))
        self._look(end)

    def _deliver(self, end: _End, data: bytes) -> None:
        """Send from the other side of `end`."""
        if end.other.closed:
            return
        end.other.overdue.append(memoryview(data))
        if len(end.other.overdue) == 1:
            self._send(end.other)

    def _send(self, end: _End) -> None:
        try:
            while end.overdue:
                first = end.overdue[0]
                if not first:
                    end.socket.shutdown(socket.SHUT_WR)
                    end.overdue.clear()
                    end.done = True
                    if end.other.done:
                        self._close(end)
                    return
                sent = end.socket.send(first)
                end.other.under_way -= sent
                if sent < len(first):
                    end.overdue[0] = first[sent:]
                else:
                    end.overdue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._close(end)
            return
        self._look(end)
        self._look(end.other)

    def _look(self, end: _End) -> None:
        """Tell the kernel what of this end is of interest now."""
        if end.closed:
            return
        wanted = select.EPOLLIN if end.hears and end.under_way < UNDER_WAY else 0
        if end.overdue:
            wanted |= select.EPOLLOUT
        if wanted != end.interest:
            end.interest = wanted
            self._poll.modify(end.socket, wanted)

    def _close(self, end: _End) -> None:
        for each in (end, end.other):
            if not each.closed:
                each.closed = True
                del self._ends[each.socket.fileno()]
                each.socket.close()


@contextmanager
def relay(delay_seconds: float, targets: Sequence[int]) -> Iterator[Mapping[int, int]]:
    """A relay process before those ports of loopback: port -> port that leads to it over the long line."""
    command = [sys.executable, "-m", "benchmarks.relay", str(delay_seconds * 1000), *map(str, targets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield dict(zip(targets, map(int, process.stdout.readline().split()), strict=True))
        finally:
            process.kill()


def round_trip_seconds(delay_seconds: float, rounds: int = 20) -> float:
    """What a question and its answer take through such a relay when nothing is done with them; the median."""
    taken = []
    with (
        socket.create_server((LOOPBACK, 0)) as server,
        relay(delay_seconds, [server.getsockname()[1]]) as ports,
        socket.create_connection((LOOPBACK, next(iter(ports.values())))) as near,
        server.accept()[0] as far,
    ):
        for _ in range(rounds):
            started = time.perf_counter()
            near.sendall(b"?")
            far.sendall(far.recv(1))
            near.recv(1)
            taken.append(time.perf_counter() - started)
    return sorted(taken)[rounds // 2]


def main() -> None:
    relaying = Relay(float(sys.argv[1]) / 1000)
    print(*(relaying.listen(int(target)) for target in sys.argv[2:]), flush=True)
    relaying.run()


if __name__ == "__main__":
    main()
