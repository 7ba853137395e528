"""Turns: for each key one piece of work at a time, in the order of asking; different keys at once. On the reactor thread.

Used by the share store, for each call that concerns one file. Leaner than a `Lane` for each key, since most find nobody else there.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@define(eq=False)
class _Line:
    """Somebody is at work, or is just being let in; these wait."""

    waiting: deque[Deferred[None]] = field(factory=deque)
    busy: bool = True
    admitting: bool = False


class Turns(Generic[K]):
    """Whoever has begun must not be cancelled: see `uncancelled`."""

    def __init__(self) -> None:
        self._lines: dict[K, _Line] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, begun when all that was asked for `key` before is over, whether it failed or not."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        else:
            turn: Deferred[None] = Deferred()
            line.waiting.append(turn)
            await turn
        try:
            return await work()
        finally:
            self._leave(key, line)

    async def idle(self) -> None:
        """Return when all that was asked so far is over."""
        for key in list(self._lines):
            await self.run(key, _nothing)

    def _leave(self, key: K, line: _Line) -> None:
        line.busy = False
        if line.admitting:
            return  # Work that ended at once, within the loop below: thousands of them must not pile up on the stack.
        line.admitting = True
        while line.waiting and not line.busy:
            line.busy = True
            line.waiting.popleft().callback(None)
        line.admitting = False
        if not line.busy:
            del self._lines[key]


async def _nothing() -> None:
    pass
