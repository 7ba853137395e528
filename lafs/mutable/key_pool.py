"""Fresh RSA keys, made ahead in the worker threads, so that whoever makes a directory does not wait for one.

Nothing is made before the first key is asked for, or `prepare` is called; from then on a few are kept ready, more after they have
run out.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.python.failure import Failure

from lafs.crypto.rsa import PrivateKey
from lafs.tasks import spawn
from lafs.workers import Workers

FEWEST: Final = 4
MOST: Final = 32
"""Keys kept ready."""


class KeyPool:
    """Gives out each key once. `generate` makes one; tests bring their own."""

    def __init__(self, workers: Workers, generate: Callable[[], PrivateKey] = PrivateKey.generate) -> None:
        self._workers = workers
        self._generate = generate
        self._ready: deque[PrivateKey] = deque()
        self._size = 0
        self._making = False

    async def take(self) -> PrivateKey:
        """A key that nobody else has."""
        if self._ready:
            key = self._ready.popleft()
        else:
            self._size = min(2 * self._size, MOST) if self._size else FEWEST
            key = await self._workers.run(self._generate)
        self.prepare()
        return key

    def prepare(self) -> None:
        """See that keys will be ready."""
        self._size = self._size or FEWEST
        if not self._making and len(self._ready) < self._size:
            self._making = True
            # One at a time: the other worker threads are for those who are waiting.
            spawn(self._workers.run(self._generate)).addCallbacks(self._keep, self._stop)

    def _keep(self, key: PrivateKey) -> None:
        self._ready.append(key)
        self._making = False
        self.prepare()

    def _stop(self, _: Failure) -> None:
        self._making = False
