"""Waiting for several things at once: the few verbs that `async def` code needs on top of Twisted's Deferred.

Every verb here cancels what it started when it is itself cancelled, so that a closed browser tab ends its download
down to the last question in flight. The clock is always passed in.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Generic, Protocol, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lafs.errors import TimedOut

T = TypeVar("T")


class Timer(Protocol):
    """A call that is going to be made."""

    def active(self) -> bool: ...

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The time, and calls at a later one: the reactor, or a clock that a test advances by hand."""

    def seconds(self) -> float:
        """Seconds since some fixed moment; for the reactor, since the epoch."""
        ...

    def callLater(self, delay: float, work: Callable[..., object], *args: Any) -> Timer: ...


def spawn(work: Awaitable[T]) -> Deferred[T]:
    """Start `work` now, and return the Deferred of its result. Cancelling that Deferred cancels the work."""
    if isinstance(work, Deferred):
        return work
    return Deferred.fromCoroutine(cast("Coroutine[Deferred[Any], Any, T]", work))


def forget(work: Awaitable[object]) -> Deferred[None]:
    """Start `work` whose result and failure interest nobody (a best-effort abort, a report)."""
    return spawn(work).addCallbacks(lambda _: None, lambda _: None)


def uncancelled(work: Awaitable[T]) -> Deferred[T]:
    """Start `work`, which goes on to its end even when the one who waits for it is cancelled.

    For work that must not be left half done, or that holds a place in a `Lane` which nobody else may enter meanwhile.
    """
    copy: Deferred[T] = Deferred(lambda _: None)

    def finish(outcome: T | Failure) -> None:
        if copy.called:
            return  # Cancelled: nobody waits for the outcome any more.
        if isinstance(outcome, Failure):
            copy.errback(outcome)
        else:
            copy.callback(outcome)

    spawn(work).addBoth(finish)
    return copy


async def settle(works: Iterable[Awaitable[T]]) -> list[T | Failure]:
    """Run `works` together and wait for all: results or Failures, in order. Never raises but when cancelled."""
    running = [spawn(work) for work in works]
    left = len(running)
    outcomes: list[Any] = [None] * left
    done: Deferred[None] = Deferred(lambda _: cancel())
    if not running:
        return outcomes

    def cancel() -> None:
        # What is cancelled comes to an end right here; that must not look like everything having ended by itself.
        nonlocal left
        left = 0
        _cancel_all(running)

    def finish(outcome: T | Failure, index: int) -> None:
        nonlocal left
        outcomes[index] = outcome
        left -= 1
        if not left and not done.called:
            done.callback(None)

    for index, each in enumerate(running):
        each.addBoth(finish, index)
    await done
    return outcomes


def _cancel_all(running: Iterable[Deferred[T]]) -> None:
    for each in running:
        each.cancel()


async def gather(works: Iterable[Awaitable[T]]) -> list[T]:
    """Run `works` together: all results, in order. The first failure cancels the others and is raised."""
    running = [spawn(work) for work in works]
    left = len(running)
    results: list[Any] = [None] * left
    done: Deferred[None] = Deferred(lambda _: _cancel_all(running))
    if not running:
        return results

    def succeed(result: T, index: int) -> None:
        nonlocal left
        results[index] = result
        left -= 1
        if not left and not done.called:
            done.callback(None)

    def fail(failure: Failure) -> None:
        if not done.called:
            done.errback(failure)
            _cancel_all(running)

    for index, each in enumerate(running):
        each.addCallbacks(succeed, fail, callbackArgs=(index,))
    await done
    return results


async def within(seconds: float, clock: Clock, work: Awaitable[T]) -> T:
    """The result of `work`, if it comes within `seconds`; else `work` is cancelled and `TimedOut` raised."""
    running = spawn(work)
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        running.cancel()

    timer = clock.callLater(seconds, expire)
    try:
        return await running
    except CancelledError:
        if expired:
            raise TimedOut(f"no answer within {seconds:g} seconds") from None
        raise
    finally:
        if timer.active():
            timer.cancel()


