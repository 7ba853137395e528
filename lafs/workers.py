"""Where work proportional to bytes is done: a pool of threads, so that the reactor never waits for a disk or a hash.

The primitives that matter (SHA-256, AES, zfec, file reads and writes, fsync) release the GIL, so a pool as large as the
machine's cores uses all of them. Tests and the simulation use `InlineWorkers`: at once, in order and on one thread.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

P = ParamSpec("P")
T = TypeVar("T")

SMALL = 32 * 1024
"""Work over fewer bytes than this costs less than handing it to another thread."""


@frozen
class _Errand:
    result: Deferred[Any]
    work: Callable[[], Any]


class Workers(Protocol):
    """Runs plain functions away from the reactor thread."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result (or exception) of `work(*args, **kwargs)`. Cancelling does not stop work that has begun."""
        ...

    async def run_sized(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `run`, for pure computation over `size` bytes: done right here when that is cheaper than a thread."""
        ...


class ThreadWorkers:
    """Workers on threads of their own. `stop` must be called before the process ends.

    Leaner than the reactor's own pool, since small files cost a few such errands each: nothing but the errand goes to a thread, and
    all results that are ready go back to the reactor on one waking.
    """

    def __init__(self, reactor: IReactorFromThreads, threads: int, name: str = "workers") -> None:
        self._reactor = reactor
        self._most = threads
        self._name = name
        self._threads: list[Thread] = []
        self._idle = 0
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        self._done: deque[tuple[Deferred[Any], Any]] = deque()
        self._waking = False

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result: Deferred[T] = Deferred()
        self._errands.put(_Errand(result, partial(work, *args, **kwargs)))
        if len(self._threads) < self._most and self._idle < self._errands.qsize():
            self._threads.append(Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True))
            self._threads[-1].start()
        return await result

    async def run_sized(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if size <= SMALL:
            return work(*args, **kwargs)
        return await self.run(work, *args, **kwargs)

    def stop(self) -> None:
        """Wait for work in progress and end the threads."""
        for _ in self._threads:
            self._errands.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        """What each thread does."""
        while True:
            self._idle += 1
            errand = self._errands.get()
            self._idle -= 1
            if errand is None:
                return
            outcome: Any
            try:
                outcome = errand.work()
            except BaseException:
                outcome = Failure()  # type: ignore[no-untyped-call]
            self._done.append((errand.result, outcome))
            del errand, outcome
            if not self._waking:
                self._waking = True
                self._reactor.callFromThread(self._deliver)

    def _deliver(self) -> None:
        # Cleared first: a thread that finds it set has left its result before this looks for the last time.
        self._waking = False
        while self._done:
            result, outcome = self._done.popleft()
            if not result.called:  # Whoever waited may have been cancelled.
                result.callback(outcome)


class InlineWorkers:
    """Workers that do the work at once, in the calling thread: deterministic, for tests."""

    async def run(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return work(*args, **kwargs)

    async def run_sized(self, size: int, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return work(*args, **kwargs)
