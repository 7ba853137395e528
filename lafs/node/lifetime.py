"""What must be undone when a node stops, in the reverse order of its doing. Used by `client_node` and `introducer_node`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.logger import Logger

_log = Logger(namespace="lafs.node")


class Lifetime:
    """A stack of things to undo. One that fails is logged, and does not keep the others from being undone."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Awaitable[object] | None]] = []

    def then(self, undo: Callable[[], Awaitable[object] | None]) -> None:
        """Call `undo` at the end, before everything that was promised earlier."""
        self._undo.append(undo)

    async def end(self) -> None:
        """Undo everything. Harmless when called twice."""
        while self._undo:
            try:
                waiting = self._undo.pop()()
                if waiting is not None:
                    await waiting
            except Exception:
                _log.failure("something could not be stopped in order")
