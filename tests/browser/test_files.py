"""Files on the page: stored by drop, listed, sorted, found, renamed, moved, deleted; one at a time and several at once."""
from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

from tests.browser.chromium import Keys
from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]

ABC = {"a.txt": b"a" * 100, "b.txt": b"b" * 200, "c.txt": b"c" * 300}

HOSTILE = (
    "<img src=x onerror=alert(1)>.txt",
    "\"quoted\" & 'so' <b>.txt",
    "photo\u202egpj.exe",
    "very long " * 20 + ".txt",
    "Ünïcödé 漢字 🙂.txt",
    "100% #hash? a+b;c=d.txt",
    "back\\slash.txt",
    ".hidden",
    " spaces around ",
    "C:colon",
    "{{ 7 * 7 }}.txt",
    "javascript:alert(1)",
)


class Storing(StageTest):
    def test_files_dropped_on_the_page_are_stored_and_listed(self) -> None:
        browser = self.shown({})
        browser.shows("Nothing here yet")
        contents = {"small.txt": b"hello", "big.bin": os.urandom(3_000_000)}
        folder = self.local(contents)
        browser.drop("main", [folder / name for name in contents])
        browser.shows("2 files stored")
        self.wait_for_names(["big.bin", "small.txt"])
        for name, content in contents.items():
            self.assertEqual(self.stage.ask("GET", f"{self.here}/{name}").body, content)
        self.assertEqual(browser.find("#tray-progress").get_attribute("value"), "1")
        self.assertEqual([each.text for each in browser.all("#tray-list li span:last-of-type")], ["stored", "stored"])

    def test_a_dropped_folder_is_stored_with_all_that_is_in_it(self) -> None:
        browser = self.shown({})
        names = ("tree/one", "tree/sub/two ä", "tree/sub/deep/three", "tree/sub/deep/%41")
        folder = self.local(dict.fromkeys(names, b"contents"))
        (folder / "tree" / "empty").mkdir()
        browser.drop("main", [folder / "tree"])
        browser.shows("4 files stored")
        self.wait_for_names(["tree"])
        self.assertEqual(sorted(self.stage.names(f"{self.here}/tree")), ["empty", "one", "sub"])
        self.assertEqual(sorted(self.stage.names(f"{self.here}/tree/sub")), ["deep", "two ä"])
        self.assertEqual(sorted(self.stage.names(f"{self.here}/tree/sub/deep")), ["%41", "three"])

    def test_chosen_files_are_stored_and_a_file_of_the_same_name_is_asked_about(self) -> None:
        browser = self.shown({"same.txt": b"old" * 30})
        folder = self.local({"same.txt": b"new" * 40})
        browser.find("#pick-files").send_keys(str(folder / "same.txt"))
        browser.shows("Already there")
        browser.press("Keep both")
        self.wait_for_names(["same (2).txt", "same.txt"])
        self.assertEqual(self.stage.ask("GET", f"{self.here}/same.txt").body, b"old" * 30)
        browser.find("#pick-files").send_keys(str(folder / "same.txt"))
        browser.press("Replace")
        wait_until(lambda: self.stage.ask("GET", f"{self.here}/same.txt").body == b"new" * 40, "the new contents")

    def test_a_file_that_cannot_be_stored_is_told_of_and_the_others_are_stored(self) -> None:
        browser = self.shown({})
        self.stage.store(f"{self.here}/in the way", {})
        folder = self.local({"in the way": b"x", "fine": b"y"})
        browser.drop("main", [folder / "in the way", folder / "fine"])
        browser.shows("1 thing could not be stored")
        self.assertEqual(sorted(self.stage.names(self.here)), ["fine", "in the way"])
        self.assertEqual(len(browser.all("#tray-list li.failed")), 1)


