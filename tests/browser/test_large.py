"""Many rows and many files: the page stays quick."""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.browser.chromium import Keys
from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]

ROWS = 10_000
LITERAL = "URI:LIT:mfrgg"


class TenThousandRows(StageTest):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.stage.store("rows", {})
        children = {f"file {number:05}.txt": ["filenode", {"ro_uri": LITERAL}] for number in range(ROWS)}
        cls.stage.ask("POST", "rows", json.dumps(children).encode(), t="set_children")

    def setUp(self) -> None:
        super().setUp()
        self.here = "rows"

    def test_they_are_drawn_soon_after_they_are_there_and_can_be_worked_with(self) -> None:
        browser = self.browser
        browser.open(self.address)
        self.assertGreaterEqual(len(self.names_shown()), 50)  # the gateway has drawn the first, before any script
        browser.shows(f"{ROWS} items")
        wait_until(lambda: self.measured(), "the rows to be drawn")
        self.note("milliseconds from data to drawn", self.measured()["rows-drawn"])
        self.assertLess(browser.run("return document.querySelectorAll('#rows tr').length"), 400)
        browser.run("scrollTo(0, document.body.scrollHeight / 2)")
        wait_until(lambda: any("file 05" in name or "file 04" in name for name in self.names_shown()), "the rows in the middle")
        browser.run("document.querySelector('#rows .name a').focus()")
        browser.keys(Keys.END)
        wait_until(lambda: browser.driver.switch_to.active_element.text == f"file {ROWS - 1:05}.txt", "the focus on the last row")
        browser.find("#filter").send_keys("file 0777")
        self.wait_for_names([f"file 0777{number}.txt" for number in range(10)])

    def measured(self) -> Mapping[str, Any]:
        entries = "performance.getEntriesByType('measure').map(each => [each.name, each.duration])"
        return dict(self.browser.run(f"return Object.fromEntries({entries})"))

    def note(self, what: str, value: float) -> None:
        print(f"{what}: {value:.0f}")


class ThousandFiles(StageTest):
    def test_a_dropped_tree_of_a_thousand_files_is_stored_whole(self) -> None:
        places = [(folder, number) for folder in range(20) for number in range(50)]
        contents = {f"tree/{folder:02}/file {number:02}": b"%d-%d" % (folder, number) * 3 for folder, number in places}
        folder = self.local(contents)
        browser = self.shown({})
        browser.drop("main", [folder / "tree"])
        wait_until(lambda: browser.find("#tray-title").text == "1000 files stored", "a thousand files", seconds=120)
        self.assertEqual(sorted(self.stage.names(f"{self.here}/tree")), [f"{number:02}" for number in range(20)])
        for number in range(20):
            self.assertEqual(len(self.stage.names(f"{self.here}/tree/{number:02}")), 50)
        self.assertEqual(self.stage.ask("GET", f"{self.here}/tree/07/file 33").body, contents["tree/07/file 33"])
