"""Pages that everybody can use: axe-core finds nothing wrong with any of them, in either theme, wide or narrow."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]

AXE = Path(os.environ.get("LAFS_AXE", Path(__file__).parents[2] / ".axe" / "axe.min.js"))
"""Fetched by the Makefile."""

RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  found => done(found.violations.map(each => each.id + ": " + each.help + "\\n  " + each.nodes.map(node => node.html.slice(0, 160)
    + " -- " + node.failureSummary.replaceAll("\\n", " ").slice(0, 200)).slice(0, 3).join("\\n  "))),
  error => done([String(error)]));
"""


class Accessible(StageTest):
    def setUp(self) -> None:
        super().setUp()
        self.contents = {"a.txt": b"text\n" * 30, "b.png": b"not really", "c.bin": b"\0" * 100}

    def problems(self) -> list[str]:
        self.browser.command("Runtime.evaluate", expression=AXE.read_text())
        return list(self.browser.driver.execute_async_script(RUN))  # type: ignore[no-untyped-call]

    def pages(self) -> Iterator[str]:
        origin = self.stage.origin
        yield from (f"{origin}/", f"{origin}/status", f"{origin}/statistics", self.address, f"{self.address}?t=info")
        yield from (f"{self.address}a.txt?t={t}" for t in ("view", "share", "info"))
        yield from (f"{self.address}?t={t}-form&name=a.txt" for t in ("rename", "move", "delete", "mkdir", "link"))
        yield from (f"{self.address}nothing", f"{origin}/h/nothing/")

    def test_every_page_in_both_themes(self) -> None:
        browser = self.shown(self.contents)
        for dark in (False, True):
            browser.theme(dark)
            for page in self.pages():
                browser.open(page)
                self.assertEqual(self.problems(), [], (page.replace(self.home, ".../"), dark))

    def test_narrow_pages(self) -> None:
        browser = self.shown(self.contents)
        browser.resize(390, 844)
        for page in (self.stage.origin, self.address, f"{self.address}a.txt?t=share"):
            browser.open(page)
            self.assertEqual(self.problems(), [], page.replace(self.home, ".../"))
            self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), 390)

    def test_dialogs_menus_and_uploads(self) -> None:
        browser = self.shown(self.contents)
        self.tick("a.txt")
        self.open_menu("b.png")
        self.assertEqual(self.problems(), [])
        browser.press("Share")
        browser.find("dialog[open] #share-cap")
        self.assertEqual(self.problems(), [])
        browser.run("document.getElementById('dialog').close()")
        browser.drop("main", [self.local({"x": b"x" * 100}) / "x"])
        browser.shows("1 file stored")
        self.assertEqual(self.problems(), [])

    def test_the_focus_goes_into_a_dialog_and_comes_back(self) -> None:
        browser = self.shown(self.contents)
        opener = browser.link("Share")
        opener.click()
        wait_until(lambda: browser.run("return document.activeElement.closest('dialog') !== null"), "the focus in the dialog")
        browser.run("document.getElementById('dialog').close()")
        self.assertEqual(browser.driver.switch_to.active_element, opener)
