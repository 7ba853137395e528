"""`lafs web`: into the page of a running node, and in again after a restart."""
from __future__ import annotations

import shutil
import tempfile
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.process.harness import LAFS, Node, free_port, wait_until

pytestmark = pytest.mark.process


class WebPage(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lafs-web-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.directory = self.folder / "node"
        self.port = free_port()
        self.node = self.up()

    def up(self) -> Node:
        node = Node(self.directory, LAFS, ["up", "-C", self.directory, "-p", str(self.port), "--no-open"])
        self.addCleanup(lambda: node.kill() if node.is_alive else None)
        node.start().wait_running()
        wait_until(lambda: "tahoe:" in LAFS.run("-d", self.directory, "list-aliases").text, "a root directory")
        return node

    def ask(self, url: str, **headers: str) -> HTTPResponse:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", target, headers={"Host": parts.netloc, **headers})
        return connection.getresponse()

    def test_a_bookmark_works_again_after_a_restart_and_only_in_its_browser(self) -> None:
        LAFS.run("-d", self.directory, "put", "-", "tahoe:photo.jpg", stdin=b"a picture" * 1000)
        address = LAFS.run("-d", self.directory, "web", "--print").text
        entered = self.ask(address)
        self.assertEqual(entered.status, 303)
        cookie = (entered.getheader("Set-Cookie") or "").partition(";")[0]
        bookmark = f"http://127.0.0.1:{self.port}/{entered.getheader('Location')}"
        self.assertIn(b"photo.jpg", self.ask(bookmark, Cookie=cookie).read())

        self.assertEqual(self.node.stop(), 0)
        self.up()

        self.assertIn(b"photo.jpg", self.ask(bookmark, Cookie=cookie).read())
        self.assertEqual(self.ask(bookmark).status, 403)
        self.assertEqual(self.ask(address).status, 403)
        shown = self.ask(f"{bookmark}photo.jpg?t=content", Cookie=cookie).getheader("Location") or ""
        self.assertEqual(self.ask(shown).read(), b"a picture" * 1000)

    def test_the_log_holds_nothing_that_opens_anything(self) -> None:
        root = LAFS.run("-d", self.directory, "list-aliases").text.split(":", 1)[1].strip()
        address = LAFS.run("-d", self.directory, "web", "--print").text
        entered = self.ask(address)
        cookie = (entered.getheader("Set-Cookie") or "").partition(";")[0]
        location = entered.getheader("Location") or ""
        self.ask(f"http://127.0.0.1:{self.port}/{location}", Cookie=cookie).read()
        log = wait_until(lambda: found if "/h/" in (found := self.log()) else "", "the request in the log")
        token = (self.directory / "private" / "web_token").read_text().strip()
        for secret in (token, cookie.partition("=")[2], location.split("/")[1], address.partition("=")[2], root.split(":")[2]):
            self.assertNotIn(secret, log)

    def log(self) -> str:
        return (self.directory / "logs" / "lafs.log").read_text()
