"""Many worlds, each drawn from one seed, in which the client and the servers keep their promises.

    LAFS_SEED=1770      replays exactly one world, and on failure shows its scenario and last events
    LAFS_SOAK_SEEDS=N   plays N worlds instead of a few hundred, from LAFS_SOAK_FIRST (default 0) on
"""
from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.world import play

SEEDS = 500
"""Worlds in an ordinary test run."""


def seeds() -> range:
    """Which worlds to play."""
    if "LAFS_SEED" in os.environ:
        seed = int(os.environ["LAFS_SEED"])
        return range(seed, seed + 1)
    first = int(os.environ.get("LAFS_SOAK_FIRST", "0"))
    return range(first, first + int(os.environ.get("LAFS_SOAK_SEEDS", str(SEEDS))))


class Worlds(SynchronousTestCase):
    """Nothing acknowledged is lost, nothing wrong is ever returned, nothing waits for ever, failures say why."""

    def test_promises_are_kept_in_every_world(self) -> None:
        endings = Counter[str]()
        for seed in seeds():
            endings.update(dict(play(seed).endings))
        if len(seeds()) >= SEEDS:
            # Worlds in which nothing succeeds, or nothing fails, would prove little.
            wanted = ("upload: done", "download: done", "upload: UnhappyUpload", "download: NotEnoughShares", "care: repaired")
            for ending in wanted:
                self.assertGreater(endings[ending], 0, ending)


class Determinism(SynchronousTestCase):
    """A seed is a world: whatever happens in it happens again, to the last event, in every process."""

    SAMPLE = (2, 3, 24, 44, 48, 315)

    def test_the_same_seed_gives_the_same_events(self) -> None:
        for seed in self.SAMPLE:
            self.assertEqual(play(seed), play(seed))

    def test_in_another_process_with_another_hash_seed_too(self) -> None:
        here = repr([play(seed).fingerprint for seed in self.SAMPLE])
        program = f"from tests.simulation.world import play; print([play(s).fingerprint for s in {self.SAMPLE}])"
        for hash_seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
            there = subprocess.run(
                [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
            )
            self.assertEqual(there.stdout.strip(), here)

    def test_other_seeds_are_other_worlds(self) -> None:
        self.assertEqual(len({play(seed).fingerprint for seed in self.SAMPLE}), len(self.SAMPLE))
