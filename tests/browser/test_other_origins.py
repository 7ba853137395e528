"""Pages of somebody else, in the browser of somebody who is in a session: they read nothing, change nothing and frame nothing."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from tests.browser.stage import StageTest, pytestmark, wait_until

__all__ = ["pytestmark"]

EVIL_DOCUMENT = b"""<!doctype html><title>untouched</title><body onload="document.title='ran'">
<script>document.title = 'ran'</script><img src="x" onerror="document.title='ran'">
<a id=a href="javascript:document.title='ran'">a</a>
<svg onload="document.title='ran'"></svg><iframe src="/"></iframe>
<meta http-equiv=refresh content="0;url=javascript:document.title='ran'">
"""

READ = """
const [url, mode, done] = arguments;
fetch(url, {mode, credentials: 'include'}).then(answer => answer.text())
    .then(text => done('read:' + text), error => done('refused'));
"""


WRITE = READ.replace("{mode,", "{method: 'POST', body: new URLSearchParams({t: 'unlink', name: 'letter.txt'}), mode,")


class Hostile:
    """A server of pages on another port of this machine; `heard` is what its pages sent it."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.heard: list[str] = []
        hostile = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                hostile.heard.append(f"{self.path} {self.headers}")
                body = hostile.pages.get(self.path, "<!doctype html><title>evil</title>").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])