async def sleep(seconds: float, clock: Clock) -> None:
    """Wait `seconds` on `clock`."""
    awake: Deferred[None] = Deferred(lambda _: timer.cancel())
    timer = clock.callLater(seconds, awake.callback, None)
    await awake


class Mailbox(Generic[T]):
    """Letters from many senders to one reader, in order of arrival; sending never waits.

    The reader of a mailbox is the one place where a piece of concurrent work makes its decisions: answers, failures and
    timers all post a letter, and the loop that reads them owns the state, so nothing needs a lock.
    """

    def __init__(self) -> None:
        self._letters: deque[T] = deque()
        self._reader: Deferred[T] | None = None

    def post(self, letter: T) -> None:
        """Leave `letter`; wakes the reader if it waits."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.callback(letter)
        else:
            self._letters.append(letter)

    def __len__(self) -> int:
        return len(self._letters)

    async def take(self) -> T:
        """The next letter; waits for one. Only one reader may wait at a time."""
        if self._letters:
            return self._letters.popleft()
        assert self._reader is None, "a mailbox has one reader"
        waiting: Deferred[T] = Deferred(self._forget_reader)
        self._reader = waiting
        return await waiting

    def _forget_reader(self, _: object) -> None:
        self._reader = None


class Window:
    """A bounded number of units (bytes, jobs) in flight. Takers wait in order of arrival.

    A request larger than the whole window is let through when the window is empty, so it can never deadlock.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.in_flight = 0
        self._waiting: deque[tuple[int, Deferred[None]]] = deque()

    async def take(self, units: int = 1) -> None:
        """Wait until `units` fit, and count them as in flight."""
        if not self._waiting and self._fits(units):
            self.in_flight += units
            return
        turn: Deferred[None] = Deferred(self._forget)
        self._waiting.append((units, turn))
        await turn

    def give_back(self, units: int = 1) -> None:
        """End the flight of `units`; lets in as many waiters as now fit."""
        self.in_flight -= units
        self._admit()

    def _fits(self, units: int) -> bool:
        return self.in_flight == 0 or self.in_flight + units <= self.size

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            units, turn = self._waiting.popleft()
            self.in_flight += units
            turn.callback(None)

    def _forget(self, turn: Deferred[None]) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not turn)
        # The one that left may have been blocking smaller ones behind it; let them in once its cancellation is through.
        self._admit()


class Lane:
    """Pieces of work done strictly one after the other, in the order they were submitted, even if one fails."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], Awaitable[Any]], Deferred[Any]]] = deque()
        self._running: Deferred[Any] | None = None
        self._current: Deferred[Any] | None = None
        self._busy = False

    def submit(self, work: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Run `work()` once everything submitted before is finished. Returns the Deferred of its result.

        Cancelling that takes the work out of the lane, or cancels it if it has begun; the next waits for its end.
        """
        result: Deferred[T] = Deferred(self._cancel)
        self._waiting.append((work, result))
        if not self._busy:
            self._busy = True
            spawn(self._work_off())
        return result

    async def idle(self) -> None:
        """Return when everything submitted so far is finished."""
        await self.submit(_nothing)

    async def _work_off(self) -> None:
        # A loop, not a chain of callbacks: thousands of small pieces may wait behind a slow one.
        while self._waiting:
            work, result = self._waiting.popleft()
            if result.called:
                continue
            self._current, self._running = result, spawn(work())
            outcome: Any = None
            try:
                outcome = await self._running
            except Exception:
                outcome = Failure()  # type: ignore[no-untyped-call]
            self._current = self._running = None
            if not result.called:
                result.callback(outcome)
        self._busy = False

    def _cancel(self, result: Deferred[Any]) -> None:
        if self._running is not None and result is self._current:
            self._running.cancel()


async def _nothing() -> None:
    pass
