from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from frontends.web.content_types import attachment, type_of
from lafs.capability import DirectoryCap, ImmutableReadCap
from lafs.errors import BadCiphertext, NoShares, NotEnoughShares
from tests.web.harness import Gateway, q

LITERAL = "URI%3ALIT%3Aonug64tu"
CONTENTS = bytes(range(100))


class Files(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()
        self.file = self.gateway.files.add(CONTENTS)
        self.path = "/uri/" + q(self.file.cap.text)
        self.index = self.file.cap.storage_index.text

    def test_contents(self) -> None:
        response = self.gateway.get(self.path)
        self.assertEqual((response.status, response.body), (200, CONTENTS))
        self.assertEqual(response.header("Content-Type"), "text/plain")
        self.assertEqual(response.header("Accept-Ranges"), "bytes")
        self.assertEqual(response.header("ETag"), f'"{self.index}-"')
        self.assertIsNone(response.header("Content-Disposition"))

    def test_colons_of_a_cap_may_stand_as_they_are(self) -> None:
        self.assertEqual(self.gateway.get("/uri/" + self.file.cap.text).body, CONTENTS)

    def test_head_says_what_get_would_without_reading_anything(self) -> None:
        tags = ("x", f'"{self.index}-"')
        cases = [{}, *({"Range": value} for value in ("bytes=1-2", "bytes=500-")), *({"If-None-Match": tag} for tag in tags)]
        for headers in cases:
            get = self.gateway.request("GET", self.path, headers=headers)
            self.file.reads.clear()
            head = self.gateway.request("HEAD", self.path, headers=headers)
            self.assertEqual((head.status, head.headers, head.body), (get.status, get.headers, b""))
            self.assertEqual(self.file.reads, [])

    def test_head_of_a_file_whose_shares_are_lost_needs_no_network(self) -> None:
        self.file.fails_after = 0
        self.assertEqual(self.gateway.request("HEAD", self.path).status, 200)
        self.assertEqual(self.gateway.get(self.path).status, 410)

    def test_an_empty_file_by_a_cap_of_the_long_kind(self) -> None:
        cap = ImmutableReadCap(bytes(16), bytes(32), 1, 1, 1)
        self.assertEqual(self.gateway.request("HEAD", "/uri/" + q(cap.text)).header("Content-Length"), "1")
        self.assertEqual(self.gateway.get("/uri/URI:LIT:").body, b"")
        self.assertEqual(self.gateway.get("/uri/URI:LIT:").header("Content-Length"), "0")

    def test_a_cap_whose_numbers_cannot_be_is_refused(self) -> None:
        fields = self.file.cap.text.split(":")
        fields[4:6] = ["3", "1"]
        self.assertEqual(self.gateway.get("/uri/" + q(":".join(fields))).status, 400)

    def test_json(self) -> None:
        response = self.gateway.get(self.path + "?t=json")
        self.assertEqual(
            response.json(),
            ["filenode", {"mutable": False, "format": "CHK", "size": 100, "ro_uri": self.file.cap.text,
                          "verify_uri": self.file.cap.verifier().text}],
        )
        self.assertEqual(response.header("ETag"), f'"{self.index}-json"')
        self.assertTrue(response.body.isascii())

    def test_json_of_a_literal(self) -> None:
        response = self.gateway.get(f"/uri/{LITERAL}?t=json")
        self.assertEqual(
            response.json(), ["filenode", {"mutable": False, "format": "CHK", "size": 5, "ro_uri": "URI:LIT:onug64tu"}]
        )
        self.assertIsNone(response.header("ETag"))

    def test_caps(self) -> None:
        for t in ("uri", "readonly-uri", "%20uri%20"):
            response = self.gateway.get(f"{self.path}?t={t}")
            self.assertEqual((response.text, response.header("Content-Type")), (self.file.cap.text, "text/plain; charset=utf-8"))

    def test_a_prefix_that_fits_is_dropped(self) -> None:
        for prefix in ("ro.", "imm."):
            self.assertEqual(self.gateway.get(f"/uri/{prefix}{q(self.file.cap.text)}?t=uri").text, self.file.cap.text)

    def test_info_shows_the_caps_and_cannot_be_cached(self) -> None:
        response = self.gateway.get(self.path + "?t=info")
        self.assertIn(self.file.cap.text, response.text)
        self.assertIn(self.file.cap.verifier().text, response.text)
        self.assertIn("100 bytes", response.text)
        self.assertIsNone(response.header("ETag"))

    def test_other_t(self) -> None:
        self.assertEqual(self.gateway.get(self.path + "?t=bogus").text, "GET file: bad t=bogus")
        self.assertEqual(self.gateway.get(self.path + "?t=JSON").text, "GET file: bad t=JSON")
        self.assertEqual(self.gateway.get(self.path + "?t=%C3%A4").status, 400)
        self.assertEqual(self.gateway.request("HEAD", self.path + "?t=json").status, 400)
        self.assertEqual(self.gateway.request("POST", self.path + "?t=mkdir").text, "POST to file: bad t=mkdir")

    def test_a_file_cannot_be_changed_or_deleted(self) -> None:
        self.assertEqual(self.gateway.request("PUT", self.path, b"x").status, 400)
        self.assertEqual(self.gateway.request("PUT", self.path + "?t=uri", b"x").status, 400)
        self.assertEqual(self.gateway.request("DELETE", self.path).status, 400)

    def test_nothing_is_below_a_file(self) -> None:
        self.assertEqual(self.gateway.get(self.path + "/child").text, "Files have no children named 'child'")
        self.assertEqual(self.gateway.get(self.path + "/").status, 400)
        self.assertEqual(self.gateway.request("PUT", self.path + "/child", b"x").status, 409)
        self.assertEqual(self.gateway.get(self.path + "/%ff").status, 400)
        self.assertIn("double slash", self.gateway.get(self.path + "//x").text)

    def test_a_method_nobody_knows(self) -> None:
        response = self.gateway.request("BREW", self.path)
        self.assertEqual((response.status, response.header("Allow")), (405, "GET, HEAD, PUT, POST, DELETE"))

    def test_cap_is_another_word_for_uri(self) -> None:
        self.assertEqual(self.gateway.get("/cap/" + q(self.file.cap.text)).body, CONTENTS)


class PartsOfFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()
        self.file = self.gateway.files.add(CONTENTS)
        self.path = "/uri/" + q(self.file.cap.text)
        self.tag = f'"{self.file.cap.storage_index.text}-"'

    def test_only_the_part_is_read(self) -> None:
        response = self.gateway.get(self.path, Range="bytes=10-19")
        self.assertEqual((response.status, response.body), (206, CONTENTS[10:20]))
        self.assertEqual(response.header("Content-Range"), "bytes 10-19/100")
        self.assertEqual(response.header("Content-Length"), "10")
        self.assertEqual(self.file.reads, [(10, 10)])

    def test_nothing_of_what_does_not_exist(self) -> None:
        response = self.gateway.get(self.path, Range="bytes=100-")
        self.assertEqual((response.status, response.text), (416, "First beyond end of file"))
        self.assertEqual(response.header("Content-Range"), "bytes */100")

    def test_literals_too(self) -> None:
        response = self.gateway.get(f"/uri/{LITERAL}", Range="bytes=-2")
        self.assertEqual((response.status, response.text, response.header("Content-Range")), (206, "rt", "bytes 3-4/5"))

    def test_a_failing_part_has_no_stale_content_range(self) -> None:
        self.file.fails_after = 0
        response = self.gateway.get(self.path, Range="bytes=0-1")
        self.assertEqual((response.status, response.header("Content-Range")), (410, None))

    def test_if_range_with_the_same_version(self) -> None:
        self.assertEqual(self.gateway.get(self.path, Range="bytes=0-1", If_Range=self.tag).status, 206)

    def test_if_range_with_another_version_gives_the_whole(self) -> None:
        for header in ('"other"', "W/" + self.tag, "Tue, 15 Nov 1994 12:45:26 GMT"):
            self.assertEqual(self.gateway.get(self.path, Range="bytes=0-1", If_Range=header).status, 200)
        self.assertEqual(self.gateway.get(f"/uri/{LITERAL}", Range="bytes=0-1", If_Range='"x"').status, 200)

    def test_who_has_it_already_is_sent_nothing(self) -> None:
        for header in (self.tag, self.tag.strip('"'), "W/" + self.tag, "*", f'"x", {self.tag}'):
            response = self.gateway.get(self.path, If_None_Match=header)
            self.assertEqual((response.status, response.body, response.header("ETag")), (304, b"", self.tag))
            self.assertIsNone(response.header("Content-Type"))
        self.assertEqual(self.file.reads, [])
        self.assertEqual(self.gateway.get(self.path, If_None_Match='"x"').status, 200)

    def test_each_form_has_its_own_tag(self) -> None:
        self.assertEqual(self.gateway.get(self.path + "?t=json", If_None_Match=self.tag).status, 200)
        tag = self.gateway.get(self.path + "?t=json").header("ETag") or ""
        self.assertEqual(self.gateway.get(self.path + "?t=json", If_None_Match=tag).status, 304)

    def test_a_connection_goes_on_after_not_modified(self) -> None:
        connection = self.gateway.connect()
        head = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n"
        connection.send(f"{head}If-None-Match: *\r\n\r\n{head}\r\n".encode())
        self.assertEqual([each.status for each in connection.responses("GET", "GET")], [304, 200])


class Names(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()

    def type_for(self, path: str) -> str | None:
        response = self.gateway.get(path)
        self.assertEqual((response.status, response.text), (200, "short"))
        self.assertIsNone(response.header("Content-Encoding"))
        return response.header("Content-Type")

    def test_the_argument_names_the_file_else_the_path_does(self) -> None:
        self.assertEqual(self.type_for(f"/uri/{LITERAL}?filename=foo.jpg"), "image/jpeg")
        self.assertEqual(self.type_for(f"/named/{LITERAL}/pic.png"), "image/png")
        self.assertEqual(self.type_for(f"/file/{LITERAL}/@@named=/page.html"), "text/html")
        self.assertEqual(self.type_for(f"/file/{LITERAL}/a.png/b/c.PDF"), "application/pdf")
        self.assertEqual(self.type_for(f"/file/{LITERAL}/a.png?filename=b.jpg"), "image/jpeg")
        self.assertEqual(self.type_for(f"/file/{LITERAL}/a.png?filename="), "image/png")
        self.assertEqual(self.type_for(f"/file/{LITERAL}"), "text/plain")

    def test_types(self) -> None:
        for name, kind in {
            "": "text/plain", "x": "text/plain", ".html": "text/plain", "x.unheardof": "text/plain", "x.": "text/plain",
            "x.HTML": "text/html", "x.tar.gz": "application/gzip", "x.html.gz": "application/gzip", "x.tgz": "application/gzip",
            "x.bz2": "application/x-bzip2", "x.conf": "text/plain", "x.flac": "audio/x-flac", "x.svg": "image/svg+xml",
            "x.patch": "text/x-diff",
        }.items():
            self.assertEqual(type_of(name), kind, name)

    def test_saving(self) -> None:
        def disposition(query: str) -> str | None:
            return self.gateway.get(f"/uri/{LITERAL}?{query}").header("Content-Disposition")

        self.assertEqual(disposition("filename=foo.jpg&save=true"), 'attachment; filename="foo.jpg"')
        self.assertEqual(disposition("save=true"), "attachment")
        self.assertEqual(disposition("filename=foo.jpg&save=off"), None)
        self.assertEqual(self.gateway.get(f"/uri/{LITERAL}?save=perhaps").text, "invalid boolean argument: b'perhaps'")
        self.assertEqual(self.gateway.get(f"/uri/{LITERAL}?save=").status, 400)

    def test_a_name_cannot_break_out_of_its_quotes(self) -> None:
        self.assertEqual(attachment('a"b\\c\r\n.txt'), b'attachment; filename="a\\"b\\\\c  .txt"')
        self.assertEqual(attachment("ä"), "attachment; filename=\"ä\"; filename*=UTF-8''%C3%A4".encode())

    def test_only_files_have_names(self) -> None:
        for path in ("/file/bogus/x", "/file/", "/named/URI:DIR2:x/y"):
            response = self.gateway.get(path)
            self.assertEqual(response.status, 400)
            self.assertIn("is not a file-cap", response.text)
        response = self.gateway.get("/file")
        self.assertEqual((response.status, response.text), (404, "/file must be followed by a file-cap and a name"))
        self.assertEqual(self.gateway.request("PUT", f"/file/{LITERAL}/x", b"").status, 400)

    def test_arguments_of_files_work_there_too(self) -> None:
        self.assertEqual(self.gateway.get(f"/file/{LITERAL}/x?t=uri").text, "URI:LIT:onug64tu")


class Unknown(SynchronousTestCase):
    """Caps that this node cannot judge, and those that grant no reading."""

    def setUp(self) -> None:
        self.gateway = Gateway()

    def test_their_prefix_is_all_that_is_told(self) -> None:
        for cap, facts in {
            "bogus": {},
            "ro.x-future-cap:abc": {"ro_uri": "ro.x-future-cap:abc"},
            "imm.x-future-cap:abc": {"ro_uri": "imm.x-future-cap:abc", "mutable": False},
            "ro.URI:SSK:bad:bad": {},
            self.gateway.files.add(b"x" * 100).cap.verifier().text: {},
        }.items():
            response = self.gateway.get(f"/uri/{q(cap)}?t=json")
            self.assertEqual((response.status, response.json()), (200, ["unknown", facts]), cap)

    def test_a_cap_that_verifies_a_directory_names_no_directory(self) -> None:
        cap = DirectoryCap(self.gateway.files.add(b"x" * 100).cap).verifier()
        assert cap is not None
        self.assertEqual(self.gateway.get(f"/uri/{q(cap.text)}?t=json").json(), ["unknown", {}])
        self.assertEqual(self.gateway.get(f"/uri/{q(cap.text)}?t=uri").status, 400)

    def test_they_cannot_be_read(self) -> None:
        for cap in ("bogus", "ro.x-future-cap:abc", "%ff", "URI:CHK:damaged"):
            response = self.gateway.get(f"/uri/{cap}")
            self.assertEqual(response.status, 400)
            self.assertIn("GET unknown URI type: can only do t=info and t=json, not t=.", response.text)
            self.assertEqual(self.gateway.request("HEAD", f"/uri/{cap}").status, 400)
            self.assertEqual(self.gateway.get(f"/uri/{cap}/below").status, 404)

    def test_there_is_a_page_about_them(self) -> None:
        self.assertIn("unknown", self.gateway.get("/uri/bogus?t=info").text)


class Failures(SynchronousTestCase):
    """What the client is told when a file cannot be read."""

    def failing(self, failure: Exception) -> str:
        gateway = Gateway()
        file = gateway.files.add(b"x" * 100)
        file.fails_after, file.failure = 0, failure
        response = gateway.get("/uri/" + q(file.cap.text))
        self.assertEqual(response.status, 410)
        return response.text

    def test_too_few_shares(self) -> None:
        text = self.failing(NotEnoughShares("2 of 3 found, on a and b"))
        self.assertRegex(text, r"(?s)^NotEnoughSharesError: .*The full error message is:\n2 of 3 found, on a and b$")

    def test_no_shares(self) -> None:
        text = self.failing(NoShares("no shares (need 3)"))
        self.assertRegex(text, r"(?s)^NoSharesError: .*The full error message is:\nno shares \(need 3\)$")

    def test_bad_ciphertext(self) -> None:
        self.assertTrue(self.failing(BadCiphertext("x")).startswith("BadCiphertextError: "))

    def test_browsers_get_a_page(self) -> None:
        response = Gateway().request("GET", "/uri/bogus", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        self.assertEqual((response.status, response.header("Content-Type")), (400, "text/html; charset=utf-8"))

    def test_programs_get_text(self) -> None:
        for accept in ("*/*", "text/plain, application/octet-stream", "text/*", ""):
            response = Gateway().request("GET", "/uri/bogus", headers={"Accept": accept})
            self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
