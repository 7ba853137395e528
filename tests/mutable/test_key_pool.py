"""Fresh keys are ready before they are needed, each is given out once, and whoever finds none still gets one."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.rsa import PrivateKey
from lafs.mutable.key_pool import FEWEST, LOW, MOST, QUIET_SECONDS, KeyPool
from lafs.tasks import spawn
from tests.private_keys import known_keys


class SlowWorkers:
    """Workers that do their work when they are told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    async def run(self, work: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
        done: Deferred[Any] = Deferred()
        self.waiting.append((work, done))
        return await done

    async def run_sized(self, size: int, work: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
        return await self.run(work)

    def work(self) -> None:
        """Do all that is waiting, and what comes of it."""
        while self.waiting:
            work, done = self.waiting.pop(0)
            try:
                done.callback(work())
            except Exception:
                done.errback()


class Pool(SynchronousTestCase):
    def setUp(self) -> None:
        self.workers = SlowWorkers()
        self.made = 0
        make = known_keys()

        def generate() -> PrivateKey:
            self.made += 1
            return make()

        self.pool = KeyPool(self.workers, generate)

    def test_makes_nothing_unasked(self) -> None:
        self.workers.work()
        self.assertEqual(self.made, 0)

    def test_keeps_keys_ready_once_prepared(self) -> None:
        self.pool.prepare()
        self.workers.work()
        self.assertEqual(self.made, FEWEST)
        key = self.successResultOf(spawn(self.pool.take()))
        other = self.successResultOf(spawn(self.pool.take()))
        self.assertNotEqual(key.der, other.der)

    def test_makes_one_key_at_a_time_in_the_background(self) -> None:
        self.pool.prepare()
        self.pool.prepare()
        self.assertEqual(len(self.workers.waiting), 1)

    def test_who_finds_none_ready_waits_for_one_of_his_own(self) -> None:
        taking = [spawn(self.pool.take()) for _ in range(3)]
        self.assertNoResult(taking[0])
        self.workers.work()
        self.assertEqual(len({self.successResultOf(each).der for each in taking}), 3)

    def test_keeps_more_after_it_has_run_out(self) -> None:
        key = known_keys()()
        pool = KeyPool(self.workers, lambda: key)
        for _ in range(10):
            taking = [spawn(pool.take()) for _ in range(MOST + 1)]
            self.workers.work()
            for each in taking:
                self.successResultOf(each)
        for _ in range(MOST):
            self.successResultOf(spawn(pool.take()))
        self.assertNoResult(spawn(pool.take()))

    def test_with_a_clock_keys_are_made_when_nobody_has_taken_one_for_some_time(self) -> None:
        clock = Clock()
        pool = KeyPool(self.workers, known_keys(), clock)
        pool.prepare()
        self.workers.work()
        for _ in range(3):
            clock.advance(QUIET_SECONDS - 1)
            self.successResultOf(spawn(pool.take()))
            self.assertEqual(self.workers.waiting, [])
        clock.advance(QUIET_SECONDS)
        self.assertEqual(len(self.workers.waiting), 1)
        self.workers.work()
        for _ in range(FEWEST):
            self.successResultOf(spawn(pool.take()))

    def test_and_at_once_when_few_are_left(self) -> None:
        pool = KeyPool(self.workers, known_keys(), Clock())
        pool.prepare()
        self.workers.work()
        for _ in range(FEWEST - LOW):
            self.successResultOf(spawn(pool.take()))
        self.assertEqual(self.workers.waiting, [])
        self.successResultOf(spawn(pool.take()))
        self.assertEqual(len(self.workers.waiting), 1)
        self.workers.work()
        for _ in range(LOW):
            self.successResultOf(spawn(pool.take()))

    def test_none_once_it_is_stopped(self) -> None:
        clock = Clock()
        pool = KeyPool(self.workers, known_keys(), clock)
        pool.prepare()
        self.workers.work()
        self.successResultOf(spawn(pool.take()))
        pool.stop()
        self.assertEqual((clock.getDelayedCalls(), self.workers.waiting), ([], []))

    def test_a_failure_in_the_background_is_tried_again_with_the_next_key(self) -> None:
        failing = [True]
        make = known_keys()

        def generate() -> PrivateKey:
            if failing[0]:
                raise OSError("no randomness")
            return make()

        pool = KeyPool(self.workers, generate)
        pool.prepare()
        self.workers.work()
        failing[0] = False
        taking = spawn(pool.take())
        self.workers.work()
        self.successResultOf(taking)
        self.successResultOf(spawn(pool.take()))
