"""The clock of the simulation keeps its own promises."""
from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.tasks import sleep
from tests.simulation.virtual_time import TenantClock, VirtualTime, WaitsForEver


class JumpingTime(SynchronousTestCase):
    """Time passes exactly as far as the next timer."""

    def test_a_day_of_sleep_is_a_day_of_virtual_time(self) -> None:
        time = VirtualTime(start=1000.0)
        time.run(sleep(86_400.0, time), limit_seconds=100_000)
        self.assertEqual(time.seconds(), 87_400.0)

    def test_work_that_no_timer_can_finish_is_a_failure(self) -> None:
        with self.assertRaisesRegex(WaitsForEver, "no timer"):
            VirtualTime().run(Deferred())

    def test_work_that_takes_too_long_is_a_failure(self) -> None:
        time = VirtualTime()
        with self.assertRaisesRegex(WaitsForEver, "not finished"):
            time.run(sleep(61, time), limit_seconds=60)

    def test_a_loop_in_which_no_time_passes_is_a_failure(self) -> None:
        time = VirtualTime()

        async def spin() -> None:
            while True:
                await sleep(0, time)

        with self.assertRaisesRegex(WaitsForEver, "without any time"):
            time.run(spin())

    def test_timers_of_one_instant_fire_in_the_order_they_were_set(self) -> None:
        time, fired = VirtualTime(), []
        for name in "abc":
            time.callLater(1, fired.append, name)
        time.pass_time(1)
        self.assertEqual(fired, ["a", "b", "c"])


class Tenants(SynchronousTestCase):
    """The timers of a process are counted, and end with it."""

    def test_an_evicted_process_wakes_no_more(self) -> None:
        time, fired = VirtualTime(), []
        tenant = TenantClock(time)
        tenant.callLater(1, fired.append, "before")
        tenant.callLater(3, fired.append, "after")
        time.pass_time(2)
        self.assertEqual(len(tenant.getDelayedCalls()), 1)
        tenant.evict()
        tenant.callLater(1, fired.append, "zombie")
        time.pass_time(10)
        self.assertEqual(fired, ["before"])
        self.assertEqual(time.getDelayedCalls(), [])
