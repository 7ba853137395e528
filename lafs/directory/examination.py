"""Looking closer at every object of a deep walk: several at a time, told in the order of the walk. Spec: 04 §11."""
from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from twisted.internet.defer import Deferred

from lafs.directory.deep_walk import Visit
from lafs.tasks import spawn

T = TypeVar("T")

EXAMINED_AT_ONCE: Final = 8
"""Objects looked at together."""


async def examined(
    visits: AsyncGenerator[Visit, None], examine: Callable[[Visit], Awaitable[T]]
) -> AsyncGenerator[tuple[Visit, T], None]:
    """Each of `visits` with what `examine` found, in order. Raises what `examine` raises. Close it to stop early."""
    waiting: deque[tuple[Visit, Deferred[T]]] = deque()
    try:
        async with aclosing(visits):
            async for visit in visits:
                waiting.append((visit, spawn(examine(visit))))
                while len(waiting) >= EXAMINED_AT_ONCE or (waiting and waiting[0][1].called):
                    first, finding = waiting[0]
                    found = await finding
                    waiting.popleft()
                    yield first, found
            while waiting:
                first, finding = waiting[0]
                found = await finding
                waiting.popleft()
                yield first, found
    finally:
        for _, finding in waiting:
            finding.addErrback(lambda _: None)
            finding.cancel()
