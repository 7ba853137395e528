from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import NoServers, SourceFailed, UnhappyUpload
from lafs.node_status import ServerStatus
from tests.web.harness import HOST, Gateway, Response, multipart, q, request_bytes

BIG = 3 * 1024 * 1024


class Put(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()

    def test_the_answer_is_the_cap_and_nothing_else(self) -> None:
        response = self.gateway.request("PUT", "/uri", b"x" * 100)
        self.assertEqual(response.status, 200)
        self.assertRegex(response.text, r"^URI:CHK:[a-z2-7]{26}:[a-z2-7]{52}:\d+:\d+:100$")
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
        self.assertEqual(self.gateway.get("/uri/" + q(response.text)).body, b"x" * 100)

    def test_a_form_content_type_does_not_make_the_body_a_form(self) -> None:
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data"):
            response = self.gateway.request("PUT", "/uri", b"short", {"Content-Type": kind})
            self.assertEqual(response.text, "URI:LIT:onug64tu", kind)

    def test_formats(self) -> None:
        self.assertEqual(self.gateway.request("PUT", "/uri?format=chk", b"short").text, "URI:LIT:onug64tu")
        self.assertEqual(self.gateway.request("PUT", "/uri?mutable=false", b"short").text, "URI:LIT:onug64tu")
        response = self.gateway.request("PUT", "/uri?format=foo", b"short")
        self.assertEqual((response.status, response.text), (400, "Unknown format: foo, I know CHK, SDMF, MDMF"))
        self.assertEqual(self.gateway.request("PUT", "/uri?mutable=maybe", b"short").status, 400)

    def test_other_t(self) -> None:
        for method in ("PUT", "POST"):
            response = self.gateway.request(method, "/uri?t=bogus", b"")
            self.assertEqual(response.status, 400)
            self.assertEqual(response.text, "/uri accepts only PUT, PUT?t=mkdir, POST?t=upload, and POST?t=mkdir")

    def test_other_methods(self) -> None:
        response = self.gateway.request("DELETE", "/uri")
        self.assertEqual((response.status, response.header("Allow")), (405, "GET, HEAD, PUT, POST"))

    def test_too_few_servers(self) -> None:
        self.gateway.files.upload_failure = UnhappyUpload("shares could be placed on only 3 server(s)")
        response = self.gateway.request("PUT", "/uri", b"x" * 100)
        self.assertEqual(response.status, 503)
        self.assertEqual(response.text, "UploadUnhappinessError: shares could be placed on only 3 server(s)")
        self.gateway.files.upload_failure = NoServers("no servers")
        response = self.gateway.request("PUT", "/uri", b"x" * 100)
        self.assertEqual((response.status, response.text), (503, "NoServersError: no servers"))

    def test_a_source_that_fails(self) -> None:
        self.gateway.files.upload_failure = SourceFailed("disk full")
        self.assertEqual(self.gateway.request("PUT", "/uri", b"x").text, "The upload stopped: disk full")


class Form(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()

    def post(self, *parts: tuple[str, str | None, bytes], query: str = "", **headers: str) -> Response:
        body, form_headers = multipart(*parts)
        return self.gateway.request("POST", "/uri" + query, body, {**form_headers, **headers})

    def test_answers_with_a_page_that_shows_the_cap(self) -> None:
        cap = self.gateway.request("PUT", "/uri", b"x" * 100).text
        for query, parts in (("", [("t", None, b"upload")]), ("?t=upload", []), ("", [])):
            response = self.post(*parts, ("file", "x.txt", b"x" * 100), query=query)
            self.assertEqual((response.status, response.header("Content-Type")), (200, "text/html; charset=utf-8"))
            self.assertIn(cap, response.text)
            self.assertIn(f"file/{q(cap)}/@@named=/x.txt", response.text)

    def test_the_page_tells_where_the_shares_are(self) -> None:
        self.gateway.overview.known_servers = (ServerStatus("v0-server", "the attic", True, "Connected"),)
        self.assertIn("the attic", self.post(("file", "x", b"x" * 100)).text)

    def test_a_name_that_is_markup_is_escaped(self) -> None:
        response = self.post(("file", "<img src=x onerror=alert(1)>.html", b"x"))
        self.assertNotIn("<img src=x", response.text)

    def test_fields_may_come_after_a_small_file(self) -> None:
        response = self.post(("file", "x", b"short"), ("t", None, b"upload"), ("when_done", None, b"/x"))
        self.assertEqual(response.header("Location"), "/x")

    def test_a_large_file_streams(self) -> None:
        body, headers = multipart(("t", None, b"upload"), ("file", "x", bytes(BIG)), ("when_done", None, b"/x?%(uri)s"))
        connection = self.gateway.connect()
        message = request_bytes("POST", "/uri", body, headers)
        connection.send(message[: len(message) // 2])
        self.assertGreaterEqual(self.gateway.files.received, 1024 * 1024)
        connection.send(message[len(message) // 2 :])
        (response,) = connection.responses("POST")
        (cap,) = self.gateway.files.stored
        self.assertEqual((response.status, response.header("Location")), (302, f"/x?{q(cap)}"))

    def test_a_large_form_is_held_while_the_grid_is_slow(self) -> None:
        self.gateway.files.upload_gate = Deferred()
        body, headers = multipart(("file", "x", bytes(8 * BIG)))
        connection = self.gateway.connect()
        message, sent = request_bytes("POST", "/uri", body, headers), 0
        while not connection.held:
            connection.send(message[sent : sent + 65536])
            sent += 65536
        self.assertLess(sent, BIG)

    def test_a_choice_that_comes_after_a_large_file_and_changes_it_is_refused(self) -> None:
        for field in (("t", None, b"mkdir"), ("mutable", None, b"true"), ("format", None, b"SDMF")):
            self.assertIn(self.post(("file", "x", bytes(BIG)), field).status, (400,), field)
        for field in (("t", None, b"upload"), ("mutable", None, b"false"), ("format", None, b"CHK")):
            self.assertEqual(self.post(("file", "x", bytes(BIG)), field).status, 200, field)

    def test_what_is_no_form_or_has_no_file_is_refused(self) -> None:
        self.assertEqual(self.post(("t", None, b"upload")).status, 400)
        self.assertEqual(self.gateway.request("POST", "/uri", b"hello").status, 400)
        self.assertEqual(self.gateway.request("POST", "/uri?t=upload", b"hello").status, 400)
        urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(self.gateway.request("POST", "/uri", b"a=b", urlencoded).status, 400)

    def test_a_malformed_form_is_refused_and_stores_nothing(self) -> None:
        body, headers = multipart(("file", "x", b"y" * 1000))
        self.assertEqual(self.gateway.request("POST", "/uri", body[:-20], headers).status, 400)
        self.assertEqual(self.gateway.files.sizes, [])

    def test_the_query_wins_over_the_form(self) -> None:
        response = self.post(("t", None, b"upload"), ("file", "x", b"y"), query="?t=bogus")
        self.assertEqual(response.status, 400)


class Destinations(SynchronousTestCase):
    """`when_done=` leads nowhere but to this gateway."""

    def location(self, when_done: str) -> str | None:
        body, headers = multipart(("when_done", None, when_done.encode()), ("file", "x", b"short"))
        response = Gateway().request("POST", "/uri", body, headers)
        self.assertIn(response.status, (302, 400))
        return response.header("Location") if response.status == 302 else None

    def test_places_on_this_gateway(self) -> None:
        cap = q("URI:LIT:onug64tu")
        self.assertEqual(self.location("/next/%(uri)s"), f"/next/{cap}")
        self.assertEqual(self.location("."), ".")
        self.assertEqual(self.location("uri/%(uri)s?t=info"), f"uri/{cap}?t=info")
        self.assertEqual(self.location(f"http://{HOST}/x"), f"http://{HOST}/x")
        self.assertEqual(self.location("/ä"), "/%C3%A4")

    def test_anywhere_else(self) -> None:
        for place in ("http://evil.example/", "//evil.example/", "https:evil.example", "javascript:alert(1)", "data:text/html,x",
                      "///evil", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "\x01//evil.example", " //evil", "http://127.0.0.1:3456@evil/",
                      "http://[", "http:///evil.example", "mailto:a@b"):
            self.assertIsNone(self.location(place), place)

    def test_nothing_is_stored_for_a_request_that_is_refused(self) -> None:
        gateway = Gateway()
        body, headers = multipart(("when_done", None, b"//evil.example"), ("file", "x", b"y" * 100))
        self.assertEqual(gateway.request("POST", "/uri", body, headers).status, 400)
        self.assertEqual(gateway.files.sizes, [])


class PastedCaps(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()

    def location(self, path: str) -> str | None:
        response = self.gateway.get(path)
        self.assertEqual(response.status, 302)
        return response.header("Location")

    def test_lead_to_the_object(self) -> None:
        self.assertEqual(self.location("/uri?uri=URI:LIT:onug64tu"), "/uri/URI%3ALIT%3Aonug64tu")
        self.assertEqual(self.location("/cap?uri=URI%3ALIT%3Aonug64tu"), "/cap/URI%3ALIT%3Aonug64tu")

    def test_with_the_other_arguments(self) -> None:
        self.assertEqual(
            self.location("/uri?uri=URI:LIT:onug64tu&filename=a.b&save=true"), "/uri/URI%3ALIT%3Aonug64tu?filename=a.b&save=true"
        )

    def test_with_blanks_around_them(self) -> None:
        self.assertEqual(self.location("/uri?uri=%20URI:LIT:onug64tu%0a"), "/uri/URI%3ALIT%3Aonug64tu")

    def test_what_is_no_cap(self) -> None:
        for path in ("/uri?uri=bogus", "/uri?uri=", "/uri?uri=URI:CHK:damaged", "/uri?uri=%ff"):
            response = self.gateway.get(path)
            self.assertEqual((response.status, response.text), (400, "Invalid capability"))
        self.assertEqual(self.gateway.get("/uri").text, "GET /uri requires uri=")

    def test_a_slash_too_much(self) -> None:
        self.assertEqual(self.location("/uri/?uri=x&t=y"), "/uri?uri=x&t=y")
        self.assertEqual(self.location("/cap/"), "/cap")
