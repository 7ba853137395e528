"""The first page and what every page has: live operations, files for one's own folder, caps that are pasted, the theme."""
from __future__ import annotations

import os

from tests.browser.chromium import Keys
from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]


class FirstPage(StageTest):
    def test_files_dropped_on_it_go_to_the_users_own_folder(self) -> None:
        browser = self.browser
        browser.open(self.stage.origin)
        with browser.new_page():
            browser.drop("main", [self.local({f"{self.here}.txt": b"x" * 100}) / f"{self.here}.txt"])
        self.assertEqual(browser.url, self.home)
        self.row(f"{self.here}.txt")

    def test_what_others_do_appears_by_itself(self) -> None:
        browser = self.browser
        browser.open(f"{self.stage.origin}/status")
        before = browser.run("return document.querySelector('[data-live-list]').textContent")
        index = self.stage.gateway.put(os.urandom(200_000))
        self.assertTrue(index.startswith("URI:CHK:"))
        wait_until(lambda: browser.run("return document.querySelector('[data-live-list]').textContent") != before, "the operation")
        browser.shows("200.0 kB")
        with browser.new_page():
            browser.press("Upload")
        self.assertRegex(browser.url, r"/status/up-\d+$")

    def test_a_folder_is_made_that_nothing_leads_to(self) -> None:
        browser = self.browser
        browser.open(self.stage.origin)
        with browser.new_page():
            browser.press("Make a folder")
        browser.shows("Nothing here yet")
        self.assertIn("/h/", browser.url)
        self.assertNotEqual(browser.url, self.home)

    def test_a_file_whose_cap_is_pasted_is_looked_at(self) -> None:
        cap = self.stage.gateway.put(b"words to be read\n" * 9)
        self.browser.open(self.stage.origin)
        self.browser.find("#uri").send_keys(cap, Keys.ENTER)
        self.browser.shows("words to be read")
        self.browser.shows("Download")

    def test_what_is_no_cap_is_told(self) -> None:
        browser = self.browser
        browser.open(self.stage.origin)
        browser.find("#uri").send_keys("URI:nonsense", Keys.ENTER)
        browser.shows("This cannot be done")

    def test_the_theme_is_the_systems_until_another_is_chosen_and_then_stays(self) -> None:
        browser = self.browser
        self.addCleanup(browser.run, "localStorage.clear()")
        paper = "return getComputedStyle(document.body).backgroundColor"
        browser.open(self.stage.origin)
        light = browser.run(paper)
        browser.theme(True)
        dark = browser.run(paper)
        self.assertNotEqual(dark, light)
        browser.find("#theme").click()
        self.assertEqual(browser.run(paper), light)
        browser.open(f"{self.stage.origin}/status")
        self.assertEqual(browser.run(paper), light)


class Dragging(StageTest):
    def test_rows_are_dragged_into_a_folder_and_out_of_it_again(self) -> None:
        browser = self.shown({"a.txt": b"a" * 100, "b.txt": b"b" * 100})
        self.stage.store(f"{self.here}/inner", {})
        browser.open(self.address)
        self.tick("a.txt")
        self.tick("b.txt")
        self.drag(self.row("a.txt"), self.row("inner"))
        self.wait_for_names(["inner"])
        browser.open(f"{self.address}inner/")
        self.drag(self.row("b.txt"), browser.all(".trail a[data-drop]")[-1])
        self.wait_for_names(["a.txt"])
        self.assertEqual(sorted(self.stage.names(self.here)), ["b.txt", "inner"])

    def drag(self, source: object, target: object) -> None:
        self.browser.run(
            """
            const [source, target] = arguments, dataTransfer = new DataTransfer();
            const about = {bubbles: true, cancelable: true, dataTransfer};
            const tell = (element, type) => element.dispatchEvent(new DragEvent(type, about));
            tell(source, "dragstart"); tell(target, "dragover"); tell(target, "drop"); tell(source, "dragend");
            """,
            source,
            target,
        )


class Stopping(StageTest):
    def test_uploads_that_are_stopped_say_so_and_leave_what_was_stored(self) -> None:
        browser = self.shown({})
        self.upload_speed(400_000)
        folder = self.local({"small": b"s" * 100, "large": os.urandom(8_000_000)})
        browser.drop("main", [folder / "large"])
        browser.shows("Storing 1 file")
        browser.find("#tray-stop").click()
        browser.shows("1 thing could not be stored")
        self.upload_speed(-1)
        self.assertEqual(self.stage.names(self.here), [])
        browser.find("#tray-stop").click()
        browser.drop("main", [folder / "small"])
        browser.shows("1 file stored")

    def upload_speed(self, speed: int) -> None:
        """Bytes a second; -1 for no limit."""
        line = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": speed}
        self.browser.command("Network.enable")
        self.browser.command("Network.emulateNetworkConditions", **line)
