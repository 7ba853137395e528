"""Work in threads comes back to the reactor: its result or its failure, once, however many are under way."""
from __future__ import annotations

from threading import Event, current_thread, main_thread

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from lafs.tasks import gather, settle, spawn
from lafs.workers import SMALL, ThreadWorkers


class Threads(TestCase):
    def setUp(self) -> None:
        self.workers = ThreadWorkers(reactor, 2)  # type: ignore[arg-type]
        self.addCleanup(self.workers.stop)

    def test_results_come_back_in_the_order_asked_for(self) -> Deferred[None]:
        async def check() -> None:
            results = await gather(self.workers.run(pow, number, 2) for number in range(500))
            self.assertEqual(results, [number * number for number in range(500)])

        return spawn(check())

    def test_failures_come_back_as_they_were_raised(self) -> Deferred[None]:
        def fail() -> None:
            raise LookupError("nothing there")

        async def check() -> None:
            with self.assertRaisesRegex(LookupError, "nothing there"):
                await self.workers.run(fail)
            self.assertEqual(await self.workers.run(len, b"and life goes on"), 16)

        return spawn(check())

    def test_no_more_threads_than_allowed_and_never_the_reactors(self) -> Deferred[None]:
        async def check() -> None:
            threads = set(await gather(self.workers.run(current_thread) for _ in range(200)))
            self.assertLessEqual(len(threads), 2)
            self.assertNotIn(main_thread(), threads)

        return spawn(check())

    def test_small_computations_stay_here_and_large_ones_do_not(self) -> Deferred[None]:
        async def check() -> None:
            self.assertIs(await self.workers.run_sized(SMALL, current_thread), main_thread())
            self.assertIsNot(await self.workers.run_sized(SMALL + 1, current_thread), main_thread())

        return spawn(check())

    def test_a_cancelled_errand_is_over_at_once_and_hurts_no_other(self) -> Deferred[None]:
        async def check() -> None:
            gate = Event()
            stuck = spawn(self.workers.run(gate.wait))
            other = spawn(self.workers.run(len, b"four"))
            stuck.cancel()
            outcomes = await settle([stuck, other])
            gate.set()
            self.assertTrue(outcomes[0].check(CancelledError))  # type: ignore[union-attr]
            self.assertEqual(outcomes[1], 4)
            self.assertEqual(await self.workers.run(len, b"five!"), 5)

        return spawn(check())

    def test_stopping_waits_for_work_in_progress(self) -> Deferred[None]:
        async def check() -> None:
            done: list[int] = []
            running = [spawn(self.workers.run(done.append, number)) for number in range(50)]
            self.workers.stop()
            self.assertEqual(sorted(done), list(range(50)))
            await gather(running)

        return spawn(check())