class Arranging(StageTest):
    def test_a_click_on_a_heading_sorts_and_another_turns_it_round(self) -> None:
        browser = self.shown({"file 10": b"x" * 10, "file 9": b"x" * 300, "File 1": b"x" * 20})
        self.assertEqual(self.names_shown(), ["File 1", "file 9", "file 10"])
        browser.press("Size")
        self.assertEqual(self.names_shown(), ["file 10", "File 1", "file 9"])
        browser.press("Size")
        self.assertEqual(self.names_shown(), ["file 9", "File 1", "file 10"])
        self.assertEqual(browser.find("th[data-column=size]").get_attribute("aria-sort"), "descending")

    def test_what_is_typed_leaves_only_names_with_it(self) -> None:
        browser = self.shown(ABC)
        browser.find("#filter").send_keys("B")
        self.assertEqual(self.names_shown(), ["b.txt"])
        browser.find("#filter").send_keys("zzz")
        browser.shows("No name here has that in it")

    def test_a_new_folder_appears_and_the_way_back_up_is_shown(self) -> None:
        browser = self.shown({})
        browser.press("New folder")
        browser.find("dialog input[type=text]").send_keys("inner", Keys.ENTER)
        self.wait_for_names(["inner"])
        with browser.new_page():
            browser.press("inner")
        self.assertEqual([each.text for each in browser.all(".trail li")], ["Files", self.here, "inner"])
        with browser.new_page():
            browser.press(self.here)
        self.assertEqual(self.names_shown(), ["inner"])

    def test_a_file_gets_another_name_unless_it_is_taken(self) -> None:
        browser = self.shown(ABC)
        self.open_menu("b.txt")
        browser.press("Rename")
        field = browser.find("dialog input[type=text]")
        field.clear()
        field.send_keys("a.txt", Keys.ENTER)
        wait_until(lambda: "already" in browser.find("dialog [role=alert]").text, "the refusal")
        field.clear()
        field.send_keys("z.txt", Keys.ENTER)
        self.wait_for_names(["a.txt", "c.txt", "z.txt"])
        self.assertEqual(self.stage.ask("GET", f"{self.here}/z.txt").body, ABC["b.txt"])

    def test_a_file_is_moved_to_a_folder_and_back_up_again(self) -> None:
        browser = self.shown(ABC)
        self.stage.store(f"{self.here}/inner", {})
        browser.open(self.address)
        self.open_menu("b.txt")
        browser.press("Move")
        browser.press(f"/{self.here}/inner")
        self.wait_for_names(["inner", "a.txt", "c.txt"])
        browser.open(f"{self.address}inner/")
        self.assertEqual(self.names_shown(), ["b.txt"])
        self.open_menu("b.txt")
        browser.press("Move")
        browser.press(f"/{self.here}")
        self.wait_for_names([])
        self.assertEqual(sorted(self.stage.names(self.here)), ["a.txt", "b.txt", "c.txt", "inner"])

    def test_several_are_moved_together(self) -> None:
        browser = self.shown(ABC)
        self.stage.store(f"{self.here}/inner", {})
        browser.open(self.address)
        self.tick("a.txt")
        self.tick("c.txt")
        browser.press("Move")
        browser.press(f"/{self.here}/inner")
        self.wait_for_names(["inner", "b.txt"])
        self.assertEqual(sorted(self.stage.names(f"{self.here}/inner")), ["a.txt", "c.txt"])

    def test_deleting_asks_first_and_takes_out_only_that(self) -> None:
        browser = self.shown(ABC)
        self.open_menu("b.txt")
        browser.press("Delete")
        browser.press("Cancel")
        self.assertEqual(sorted(self.stage.names(self.here)), ["a.txt", "b.txt", "c.txt"])
        self.open_menu("b.txt")
        browser.press("Delete")
        browser.find("dialog button.danger").click()
        self.wait_for_names(["a.txt", "c.txt"])
        self.assertEqual(sorted(self.stage.names(self.here)), ["a.txt", "c.txt"])

    def test_a_range_of_rows_is_selected_with_shift_and_deleted_together(self) -> None:
        browser = self.shown({f"{number}.txt": b"x" for number in range(6)})
        self.tick("1.txt")
        browser.run(
            "const row = document.querySelector('#rows tr[data-name=\"4.txt\"] input');"
            "row.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true, shiftKey: true})); row.click();"
        )
        browser.shows("4 selected")
        browser.press("Delete")
        browser.shows("Delete 4 items?")
        browser.find("dialog button.danger").click()
        self.wait_for_names(["0.txt", "5.txt"])

    def downloaded(self, name: str) -> Path:
        path = self.browser.downloads / name
        wait_until(path.exists, f"the download of {name}")
        return path

    def test_one_selected_file_is_downloaded_as_it_is_and_several_as_an_archive(self) -> None:
        browser = self.shown(ABC)
        self.stage.store(f"{self.here}/inner", {"deep ä.txt": b"deep" * 50})
        browser.open(self.address)
        self.tick("a.txt")
        browser.press("Download")
        self.assertEqual(self.downloaded("a.txt").read_bytes(), ABC["a.txt"])
        self.tick("inner")
        browser.press("Download")
        with ZipFile(self.downloaded(f"{self.here}.zip")) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(sorted(archive.namelist()), ["a.txt", "inner/", "inner/deep ä.txt"])
            self.assertEqual(archive.read("inner/deep ä.txt"), b"deep" * 50)

    def test_everything_can_be_done_with_the_keyboard(self) -> None:
        browser = self.shown(ABC)
        browser.find("body").send_keys(Keys.ARROW_DOWN)
        browser.keys(Keys.ARROW_DOWN)
        self.assertEqual(browser.driver.switch_to.active_element.text, "b.txt")
        browser.keys(Keys.F2)
        browser.find("dialog input[type=text]")
        wait_until(lambda: browser.driver.switch_to.active_element.get_attribute("name") == "to_name", "the focus in the field")
        browser.keys("renamed.txt", Keys.ENTER)
        self.wait_for_names(["a.txt", "c.txt", "renamed.txt"])
        browser.find("body").send_keys(Keys.ARROW_DOWN)
        browser.keys(Keys.DELETE)
        browser.shows("Delete 1 item?")
        wait_until(lambda: browser.driver.switch_to.active_element.text == "Delete", "the focus on the button")
        browser.keys(Keys.ENTER)
        self.wait_for_names(["c.txt", "renamed.txt"])


