"""A grid of one machine with its page, as `lafs up` starts it, and browsers that look at it.

Starting both takes seconds, so all tests of a process share them; each makes a directory of its own to work in.
"""
from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import quote, urlencode

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from twisted.trial.unittest import SynchronousTestCase

from tests.browser.chromium import Chromium, wait_until
from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Node, free_port

__all__ = ["Gateway", "Stage", "StageTest", "pytestmark", "wait_until"]

pytestmark = pytest.mark.process


class Stage:
    """A running node, with a root directory."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lafs-stage-"))
        self.directory = self.folder / "node"
        self.port = free_port()
        self.gateway = Gateway(self.port)
        self.origin = f"http://127.0.0.1:{self.port}"
        self.node = Node(self.directory, LAFS, ["up", "-C", self.directory, "-p", str(self.port), "--no-open"])
        self.start()

    def start(self) -> None:
        """Start the node, and wait for the root directory that its first start makes."""
        self.node.start().wait_running()
        wait_until(lambda: "tahoe: URI:DIR2:" in self._aliases(), "the root directory")

    def _aliases(self) -> str:
        path = self.directory / "private" / "aliases"
        return path.read_text() if path.exists() else ""

    @property
    def root(self) -> str:
        """The write cap of the root directory."""
        return self._aliases().partition("tahoe: ")[2].split()[0]

    def close(self) -> None:
        if self.node.is_alive:
            self.node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def entrance(self) -> str:
        """What `lafs web` opens in a browser: an address for one session."""
        return LAFS.run("-d", self.directory, "web", "--print").text.splitlines()[-1]

    # --- what is stored, as a program sees it ---

    def ask(self, method: str, path: str, body: bytes | None = None, **arguments: str) -> Any:
        """A request below the root directory that has to succeed."""
        names = "/".join(quote(name, safe="") for name in path.split("/"))
        query = f"?{urlencode(arguments)}" if arguments else ""
        answer = self.gateway.ask(method, f"/uri/{quote(self.root, safe='')}/{names}{query}", body)
        assert answer.status < 300, (answer.status, answer.text)
        return answer

    def facts(self, path: str) -> dict[str, Any]:
        """What is known of an object, as JSON."""
        import json

        return dict(json.loads(self.ask("GET", path, t="json").body)[1])

    def names(self, path: str) -> list[str]:
        return list(self.facts(path)["children"])

    def store(self, path: str, contents: Mapping[str, bytes]) -> str:
        """A directory with these files in it. Returns its cap."""
        import json

        cap = str(self.ask("POST", path, b"", t="mkdir").text)
        caps = {content: self.gateway.put(content) for content in set(contents.values())}
        children = {name: ["filenode", {"ro_uri": caps[content]}] for name, content in contents.items()}
        self.ask("POST", path, json.dumps(children).encode(), t="set_children")
        return cap


@cache
def _shared() -> tuple[Stage, Chromium, str]:
    """One stage and one browser for all tests of this process, closed when it ends."""
    stage = Stage()
    atexit.register(stage.close)
    browser = Chromium()
    atexit.register(browser.close)
    browser.open(stage.entrance())
    return stage, browser, browser.url


class StageTest(SynchronousTestCase):
    """Tests on one stage with one browser, in a session. `self.here` is a directory of the test's own, by its name in the root."""

    pytestmark = pytest.mark.process
    stage: ClassVar[Stage]
    browser: ClassVar[Chromium]
    home: ClassVar[str]
    """The address of the root directory in the session."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.stage, cls.browser, cls.home = _shared()

    def setUp(self) -> None:
        self.here = self.id().rpartition(".")[2]
        self.browser.resize(1280)
        self.browser.theme(False)
        self.browser.forget()

    def shown(self, contents: Mapping[str, bytes]) -> Chromium:
        """The browser, at the test's directory with these files in it."""
        self.stage.store(self.here, contents)
        self.browser.open(self.address)
        return self.browser

    @property
    def address(self) -> str:
        return f"{self.home}{quote(self.here)}/"

    def names_shown(self) -> list[str]:
        """The names in the listing, in the order in which they stand."""
        return list(self.browser.run("return [...document.querySelectorAll('#rows .name bdi')].map(each => each.textContent)"))

    def wait_for_names(self, names: list[str]) -> None:
        """Wait until just these are listed, in this order."""
        try:
            wait_until(lambda: self.names_shown() == names, "the listing")
        except AssertionError:
            self.assertEqual(self.names_shown(), names)

    def local(self, contents: Mapping[str, bytes]) -> Path:
        """A folder of this machine with these files; their names may have directories in them."""
        folder = Path(tempfile.mkdtemp(prefix="lafs-local-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    def row(self, name: str) -> WebElement:
        """The row of one child."""
        found = "[...document.querySelectorAll('#rows tr')].find(row => row.dataset.name === arguments[0])"
        return wait_until(lambda: cast("WebElement | None", self.browser.run(f"return {found}", name)), f"the row of {name!r}")

    def in_row(self, name: str, selector: str) -> WebElement:
        return self.row(name).find_element(By.CSS_SELECTOR, selector)

    def open_menu(self, name: str) -> None:
        """The menu of one row."""
        self.in_row(name, "summary").click()

    def tick(self, name: str) -> None:
        self.in_row(name, "input").click()
