"""A connection is kept up."""
from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.grid.reconnection import FIRST_PAUSE, LONGEST_PAUSE, Reconnection, State


class Attempts:
    """What a Reconnection is given: attempts to connect and uses of connections, ended by the test."""

    def __init__(self) -> None:
        self.connecting: list[Deferred[str]] = []
        self.using: list[Deferred[None]] = []
        self.cancelled: list[str] = []
        self.failures: list[Exception] = []

    def connect(self) -> Deferred[str]:
        self.connecting.append(Deferred(lambda _: self.cancelled.append("connect")))
        return self.connecting[-1]

    def use(self, connection: str) -> Deferred[None]:
        self.using.append(Deferred(lambda _: self.cancelled.append("use")))
        return self.using[-1]


class Life(SynchronousTestCase):
    """Tried, used, lost, and tried again."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts = Attempts()
        self.reconnection = Reconnection(
            self.attempts.connect,
            self.attempts.use,
            clock=self.clock,
            random=lambda: 0.5,
            failed=self.attempts.failures.append,
        )
        self.reconnection.start()

    def test_pauses_grow_with_every_failure_and_have_an_end(self) -> None:
        pauses = []
        for _ in range(12):
            self.attempts.connecting[-1].errback(OSError("refused"))
            count, waited = len(self.attempts.connecting), 0.0
            while len(self.attempts.connecting) == count:
                self.clock.advance(0.5)
                waited += 0.5
            pauses.append(waited)
        self.assertEqual(pauses[0], FIRST_PAUSE)
        self.assertEqual(pauses, sorted(pauses))
        self.assertEqual(pauses[-1], LONGEST_PAUSE)
        self.assertEqual(len(self.attempts.failures), 12)

    def test_a_lost_connection_is_made_again_soon(self) -> None:
        for _ in range(3):
            self.attempts.connecting[-1].callback("connection")
            self.assertIs(self.reconnection.state, State.CONNECTED)
            self.attempts.using[-1].callback(None)
            self.clock.advance(FIRST_PAUSE)
        self.assertEqual(len(self.attempts.connecting), 4)
        self.assertEqual(self.attempts.failures, [])

    def test_a_connection_of_no_use_counts_as_a_failure(self) -> None:
        self.attempts.connecting[-1].callback("connection")
        self.attempts.using[-1].errback(ValueError("not a storage server"))
        self.clock.advance(FIRST_PAUSE)
        self.attempts.connecting[-1].callback("connection")
        self.attempts.using[-1].errback(ValueError("not a storage server"))
        self.clock.advance(FIRST_PAUSE)
        self.assertEqual(len(self.attempts.connecting), 2)

    def test_stopping_cancels_what_is_going_on(self) -> None:
        self.reconnection.stop()
        self.assertEqual(self.attempts.cancelled, ["connect"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_ends_the_use(self) -> None:
        self.attempts.connecting[-1].callback("connection")
        self.reconnection.stop()
        self.assertEqual(self.attempts.cancelled, ["use"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_ends_the_pause(self) -> None:
        self.attempts.connecting[-1].errback(OSError("refused"))
        self.reconnection.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.reconnection.describe(), "unstarted")

    def test_people_are_told_what_goes_on(self) -> None:
        self.assertEqual(self.reconnection.describe(), "Trying to connect")
        self.attempts.connecting[-1].errback(OSError("refused"))
        self.clock.advance(FIRST_PAUSE)
        self.attempts.connecting[-1].errback(OSError("refused"))
        self.clock.advance(1)
        self.assertEqual(self.reconnection.describe(), "Reconnecting in 2 seconds (last attempt 1s ago)")
