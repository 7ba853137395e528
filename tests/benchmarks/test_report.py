"""The tables of the race say what was measured, and hold every goal against its own row."""
from __future__ import annotations

from typing import Any, cast
from unittest import TestCase

from benchmarks import report
from benchmarks.program import GOALS, WORKS
from benchmarks.race import FOOLSCAP, HTTPS, LAN, WAN, Entrant, Racer, Sample
from tests.process.harness import LAFS


def racer(name: str, line: str, **samples: list[float]) -> Racer:
    """One whose work took so many seconds."""
    entrant = Entrant(name, LAFS, HTTPS if name.endswith("HTTPS") else FOOLSCAP)
    made = Racer(entrant, line, cast(Any, None), [])
    for work, seconds in samples.items():
        made.samples[work] = [Sample(each, each / 2, each / 4) for each in seconds]
    return made


class Tables(TestCase):
    def test_ratios_are_of_the_medians(self) -> None:
        ours = racer("lafs", LAN, mkdir=[0.1, 9.0, 0.2])
        found = report.table(LAN, [ours, racer("peer", LAN, mkdir=[1.0, 0.001, 1.0])]).splitlines()[1].split()
        self.assertEqual(found[:6], ["mkdir", "0.20", "s", "1.00", "s", "5.00x"])

    def test_a_row_is_held_against_the_goal_of_its_line_and_protocol(self) -> None:
        works = {"put 100 MB": [1.0]}
        for line, expected in ((LAN, ["2.5x", "4x"]), (WAN, ["5x"])):
            peers = [racer(name, line, **{"put 100 MB": [2.0]}) for name in ("peer", "peer HTTPS")]
            row = report.table(line, [racer("lafs", line, **works), *peers]).splitlines()[1].split()
            self.assertEqual([each for each in row if each.endswith("x") and each != "2.00x"], expected)

    def test_far_away_round_trips_are_counted(self) -> None:
        ours, theirs = racer("lafs", WAN, mkdir=[0.21]), racer("peer", WAN, mkdir=[0.74])
        row = report.table(WAN, [ours, theirs]).splitlines()[1].split()
        self.assertEqual(row[5:9], ["3.52x", "2.1", "2", "7.4"])

    def test_who_took_no_part_leaves_its_cells_empty(self) -> None:
        ours, absent = racer("lafs", WAN, mkdir=[0.1]), racer("peer", WAN)
        self.assertEqual(report.table(WAN, [ours, absent]).splitlines()[1].split(), ["mkdir", "100.0", "ms", "1.0", "2"])
        self.assertEqual(report.processors(WAN, [ours, absent]).splitlines()[1].split(), ["mkdir", "50.0", "ms", "25.0", "ms"])

    def test_what_the_work_takes_near_by_is_no_round_trip(self) -> None:
        far, near = racer("lafs", WAN, mkdir=[0.25]), racer("lafs", LAN, mkdir=[0.05])
        row = report.table(WAN, [far], near).splitlines()[1].split()
        self.assertEqual(row[3:6], ["2.5", "2.0", "2"])


class ThePage(TestCase):
    def test_new_results_take_the_place_of_old_ones_and_the_rest_stays(self) -> None:
        page = f"before\n{report.BEGIN}\n{report.END}\nafter\n"
        once = report.with_results(page, "old")
        self.assertEqual(report.with_results(once, "new"), once.replace("old", "new"))
        self.assertEqual(once, f"before\n{report.BEGIN}\n```\nold\n```\n{report.END}\nafter\n")

    def test_a_page_without_a_place_for_results_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            report.with_results("a page\n", "results")


class TheProgram(TestCase):
    def test_every_goal_is_of_a_row_that_is_measured_where_the_goal_is_set(self) -> None:
        measured = {(row, line) for work in WORKS for row in work.rows for line in work.full}
        for row, goal in GOALS.items():
            if goal.lan or goal.https or goal.seconds:
                self.assertIn((row, LAN), measured)
            if goal.wan or goal.round_trips:
                self.assertIn((row, WAN), measured)

    def test_the_quick_race_does_nothing_that_the_whole_does_not(self) -> None:
        for work in WORKS:
            for line, turns in work.quick.items():
                self.assertLessEqual(turns.rounds, work.full[line].rounds)
                self.assertLessEqual(turns.amount, work.full[line].amount)
