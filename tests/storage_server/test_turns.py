"""Turns: order for each key, nothing held up for another, and no limit to how many wait."""
from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.tasks import spawn
from storage_server.turns import Turns
from tests.storage_server.harness import result_of


class InTurn(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns: Turns[str] = Turns()
        self.seen: list[object] = []

    def submit(self, key: str, label: object, gate: Deferred[None] | None = None) -> Deferred[None]:
        async def work() -> None:
            self.seen.append(label)
            if gate is not None:
                await gate

        return spawn(self.turns.run(key, work))

    def test_for_one_key_one_after_the_other_for_others_at_once(self) -> None:
        gates: list[Deferred[None]] = [Deferred() for _ in range(2)]
        running = [self.submit("a", 1, gates[0]), self.submit("a", 2, gates[1]), self.submit("a", 3)]
        self.submit("b", "other")
        self.assertEqual(self.seen, [1, "other"])
        gates[0].callback(None)
        self.assertEqual(self.seen, [1, "other", 2])
        gates[1].errback(LookupError("fails"))
        self.assertEqual(self.seen, [1, "other", 2, 3])
        self.assertIsNone(result_of(running[0]))
        self.assertRaises(LookupError, result_of, running[1])
        self.assertIsNone(result_of(running[2]))
        self.assertEqual(self.turns._lines, {})

    def test_thousands_may_wait(self) -> None:
        gate: Deferred[None] = Deferred()
        running = [self.submit("a", number, gate if not number else None) for number in range(5000)]
        gate.callback(None)
        self.assertEqual(self.seen, list(range(5000)))
        for each in running:
            result_of(each)
        self.assertEqual(self.turns._lines, {})

    def test_who_asks_while_others_are_let_in_comes_last(self) -> None:
        gate: Deferred[None] = Deferred()
        self.submit("a", 1, gate)
        self.submit("a", 2).addCallback(lambda _: self.submit("a", 4))
        self.submit("a", 3)
        gate.callback(None)
        self.assertEqual(self.seen, [1, 2, 3, 4])
        self.assertEqual(self.turns._lines, {})

    def test_idle_is_when_all_are_done(self) -> None:
        gates: list[Deferred[None]] = [Deferred() for _ in range(2)]
        self.submit("a", 1, gates[0])
        self.submit("b", 2, gates[1])
        done = spawn(self.turns.idle())
        gates[1].callback(None)
        self.assertNoResult(done)
        gates[0].callback(None)
        self.assertIsNone(result_of(done))
