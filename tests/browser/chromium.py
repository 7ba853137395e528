"""A headless Chromium with a profile of its own, driven through WebDriver: what a person at the page sees and does.

Tells what the browser asked for, whom it asked, and what it complained of. Nothing of it is left when it is closed.
"""
from __future__ import annotations

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from attrs import field, frozen
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")

__all__ = ["Chromium", "Keys", "Sent"]

PATIENCE_SECONDS = 30.0
"""How long to wait for what normally takes a fraction of a second: a busy machine is no failure."""

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
    "--disable-features=Translate,OptimizationHints,MediaRouter", "--autoplay-policy=no-user-gesture-required", "--hide-scrollbars",
)  # fmt: skip


@frozen
class Sent:
    """A request that left the browser."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


class Chromium:
    """One browser profile. `scripts` False: as for people who have turned JavaScript off. `resolve`: what host names mean to it."""

    def __init__(
        self,
        *,
        scripts: bool = True,
        width: int = 1280,
        height: int = 860,
        dark: bool = False,
        resolve: Mapping[str, str] | None = None,
    ) -> None:
        self.scripts = scripts
        self.folder = Path(tempfile.mkdtemp(prefix="lafs-chromium-"))
        self.downloads = self.folder / "downloads"
        self.downloads.mkdir()
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        rules = ", ".join(f"MAP {name} {address}" for name, address in (resolve or {}).items())
        own = (f"--user-data-dir={self.folder / 'profile'}", f"--window-size={width},{height}", f"--host-resolver-rules={rules}")
        for flag in (*FLAGS, *own):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        options.add_experimental_option(
            "prefs",
            {
                "download.default_directory": str(self.downloads),
                "profile.default_content_setting_values.automatic_downloads": 1,
                **({} if scripts else {"profile.managed_default_content_settings.javascript": 2}),
            },
        )
        self.driver = Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
        self.resize(width, height)
        self.theme(dark)
        self._requests: list[Sent] = []
        self._complaints: list[str] = []

    def close(self) -> None:
        """End it, and remove all that it left."""
        try:
            self.driver.quit()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- the window ---

    def resize(self, width: int, height: int = 860) -> None:
        """The inside of the window, as a device of that size has it."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def theme(self, dark: bool) -> None:
        """What the system asks pages for."""
        value = "dark" if dark else "light"
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def command(self, name: str, **parameters: Any) -> Any:
        """One command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def screenshot(self, path: Path, whole_page: bool = False) -> None:
        """A picture of what is seen, as WebP."""
        answer = self.command("Page.captureScreenshot", format="webp", quality=88, captureBeyondViewport=whole_page)
        path.write_bytes(base64.b64decode(answer["data"]))

    # --- going places and doing things ---

    def open(self, url: str) -> None:
        self.driver.get(url)

    @property
    def url(self) -> str:
        return self.driver.current_url

    @property
    def title(self) -> str:
        return self.driver.title

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        return self.find("body").text

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a piece of JavaScript, run in the page."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """The first that `selector` (CSS) finds; waits for one."""
        return wait_until(lambda: next(iter(self.all(selector)), None), f"an element {selector}")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def link(self, text: str) -> WebElement:
        """The first visible link or button that says just this; of an open dialog, if there is one."""

        script = """
            const pressable = (document.querySelector("dialog[open]") ?? document).querySelectorAll("a, button, summary, label");
            return [...pressable].find(each => each.innerText.trim() === arguments[0] && each.checkVisibility());
        """

        def found() -> WebElement | None:
            return cast("WebElement | None", self.run(script, text))

        return wait_until(found, f"something to press that says {text!r}")

    def press(self, text: str) -> None:
        self.link(text).click()

    def keys(self, *keys: str) -> None:
        """Type, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def shows(self, text: str) -> None:
        """Wait until this can be read on the page."""
        wait_until(lambda: text in self.text, f"the page to say {text!r}")

    def drop(self, selector: str, paths: Sequence[Path]) -> None:
        """Drop files and folders from the file manager onto an element."""
        box = self.find(selector).rect
        point = {"x": box["x"] + min(box["width"] / 2, 300), "y": min(box["y"] + box["height"] / 2, 500)}
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.command("Input.dispatchDragEvent", type=kind, data=data, **point)

    @contextmanager
    def new_page(self) -> Iterator[None]:
        """Wait, at the end of the block, until another page has been loaded."""
        before = self.find("html")
        yield
        wait_until(lambda: _gone(before), "another page")
        if self.scripts:
            wait_until(lambda: self.run("return document.readyState") == "complete", "the page to be loaded")

    # --- what it did ---

    def _read_logs(self) -> None:
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                request = message["params"]["request"]
                self._requests.append(Sent(request["method"], request["url"], request["headers"]))
        self._complaints += [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def forget(self) -> None:
        """What was asked for and complained of until now is not this test's."""
        self._read_logs()
        self._requests.clear()
        self._complaints.clear()

    @property
    def requests(self) -> list[Sent]:
        """All that it has asked for so far."""
        self._read_logs()
        return list(self._requests)

    @property
    def complaints(self) -> list[str]:
        """What it has written to its console: errors, and violations of a page's own policy."""
        self._read_logs()
        return list(self._complaints)


def _gone(element: WebElement) -> bool:
    from selenium.common.exceptions import StaleElementReferenceException, WebDriverException

    try:
        element.is_enabled()
    except (StaleElementReferenceException, WebDriverException):
        return True
    return False


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Ask until the answer is true, and return it. Raises AssertionError; `what` completes "waited for"."""
    from selenium.common.exceptions import StaleElementReferenceException

    end = time.monotonic() + seconds
    while True:
        try:
            answer = condition()
        except StaleElementReferenceException:
            answer = None
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} seconds in vain for {what}")
        time.sleep(0.03)


def texts(elements: Iterable[WebElement]) -> list[str]:
    return [element.text for element in elements]
