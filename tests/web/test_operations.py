"""How long the results of slow operations are kept, and how much of them."""
from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.errors import Refusal
from frontends.web.operations import (
    DAY,
    LARGEST,
    LARGEST_TOGETHER,
    MOST_RUNNING,
    Operation,
    Operations,
)


class Waiting(Operation):
    """Is finished when it is told."""

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        self.gate: Deferred[None] = Deferred()
        self.size = size

    async def run(self) -> None:
        await self.gate
        self.grow(self.size)


class Handles(SynchronousTestCase):
    """The table of spec 04 §13, row by row."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.operations = Operations(self.clock)
        self.addCleanup(self.check_nothing_left)

    def check_nothing_left(self) -> None:
        self.operations.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def start(self, handle: str = "h", retain: int | None = None, size: int = 0) -> Waiting:
        operation = Waiting(size)
        self.operations.start(handle, operation, retain)
        return operation

    def is_known(self, handle: str = "h") -> bool:
        # Not through `get`: to look changes how long it is kept.
        return handle in self.operations._entries

    def test_one_that_goes_on_is_kept_for_as_long_as_it_takes(self) -> None:
        self.start()
        self.clock.advance(100 * DAY)
        self.assertFalse(self.operations.get("h").finished)
        self.clock.advance(100 * DAY)
        self.assertTrue(self.is_known())

    def test_started_with_retain_for_it_is_forgotten_then_even_if_it_goes_on(self) -> None:
        operation = self.start(retain=10)
        self.clock.advance(9)
        self.assertTrue(self.is_known())
        self.clock.advance(1)
        self.assertFalse(self.is_known())
        self.assertFalse(operation.gate.called, "it goes on unseen")

    def test_nobody_asks_for_four_days(self) -> None:
        self.start().gate.callback(None)
        self.clock.advance(4 * DAY - 1)
        self.assertTrue(self.is_known())
        self.clock.advance(1)
        self.assertFalse(self.is_known())

    def test_what_took_long_is_kept_long(self) -> None:
        operation = self.start()
        self.clock.advance(30 * DAY)
        operation.gate.callback(None)
        self.clock.advance(30 * DAY - 1)
        self.assertTrue(self.is_known())

    def test_once_seen_finished_a_day_is_left(self) -> None:
        self.start(retain=2).gate.callback(None)
        self.assertTrue(self.operations.get("h").finished)
        self.clock.advance(DAY - 1)
        self.assertTrue(self.is_known())
        self.clock.advance(1)
        self.assertFalse(self.is_known())

    def test_retain_for_while_asking_counts_from_then(self) -> None:
        self.start()
        self.operations.get("h", retain_seconds=5)
        self.clock.advance(4)
        self.operations.get("h", retain_seconds=5)
        self.clock.advance(4)
        self.assertTrue(self.is_known())
        self.clock.advance(1)
        self.assertFalse(self.is_known())

    def test_released_when_finished_and_not_before(self) -> None:
        operation = self.start()
        self.operations.get("h", release=True)
        operation.gate.callback(None)
        self.assertTrue(self.operations.get("h", release=True).finished)
        with self.assertRaises(Refusal) as caught:
            self.operations.get("h")
        self.assertEqual((caught.exception.status, str(caught.exception)), (404, "unknown/expired handle 'h'"))

    def test_cancelled_and_forgotten(self) -> None:
        operation = self.start()
        self.operations.cancel("h")
        self.assertTrue(operation.gate.called)
        self.assertFalse(self.is_known())
        self.assertIsNotNone(operation.failure)

    def test_a_used_handle_goes_to_the_new_one(self) -> None:
        first = self.start(retain=10)
        second = self.start()
        self.clock.advance(10)
        self.assertIs(self.operations.get("h"), second)
        first.gate.callback(None)
        self.assertIs(self.operations.get("h"), second)
        self.assertFalse(second.finished)

    def test_a_failure_is_kept(self) -> None:
        self.start().gate.errback(ValueError("no"))
        self.assertIsInstance(self.operations.get("h").failure, ValueError)

    def test_too_much_of_one_is_a_failure(self) -> None:
        self.start(size=LARGEST + 1).gate.callback(None)
        self.assertIsInstance(self.operations.get("h").failure, Refusal)

    def test_what_was_finished_first_gives_way(self) -> None:
        count = LARGEST_TOGETHER // LARGEST + 1
        for number in range(count):
            self.start(str(number), size=LARGEST).gate.callback(None)
        self.assertEqual([self.is_known(str(number)) for number in range(count)], [False] + [True] * (count - 1))

    def test_those_that_go_on_are_bounded_together(self) -> None:
        count = 2 * LARGEST_TOGETHER // LARGEST + 1
        going_on = [self.start(str(number)) for number in range(count)]
        for operation in going_on[:-1]:
            operation.grow(LARGEST)
        with self.assertRaises(Refusal):
            going_on[-1].grow(1)
        self.operations.cancel("0")
        going_on[-1].grow(1)
        self.operations.stop()
        self.assertEqual(self.operations._held, 0)

    def test_a_handle_has_a_bound(self) -> None:
        with self.assertRaises(Refusal):
            self.start("h" * 1001)

    def test_not_any_number_go_on_at_once(self) -> None:
        for number in range(MOST_RUNNING):
            self.start(str(number))
        with self.assertRaises(Refusal) as caught:
            self.start("one more")
        self.assertEqual(caught.exception.status, 503)
