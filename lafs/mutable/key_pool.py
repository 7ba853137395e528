"""Fresh RSA keys, made ahead, so that whoever makes a directory does not wait for one.

Nothing is made before the first key is asked for, or `prepare` is called; from then on some are kept ready, more after they have
been taken quickly. A key costs a tenth of a second of a processor: with a clock to go by, they are made some time after the last
was taken, not while a tree of directories is being copied; sooner only when few are left.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.python.failure import Failure

from lafs.crypto.rsa import PrivateKey
from lafs.tasks import Clock, Timer, spawn
from lafs.workers import Workers

FEWEST: Final = 16
MOST: Final = 64
"""Keys kept ready."""

LOW: Final = 4
"""With fewer left, the next are made at once."""

QUIET_SECONDS: Final = 5.0
"""So long after the last key was taken, the next ones are made."""


class KeyPool:
    """Gives out each key once. `generate` makes one; tests bring their own. Without a `clock`, what is missing is made at once."""

    def __init__(
        self,
        workers: Workers,
        generate: Callable[[], PrivateKey] = PrivateKey.generate,
        clock: Clock | None = None,
    ) -> None:
        self._workers = workers
        self._generate = generate
        self._clock = clock
        self._ready: deque[PrivateKey] = deque()
        self._size = 0
        self._making = False
        self._quiet: Timer | None = None

    async def take(self) -> PrivateKey:
        """A key that nobody else has."""
        if self._ready:
            key = self._ready.popleft()
        else:
            self._size = min(2 * self._size, MOST) if self._size else FEWEST
            key = await self._workers.run(self._generate)
        self._wait_for_quiet()
        return key

    def prepare(self) -> None:
        """See that keys will be ready."""
        self._size = self._size or FEWEST
        if not self._making and len(self._ready) < self._size:
            self._making = True
            # One at a time: the other worker threads are for those who are waiting.
            spawn(self._workers.run(self._generate)).addCallbacks(self._keep, self._stop)

    def stop(self) -> None:
        """Make no more."""
        self._size = -1
        self._forget_timer()

    def _wait_for_quiet(self) -> None:
        if self._clock is None or len(self._ready) < min(LOW, self._size):
            self.prepare()
            return
        self._forget_timer()
        self._quiet = self._clock.callLater(QUIET_SECONDS, self.prepare)

    @property
    def _waits_for_quiet(self) -> bool:
        return self._quiet is not None and self._quiet.active()

    def _forget_timer(self) -> None:
        if self._quiet is not None and self._quiet.active():
            self._quiet.cancel()

    def _keep(self, key: PrivateKey) -> None:
        self._ready.append(key)
        self._making = False
        if not self._waits_for_quiet or len(self._ready) < min(LOW, self._size):
            self.prepare()

    def _stop(self, _: Failure) -> None:
        self._making = False
