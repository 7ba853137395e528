from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.access_log import AccessLog
from tests.web.harness import HOST, Gateway, q

DIRECTORY = "URI:DIR2:djrdkfawoqihigoett4g6auz6a:jx5mplfpwexnoqff7y5e4zjus4lidm76dcuarpct7cckorh2dpgq"


class Lines(SynchronousTestCase):
    """An operator sees who did what and how it went, and neither what is in it nor what it is called."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        self.log = AccessLog(Random(1).randbytes, self.lines.append)

    def test_who_what_and_how_it_went(self) -> None:
        self.log.note("127.0.0.1", "GET", "/status?t=json", 200, 1234)
        self.assertEqual(self.lines, ["127.0.0.1 GET /status?t=json 200 1234"])

    def test_a_cap_is_its_kind_and_some_letters_and_names_are_a_number(self) -> None:
        shown = self.log.target(f"/uri/{q(DIRECTORY)}/holidays/beach.jpg?t=json&save=true")
        self.assertRegex(shown, r"^/uri/\[DIR2~[a-z2-7]{8}\]/\+2\?t=json&save=true$")
        self.assertRegex(self.log.target("/file/URI:LIT:me/@@named=/x"), r"^/file/\[LIT~[a-z2-7]{8}\]/\+2$")
        self.assertRegex(self.log.target("/h/abcdefgh/x/"), r"^/h/\[~[a-z2-7]{8}\]/\+1/$")
        self.assertEqual([self.log.target(path) for path in ("/uri", "/uri/", "/h")], ["/uri", "/uri/", "/h"])

    def test_the_same_thing_looks_the_same_however_it_is_spelt_and_only_in_this_log(self) -> None:
        here = self.log.target(f"/uri/{q(DIRECTORY)}")
        self.assertEqual(self.log.target(f"/uri/{DIRECTORY}"), here)
        self.assertNotEqual(self.log.target("/uri/URI:LIT:me"), here)
        self.assertNotEqual(AccessLog(Random(2).randbytes, print).target(f"/uri/{DIRECTORY}"), here)

    def test_arguments_that_say_what_was_asked(self) -> None:
        shown = self.log.target("/uri?uri=x&t=mkdir&name=secret&format=MDMF")
        self.assertEqual(shown, "/uri?uri=[CENSORED]&t=mkdir&name=[CENSORED]&format=MDMF")
        self.assertEqual(self.log.target("/?private-key=x&t=URI:LIT:me"), "/?private-key=[CENSORED]&t=[CENSORED]")
        self.assertEqual(self.log.target("/open?ticket=x"), "/open?ticket=[CENSORED]")
        self.assertEqual(self.log.target("/?x y=z&URI:LIT:me"), "/")

    def test_pages_of_the_node_as_they_are(self) -> None:
        for path in ("/", "/status/up-1", "/css/lafs.css", "/statistics", "/session/close", "/status/"):
            self.assertEqual(self.log.target(path), path)

    def test_whatever_else_is_not_shown(self) -> None:
        for path in ("/nope/x", "//uri/x", "/URI:LIT:me"):
            self.assertEqual(self.log.target(path), "/[CENSORED]")
        self.assertEqual(self.log.target("*"), "[CENSORED]")
        for mount in ("content", "operations", "open"):
            self.assertEqual(self.log.target(f"/{mount}/abc/x"), f"/{mount}/[CENSORED]")

    @given(
        st.sampled_from(("uri", "cap", "file", "h", "content", "operations", "x", "")),
        st.text("abcdefghijkl/%?&=+;", min_size=30, max_size=60),
    )
    def test_nothing_long_gets_through(self, mount: str, rest: str) -> None:
        secret = "zzzzzyyyyyzzzzzyyyyyzzzzzyyyyy"
        for target in (f"/{mount}/{rest}{secret}", f"/{mount}/{secret}{rest}", f"/{mount}?{rest}{secret}", f"/{mount}?t={secret}"):
            self.assertNotIn(secret, self.log.target(target))

    def test_no_method_breaks_the_line(self) -> None:
        self.log.note("127.0.0.1", "GE\nT", "/", 400, 0)
        self.assertEqual(self.lines, ["127.0.0.1 ? / 400 0"])


class OfAGateway(SynchronousTestCase):
    def test_every_request_has_its_line(self) -> None:
        lines: list[str] = []
        gateway = Gateway(access_log=lines.append)
        file = gateway.files.add(b"x" * 100)
        location = gateway.get(f"/uri/{q(file.cap.text)}?t=content").header("Location") or ""
        gateway.get(f"/uri/{q(file.cap.text)}")
        gateway.request("GET", "/file", headers={"Host": location.removeprefix("http://").partition("/")[0]})
        gateway.request("GET", "/", headers={"Host": "evil.example"})
        gateway.request("PUT", "/uri", b"", headers={"Host": HOST, "Origin": "http://evil.example"})
        statuses = [line.split()[-2] for line in lines]
        self.assertEqual(statuses, ["302", "200", "200", "403", "403"])
        self.assertIn("content:/[CENSORED]", lines[2])
