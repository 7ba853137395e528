"""Slow operations that go on behind the requests that started them, each under a handle that its client chose. Spec: 04 §13.

    start -> running -> finished -> (time is up, released, cancelled, or too much is kept) -> forgotten

The memory that finished operations take is bounded: those that finished first are forgotten first.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from frontends.web.errors import Refusal
from lafs.tasks import Clock, Timer, spawn

DAY: Final = 86400

KEPT_UNSEEN_SECONDS: Final = 4 * DAY
"""How long the results of an operation are kept that nobody asks for; longer if it took longer."""

KEPT_SEEN_SECONDS: Final = DAY
"""How long they are kept once somebody has."""

LONGEST_SECONDS: Final = 3650 * DAY

MOST_RUNNING: Final = 50
MOST_KEPT: Final = 500
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of results of one operation,"""
LARGEST_TOGETHER: Final = 256 * 1024 * 1024
"""and of all that are kept, roughly; those that go on may have as much again."""

LONGEST_HANDLE: Final = 1000


class Operation:
    """Something slow. `run` does it, once, and updates what it has found so far, so that progress can be shown."""

    def __init__(self) -> None:
        self.finished = False
        self.failure: BaseException | None = None
        """Why it ended before it was done."""
        self.weight = 0
        """Bytes of what it has found, roughly."""
        self.has_room: Callable[[int], bool] = lambda size: True
        """Told of each growth; whether there is room for it beside all other operations."""

    async def run(self) -> None:
        raise NotImplementedError

    def grow(self, size: int) -> None:
        """Count `size` bytes of results. Raises Refusal if they are too many to be kept."""
        self.weight += size
        if not self.has_room(size) or self.weight > LARGEST:
            raise Refusal(413, "There are too many results to be kept here. Ask for a stream instead: t=stream-manifest or "
                               "t=stream-deep-check.")  # fmt: skip


@define(eq=False)
class _Entry:
    operation: Operation
    started: float
    work: Deferred[None]
    timer: Timer | None = None


class Operations:
    """All operations of a gateway, by handle."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._running: set[Deferred[None]] = set()
        self._held = 0

    def start(self, handle: str, operation: Operation, retain_seconds: int | None) -> None:
        """Run `operation` as `handle`. One that has the handle already loses it, and goes on unseen. Raises Refusal."""
        if len(handle) > LONGEST_HANDLE:
            raise Refusal(400, "ophandle= is too long.")
        if len(self._running) >= MOST_RUNNING:
            raise Refusal(503, "Too many slow operations are going on. Wait for some to end, or cancel them.")
        self._forget(handle)
        work: Deferred[None] = Deferred(lambda _: None)
        entry = self._entries[handle] = _Entry(operation, self._clock.seconds(), work)
        if retain_seconds is not None:
            self._keep_for(handle, entry, retain_seconds)
        operation.has_room = self._has_room
        entry.work = work = spawn(operation.run())
        self._running.add(work)
        work.addBoth(self._ended, handle, entry, work)

    def get(self, handle: str, retain_seconds: int | None = None, release: bool = False) -> Operation:
        """The operation, looked at by its client: that decides how long it is kept on. Raises Refusal if there is none."""
        entry = self._entries.get(handle)
        if entry is None:
            raise Refusal(404, f"unknown/expired handle '{handle}'")
        over = entry.operation.finished or entry.operation.failure is not None
        if over and release:
            self._forget(handle)
        elif retain_seconds is not None:
            self._keep_for(handle, entry, retain_seconds)
        elif over:
            self._keep_for(handle, entry, KEPT_SEEN_SECONDS)
        return entry.operation

    def cancel(self, handle: str) -> None:
        """Stop the operation, and forget it."""
        entry = self._entries.get(handle)
        self._forget(handle)
        if entry is not None:
            entry.work.cancel()

    def stop(self) -> None:
        """Stop and forget everything."""
        for handle in list(self._entries):
            self._forget(handle)
        for work in list(self._running):
            work.cancel()

    # --- within ---------------------------------------------------------------------------------------------------

    def _ended(self, outcome: Failure | None, handle: str, entry: _Entry, work: Deferred[None]) -> None:
        self._running.discard(work)
        operation = entry.operation
        if isinstance(outcome, Failure):
            cancelled = isinstance(outcome.value, CancelledError)
            operation.failure = Refusal(410, "The operation was cancelled.") if cancelled else outcome.value
        else:
            operation.finished = True
        if self._entries.get(handle) is not entry:
            self._held -= operation.weight
        else:
            if entry.timer is None:
                self._keep_for(handle, entry, max(KEPT_UNSEEN_SECONDS, self._clock.seconds() - entry.started))
            self._make_room()

    def _make_room(self) -> None:
        """Forget what was finished first, as long as too much is kept."""
        over = [handle for handle, entry in self._entries.items() if entry.work not in self._running]
        for handle in over[:-1]:
            if len(self._entries) <= MOST_KEPT and self._held <= LARGEST_TOGETHER:
                break
            self._forget(handle)

    def _has_room(self, size: int) -> bool:
        self._held += size
        return self._held <= 2 * LARGEST_TOGETHER

    def _keep_for(self, handle: str, entry: _Entry, seconds: float) -> None:
        if entry.timer is not None and entry.timer.active():
            entry.timer.cancel()
        entry.timer = self._clock.callLater(seconds, self._forget, handle)

    def _forget(self, handle: str) -> None:
        entry = self._entries.pop(handle, None)
        if entry is None:
            return
        if entry.timer is not None and entry.timer.active():
            entry.timer.cancel()
        if entry.work not in self._running:
            self._held -= entry.operation.weight