@contextmanager
def hostile_server() -> Iterator[Hostile]:
    hostile = Hostile()
    thread = threading.Thread(target=hostile.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hostile
    finally:
        hostile.server.shutdown()
        thread.join()
        hostile.server.server_close()


class OtherOrigins(StageTest):
    def setUp(self) -> None:
        super().setUp()
        self.hostile = self.enterContext(hostile_server())
        self.stage.store(self.here, {"letter.txt": b"a secret " * 20, "evil.html": EVIL_DOCUMENT * 2})
        self.sites = [f"http://{host}:{self.hostile.port}/" for host in ("127.0.0.1", "localhost", "evil.localhost")]
        self.targets = [self.address, f"{self.address}letter.txt", f"{self.address}?t=json", f"{self.stage.origin}/"]

    def await_script(self, script: str, *arguments: str) -> Any:
        self.browser.driver.set_script_timeout(30)
        return self.browser.driver.execute_async_script(script, *arguments)  # type: ignore[no-untyped-call]

    def test_they_read_nothing(self) -> None:
        for site in self.sites:
            self.browser.open(site)
            for target in self.targets:
                self.assertEqual(self.await_script(READ, target, "cors"), "refused", (site, target))
                self.assertIn(self.await_script(READ, target, "no-cors"), ("refused", "read:"), (site, target))

    def test_they_change_nothing(self) -> None:
        for site in self.sites:
            for target in (self.address, f"{self.stage.origin}/uri/{quote(self.stage.root, safe='')}/{self.here}/"):
                self.browser.open(site)
                self.browser.run(
                    """const form = document.createElement('form'); form.method = 'post'; form.action = arguments[0];
                    for (const [name, value] of [['t', 'unlink'], ['name', 'letter.txt'], ['form_token', 'guess']]) {
                        const field = document.createElement('input'); field.name = name; field.value = value; form.append(field);
                    } document.body.append(form); form.submit();""",
                    target,
                )
                wait_until(lambda: self.browser.url.startswith(self.stage.origin), "the answer")
                self.browser.open(site)
                self.await_script(WRITE, target, "no-cors")
        self.assertEqual(self.stage.names(self.here), ["evil.html", "letter.txt"])

    def test_they_hold_no_page_in_a_frame(self) -> None:
        for site in self.sites[:2]:
            self.hostile.pages["/"] = f'<!doctype html><iframe id=f src="{self.address}"></iframe>'
            self.browser.open(site)
            self.browser.driver.switch_to.frame("f")
            self.assertNotIn("letter.txt", self.browser.driver.page_source)
            self.browser.driver.switch_to.default_content()

    def test_nor_contents_that_only_our_page_may(self) -> None:
        self.browser.open(f"{self.address}letter.txt?t=content")
        contents = self.browser.url
        self.assertIn("a secret", self.browser.driver.page_source)
        self.hostile.pages["/"] = f'<!doctype html><iframe id=f src="{contents}"></iframe>'
        self.browser.open(self.sites[0])
        self.browser.driver.switch_to.frame("f")
        self.assertNotIn("a secret", self.browser.driver.page_source)
        self.browser.driver.switch_to.default_content()

    def test_our_own_page_holds_contents_in_a_frame(self) -> None:
        self.browser.open(self.address)
        self.browser.run("const f = document.createElement('iframe'); f.id = 'f'; f.src = arguments[0]; document.body.append(f)",
                         f"{self.address}letter.txt?t=content")  # fmt: skip
        self.browser.driver.switch_to.frame("f")
        wait_until(lambda: "a secret" in self.browser.driver.page_source, "the contents in the frame")
        self.browser.driver.switch_to.default_content()

    def test_whoever_opens_a_page_has_no_hold_on_it(self) -> None:
        self.browser.open(self.sites[0])
        here = self.browser.driver.current_window_handle
        self.browser.run("window.other = window.open(arguments[0])", self.address)
        wait_until(lambda: len(self.browser.driver.window_handles) == 2, "the other window")
        wait_until(lambda: self.browser.run("return window.other.closed"), "the page to be out of reach")
        (other,) = set(self.browser.driver.window_handles) - {here}
        self.browser.driver.switch_to.window(other)
        self.assertTrue(self.browser.run("return window.opener === null"))
        self.browser.driver.close()
        self.browser.driver.switch_to.window(here)

    def test_no_script_of_theirs_comes_from_us(self) -> None:
        for site in self.sites:
            self.browser.open(site)
            loaded = self.await_script(
                """const [url, done] = arguments; const script = document.createElement('script'); script.src = url;
                script.onload = () => done('loaded'); script.onerror = () => done('refused'); document.head.append(script);""",
                f"{self.stage.origin}/js/page.js",
            )
            self.assertEqual(loaded, "refused", site)

    def test_a_stored_page_runs_nothing_wherever_it_is_shown(self) -> None:
        cap = quote(str(self.stage.facts(f"{self.here}/evil.html")["ro_uri"]), safe="")
        readable = f"{self.stage.origin}/uri/{cap}?filename=x.html"
        for address in (f"{self.address}evil.html?t=content", f"{self.address}evil.html", readable):
            self.browser.open(address)
            self.assertEqual(self.browser.driver.title, "untouched", address)

    def test_links_that_lead_away_say_nothing_of_where_they_were(self) -> None:
        link = f'<a id=a href="http://127.0.0.1:{self.hostile.port}/away">x</a>'
        self.stage.store(f"{self.here}/links", {"page.html": link.encode() * 9})
        for address in (f"{self.address}links/page.html", f"{self.address}links/page.html?t=content"):
            self.browser.open(address)
            self.browser.driver.find_element("id", "a").click()
            wait_until(lambda: self.browser.url.endswith("/away"), "the other site")
        (*_, last) = [heard for heard in self.hostile.heard if heard.startswith("/away")]
        self.assertNotIn("Referer", last)

    def test_a_name_that_is_pointed_here_is_not_served(self) -> None:
        for name in ("evil.localhost", "127.0.0.1.localhost"):
            self.browser.open(f"http://{name}:{self.stage.port}/uri/{quote(self.stage.root, safe='')}/")
            self.assertNotIn(self.here, self.browser.driver.page_source)

    def test_no_address_that_the_browser_keeps_holds_a_cap(self) -> None:
        self.browser.open(self.stage.entrance())
        by_cap = f"{self.stage.origin}/uri/{quote(self.stage.root, safe='')}/"
        for address in (self.address, f"{self.address}letter.txt?t=view", by_cap):
            self.browser.open(address)
            self.assertNotIn("URI", self.browser.url)
            self.assertNotIn("URI", self.browser.driver.title)
