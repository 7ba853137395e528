"""Questions to one server that are asked at nearly the same time, gathered into calls that carry several.

A call costs both sides as much as what a small file needs besides, so files that travel at the same time share calls. The first
question leaves at once: nobody waits who is alone. Those that come while it is unanswered wait for the answer, but no longer than
`PATIENCE_SECONDS`, which is about what busy servers near by need to answer. For one that is far away, as its quickest answer shows,
they wait only for those who come right behind.
Used by lafs/grid/foolscap_server.py.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Final, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

from lafs.errors import ServerError
from lafs.protocol.remote_interfaces import MOST_FILES
from lafs.tasks import Clock, Timer, forget

Q = TypeVar("Q")
A = TypeVar("A")

PATIENCE_SECONDS: Final = 0.02
FAR_PATIENCE_SECONDS: Final = 0.003
MOST_BYTES: Final = 256 * 1024
"""Bytes that a call of several questions may carry, or bring back, as far as can be told before."""


@define(eq=False)
class _Asked(Generic[Q, A]):
    question: Q
    size: int
    answer: Deferred[A] = field(factory=Deferred)


class Gathering(Generic[Q, A]):
    """Asks by `send`, which is given questions and returns as many answers, or errors in their places. On the reactor thread."""

    def __init__(self, send: Callable[[Sequence[Q]], Awaitable[Sequence[A | ServerError]]], clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._waiting: list[_Asked[Q, A]] = []
        self._patience: Timer | None = None
        """Runs while questions wait for the answer to the latest call."""
        self._quickest = inf

    def ask(self, question: Q, size: int) -> Deferred[A]:
        """The answer to `question`, which carries or brings `size` bytes. Fails with what `send` raises, or has in its place."""
        asked: _Asked[Q, A] = _Asked(question, size)
        self._waiting.append(asked)
        if self._patience is None or len(self._waiting) == MOST_FILES or self._bytes_waiting() > MOST_BYTES:
            self._leave()
        return asked.answer

    def _bytes_waiting(self) -> int:
        return sum(each.size for each in self._waiting)

    def _leave(self) -> None:
        """Send what waits, and let the next wait for its answer."""
        leaving = [each for each in self._waiting if not each.answer.called]  # Some may have been cancelled.
        self._waiting = []
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if leaving:
            patience = PATIENCE_SECONDS if self._quickest <= PATIENCE_SECONDS else FAR_PATIENCE_SECONDS
            self._patience = self._clock.callLater(patience, self._lose_patience)
            forget(self._call(leaving, self._patience))

    def _lose_patience(self) -> None:
        self._patience = None
        self._leave()

    async def _call(self, asked: Sequence[_Asked[Q, A]], patience: Timer) -> None:
        answers: Sequence[A | Exception]
        began = self._clock.seconds()
        try:
            answers = await self._send([each.question for each in asked])
            self._quickest = min(self._quickest, self._clock.seconds() - began)
        except Exception as error:
            answers = [error] * len(asked)
        if self._patience is patience:
            self._leave()
        for each, answer in zip(asked, answers, strict=True):
            if each.answer.called:
                continue
            if isinstance(answer, Exception):
                each.answer.errback(answer)
            else:
                each.answer.callback(answer)
