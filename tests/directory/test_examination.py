from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.directory.deep_walk import Visit
from lafs.directory.examination import EXAMINED_AT_ONCE, examined
from lafs.tasks import spawn


async def visits(count: int, closed: list[bool]) -> AsyncGenerator[Visit, None]:
    try:
        for number in range(count):
            yield Visit((str(number),), "unknown", None, None)
    finally:
        closed.append(True)


class Examining(SynchronousTestCase):
    """Several objects are looked at together, and told in the order of the walk."""

    def setUp(self) -> None:
        self.looks: list[Deferred[int]] = []
        self.closed: list[bool] = []
        self.found: list[tuple[str, int]] = []

    def start(self, count: int) -> Deferred[None]:
        def look(visit: Visit) -> Deferred[int]:
            self.looks.append(Deferred())
            return self.looks[-1]

        async def collect() -> None:
            async with aclosing(examined(visits(count, self.closed), look)) as findings:
                async for visit, found in findings:
                    self.found.append((visit.path[0], found))

        return spawn(collect())

    def test_a_few_at_once_and_in_order(self) -> None:
        done = self.start(20)
        self.assertEqual(len(self.looks), EXAMINED_AT_ONCE)
        self.looks[3].callback(3)
        self.assertEqual((self.found, len(self.looks)), ([], EXAMINED_AT_ONCE))
        for number in (0, 1, 2):
            self.looks[number].callback(number)
        self.assertEqual(self.found, [(str(number), number) for number in range(4)])
        for number in range(4, 20):
            self.looks[number].callback(number)
        self.successResultOf(done)
        self.assertEqual([number for _, number in self.found], list(range(20)))

    def test_cancelling_stops_all_that_is_looked_at(self) -> None:
        done = self.start(20)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(self.closed, [True])
        self.assertTrue(all(look.called for look in self.looks))

    def test_a_failure_ends_it(self) -> None:
        done = self.start(20)
        self.looks[0].errback(ValueError("no"))
        self.failureResultOf(done, ValueError)
        self.assertEqual(self.closed, [True])
