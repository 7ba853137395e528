"""The basics for people who have turned JavaScript off."""
from __future__ import annotations

from typing import ClassVar

from tests.browser.chromium import Chromium
from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]


class WithoutScripts(StageTest):
    plain: ClassVar[Chromium]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.plain = Chromium(scripts=False)
        cls.plain.open(cls.stage.entrance())
        cls.home = cls.plain.url

    @classmethod
    def tearDownClass(cls) -> None:
        cls.plain.close()

    def at(self, **contents: bytes) -> Chromium:
        self.stage.store(self.here, contents)
        self.plain.open(self.address)
        return self.plain

    def listed(self) -> list[str]:
        # The browser runs what the test asks it to, though nothing of the page.
        return list(self.plain.run("return [...document.querySelectorAll('#rows .name bdi')].map(each => each.textContent)"))

    def test_there_is_nothing_to_press_that_does_nothing(self) -> None:
        plain = self.at(a=b"a" * 100)
        self.assertEqual([each.tag_name for each in plain.all(".scripted-only") if each.is_displayed()], [])
        self.assertEqual(plain.all("html.scripted"), [])

    def test_a_file_is_stored_with_the_form_listed_looked_at_and_downloaded(self) -> None:
        plain = self.at()
        folder = self.local({"new.txt": b"contents\n" * 20})
        plain.find("#upload-file").send_keys(str(folder / "new.txt"))
        with plain.new_page():
            plain.press("Upload")
        self.assertEqual(self.listed(), ["new.txt"])
        with plain.new_page():
            plain.press("new.txt")
        self.assertIn("contents\ncontents", plain.find(".stage pre").text)
        plain.press("Download")
        wait_until(lambda: (plain.downloads / "new.txt").exists(), "the download")
        self.assertEqual((plain.downloads / "new.txt").read_bytes(), b"contents\n" * 20)

    def test_a_folder_is_made_and_the_path_leads_back(self) -> None:
        plain = self.at()
        plain.find("#mkdir-name").send_keys("inner")
        with plain.new_page():
            plain.press("Create")
        with plain.new_page():
            plain.press("inner")
        plain.shows("Nothing here yet")
        with plain.new_page():
            plain.press(self.here)
        self.assertEqual(self.listed(), ["inner"])

    def test_a_file_is_renamed_moved_and_deleted_by_pages_with_forms(self) -> None:
        plain = self.at(a=b"a" * 100, b=b"b" * 100)
        self.stage.store(f"{self.here}/inner", {})
        plain.open(self.address)
        self.choose("a", "Rename")
        plain.find("#to-name").clear()
        plain.find("#to-name").send_keys("renamed")
        with plain.new_page():
            plain.press("Rename")
        self.assertEqual(self.listed(), ["inner", "b", "renamed"])
        self.choose("renamed", "Move")
        with plain.new_page():
            plain.press(f"/{self.here}/inner")
        self.assertEqual(self.listed(), ["inner", "b"])
        self.choose("b", "Delete")
        with plain.new_page():
            plain.find("button.danger").click()
        self.assertEqual(self.listed(), ["inner"])
        self.assertEqual(self.stage.names(f"{self.here}/inner"), ["renamed"])

    def choose(self, name: str, action: str) -> None:
        self.plain.find(f"#rows tr[data-name='{name}'] summary").click()
        with self.plain.new_page():
            self.plain.press(action)

    def test_the_listing_is_sorted_by_the_gateway(self) -> None:
        plain = self.at(a=b"a" * 300, b=b"b" * 100, c=b"c" * 200)
        with plain.new_page():
            plain.press("Size")
        self.assertEqual(self.listed(), ["b", "c", "a"])
        with plain.new_page():
            plain.press("Size")
        self.assertEqual(self.listed(), ["a", "c", "b"])

    def test_a_cap_is_shared_with_its_picture(self) -> None:
        plain = self.at(a=b"a" * 100)
        with plain.new_page():
            plain.press("Share")
        self.assertEqual(plain.find("#share-cap").text, self.stage.facts(self.here)["ro_uri"])
        self.assertTrue(plain.find(".qr").is_displayed())

    def test_many_rows_come_in_pages(self) -> None:
        plain = self.at(**{f"{number:03}": b"x" for number in range(250)})
        self.assertEqual(self.listed(), [f"{number:03}" for number in range(100)])
        with plain.new_page():
            plain.press("Next")
        with plain.new_page():
            plain.press("Next")
        plain.shows("Page 3 of 3")
        self.assertEqual(self.listed(), [f"{number:03}" for number in range(200, 250)])
