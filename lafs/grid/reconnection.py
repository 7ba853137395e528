"""One connection kept up: tried, used, lost, and tried again after a pause that grows with every failure.

Used for every storage server and every introducer. Knows nothing of Foolscap: how to connect, and what to do with a
connection until it is lost, are passed in. Spec: 05 §12.2.

    unstarted --start--> connecting --connected--> in use --lost--> waiting --pause over--> connecting
                             |                        |                ^
                             +-------- failed --------+----------------+
"""
from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lafs.tasks import Clock, sleep, spawn

C = TypeVar("C")

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 600.0
"""Seconds. The peer waits up to an hour; a laptop that wakes up should not."""
GROWTH: Final = math.e
JITTER: Final = 0.12
"""Parts of a pause that chance decides, so that a thousand clients do not come back to a server in the same second."""


class State(Enum):
    """Where in its life a connection is."""

    UNSTARTED = "unstarted"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"


class Reconnection(Generic[C]):
    """Keeps one connection up between `start` and `stop`. Cannot be started again.

    `connect` makes a connection or raises. `use` is run with it, and returns when it is lost; if it raises, the
    connection was of no use, which counts as a failure to connect. `failed` is told of each failure. `random` gives
    numbers in [0, 1).
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[C]],
        use: Callable[[C], Awaitable[None]],
        *,
        clock: Clock,
        random: Callable[[], float],
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._use = use
        self._clock = clock
        self._random = random
        self._failed = failed
        self._pause = FIRST_PAUSE
        self._running: Deferred[Any] | None = None
        self._last_attempt = 0.0
        self._next_attempt = 0.0
        self._stopped = False
        self.state = State.UNSTARTED

    def start(self) -> None:
        """Try at once, and go on until `stop`. Harmless when called twice."""
        if self._running is None:
            self._running = spawn(self._run())
            self._running.addErrback(_ended)

    def stop(self) -> None:
        """Give up: what was begun is cancelled, `use` included. Harmless when called twice."""
        self._stopped = True
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        self.state = State.UNSTARTED

    def describe(self) -> str:
        """For people, as long as there is no connection that is of use."""
        if self.state in (State.CONNECTING, State.CONNECTED):
            return "Trying to connect"
        if self.state is State.WAITING:
            now = self._clock.seconds()
            seconds, ago = max(0, round(self._next_attempt - now)), max(0, round(now - self._last_attempt))
            return f"Reconnecting in {seconds} seconds (last attempt {ago}s ago)"
        return str(self.state.value)

    async def _run(self) -> None:
        while True:
            self.state = State.CONNECTING
            self._last_attempt = self._clock.seconds()
            try:
                await self._attempt()
            except Exception as error:
                if self._stopped:
                    return
                self._failed(error)
                pause, self._pause = self._pause, min(self._pause * GROWTH, LONGEST_PAUSE)
            else:
                pause = self._pause = FIRST_PAUSE
            if self._stopped:
                return
            pause *= 1 + JITTER * (2 * self._random() - 1)
            self.state = State.WAITING
            self._next_attempt = self._clock.seconds() + pause
            await sleep(pause, self._clock)

    async def _attempt(self) -> None:
        connection = await self._connect()
        self.state = State.CONNECTED
        await self._use(connection)


def _ended(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure


