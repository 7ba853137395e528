"""A browser in a session: how it gets in, what it can do by handles, and what nobody else can."""
from __future__ import annotations

import json
import re
from urllib.parse import urljoin

from twisted.trial.unittest import SynchronousTestCase

from frontends.web.handles import session_of
from lafs.capability import Cap, parse
from tests.web.harness import HOST, TOKEN, Browser, Response, multipart, q
from tests.web.test_transcripts import GridGateway

PAGE = f"http://{HOST}"


class InSession(SynchronousTestCase):
    """A gateway on a real client, and a browser whose home is a directory with a file and a directory in it."""

    def setUp(self) -> None:
        self.gateway = GridGateway()
        self.root = self.gateway.request("POST", "/uri?t=mkdir").text
        self.cap: Cap = parse(self.root)
        self.gateway.request("PUT", f"/uri/{q(self.root)}/photo.jpg", b"not really a photo" * 10)
        self.gateway.request("PUT", f"/uri/{q(self.root)}/sub/page.html", b"<script>alert(1)</script>" * 10)
        # The keys in all caps of the directory and of what is in it; what follows them is not secret.
        facts = self.gateway.get(f"/uri/{q(self.root)}?t=json").text
        self.secrets = set(re.findall(r"r[wo]_uri\": \"URI:[A-Z0-9-]+:([a-z2-7]{26})", facts))
        assert len(self.secrets) == 5, self.secrets
        self.browser: Browser = self.gateway.open_session(self.cap)
        self.home = self.browser.handle(self.cap)

    def names(self) -> list[str]:
        return list(self.gateway.get(f"/uri/{q(self.root)}?t=json").json()[1]["children"])

    def assert_no_cap(self, response: Response) -> None:
        told = response.body.decode("utf-8", "replace") + str(response.headers)
        self.assertIsNone(re.search("URI(:|%3A)[A-Z0-9]", told))
        self.assertEqual([secret for secret in self.secrets if secret in told], [])


