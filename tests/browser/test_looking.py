"""Looking at what is stored, and giving it to others."""
from __future__ import annotations

import io
import struct
import wave
import zlib
from pathlib import Path

from tests.browser.chromium import Chromium, Keys
from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]

CLIP = (Path(__file__).parent / "clip.webm").read_bytes()


def picture(red: int) -> bytes:
    """A PNG of 48 by 32 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = b"".join(b"\0" + bytes(value for x in range(48) for value in (red, 5 * x, 7 * y)) for y in range(32))
    head = struct.pack(">IIBBBBB", 48, 32, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def sound(seconds: int) -> bytes:
    """Silence, uncompressed: 88,200 bytes a second."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((1, 2, 44_100, 0, "NONE", ""))
        out.writeframes(bytes(88_200 * seconds))
    return stream.getvalue()


class Previews(StageTest):
    def look_at(self, name: str) -> Chromium:
        self.browser.run("arguments[0].click()", self.in_row(name, ".name a"))
        wait_until(lambda: self.browser.find("dialog h1").text == name, f"the dialog of {name}")
        return self.browser

    def loaded_picture(self) -> bool:
        return bool(self.browser.run("return document.querySelector('dialog .stage img')?.naturalWidth === 48"))

    def test_pictures_are_seen_and_the_arrow_keys_go_from_one_to_the_next(self) -> None:
        browser = self.shown({"1.png": picture(10), "2.png": picture(200)})
        self.look_at("1.png")
        wait_until(self.loaded_picture, "the picture")
        browser.keys(Keys.ARROW_RIGHT)
        wait_until(lambda: browser.find("dialog h1").text == "2.png", "the next picture")
        wait_until(self.loaded_picture, "the next picture")
        browser.keys(Keys.ARROW_RIGHT)
        wait_until(lambda: browser.find("dialog h1").text == "1.png", "the first again")
        self.assertEqual(browser.complaints, [])

    def test_text_is_read_and_is_only_text(self) -> None:
        markup = "# Title\n<script>window.ran = 1</script>\n<img src=x onerror='window.ran = 1'> ünï\n"
        browser = self.shown({"notes.md": markup.encode() * 3, "page.html": markup.encode() * 4})
        for name in ("notes.md", "page.html"):
            self.look_at(name)
            self.assertIn("<script>window.ran = 1</script>", browser.find("dialog pre").text)
        self.assertEqual(browser.run("return window.ran ?? null"), None)

    def test_a_video_plays_from_where_it_is_wanted(self) -> None:
        browser = self.shown({"clip.webm": CLIP})
        self.look_at("clip.webm")
        ready = "const seen = document.querySelector('dialog video'); return seen && seen.readyState >= 1 ? seen.duration : 0"
        self.assertAlmostEqual(wait_until(lambda: browser.run(ready), "the video"), 6.0, delta=0.5)
        browser.run("document.querySelector('dialog video').currentTime = 4.5")
        at = "const seen = document.querySelector('dialog video'); return !seen.seeking && seen.readyState >= 2 && seen.currentTime"
        self.assertAlmostEqual(wait_until(lambda: browser.run(at), "the frame"), 4.5, delta=0.2)

    def test_to_hear_the_end_of_a_long_recording_its_middle_is_not_fetched(self) -> None:
        browser = self.shown({"long.wav": sound(400)})
        self.look_at("long.wav")
        heard = "return document.querySelector('dialog audio').readyState"
        wait_until(lambda: browser.run(heard) >= 1, "the beginning of the sound")
        browser.run("document.querySelector('dialog audio').currentTime = 390")
        wait_until(lambda: browser.run(heard) >= 2 and not browser.run("return document.querySelector('audio').seeking"), "the end")
        ranges = [each.headers["Range"] for each in browser.requests if "Range" in each.headers]
        self.assertGreater(max(int(each.removeprefix("bytes=").partition("-")[0]) for each in ranges), 30_000_000)

    def test_contents_come_from_an_origin_of_their_own(self) -> None:
        browser = self.shown({"1.png": picture(10)})
        self.look_at("1.png")
        wait_until(self.loaded_picture, "the picture")
        source = browser.find("dialog img").get_attribute("src") or ""
        self.assertRegex(source, rf"^http://[a-z2-7]+\.localhost:{self.stage.port}/1\.png$")


class Sharing(StageTest):
    def shared_cap(self) -> str:
        return self.browser.find("dialog #share-cap").text

    def wait_for_cap(self, cap: str) -> None:
        wait_until(lambda: self.shared_cap() == cap, "another cap")

    def test_the_dialog_gives_the_cap_that_reads_unless_another_is_asked_for(self) -> None:
        browser = self.shown({"a.txt": b"a" * 100})
        facts = self.stage.facts(self.here)
        browser.press("Share")
        self.assertEqual(self.shared_cap(), facts["ro_uri"])
        self.assertGreater(browser.run("return document.querySelector('dialog .qr').naturalWidth"), 0)
        for choice, key in (("May change", "rw_uri"), ("May check", "verify_uri"), ("May read", "ro_uri")):
            browser.press(choice)
            self.wait_for_cap(facts[key])

    def test_the_cap_is_copied(self) -> None:
        browser = self.shown({"a.txt": b"a" * 100})
        browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        browser.press("Share")
        browser.press("Copy")
        browser.shows("Copied")
        self.assertEqual(browser.run("return navigator.clipboard.readText()"), self.stage.facts(self.here)["ro_uri"])


class AFolderOfPhotos(StageTest):
    """Somebody who has only started the node keeps photos in it, shows them to a friend, and finds them again."""

    def test_the_whole_story(self) -> None:
        photos = self.local({f"Holiday/{number}.png": picture(20 * number) for number in range(1, 6)})
        owner = self.browser
        owner.open(self.stage.origin)
        with owner.new_page():
            owner.press("Open your files")
        owner.drop("main", [photos / "Holiday"])
        owner.shows("5 files stored")
        bookmark = owner.url
        with owner.new_page():
            owner.press("Holiday")
        self.wait_for_names([f"{number}.png" for number in range(1, 6)])
        owner.press("3.png")
        wait_until(lambda: owner.run("return document.querySelector('dialog img')?.naturalWidth"), "the photo")
        owner.keys(Keys.ESCAPE)
        owner.press("Share")
        cap = owner.find("dialog #share-cap").text

        friend = Chromium()
        self.addCleanup(friend.close)
        friend.open(self.stage.origin)
        friend.find("#uri").send_keys(cap, Keys.ENTER)
        friend.shows("read-only")
        self.assertEqual(len(friend.all("#rows tr[data-name]")), 5)
        self.assertEqual({"Upload files", "New folder", "Delete"} & {each.text for each in friend.all("a, button, label")}, set())
        friend.press("3.png")
        wait_until(lambda: friend.run("return document.querySelector('dialog img')?.naturalWidth"), "the photo")

        self.stage.node.stop()
        self.stage.start()
        owner.open(bookmark)
        with owner.new_page():
            owner.press("Holiday")
        self.wait_for_names([f"{number}.png" for number in range(1, 6)])
        owner.press("5.png")
        wait_until(lambda: owner.run("return document.querySelector('dialog img')?.naturalWidth"), "the photo after the restart")
