"""Every page and dialog can be drawn, at three widths and in both themes. `make screenshots` keeps the pictures."""
from __future__ import annotations

import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable
from math import sin
from pathlib import Path

from tests.browser.chromium import Keys
from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]

KEPT = (
    *("folder-phone-dark", "share-phone-light", "view-phone-dark", "welcome-phone-light"),
    *("folder-tablet-dark", "view-desktop-dark"),
)
"""Pictures to keep, besides all of a desktop by day."""

LARGEST = 150_000
"""Bytes of one picture, so that the repository stays small."""


def photo(hue: int) -> bytes:
    """A picture of hills in the evening, 480 by 320."""

    def colour(x: int, y: int) -> tuple[int, int, int]:
        near = 232 + int(18 * sin(x / 61 + hue) + 7 * sin(x / 23 + 2 * hue))
        far = 190 + int(22 * sin(x / 97 - hue) + 9 * sin(x / 31 + hue))
        if y > near:
            return 24, 60 + 6 * hue, 58
        if y > far:
            return 40 + 8 * hue, 105, 98
        return min(255, 120 + y // 2 + 6 * hue), min(255, 110 + y // 3), max(0, 190 - y // 3 + 4 * hue)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = b"".join(b"\0" + b"".join(bytes(colour(x, y)) for x in range(480)) for y in range(320))
    head = struct.pack(">IIBBBBB", 480, 320, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")


class Screenshots(StageTest):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(prefix="lafs-screenshots-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.gallery = os.environ.get("LAFS_SCREENSHOTS", "")
        self.here = "Holiday in the hills"

    def shoot(self, name: str, whole_page: bool = False) -> None:
        path = self.folder / f"{name}.webp"
        wait_until(lambda: self.browser.run("return document.readyState") == "complete", "the page")
        self.browser.run("return new Promise(done => requestAnimationFrame(() => setTimeout(done, 60)))")
        self.browser.screenshot(path, whole_page)
        self.assertLess(path.stat().st_size, LARGEST, name)
        if self.gallery and (name in KEPT or name.endswith("desktop-light")):
            shutil.copy(path, self.gallery)

    def test_all_of_them(self) -> None:
        browser = self.browser
        contents = {f"hills {number}.png": photo(number) for number in range(1, 5)}
        contents |= {"diary.md": b"# Monday\n\nUp early, rain.\n\n# Tuesday\n\nSun at last. We walked to the lake and back.\n" * 2}
        contents |= {"map.pdf": b"%PDF" * 3000, "birds.wav": bytes(90_000), "packing list.txt": b"boots\nhat\n" * 20}
        self.shown(contents)
        self.stage.store(f"{self.here}/From Ada", {})
        self.stage.store(f"{self.here}/Videos", {})
        dialogs: dict[str, Callable[[], object]] = {
            "view": lambda: browser.press("hills 2.png"),
            "text": lambda: browser.press("diary.md"),
            "share": lambda: browser.press("Share"),
            "rename": lambda: (self.open_menu("map.pdf"), browser.press("Rename")),
            "move": lambda: (self.open_menu("map.pdf"), browser.press("Move")),
            "delete": lambda: (self.open_menu("map.pdf"), browser.press("Delete")),
        }
        pages = {"welcome": self.stage.origin, "activity": f"{self.stage.origin}/status"}
        pages |= {"info": f"{self.address}?t=info", "error": f"{self.address}gone"}
        for width, device in ((1280, "desktop"), (820, "tablet"), (390, "phone")):
            for dark in (False, True) if self.gallery else (device == "tablet",):
                browser.resize(width, 844 if width < 600 else 860)
                browser.theme(dark)
                suffix = f"{device}-{'dark' if dark else 'light'}"
                browser.open(self.address)
                self.shoot(f"folder-{suffix}")
                for name, opened in dialogs.items():
                    opened()
                    browser.find("dialog[open] h1")
                    wait_until(lambda: browser.run("return [...document.images].every(each => each.complete)"), "the pictures")
                    self.shoot(f"{name}-{suffix}")
                    browser.keys(Keys.ESCAPE)
                self.tick("diary.md")
                self.tick("map.pdf")
                self.open_menu("hills 1.png")
                self.shoot(f"selected-{suffix}")
                for page, address in pages.items():
                    browser.open(address)
                    self.shoot(f"{page}-{suffix}", whole_page=page == "info")
        browser.resize(1280)
        browser.theme(False)
        browser.open(self.address)
        browser.drop("main", [self.local({"New photos/a.png": photo(5), "New photos/b.png": photo(6)}) / "New photos"])
        browser.shows("2 files stored")
        self.shoot("uploads-desktop-light")
