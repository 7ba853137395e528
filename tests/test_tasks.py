"""Waiting for several things at once: what is cancelled says so, and takes down what it started."""
from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import TimedOut
from lafs.tasks import Lane, Mailbox, Window, gather, settle, sleep, spawn, uncancelled, within


class Cancelled(SynchronousTestCase):
    """Cancelling a wait ends it with `CancelledError`, and everything it waited for."""

    def waits(self) -> list[tuple[str, Callable[[list[Deferred[None]]], Coroutine[Deferred[Any], Any, object]]]]:
        return [
            ("settle", lambda works: settle(works)),
            ("gather", lambda works: gather(works)),
            ("within", lambda works: within(10, Clock(), gather(works))),
        ]

    def test_it_is_never_mistaken_for_an_end(self) -> None:
        for name, wait in self.waits():
            works: list[Deferred[None]] = [Deferred(), Deferred()]
            waiting = spawn(wait(works))
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            for work in works:
                self.assertTrue(work.called, name)

    def test_nor_when_some_works_were_finished_before(self) -> None:
        for _, wait in self.waits():
            works: list[Deferred[None]] = [Deferred(), Deferred(), Deferred()]
            waiting = spawn(wait(works))
            works[1].callback(None)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)

    def test_a_coroutine_that_waits_goes_no_further(self) -> None:
        steps: list[str] = []

        async def work() -> None:
            await settle([Deferred(), Deferred()])
            steps.append("went on as if all had ended")

        waiting = spawn(work())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(steps, [])

    def test_sleep_leaves_no_timer(self) -> None:
        clock = Clock()
        sleeping = spawn(sleep(5, clock))
        sleeping.cancel()
        self.failureResultOf(sleeping, CancelledError)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_uncancelled_work_goes_on_to_its_end(self) -> None:
        work: Deferred[None] = Deferred()
        waiting = uncancelled(work)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertFalse(work.called)
        work.callback(None)


class Together(SynchronousTestCase):
    """Results come in the order of the works, failures too."""

    def test_settle_waits_for_all_whatever_becomes_of_them(self) -> None:
        works: list[Deferred[str]] = [Deferred(), Deferred(), Deferred()]
        waiting = spawn(settle(works))
        works[2].callback("c")
        works[0].errback(ValueError())
        self.assertNoResult(waiting)
        works[1].callback("b")
        first, *others = self.successResultOf(waiting)
        self.assertIs(first.check(ValueError), ValueError)
        self.assertEqual(others, ["b", "c"])

    def test_gather_fails_at_once_and_cancels_the_others(self) -> None:
        works: list[Deferred[str]] = [Deferred(), Deferred()]
        waiting = spawn(gather(works))
        works[1].errback(ValueError())
        self.failureResultOf(waiting, ValueError)
        self.assertTrue(works[0].called)

    def test_nothing_to_wait_for_is_over_at_once(self) -> None:
        self.assertEqual(self.successResultOf(spawn(settle([]))), [])
        self.assertEqual(self.successResultOf(spawn(gather([]))), [])

    def test_too_late_is_timed_out_and_cancelled(self) -> None:
        clock, work = Clock(), Deferred[None]()
        waiting = spawn(within(3, clock, work))
        clock.advance(3)
        self.failureResultOf(waiting, TimedOut)
        self.assertTrue(work.called)

    def test_in_time_leaves_no_timer(self) -> None:
        clock, work = Clock(), Deferred[int]()
        waiting = spawn(within(3, clock, work))
        work.callback(7)
        self.assertEqual(self.successResultOf(waiting), 7)
        self.assertEqual(clock.getDelayedCalls(), [])


class Lanes(SynchronousTestCase):
    """One thing after the other, in the order of submission."""

    @given(st.lists(st.sampled_from(["finish", "fail", "cancel"]), min_size=1, max_size=6))
    def test_no_two_run_at_once_whatever_becomes_of_them(self, fates: list[str]) -> None:
        lane, running, begun = Lane(), [], []
        gates: list[Deferred[None]] = [Deferred() for _ in fates]

        async def work(number: int) -> None:
            begun.append(number)
            running.append(number)
            self.assertEqual(len(running), 1)
            try:
                await gates[number]
            finally:
                running.remove(number)

        turns = [lane.submit(lambda number=number: work(number)) for number in range(len(fates))]
        for turn in turns:
            turn.addErrback(lambda _: None)
        for number, fate in enumerate(fates):
            if fate == "cancel":
                turns[number].cancel()
            elif fate == "fail":
                gates[number].errback(ValueError())
            else:
                gates[number].callback(None)
        self.assertEqual(begun, list(range(len(fates))))

    def test_thousands_may_wait_behind_a_slow_one(self) -> None:
        lane, gate, done = Lane(), Deferred[None](), []

        async def slow() -> None:
            await gate

        async def quick(number: int) -> None:
            done.append(number)

        lane.submit(slow)
        for number in range(3000):
            lane.submit(lambda number=number: quick(number))
        idle = spawn(lane.idle())
        self.assertNoResult(idle)
        gate.callback(None)
        self.successResultOf(idle)
        self.assertEqual(done, list(range(3000)))


class Windows(SynchronousTestCase):
    """A window never holds more than its size, but for one that is larger by itself; and it never locks up."""

    @given(st.integers(1, 10), st.lists(st.tuples(st.integers(1, 15), st.booleans()), max_size=12))
    def test_all_get_in_at_last_but_those_who_left(self, size: int, wants: list[tuple[int, bool]]) -> None:
        window = Window(size)
        waiting: list[tuple[int, Deferred[None]]] = []
        for units, leaves in wants:
            taker = spawn(window.take(units))
            if leaves and not taker.called:
                taker.addErrback(lambda _: None)
                taker.cancel()
            else:
                waiting.append((units, taker))
        while waiting:
            inside = [entry for entry in waiting if entry[1].called]
            self.assertTrue(inside, "somebody always gets in")
            self.assertEqual(window.in_flight, sum(units for units, _ in inside))
            self.assertTrue(window.in_flight <= size or len(inside) == 1)
            waiting.remove(inside[0])
            window.give_back(inside[0][0])
        self.assertEqual(window.in_flight, 0)


class Letters(SynchronousTestCase):
    """Letters are read in the order in which they were posted."""

    def test_none_is_lost_when_a_reader_leaves(self) -> None:
        box: Mailbox[str] = Mailbox()
        reader = spawn(box.take())
        reader.cancel()
        self.failureResultOf(reader, CancelledError)
        box.post("a")
        box.post("b")
        self.assertEqual([self.successResultOf(spawn(box.take())) for _ in range(2)], ["a", "b"])