class HostileNames(StageTest):
    """Whatever a file is called, its row, its dialogs and its page show that name and do nothing else."""

    def test_they_are_listed_by_the_gateway_and_by_the_script_and_open(self) -> None:
        contents = {name: f"contents of {number}".encode() * 9 for number, name in enumerate(HOSTILE)}
        browser = self.shown(contents)
        self.check_listing()
        browser.press("Changed")  # all rows are made again, by the script
        self.check_listing()
        for name, content in contents.items():
            browser.run("arguments[0].click()", self.in_row(name, ".name a"))
            self.wait_for_title(self.as_shown(name).strip())
            self.assertIn(browser.find("dialog .stage").text, (content.decode(), "There is no preview of this kind of file."))
            browser.keys(Keys.ESCAPE)
        self.assertEqual(browser.run("return window.alerted ?? null"), None)
        self.assertEqual(browser.complaints, [])

    def wait_for_title(self, title: str) -> None:
        wait_until(lambda: self.browser.find("dialog h1").text == title, f"the dialog of {title!r}")

    def check_listing(self) -> None:
        self.assertEqual(sorted(self.names_shown()), sorted(map(self.as_shown, HOSTILE)))
        self.assertEqual(self.browser.all("#rows img, #rows b"), [])

    def as_shown(self, name: str) -> str:
        return name.replace("\u202e", "\ufffd")

    def test_they_are_renamed_moved_and_deleted_like_any_other(self) -> None:
        browser = self.shown(dict.fromkeys(HOSTILE, b"x"))
        names = sorted(HOSTILE)
        for number, name in enumerate(names):
            browser.run("arguments[0].click()", self.in_row(name, "a[href*=rename-form]"))
            field = browser.find("dialog[open] input[type=text]")
            self.assertEqual(field.get_attribute("value"), name)
            field.clear()
            field.send_keys(f"plain {number}", Keys.ENTER)
            self.row(f"plain {number}")
        self.assertEqual(sorted(self.stage.names(self.here)), sorted(f"plain {number}" for number in range(len(names))))
