"""Files on an origin of their own."""
from __future__ import annotations

from urllib.parse import urlsplit

from tests.web.harness import HOST, Gateway, Response, q
from tests.web.test_handles import PAGE, InSession


class Contents(InSession):
    def setUp(self) -> None:
        super().setUp()
        self.address = self.lead(f"{self.home}/photo.jpg?t=content")

    def lead(self, path: str) -> str:
        response = self.browser.get(path)
        self.assertEqual(response.status, 302)
        self.assert_no_cap(response)
        return response.header("Location") or ""

    def fetch(self, address: str, method: str = "GET", **headers: str) -> Response:
        parts = urlsplit(address)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.gateway.request(method, parts.path or "/", headers={"Host": parts.netloc, **given})


class Shown(Contents):
    def test_a_file_is_shown_under_a_host_name_of_its_own(self) -> None:
        self.assertRegex(self.address, r"^http://[a-z2-7]{32}\.localhost:3456/photo\.jpg$")
        response = self.fetch(self.address)
        self.assertEqual((response.status, response.body), (200, b"not really a photo" * 10))
        self.assertEqual(response.header("Content-Type"), "image/jpeg")
        self.assertIsNone(response.header("Set-Cookie"))
        self.assert_no_cap(response)

    def test_films_can_be_sought_in(self) -> None:
        part = self.fetch(self.address, Range="bytes=4-9")
        self.assertEqual((part.status, part.body, part.header("Content-Range")), (206, b"really", "bytes 4-9/180"))
        self.assertEqual(self.fetch(self.address, "HEAD").header("Content-Length"), "180")

    def test_what_was_seen_is_asked_for_again_with_its_tag_and_stays_in_its_sandbox(self) -> None:
        address = self.lead(f"{self.home}/sub/page.html?t=content")
        first = self.fetch(address)
        again = self.fetch(address, If_None_Match=first.header("ETag") or "")
        self.assertEqual((first.status, again.status), (200, 304))
        self.assertEqual(again.header("Content-Security-Policy"), first.header("Content-Security-Policy"))
        self.assertIn("sandbox; default-src 'none'", again.header("Content-Security-Policy") or "")
        for response in (first, again):  # a browser would believe the second, and not show a picture that it has
            self.assertIsNone(response.header("Cross-Origin-Resource-Policy"))

    def test_the_same_file_has_the_same_address_in_a_session_and_another_in_another(self) -> None:
        self.assertEqual(self.lead(f"{self.home}/photo.jpg?t=content"), self.address)
        other = self.gateway.open_session(self.cap)
        elsewhere = other.get(f"{other.handle(self.cap)}/photo.jpg?t=content").header("Location")
        self.assertNotEqual(elsewhere, self.address)

    def test_the_page_that_led_there_may_hold_it_in_a_frame_and_no_other(self) -> None:
        policy = self.fetch(self.address).header("Content-Security-Policy") or ""
        self.assertTrue(policy.endswith(f"frame-ancestors {PAGE}"), policy)

    def test_the_page_may_show_what_lies_there(self) -> None:
        policy = self.browser.get("/").header("Content-Security-Policy") or ""
        for rule in ("img-src 'self' http://*.localhost:3456 data:", "media-src 'self' http://*.localhost:3456",
                     "frame-src 'self' http://*.localhost:3456", "connect-src 'self'", "base-uri 'none'"):
            self.assertIn(rule, policy.split("; "))

    def test_to_be_saved(self) -> None:
        saved = self.fetch(self.lead(f"{self.home}/photo.jpg?t=content&save=true"))
        self.assertIn("attachment", saved.header("Content-Disposition") or "")
        self.assertIsNone(self.fetch(self.address).header("Content-Disposition"))

    def test_any_name_a_file_may_have(self) -> None:
        for name in ("a b", "ä/ö", "..", "%2e%2e", '<script>"', "x" * 200, "?#&", "\u202etxt.exe"):
            address = self.lead(f"{self.home}/photo.jpg?t=content&filename={q(name)}")
            self.assertEqual(self.fetch(address).status, 200, name)

    def test_without_a_session_too(self) -> None:
        address = self.gateway.get(f"/uri/{q(self.root)}/photo.jpg?t=content").header("Location") or ""
        self.assertNotEqual(address, self.address)
        self.assertEqual(self.fetch(address).status, 200)


