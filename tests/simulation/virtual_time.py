"""A clock that jumps: time passes only when nothing can happen before the next timer.

Everything of a simulated grid waits on one `VirtualTime`, so an hour of waiting costs nothing, a bound on waiting is
exact, and "waits for ever" is something a test can see: work is outstanding and no timer is left. Used by
`tests/memory_grid.py` and `world.py`.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from lafs.tasks import spawn

T = TypeVar("T")

STEPS_WITHOUT_PROGRESS = 100_000
"""So many timers at one instant are a loop that waits for nothing."""


class WaitsForEver(AssertionError):
    """Work is outstanding, and nothing is left that could finish it; or it is not finished when its time is up."""


class VirtualTime(Clock):
    """A Clock that runs itself, one timer after the other."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rightNow = start

    def step(self) -> None:
        """Jump to the next timer and run it."""
        call = self.calls.pop(0)
        self.rightNow = max(self.rightNow, call.getTime())
        call.called = 1
        call.func(*call.args, **call.kw)
        self._sortCalls()

    def run(self, work: Awaitable[T], limit_seconds: float = 3600.0) -> T:
        """The result of `work`, which must come within `limit_seconds` of virtual time; else raises `WaitsForEver`."""
        outcome: list[T | Failure] = []
        running = spawn(work)
        running.addBoth(outcome.append)
        self.run_until(lambda: bool(outcome), limit_seconds)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]  # type: ignore[return-value]

    def run_until(self, satisfied: Callable[[], bool], limit_seconds: float = 3600.0) -> None:
        """Let time pass until `satisfied()`, and no longer than `limit_seconds`; else raises `WaitsForEver`."""
        deadline = self.rightNow + limit_seconds
        steps_now = 0
        while not satisfied():
            if not self.calls:
                raise WaitsForEver(f"at {self.rightNow:g} s: work outstanding, and no timer that could wake it")
            if self.calls[0].getTime() > deadline:
                raise WaitsForEver(f"not finished after {limit_seconds:g} s of virtual time")
            before = self.rightNow
            self.step()
            steps_now = steps_now + 1 if self.rightNow == before else 0
            if steps_now > STEPS_WITHOUT_PROGRESS:
                raise WaitsForEver(f"at {self.rightNow:g} s: {steps_now} timers without any time passing")

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass, and run all that falls due in them."""
        end = self.rightNow + seconds
        while self.calls and self.calls[0].getTime() <= end:
            self.step()
        self.rightNow = end


@implementer(IReactorTime)
class TenantClock:
    """The clock as one process of the simulation sees it: its timers are known, and die with it."""

    def __init__(self, time: VirtualTime) -> None:
        self._time: Clock = time
        self._calls: list[DelayedCall] = []
        self.on_evict: list[Callable[[], None]] = []
        """Called when the process has ended, to let those go who would wait in it for ever."""

    def seconds(self) -> float:
        return self._time.seconds()

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> DelayedCall:
        call = self._time.callLater(delay, callable, *args, **kw)
        assert isinstance(call, DelayedCall)
        if len(self._calls) > 64:
            self._calls = self.getDelayedCalls()
        self._calls.append(call)
        return call

    def getDelayedCalls(self) -> list[DelayedCall]:
        """The timers of this process that are still to fire."""
        return [call for call in self._calls if call.active()]

    def evict(self) -> None:
        """End the process: none of its timers, present or future, ever fires."""
        for call in self.getDelayedCalls():
            call.cancel()
        ended = Clock()  # type: ignore[no-untyped-call]
        ended.rightNow = self._time.seconds()
        self._time = ended
        waiting, self.on_evict = self.on_evict, []
        for release in waiting:
            release()
