"""Requests that fill directories which may not be there yet, and forms whose fields come in any order."""
from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from frontends.web.forms import SMALL_FILE
from tests.web.harness import Response, multipart, q
from tests.web.test_transcripts import GridGateway

LARGE = bytes(SMALL_FILE + 1000)


class FillingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = GridGateway()
        self.root = self.gateway.request("POST", "/uri?t=mkdir", b"").text

    def post(self, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
        return self.gateway.request("POST", f"/uri/{q(self.root)}{path}", body, headers or {})

    def names(self, path: str = "") -> list[str]:
        found = self.gateway.get(f"/uri/{q(self.root)}{path}?t=json").json()
        return sorted(found[1]["children"])

    def contents(self, path: str) -> bytes:
        return self.gateway.get(f"/uri/{q(self.root)}{path}").body


class MissingDirectories(FillingCase):
    """`t=set_children` and `t=uri` make the directory that they fill, and those on the way, if nothing is wrong with the rest."""

    def test_set_children(self) -> None:
        children = json.dumps({"x": ["filenode", {"rw_uri": "URI:LIT:pa"}]}).encode()
        self.assertEqual(self.post("/a/b?t=set_children", children).text, "Okay so I did it.")
        self.assertEqual((self.names(), self.names("/a"), self.names("/a/b")), (["a"], ["b"], ["x"]))
        entry = self.gateway.get(f"/uri/{q(self.root)}/a/b?t=json").json()[1]["children"]["x"]
        self.assertIn("linkcrtime", entry[1]["metadata"]["tahoe"])

    def test_uri(self) -> None:
        self.assertEqual(self.post("/a/b?t=uri&name=x&uri=URI:LIT:pa").text, "URI:LIT:pa")
        self.assertEqual(self.contents("/a/b/x"), b"x")

    def test_nothing_is_made_for_a_request_that_is_refused(self) -> None:
        unstorable = json.dumps({"x": ["filenode", {"rw_uri": "x-future:abc"}]}).encode()
        refused = [
            self.post("/a/b?t=set_children", b"{"),
            self.post("/a/b?t=set_children", unstorable),
            self.post("/a/b?t=set_children&replace=perhaps", b"{}"),
            self.post("/a/b?t=uri&name=x"),
            self.post("/a/b?t=uri&name=x&uri=x-future:abc"),
        ]
        self.assertEqual([each.status for each in refused], [400] * len(refused))
        self.assertEqual(self.names(), [])

    def test_not_below_a_file(self) -> None:
        self.gateway.request("PUT", f"/uri/{q(self.root)}/file", b"x")
        self.assertEqual(self.post("/file/b?t=set_children", b"{}").status, 409)

    def test_not_below_a_directory_that_can_only_be_read(self) -> None:
        reader = self.gateway.get(f"/uri/{q(self.root)}?t=readonly-uri").text
        self.assertEqual(self.gateway.request("POST", f"/uri/{q(reader)}/a?t=set_children", b"{}").status, 403)


class FormatOfDirectories(FillingCase):
    """No directory that can be changed is CHK, and who asks for one is told so."""

    def test_chk_is_refused_everywhere(self) -> None:
        for path in ("/new?t=mkdir&format=CHK", "?t=mkdir&name=new&format=chk", "?t=mkdir-with-children&name=new&format=CHK"):
            refused = self.post(path, b"{}" if "children" in path else b"")
            self.assertEqual((refused.status, "format=CHK" in refused.text), (400, True), path)
        self.assertEqual(self.gateway.request("PUT", f"/uri/{q(self.root)}/new?t=mkdir&format=CHK", b"").status, 400)
        self.assertEqual(self.names(), [])

    def test_an_immutable_directory_needs_no_format(self) -> None:
        self.assertEqual(self.post("/new?t=mkdir-immutable&format=CHK", b"{}").text, "URI:DIR2-LIT:")


class LateFields(FillingCase):
    """Fields behind a large file in a form count as those before it do, where that can still be done."""

    def upload(self, path: str, *fields: tuple[str, str], early: tuple[tuple[str, str], ...] = ()) -> Response:
        parts = [(name, None, value.encode()) for name, value in early]
        parts.append(("file", "name", LARGE))
        parts += [(name, None, value.encode()) for name, value in fields]
        return self.post(path, *multipart(*parts))

    def test_name_and_when_done(self) -> None:
        done = self.upload("?t=upload", ("name", "late"), ("when_done", "."))
        self.assertEqual((done.status, done.header("Location")), (302, "."))
        self.assertEqual(self.names(), ["late"])

    def test_a_place_elsewhere_is_refused_also_when_it_comes_late(self) -> None:
        self.assertEqual(self.upload("?t=upload", ("when_done", "http://example.com/")).status, 400)

    def test_replace(self) -> None:
        self.assertEqual(self.upload("?t=upload&name=x").status, 200)
        small = self.post("?t=upload&name=y", *multipart(("file", "name", b"small")))
        self.assertEqual(small.status, 200)
        self.assertEqual(self.upload("?t=upload", ("name", "y"), ("replace", "false")).status, 409)
        self.assertEqual(self.upload("/y?t=upload", ("replace", "false")).status, 409)
        self.assertEqual(self.contents("/y"), b"small")
        self.assertEqual(self.upload("/y?t=upload", ("replace", "true")).status, 200)
        self.assertEqual(len(self.contents("/y")), len(LARGE))

    def test_what_comes_too_late_is_told(self) -> None:
        refused = self.upload("?t=upload", ("format", "sdmf"))
        self.assertEqual((refused.status, "must stand before" in refused.text), (400, True))
        self.assertEqual(self.names(), [])

    def test_a_mutable_file_is_overwritten_in_place_or_not_at_all(self) -> None:
        cap = self.gateway.request("PUT", f"/uri/{q(self.root)}/m?format=sdmf", b"old").text
        self.assertEqual(self.upload("?t=upload", ("name", "m")).status, 409)
        self.assertEqual(self.contents("/m"), b"old")
        self.assertEqual(self.upload("?t=upload", early=(("name", "m"),)).text, cap)
        self.assertEqual(len(self.contents("/m")), len(LARGE))