class NothingElse(Contents):
    """Under the host name of a file there is that file, and nothing that acts."""

    def test_no_page_no_api_and_no_other_file(self) -> None:
        host = urlsplit(self.address).netloc
        for path in ("/", "/uri", f"/uri/{q(self.root)}", f"{self.home}/", "/status", "/css/lafs.css", "/photo.jpg/", "/photo.jpgx",
                     "//photo.jpg", "/x/photo.jpg", "/open?ticket=x", "/page.html", f"/content/{host.partition('.')[0]}/photo.jpg"):
            response = self.gateway.request("GET", path, headers={**self.browser.headers, "Host": host})
            self.assertEqual(response.status, 404, path)
            self.assert_no_cap(response)

    def test_nothing_is_written_there(self) -> None:
        for method in ("PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
            self.assertEqual(self.fetch(self.address, method).status, 405, method)

    def test_the_sessions_cookie_does_nothing_there(self) -> None:
        host = urlsplit(self.address).netloc
        headers = {**self.browser.headers, "Host": host, "X-Form-Token": self.browser.session.form_token}
        self.assertEqual(self.gateway.request("DELETE", f"{self.home}/photo.jpg", headers=headers).status, 405)

    def test_labels_that_nobody_gave_out(self) -> None:
        label = urlsplit(self.address).netloc.partition(".")[0]
        for host in ("a" * 32 + ".localhost:3456", f"{label[:-1]}.localhost:3456", f"x.{label}.localhost", ".localhost"):
            response = self.gateway.request("GET", "/photo.jpg", headers={"Host": host})
            self.assertEqual(response.status, 404, host)
        for host in (f"{label}.localhost.evil.example", f"{label}.evil.example", "xlocalhost", f"{label}.127.0.0.1"):
            self.assertEqual(self.gateway.request("GET", "/photo.jpg", headers={"Host": host}).status, 403, host)

    def test_two_host_names_at_once_are_none(self) -> None:
        host = urlsplit(self.address).netloc
        response = self.gateway.request("GET", f"/uri/{q(self.root)}", headers=[("Host", HOST), ("Host", host)])
        self.assertEqual(response.status, 403)

    def test_script_in_a_stored_page_is_in_a_sandbox_there_too(self) -> None:
        policy = self.fetch(self.lead(f"{self.home}/sub/page.html?t=content")).header("Content-Security-Policy") or ""
        self.assertTrue(policy.startswith("sandbox; default-src 'none'"))
        self.assertNotIn("script", policy)
        self.assertNotIn("allow-", policy)

    def test_a_service_worker_for_that_name_is_refused(self) -> None:
        self.assertEqual(self.fetch(self.address, Sec_Fetch_Dest="serviceworker").status, 403)


class Elsewhere(Contents):
    """Where browsers cannot find such names, the same file is a path of the gateway, in its sandbox."""

    def test_on_a_host_with_a_name_of_its_own(self) -> None:
        gateway = Gateway(("box.lan",))
        file = gateway.files.add(b"<script>" * 100)
        headers = {"Host": "box.lan:8080"}
        first = gateway.request("GET", f"/uri/{q(file.cap.text)}?t=content&filename=x.html", headers=headers)
        location = first.header("Location") or ""
        self.assertRegex(location, r"^\.\./content/[a-z2-7]{32}/x\.html$")
        path = location.removeprefix("..")
        response = gateway.request("GET", path, headers=headers)
        self.assertEqual(response.body, b"<script>" * 100)
        self.assertTrue((response.header("Content-Security-Policy") or "").startswith("sandbox; default-src 'none'"))
        self.assertNotIn("localhost", gateway.request("GET", "/", headers=headers).header("Content-Security-Policy") or "")
        for wrong in (f"{path}x", f"{path}/", "/content/", "/content", f"/content/{'a' * 32}/x.html"):
            self.assertEqual(gateway.request("GET", wrong, headers=headers).status, 404, wrong)
        self.assertEqual(gateway.request("PUT", path, b"x", headers=headers).status, 405)

    def test_or_under_the_names_the_operator_has_made_for_it(self) -> None:
        gateway = Gateway(("box.lan",), content_host="files.lan:8080")
        file = gateway.files.add(b"x" * 100)
        location = gateway.request(
            "GET", f"/uri/{q(file.cap.text)}?t=content&filename=x.html", headers={"Host": "box.lan:8080"}
        ).header("Location") or ""
        parts = urlsplit(location)
        self.assertRegex(parts.netloc, r"^[a-z2-7]{32}\.files\.lan:8080$")
        self.assertEqual(gateway.request("GET", parts.path, headers={"Host": parts.netloc}).body, b"x" * 100)
        self.assertEqual(gateway.request("GET", "/uri", headers={"Host": parts.netloc}).status, 404)
        self.assertEqual(gateway.request("GET", "/", headers={"Host": "files.lan:8080"}).status, 403)
