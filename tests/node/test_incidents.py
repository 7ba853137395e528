from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lafs.node.incidents import LONGEST_REPORT, MOST_REPORTS, Incidents
from lafs.tasks import spawn
from lafs.workers import InlineWorkers


class Reports(SynchronousTestCase):
    """What users report is kept, in bounds."""

    def test_kept_in_bounds_for_the_owner_only(self) -> None:
        directory = Path(self.mktemp())
        incidents = Incidents(directory, InlineWorkers())
        for number in range(MOST_REPORTS + 3):
            self.successResultOf(spawn(incidents.save(f"trouble {number} " + "x" * 2 * LONGEST_REPORT)))
        kept = sorted((directory / "logs" / "incidents").iterdir())
        self.assertEqual(len(kept), MOST_REPORTS)
        self.assertIn(f"trouble {MOST_REPORTS + 2} ", kept[-1].read_text())
        self.assertLess(kept[-1].stat().st_size, LONGEST_REPORT + 1000)
        self.assertEqual(kept[-1].stat().st_mode & 0o777, 0o600)
