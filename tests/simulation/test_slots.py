"""Mutable slots under crashes: each write happens to all its shares or to none, and stays once it was acknowledged.

    LAFS_SEED=41        replays exactly one story
    LAFS_SOAK_SEEDS=N   plays N of them
"""
from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from lafs.interfaces import SlotTest, SlotWrite
from tests.simulation.slots import carried_out, holds, play_slots
from tests.simulation.test_simulation import SEEDS, seeds


class Stories(SynchronousTestCase):
    """Whatever a server answers or holds is what its acknowledged writes, and some unacknowledged ones, come to."""

    def test_promises_are_kept_in_every_story(self) -> None:
        endings = Counter[str]()
        for seed in seeds():
            endings.update(dict(play_slots(seed).endings))
        if len(seeds()) >= SEEDS:
            for ending in ("written", "refused", "read", "unanswered", "ServerError", "NoSpace"):
                self.assertGreater(endings[ending], 0, ending)

    def test_the_same_seed_gives_the_same_events(self) -> None:
        for seed in range(10):
            self.assertEqual(play_slots(seed), play_slots(seed))


class TheModel(SynchronousTestCase):
    """The model itself does what the specification says."""

    def test_writes(self) -> None:
        for before, write, after in (
            ((), SlotWrite([], []), ((1, b""),)),
            ((), SlotWrite([], [(2, b"ab")]), ((1, b"\0\0ab"),)),
            ((), SlotWrite([], [(5, b"")]), ((1, b""),)),
            (((1, b"abcd"),), SlotWrite([], [(1, b"X"), (3, b"YZ")]), ((1, b"aXcYZ"),)),
            (((1, b"abcd"),), SlotWrite([], [(0, b"X")], 2), ((1, b"Xb"),)),
            (((1, b"abcd"),), SlotWrite([], [], 9), ((1, b"abcd"),)),
            (((1, b"abcd"), (2, b"x")), SlotWrite([], [(0, b"X")], 0), ((2, b"x"),)),
        ):
            self.assertEqual(carried_out(before, {1: write}), after)

    def test_tests(self) -> None:
        for test, expected in (
            (SlotTest(0, 2, b"ab"), True),
            (SlotTest(0, 9, b"abcd"), True),
            (SlotTest(0, 1, b"ab"), False),
            (SlotTest(4, 1, b""), True),
            (SlotTest(0, 1, b""), False),
        ):
            self.assertEqual(holds(((1, b"abcd"),), {1: SlotWrite([test], [])}), expected)
        self.assertTrue(holds((), {1: SlotWrite([SlotTest(0, 1, b"")], [])}))
