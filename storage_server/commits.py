"""Commits to the journal, gathered into batches: whoever asks while one batch is being synced shares the next.

The reactor's side of `journal.py`, used by the share store. Also decides when to close a journal: when it has grown large,
or some time after its first commit.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lafs.errors import ServerError
from lafs.tasks import Clock, Timer, forget, spawn
from lafs.workers import Workers
from storage_server.edits import Planned
from storage_server.failures import as_server_error, reason_for_log
from storage_server.journal import Journal

T = TypeVar("T")

CHECKPOINT_SIZE: Final = 64 * 1024 * 1024
CHECKPOINT_SECONDS: Final = 30

log = Logger()


class Commits:
    """Makes changes to share files certain. All methods on the reactor thread."""

    def __init__(self, journal: Journal, workers: Workers, clock: Clock) -> None:
        self._journal = journal
        self._workers = workers
        self._clock = clock
        self._waiting: list[tuple[Callable[[], Planned[Any]], Deferred[Any]]] = []
        self._wanting_catch_up: list[tuple[str, Deferred[None]]] = []
        self._wanting_checkpoint: list[Deferred[None]] = []
        self._running = False
        self._closing: Deferred[None] | None = None
        self._timer: Timer | None = None

    async def commit(self, plan: Callable[[], Planned[T]]) -> T:
        """Make all the changes that `plan` comes to in one bucket, or none, and return its result.

        `plan` looks at the bucket in the worker that then writes the changes down: one errand does for both. When this returns
        the changes are made, and survive a crash. No two commits at a time may change the same share. Raises what `plan`
        raises, as a ServerError, and NoSpace or ServerError: either nothing was changed, or the disk failed when the changes
        were certain already, and the bucket wants `catch_up` first.
        """
        turn: Deferred[T] = Deferred(lambda _: None)
        self._waiting.append((plan, turn))
        return await self._await_turn(turn)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """What is asked within is begun at its end: commits that are wanted at the same time share a batch from the first."""
        if self._running:
            yield
            return
        self._running = True
        try:
            yield
        finally:
            self._running = False
            self._begin()

    @property
    def are_behind(self) -> bool:
        """Whether there may be anything to `catch_up` with, of any bucket."""
        return self._journal.is_behind or not self._journal.believed

    async def catch_up(self, bucket: str) -> None:
        """Before anything is done with `bucket`: carry out what the disk refused last time. Raises ServerError."""
        if self._journal.is_doubtful(bucket):
            await self.checkpoint()
        if self._journal.is_stuck(bucket):
            turn: Deferred[None] = Deferred(lambda _: None)
            self._wanting_catch_up.append((bucket, turn))
            await self._await_turn(turn)

    def remember(self, path: str) -> bool:
        """Whether a journal has changes of the file at `path`, and would make them again after a crash."""
        return self._journal.concerns(path)

    async def settle(self, path: str) -> None:
        """Before the file at `path` is replaced or removed by other means: no journal shall remember it."""
        if self.remember(path):
            await self.checkpoint()
        if self.remember(path):
            raise ServerError("the server's disk has not taken all changes to this file yet")

    async def checkpoint(self) -> None:
        """Return when share files durably hold all that was committed, and no journal is left. Raises ServerError.

        But for buckets whose changes the disk refuses: those are stuck, and in a journal of their own.
        """
        turn: Deferred[None] = Deferred(lambda _: None)
        self._wanting_checkpoint.append(turn)
        await self._await_turn(turn)

    async def stop(self) -> None:
        """A last checkpoint. Raises ServerError; then the next start recovers."""
        try:
            await self.checkpoint()
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def _await_turn(self, turn: Deferred[T]) -> T:
        self._begin()
        return await turn

    def _begin(self) -> None:
        if not self._running:
            self._running = True
            spawn(self._work_off())

    async def _work_off(self) -> None:
        """The only place that calls into the journal, one call at a time; but for the closing of an old one, beside it."""
        while self._waiting or self._wanting_checkpoint or self._wanting_catch_up:
            stuck, self._wanting_catch_up = self._wanting_catch_up, []
            for bucket, turn in stuck:
                _answer(turn, await self._attempt(self._journal.catch_up, bucket))
            if self._wanting_checkpoint or not self._journal.believed:
                await self._start_over()
            batch, self._waiting = self._waiting, []
            if batch:
                await self._write(batch)
            if self._journal.size > CHECKPOINT_SIZE:
                self._close_journal()
        self._running = False

    async def _start_over(self) -> None:
        wanting, self._wanting_checkpoint = self._wanting_checkpoint, []
        if self._closing is not None:
            await self._closing
        failure = await self._attempt(self._journal.start_over)
        for turn in wanting:
            _answer(turn, failure)

    async def _write(self, batch: Sequence[tuple[Callable[[], Planned[Any]], Deferred[Any]]]) -> None:
        outcomes: Sequence[Planned[Any] | Exception]
        if not self._journal.believed:
            outcomes = [ServerError("the server's disk cannot be relied on")] * len(batch)
        else:
            try:
                outcomes = await self._workers.run(self._journal.write, [plan for plan, _ in batch])
            except Exception as error:
                outcomes = [error] * len(batch)
        if self._timer is None:
            self._timer = self._clock.callLater(CHECKPOINT_SECONDS, self._close_journal_in_time)
        for (_, turn), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Planned):
                _answer(turn, None, outcome.result)
                continue
            if not isinstance(outcome, ServerError):
                log.error("Changes could not be committed: {reason}", reason=reason_for_log(outcome))
            _answer(turn, as_server_error(outcome))

    def _close_journal_in_time(self) -> None:
        self._timer = None
        if self._running:
            # In the midst of a batch: the journal is not ours to touch. It will not be worse for a few seconds more.
            self._timer = self._clock.callLater(1, self._close_journal_in_time)
        else:
            self._close_journal()

    def _close_journal(self) -> None:
        """Begin to close the journal, unless the one before is not closed yet."""
        if self._closing is not None:
            return
        if self._journal.begin_closing():
            self._closing = Deferred()
            spawn(self._finish_closing(self._closing))
        elif self._journal.is_behind:
            forget(self.checkpoint())

    async def _finish_closing(self, closed: Deferred[None]) -> None:
        failure = await self._attempt(self._journal.finish_closing)
        self._closing = None
        closed.callback(None)
        if failure is not None:
            forget(self.checkpoint())

    async def _attempt(self, work: Callable[..., None], *arguments: str) -> ServerError | None:
        try:
            await self._workers.run(work, *arguments)
        except Exception as error:
            log.error("Committed changes could not be carried out: {reason}", reason=reason_for_log(error))
            return as_server_error(error)
        return None


def _answer(turn: Deferred[Any], failure: ServerError | None, result: object = None) -> None:
    if turn.called:
        return  # Whoever asked was cancelled meanwhile.
    if failure is None:
        turn.callback(result)
    else:
        turn.errback(failure)
