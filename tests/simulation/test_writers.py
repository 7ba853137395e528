"""Mutable files and directories under writers in contention and failing servers: what was acknowledged is there in the end.

    LAFS_SEED=41        replays exactly one story
    LAFS_SOAK_SEEDS=N   plays N of them
"""
from __future__ import annotations

import os
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.test_simulation import seeds
from tests.simulation.writers import play_writers

STORIES = 30
"""In an ordinary test run."""


def stories() -> range:
    """Which to play."""
    return seeds() if {"LAFS_SEED", "LAFS_SOAK_SEEDS"} & os.environ.keys() else range(STORIES)


class Stories(SynchronousTestCase):
    def test_promises_are_kept_in_every_story(self) -> None:
        endings = Counter[str]()
        for seed in stories():
            endings.update(dict(play_writers(seed).endings))
        if len(stories()) >= STORIES:
            for ending in ("written", "died", "UnhappyUpload"):
                self.assertGreater(endings[ending], 0, ending)

    def test_the_same_seed_gives_the_same_events(self) -> None:
        for seed in range(3):
            self.assertEqual(play_writers(seed), play_writers(seed))
