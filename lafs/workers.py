"""Where work proportional to bytes is done: a pool of threads, so that the reactor never waits for a disk or a hash.

The primitives that matter (SHA-256, AES, zfec, file reads and writes, fsync) release the GIL, so a pool as large as the
machine's cores uses all of them. Tests and the simulation use `InlineWorkers`: at once, in order and on one thread.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")

SMALL = 32 * 1024
"""Work over fewer bytes than this costs less than handing it to another thread."""


class Workers(Protocol):
    """Runs plain functions away from the reactor thread."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result (or exception) of `work(*args, **kwargs)`. Cancelling does not stop work that has begun."""
        ...

    async def run_sized(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `run`, for pure computation over `size` bytes: done right here when that is cheaper than a thread."""
        ...


class ThreadWorkers:
    """Workers on a thread pool of the reactor. `stop` must be called before the process ends."""

    def __init__(self, reactor: IReactorFromThreads, threads: int, name: str = "workers") -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name=name)
        self._pool.start()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        running: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work, *args, **kwargs)
        return await running

    async def run_sized(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if size <= SMALL:
            return work(*args, **kwargs)
        return await self.run(work, *args, **kwargs)

    def stop(self) -> None:
        """Wait for work in progress and end the threads."""
        self._pool.stop()


class InlineWorkers:
    """Workers that do the work at once, in the calling thread: deterministic, for tests."""

    async def run(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return work(*args, **kwargs)

    async def run_sized(self, size: int, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return work(*args, **kwargs)
