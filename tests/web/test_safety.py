from __future__ import annotations

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.errors import censored
from frontends.web.safety import host_name
from tests.web.harness import Gateway, multipart, q

LITERAL = "URI%3ALIT%3Aonug64tu"
CHK = "URI:CHK:ypa4gvfemjzgp5bjocnpjqyaqy:xwa6hzlcyhb22ofo3ixdkvqsjudbk3rasz7ptkqcv4a4wjfrfria:3:10:1000"
FORM, FORM_HEADERS = multipart(("file", "x", b"hello"))


class Hosts(SynchronousTestCase):
    """A page whose name an attacker points at this gateway (DNS rebinding) gets nothing."""

    def status(self, host: str, method: str = "GET", path: str = "/?t=json", allowed: tuple[str, ...] = ()) -> int:
        return Gateway(allowed).request(method, path, headers={"Host": host}).status

    def test_local_names_are_ours_on_any_port(self) -> None:
        for host in ("localhost", "localhost:3456", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:3456", "[::1]", "[::1]:99", "localhost.",
                     "[0:0:0:0:0:0:0:1]:3456", "[::ffff:127.0.0.1]"):
            self.assertEqual(self.status(host), 200, host)

    def test_other_names_are_not(self) -> None:
        for host in ("evil.example", "evil.example:3456", "localhost.evil.example", "evil.example:127.0.0.1",
                     "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "[::1", "[::1]evil", "localhost:evil", "localhost@evil.example",
                     "", ":3456", "localhost, evil"):
            self.assertEqual(self.status(host), 403, host)

    def test_not_for_any_page_or_method(self) -> None:
        for method, path in (("GET", "/"), ("PUT", "/uri"), ("GET", f"/uri/{LITERAL}"), ("HEAD", f"/uri/{LITERAL}"),
                             ("GET", "/nope"), ("GET", "/css/lafs.css"), ("POST", "/uri"),
                             ("DELETE", f"/uri/{LITERAL}"), ("OPTIONS", "/")):
            self.assertEqual(self.status("evil.example", method, path), 403, (method, path))

    def test_names_that_the_operator_allows(self) -> None:
        allowed = ("gateway.example", "2001:DB8::1")
        self.assertEqual(self.status("gateway.example:8080", allowed=allowed), 200)
        self.assertEqual(self.status("Gateway.Example", allowed=allowed), 200)
        self.assertEqual(self.status("[2001:db8::1]:80", allowed=allowed), 200)
        self.assertEqual(self.status("evil.example", allowed=allowed), 403)

    def test_every_one_of_several_hosts_must_be_ours(self) -> None:
        response = Gateway().request("GET", "/", headers=[("Host", "localhost"), ("Host", "evil.example")])
        self.assertEqual(response.status, 403)

    def test_a_name_once_refused_is_refused_again_and_one_allowed_stays(self) -> None:
        gateway = Gateway()
        for _ in range(3):
            self.assertEqual(gateway.request("GET", "/", headers={"Host": "localhost"}).status, 200)
            self.assertEqual(gateway.request("GET", "/", headers={"Host": "evil.example"}).status, 403)

    def test_a_program_that_names_no_host_is_served(self) -> None:
        connection = Gateway().connect()
        connection.send(b"GET /?t=json HTTP/1.0\r\n\r\n")
        self.assertEqual(connection.responses("GET")[0].status, 200)

    def test_the_target_must_be_a_path(self) -> None:
        self.assertEqual(Gateway().request("GET", "http://evil.example/?t=json").status, 400)
        self.assertEqual(Gateway().request("OPTIONS", "*").status, 400)

    def test_names_and_ports_are_told_apart(self) -> None:
        self.assertEqual(host_name("a.b:80"), "a.b")
        self.assertEqual(host_name("[::1]:80"), "::1")
        self.assertEqual(host_name("::1"), None)


class ForeignPages(SynchronousTestCase):
    """A page of another site may not make the user's browser change anything."""

    def setUp(self) -> None:
        self.gateway = Gateway()

    def put(self, **headers: str) -> int:
        pairs = {name.replace("_", "-"): value for name, value in headers.items()}
        statuses = {
            self.gateway.request("PUT", "/uri", b"x" * 100, pairs).status,
            self.gateway.request("POST", "/uri", FORM, {**FORM_HEADERS, **pairs}).status,
        }
        self.assertEqual(len(statuses), 1)
        return statuses.pop()

    def test_programs_are_not_affected(self) -> None:
        self.assertEqual(self.put(), 200)

    def test_our_own_pages_may(self) -> None:
        self.assertEqual(self.put(Sec_Fetch_Site="same-origin", Origin="http://127.0.0.1:3456"), 200)
        self.assertEqual(self.put(Origin="http://127.0.0.1:3456"), 200)

    def test_so_may_our_own_forms_of_which_browsers_do_not_say_the_origin(self) -> None:
        self.assertEqual(self.put(Sec_Fetch_Site="same-origin", Origin="null"), 200)

    def test_so_may_they_behind_a_proxy_that_adds_tls(self) -> None:
        self.assertEqual(self.put(Host="localhost", Origin="https://localhost"), 200)

    def test_other_sites_may_not(self) -> None:
        for origin in ("http://evil.example", "http://127.0.0.1:8000", "http://localhost:3456", "null", "http://127.0.0.1:3456.evil.example",
                       "ftp://127.0.0.1:3456", "127.0.0.1:3456", "http://127.0.0.1:3456/", ""):
            self.assertEqual(self.put(Origin=origin), 403, origin)

    def test_what_the_browser_says_of_the_site_counts_whatever_the_origin(self) -> None:
        for site in ("cross-site", "same-site", "CROSS-SITE", "", "same-origin, cross-site"):
            self.assertEqual(self.put(Sec_Fetch_Site=site, Origin="http://127.0.0.1:3456"), 403, site)

    def test_nothing_is_stored_for_them(self) -> None:
        self.put(Origin="http://evil.example")
        self.assertEqual((self.gateway.files.stored, self.gateway.files.received), ({}, 0))

    def test_every_method_that_may_change_something_is_covered(self) -> None:
        for method in ("PUT", "POST", "DELETE", "PATCH", "MKCOL"):
            self.assertEqual(self.gateway.request(method, "/uri", b"", {"Origin": "http://evil.example"}).status, 403, method)

    def test_links_from_other_sites_work(self) -> None:
        response = self.gateway.get(f"/uri/{LITERAL}", Sec_Fetch_Site="cross-site")
        self.assertEqual(response.text, "short")


class Headers(SynchronousTestCase):
    """Every answer, of every kind, tells browsers to be careful."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.file = self.gateway.files.add(b"x" * 1000)
        broken = self.gateway.files.add(b"y" * 1000)
        broken.fails_after = 0
        self.cap = q(self.file.cap.text)
        self.answers = {
            (method, path): self.gateway.request(method, path, body, headers)
            for method, path, body, headers in (
                ("GET", "/", None, {}),
                ("GET", "/?t=json", None, {}),
                ("GET", "/?t=bogus", None, {}),
                ("GET", "/status", None, {}),
                ("GET", "/statistics", None, {}),
                ("GET", "/statistics?t=openmetrics", None, {}),
                ("GET", "/css/lafs.css", None, {}),
                ("GET", "/css/../site.py", None, {}),
                ("GET", "/nope", None, {}),
                ("GET", "/nope", None, {"Accept": "text/html"}),
                ("GET", "/uri", None, {}),
                ("GET", f"/uri?uri={self.cap}", None, {}),
                ("PUT", "/uri", b"hello", {}),
                ("POST", "/uri", FORM, FORM_HEADERS),
                ("GET", f"/uri/{self.cap}", None, {}),
                ("HEAD", f"/uri/{self.cap}", None, {}),
                ("GET", f"/uri/{self.cap}?t=json", None, {}),
                ("GET", f"/uri/{self.cap}?t=info", None, {}),
                ("GET", f"/uri/{self.cap}?t=bogus", None, {}),
                ("GET", f"/uri/{self.cap}", None, {"Range": "bytes=0-1"}),
                ("GET", f"/uri/{self.cap}", None, {"Range": "bytes=5000-"}),
                ("GET", f"/uri/{self.cap}", None, {"If-None-Match": "*"}),
                ("GET", f"/file/{self.cap}/page.html", None, {}),
                ("GET", f"/uri/{q(broken.cap.text)}", None, {}),
                ("DELETE", f"/uri/{self.cap}", None, {}),
                ("BREW", "/", None, {}),
                ("GET", "/uri/bogus", None, {}),
                ("GET", "/", None, {"Host": "evil.example"}),
                ("PUT", "/uri", b"", {"Origin": "http://evil.example"}),
            )
        }

    def test_are_there(self) -> None:
        for what, answer in self.answers.items():
            self.assertEqual(answer.header("X-Frame-Options"), "DENY", what)
            self.assertEqual(answer.header("Referrer-Policy"), "no-referrer", what)
            self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff", what)
            self.assertEqual(answer.header("Server"), "lafs", what)
            self.assertEqual(answer.header("Date"), "Thu, 01 Jan 1970 00:00:00 GMT", what)
            self.assertIn("default-src 'none'", answer.header("Content-Security-Policy") or "", what)
            self.assertIn("frame-ancestors 'none'", answer.header("Content-Security-Policy") or "", what)
            self.assertEqual(answer.header("Cross-Origin-Opener-Policy"), "same-origin", what)

    def test_only_pages_run_scripts_and_only_those_of_the_gateway(self) -> None:
        for what, answer in self.answers.items():
            policy = answer.header("Content-Security-Policy") or ""
            self.assertNotIn("unsafe", policy.replace("style-src 'self' 'unsafe-inline'", ""), what)
            scripts = [rule for rule in policy.split("; ") if rule.startswith("script-src")]
            if (answer.header("Content-Type") or "").startswith("text/html") and answer.status != 200:
                continue
            page = (answer.header("Content-Type") or "").startswith("text/html") and "/file/" not in what[1]
            self.assertEqual(scripts, ["script-src http://127.0.0.1:3456/js/"] if page else [], what)

    def test_none_of_these_went_wrong_inside(self) -> None:
        self.assertNotIn(500, {answer.status for answer in self.answers.values()})

    def test_nothing_but_files_that_never_change_may_be_kept(self) -> None:
        for (method, path), answer in self.answers.items():
            stored = self.cap in path and answer.status < 400 and "t=info" not in path and "uri?" not in path
            if not path.startswith("/css/l"):
                self.assertEqual(answer.header("Cache-Control"), "private, no-cache" if stored else "no-store", (method, path))

    def test_stored_pages_and_pictures_run_in_a_sandbox(self) -> None:
        for name in ("x.html", "x.svg", "x.xml", "x.xhtml", "x.js", "x.txt", "x.jpg", "x.mp4", "x", ""):
            policy = self.gateway.get(f"/uri/{self.cap}?filename={name}").header("Content-Security-Policy") or ""
            self.assertTrue(policy.startswith("sandbox; default-src 'none'"), name)
            self.assertNotIn("allow-", policy)

    def test_so_they_do_under_every_address(self) -> None:
        for path in (f"/cap/{self.cap}", f"/file/{self.cap}/x.html", f"/named/{self.cap}/a/b/x.html", f"/file/{LITERAL}/x.html"):
            self.assertIn("sandbox", self.gateway.get(path).header("Content-Security-Policy") or "", path)

    def test_a_line_break_in_a_name_makes_no_header(self) -> None:
        response = self.gateway.get(f"/uri/{self.cap}?save=true&filename=a%0d%0aEvil:%20yes%0d%0a%0d%0ax.txt")
        self.assertIsNone(response.header("Evil"))
        self.assertEqual(len(response.body), 1000)

    def test_markup_from_the_request_is_escaped(self) -> None:
        attack = "%3Cscript%3Ealert(1)%3C/script%3E"
        for path in (f"/?t={attack}", f"/status/{attack}", f"/file/{attack}", f"/uri/{self.cap}?t={attack}", f"/uri/{attack}",
                     f"/uri/{attack}?t=info", f"/uri/{self.cap}/{attack}", f"/{attack}", f"/uri?uri={attack}",
                     f"/statistics?t={attack}"):
            response = self.gateway.request("GET", path, headers={"Accept": "text/html"})
            self.assertIn("text/html", response.header("Content-Type") or "", path)
            self.assertNotIn("<script>", response.text, path)


class Logs(SynchronousTestCase):
    """What is written to the log gives no authority to those who read it."""

    def setUp(self) -> None:
        self.events: list[str] = []

        def observe(event: dict[str, object]) -> None:
            self.events.append(str(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.gateway = Gateway()

    def test_no_part_of_a_cap_is_in_it(self) -> None:
        secret = CHK.split(":")[2]
        lower = q(CHK).replace("A", "a").replace("%3a", "%3A")
        for cap in (CHK, q(CHK), lower, q(CHK).replace("U", "%55"), CHK.replace("URI", "URJ")):
            for path in (f"/uri/{cap}", f"/cap/{cap}", f"/file/{cap}/x", f"/named/{cap}/x", f"//uri/{cap}", f"/{cap}",
                         f"/uri/x/{cap}", f"/nope/{cap}", f"/uri?uri={cap}", f"/uri?{cap}", f"/uri?{cap}=x", f"/status/{cap}",
                         f"/h/{cap}", f"/css/{cap}", f"/open?ticket={cap}", f"/content/{cap}/x", f"/operations/{cap}",
                         f"/session/{cap}", f"/?t={cap}", f"/?when_done={cap}", f"/?x={cap}",
                         f"/uri/{cap}?t=json&to_dir={cap}&return_to={cap}"):
                self.gateway.get(path)
        self.assertGreater(len(self.events), 100)
        self.assertNotIn(secret, "".join(self.events).replace("%55", "U"))

    def test_an_unexpected_error_is_an_incident_whose_story_holds_no_cap(self) -> None:
        self.gateway.files.upload_failure = ValueError(f"what is {CHK} doing here?")
        response = self.gateway.request("PUT", "/uri", b"hello")
        self.assertEqual(response.status, 500)
        self.assertNotIn("Traceback", response.text)
        self.assertNotIn("what is", response.text)
        number = response.text.rpartition(" ")[2].rstrip(".")
        (incident,) = [event for event in self.events if "Traceback" in event]
        self.assertIn(number, incident)
        self.assertNotIn(CHK.split(":")[2], incident)

    def test_caps_are_found_in_any_text(self) -> None:
        for cap in (CHK, q(CHK), "URI:LIT:onug64tu", "URI:DIR2-CHK:abc:def:1:2:3", "URI:SSK-RO:abc:def"):
            text = censored(f"see {cap} there")
            self.assertTrue(text.startswith("see URI") and text.endswith("[CENSORED] there"), text)