class GettingIn(InSession):
    def ticket(self, token: str = TOKEN, **fields: str) -> Response:
        return self.gateway.request(
            "POST", "/session/tickets", "&".join(f"{name}={q(value)}" for name, value in fields.items()).encode(),
            {"Authorization": f"lafs {token}", "Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip

    def open(self, address: str, **headers: str) -> Response:
        return self.gateway.request("GET", f"/{address}", headers={"Host": HOST, **headers})

    def test_a_ticket_leads_to_the_root_directory_and_leaves_no_secret_in_any_address(self) -> None:
        response = self.open(self.ticket(home=self.root).text)
        location = response.header("Location") or ""
        self.assertEqual(response.status, 303)
        self.assert_no_cap(response)
        cookie = (response.header("Set-Cookie") or "").partition(";")[0]
        page = self.open(location, Cookie=cookie)
        self.assertEqual(page.status, 200)
        self.assertIn("photo.jpg", page.text)

    def test_or_to_anything_else(self) -> None:
        for fields, end in (
            ({"cap": self.root, "path": "sub/"}, "/sub/"),
            ({"cap": self.root, "path": "sub/page.html?t=info"}, "/sub/page.html?t=info"),
            ({"cap": self.root, "path": "?t=info"}, "?t=info"),
            ({"cap": "URI:LIT:me", "path": ""}, ""),
        ):
            location = self.open(self.ticket(home=self.root, **fields).text).header("Location") or ""
            self.assertRegex(location, r"^h/[a-z2-7]{24}" + re.escape(end) + "$")

    def test_without_a_root_directory_to_the_first_page(self) -> None:
        self.assertEqual(self.open(self.ticket().text).header("Location"), "./")

    def test_scripts_and_other_sites_never_see_the_cookie(self) -> None:
        cookie = self.open(self.ticket().text).header("Set-Cookie") or ""
        self.assertEqual(set(cookie.split("; ")[1:]), {"Path=/", "Max-Age=7776000", "HttpOnly", "SameSite=Strict"})
        self.assertTrue(cookie.startswith("lafs-session-3456="))

    def test_only_the_token_gets_tickets(self) -> None:
        for token in ("", "wrong", TOKEN[:-1], TOKEN + "x"):
            response = self.ticket(token, home=self.root)
            self.assertEqual(response.status, 401)
            self.assertIsNotNone(response.header("WWW-Authenticate"))
        bare = self.gateway.request("POST", "/session/tickets", b"")
        self.assertEqual(bare.status, 401)

    def test_what_is_no_directory_is_no_home(self) -> None:
        self.assertEqual(self.ticket(home="URI:LIT:me").status, 400)
        self.assertEqual(self.ticket(home="nonsense").status, 400)

    def test_a_ticket_is_good_once(self) -> None:
        address = self.ticket(home=self.root).text
        self.assertEqual(self.open(address).status, 303)
        again = self.open(address, Accept="text/html")
        self.assertEqual((again.status, again.header("Set-Cookie")), (403, None))
        self.assertIn("lafs web", again.text)

    def test_no_other_site_and_no_fetching_ahead_spends_it(self) -> None:
        address = self.ticket(home=self.root).text
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Purpose": "prefetch;prerender"}):
            response = self.open(address, **headers)
            self.assertEqual((response.status, response.header("Set-Cookie")), (403, None))
        self.assertEqual(self.gateway.request("HEAD", f"/{address}").status, 403)
        self.assertEqual(self.open(address, **{"Sec-Fetch-Site": "none"}).status, 303)

    def test_a_session_that_somebody_planted_is_not_what_the_user_gets_into(self) -> None:
        planted = self.browser.headers["Cookie"]
        response = self.open(self.ticket(home=self.root).text, Cookie=planted)
        fresh = (response.header("Set-Cookie") or "").partition(";")[0]
        self.assertNotEqual(fresh, planted)
        self.assertEqual(self.open(self.home[1:] + "/", Cookie=planted).status, 403)
        self.assertEqual(self.open(self.home[1:] + "/", Cookie=fresh).status, 200)

    def test_a_cookie_that_was_never_given_opens_nothing(self) -> None:
        made_up = f"lafs-session-3456={'a' * 52}"
        response = self.open(self.ticket().text, Cookie=made_up)
        self.assertNotIn("a" * 52, response.header("Set-Cookie") or "")
        self.assertEqual(self.open(self.home[1:], Cookie=made_up).status, 403)

    def test_out_again(self) -> None:
        page = self.browser.get(f"{self.home}/photo.jpg?t=content").header("Location") or ""
        response = self.browser.post("/session/close", {})
        self.assertEqual((response.status, response.header("Location")), (303, "../"))
        self.assertIn("Max-Age=0", response.header("Set-Cookie") or "")
        self.assertEqual(self.browser.get(self.home + "/").status, 403)
        host, name = page.removeprefix("http://").split("/")
        self.assertEqual(self.gateway.request("GET", f"/{name}", headers={"Host": host}).status, 404)


class ByHandle(InSession):
    """What can be done with a cap can be done with its handle."""

    def test_pages_and_files(self) -> None:
        listing = self.browser.get(f"{self.home}/")
        self.assertIn("photo.jpg", listing.text)
        self.assert_no_cap(listing)
        self.assertEqual(self.browser.get(f"{self.home}/photo.jpg").body, b"not really a photo" * 10)
        part = self.browser.get(f"{self.home}/photo.jpg", Range="bytes=4-9")
        self.assertEqual((part.status, part.body), (206, b"really"))
        self.assertEqual(self.browser.get(f"{self.home}/nothing").status, 404)
        self.assertEqual(self.browser.get(f"{self.home}/sub/page.html").status, 200)

    def test_the_page_below_a_handle_shows_no_cap_either(self) -> None:
        page = self.browser.get(f"{self.home}/sub/")
        self.assertIn("page.html", page.text)
        self.assert_no_cap(page)

    def test_changes_with_the_answer_but_without_the_cap(self) -> None:
        token = {"X_Form_Token": self.browser.session.form_token}
        for method, path, body, status in (
            ("PUT", "/new.txt", b"x" * 100, 201), ("PUT", "/new.txt", b"y" * 100, 200), ("PUT", "/d?t=mkdir", b"", 200),
            ("POST", "?t=mkdir&name=e", b"", 200), ("DELETE", "/e", b"", 200), ("PUT", "/f?t=uri", self.root.encode(), 200),
            ("POST", "/mdmf?t=mkdir", b"", 200), ("POST", "?t=rename&from_name=d&to_name=g", b"", 200),
        ):  # fmt: skip
            response = self.browser.ask(method, self.home + path, body, **token)
            self.assertEqual((response.status, response.body[:200] if b"URI" in response.body else b""), (status, b""), path)
        self.assertEqual(self.names(), ["f", "g", "mdmf", "new.txt", "photo.jpg", "sub"])

    def test_a_form_with_a_file(self) -> None:
        fields = (("form_token", None, self.browser.session.form_token.encode()), ("t", None, b"upload"), ("when_done", None, b"."))
        body, form = multipart(*fields, ("file", "dropped.txt", b"dropped" * 20))
        response = self.browser.ask("POST", f"{self.home}/", body, Content_Type=form["Content-Type"])
        self.assertEqual((response.status, response.header("Location")), (302, "."))
        self.assertIn("dropped.txt", self.names())

    def test_new_things_that_nothing_leads_to_get_handles(self) -> None:
        made = self.browser.post("/h?t=mkdir&redirect_to_result=true", {})
        self.assertEqual(made.status, 303)
        self.assert_no_cap(made)
        self.assertEqual(self.browser.get(urljoin("/h", made.header("Location"))).status, 200)
        body, form = multipart(("form_token", None, self.browser.session.form_token.encode()), ("file", "f", b"stored" * 20))
        stored = self.browser.ask("POST", "/h?t=upload", body, Content_Type=form["Content-Type"])
        self.assertEqual(stored.status, 303)
        self.assert_no_cap(stored)
        address = urljoin("/h", stored.header("Location")).partition("?")[0]
        self.assertEqual(self.browser.get(address).body, b"stored" * 20)

    def test_a_pasted_cap_is_in_no_address(self) -> None:
        response = self.browser.post("/h", {"t": "open", "uri": f"  {self.root} "})
        self.assertEqual((response.status, response.header("Location")), (303, self.home[1:] + "/"))
        self.assertEqual(self.browser.post("/h", {"t": "open", "uri": "nonsense"}).status, 400)

    def test_who_goes_to_a_cap_in_a_session_ends_up_at_its_handle(self) -> None:
        for path, rest in ((f"/uri/{q(self.root)}/", "/"), (f"/uri/{q(self.root)}/sub/page.html", "/sub/page.html"),
                           (f"/cap/{q(self.root)}?t=info", "?t=info")):
            response = self.browser.get(path)
            self.assertEqual(response.status, 302)
            self.assertEqual(urljoin(path, response.header("Location")), self.home + rest)
        program = self.browser.ask("GET", f"/uri/{q(self.root)}/?t=json")
        self.assertEqual(program.status, 200)
        scripted = self.browser.get(f"/uri/{q(self.root)}/", Sec_Fetch_Mode="cors", Sec_Fetch_Dest="empty")
        self.assertEqual(scripted.status, 200)

    def test_an_address_of_its_own_and_one_that_only_reads(self) -> None:
        response = self.browser.get(f"{self.home}/sub?t=enter&readonly=true")
        self.assert_no_cap(response)
        there = urljoin(f"{self.home}/sub", response.header("Location"))
        self.assertRegex(there, "^/h/[a-z2-7]{24}/$")
        self.assertEqual(self.browser.ask("PUT", f"{there}x", b"x", X_Form_Token=self.browser.session.form_token).status, 403)

    def test_the_page_shows_where_the_user_begins(self) -> None:
        self.assertEqual(self.browser.get("/").status, 200)
        self.assert_no_cap(self.browser.get("/"))

    def test_cookies_of_other_programs_do_not_matter(self) -> None:
        sessions, (name, _, value) = self.gateway.sessions, self.browser.headers["Cookie"].partition("=")
        for cookies in ([f"a=b; {name}={value}"], [f"{name}=wrong; {name}={value}"], ["a=b", f"{name}={value}"]):
            self.assertIsNotNone(session_of(sessions, cookies, name), cookies)
        for cookies in ([f"x{name}={value}"], [name], ["; ;="], [f"{name}={value}x"], ["a=b; " * 50 + f"{name}={value}"]):
            self.assertIsNone(session_of(sessions, cookies, name), cookies)


class NobodyElse(InSession):
    """A handle is worth nothing to whoever has not got the browser's cookie."""

    def test_a_handle_without_its_session(self) -> None:
        for method, path in (("GET", "/"), ("GET", "/photo.jpg"), ("HEAD", "/photo.jpg"), ("GET", "?t=json"), ("PUT", "/x"),
                             ("POST", "?t=mkdir&name=x"), ("DELETE", "/photo.jpg"), ("GET", "/photo.jpg?t=content")):
            response = self.gateway.request(method, self.home + path, b"x" if method in ("PUT", "POST") else None)
            self.assertEqual(response.status, 403, (method, path))
            self.assert_no_cap(response)
        self.assertEqual(self.names(), ["photo.jpg", "sub"])

    def test_nor_with_another(self) -> None:
        other = self.gateway.open_session()
        self.assertEqual(other.get(f"{self.home}/photo.jpg").status, 404)
        self.assertEqual(other.ask("DELETE", f"{self.home}/photo.jpg", X_Form_Token=other.session.form_token).status, 404)

    def test_guessed_handles_are_no_handles(self) -> None:
        handle = self.home.removeprefix("/h/")
        for guess in ("", "a" * 24, handle[:-1], handle.upper(), handle + "a", "%00", "..", self.root, q(self.root)):
            self.assertIn(self.browser.get(f"/h/{guess}/photo.jpg").status, (400, 404), guess)

    def test_the_page_for_strangers_says_how_to_get_in(self) -> None:
        response = self.gateway.request("GET", f"{self.home}/", headers={"Accept": "text/html"})
        self.assertEqual(response.status, 403)
        self.assertIn("lafs web", response.text)

    def test_two_browsers_are_let_in_apart(self) -> None:
        other = self.gateway.open_session(self.cap)
        self.assertNotEqual(other.handle(self.cap), self.home)
        self.browser.post("/session/close", {})
        self.assertEqual(other.get(f"{other.handle(self.cap)}/").status, 200)


class Forgery(InSession):
    """What a page of somebody else makes the user's browser ask, cookie and all, changes nothing and shows nothing."""

    def unlink(self, **headers: str) -> int:
        return self.browser.ask("POST", f"{self.home}/?t=unlink&name=photo.jpg", b"", **headers).status

    def test_a_change_needs_the_token_of_the_sessions_forms(self) -> None:
        for token in ("", "wrong", self.gateway.open_session().session.form_token, self.browser.session.form_token[:-1]):
            self.assertEqual(self.unlink(X_Form_Token=token), 403)
            self.assertEqual(self.unlink(X_Form_Token=token, Sec_Fetch_Site="same-origin", Origin=PAGE), 403)
            self.assertEqual(self.browser.post(f"{self.home}/?t=unlink&name=photo.jpg", {"form_token": token}).status, 403)
        self.assertEqual(self.names(), ["photo.jpg", "sub"])
        self.assertEqual(self.unlink(X_Form_Token=self.browser.session.form_token), 200)
        self.assertEqual(self.names(), ["sub"])

    def test_a_token_in_an_address_does_not_count(self) -> None:
        token = self.browser.session.form_token
        status = self.browser.ask("POST", f"{self.home}/?t=unlink&name=photo.jpg&form_token={token}", b"").status
        self.assertEqual(status, 403)

    def test_nor_one_that_comes_from_another_site(self) -> None:
        token = self.browser.session.form_token
        for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Origin": "http://evil.example"},
                        {"Origin": "http://127.0.0.1:8000"}, {"Origin": "null"}):
            self.assertEqual(self.unlink(X_Form_Token=token, **headers), 403)
        self.assertEqual(self.names(), ["photo.jpg", "sub"])

    def test_every_way_to_change_something(self) -> None:
        body, form = multipart(("t", None, b"upload"), ("file", "evil.txt", b"evil"))
        for method, path, content, headers in (
            ("PUT", "/evil", b"x", {}), ("PUT", "/photo.jpg?t=uri", b"URI:LIT:me", {}), ("DELETE", "/photo.jpg", None, {}),
            ("POST", "/", body, {"Content_Type": form["Content-Type"]}), ("POST", "/evil?t=mkdir", b"", {}),
            ("POST", "?t=set_children", json.dumps({"evil": ["filenode", {"ro_uri": "URI:LIT:me"}]}).encode(), {}),
            ("POST", "?t=set_children", b"{}", {"Content_Type": "application/x-www-form-urlencoded"}),
            ("POST", "?t=mkdir-with-children&name=evil", b"{}", {}), ("POST", "?t=relink&from_name=sub&to_name=evil", b"", {}),
            ("POST", "/photo.jpg?t=upload", body, {"Content_Type": form["Content-Type"]}),
        ):  # fmt: skip
            self.assertEqual(self.browser.ask(method, self.home + path, content, **headers).status, 403, (method, path))
        for path in ("/h?t=mkdir", "/h?t=upload", "/h?t=open&uri=URI:LIT:me", "/session/close"):
            self.assertEqual(self.browser.ask("POST", path, b"").status, 403, path)
        self.assertEqual(self.browser.ask("PUT", "/h", b"x").status, 403)
        self.assertEqual(self.names(), ["photo.jpg", "sub"])

    def test_a_large_file_is_refused_before_it_is_stored(self) -> None:
        connection = self.gateway.connect()
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.browser.headers.items())
        length = "Content-Length: 100000000\r\nExpect: 100-continue\r\n"
        connection.send(f"PUT {self.home}/evil HTTP/1.1\r\n{headers}{length}\r\n".encode())
        self.gateway.wait_for(connection)
        self.assertTrue(connection.received.startswith(b"HTTP/1.1 403 "))

    def test_methods_that_are_not_known_do_nothing(self) -> None:
        for method in ("PATCH", "MOVE", "OPTIONS"):
            self.assertIn(self.browser.ask(method, f"{self.home}/photo.jpg", b"").status, (403, 405), method)

    def test_pages_of_other_ports_read_nothing_in_the_background(self) -> None:
        for mode, destination in (("cors", "empty"), ("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe"),
                                  ("navigate", "object"), ("no-cors", "style")):
            for path in (f"{self.home}/?t=json", f"{self.home}/photo.jpg", "/"):
                response = self.browser.ask(
                    "GET", path, Sec_Fetch_Site="same-site", Sec_Fetch_Mode=mode, Sec_Fetch_Dest=destination
                )
                self.assertEqual(response.status, 200 if path == "/" else 403, (path, mode))
                self.assert_no_cap(response)
                self.assertNotIn(self.home, response.text)

    def test_but_they_may_link_to_a_page(self) -> None:
        self.assertEqual(self.browser.get(f"{self.home}/", Sec_Fetch_Site="same-site").status, 200)

    def test_nothing_that_is_read_by_handle_may_be_embedded_elsewhere(self) -> None:
        for path in ("/", "/photo.jpg", "/sub/page.html", "?t=json", "/photo.jpg?t=content", "/nothing"):
            response = self.browser.get(self.home + path)
            self.assertEqual(response.header("Cross-Origin-Resource-Policy"), "same-origin", path)
            self.assertEqual(response.header("X-Frame-Options"), "DENY")
            self.assertIn("frame-ancestors 'none'", response.header("Content-Security-Policy") or "")
            self.assertIsNone(response.header("Access-Control-Allow-Origin"))

    def test_a_stored_script_is_not_run_by_any_page_of_the_gateway(self) -> None:
        for destination in ("script", "worker", "serviceworker", "sharedworker"):
            for path in (f"{self.home}/photo.jpg", f"/uri/{q(self.root)}/photo.jpg", "/file/URI:LIT:me/x.js"):
                response = self.browser.get(path, Sec_Fetch_Dest=destination, Sec_Fetch_Mode="no-cors")
                self.assertEqual(response.status, 403, (destination, path))

    def test_programs_that_name_caps_need_no_token_even_with_a_cookie(self) -> None:
        self.assertEqual(self.browser.ask("PUT", f"/uri/{q(self.root)}/new", b"x").status, 201)
