"""Edits of one directory on their way into it: those that arrive while a write is in flight go in together with the next.

Made by lafs/directory/known_directory.py, one for each directory of the process, so that a thousand edits cost a few writes and
no two of them ever collide with each other.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lafs.directory.edits import Edit
from lafs.errors import LafsError
from lafs.interfaces import Child
from lafs.tasks import spawn

Outcome = Child | LafsError | None
"""What became of one edit: the child it took out, if any, or why it failed."""

Publish = Callable[[Sequence[Edit]], Awaitable[Sequence[Outcome]]]
"""Writes the directory with some edits applied, and says what became of each. Raises what hindered them all."""


@frozen(eq=False)
class _Waiting:
    edit: Edit
    outcome: Deferred[Outcome] = field(factory=lambda: Deferred(lambda _: None))


class EditQueue:
    """Edits that wait for `publish`, which is called for all that wait, one call at a time."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._waiting: list[_Waiting] = []
        self._publishing = False

    async def submit(self, edit: Edit) -> Child | None:
        """Carry out `edit`: the child it took out, if any. Raises why it failed, whatever becomes of others.

        Cancelling takes back an edit that waits; one that is being written goes in all the same.
        """
        waiting = _Waiting(edit)
        self._waiting.append(waiting)
        if not self._publishing:
            self._publishing = True
            spawn(self._work_off())
        outcome = await waiting.outcome
        if isinstance(outcome, LafsError):
            raise outcome
        return outcome

    async def _work_off(self) -> None:
        while True:
            batch = [each for each in self._waiting if not each.outcome.called]  # the others were cancelled
            self._waiting = []
            if not batch:
                break
            try:
                outcomes: Sequence[Outcome | Failure] = await self._publish([each.edit for each in batch])
            except Exception:
                outcomes = [Failure()] * len(batch)  # type: ignore[no-untyped-call]
            for each, outcome in zip(batch, outcomes, strict=True):
                if not each.outcome.called:
                    each.outcome.callback(outcome)  # a Failure is raised to whoever waits
        self._publishing = False
