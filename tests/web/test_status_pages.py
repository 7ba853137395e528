"""Pages about one operation, the storage server and trouble; and the operator's own files under /static."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.site import make_site
from tests.web.harness import Gateway
from tests.web.memory_files import Overview


class Operations(SynchronousTestCase):
    """`/status/KIND-N`."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.cap = self.gateway.request("PUT", "/uri", bytes(1000)).text

    def test_an_upload_and_a_download_have_pages(self) -> None:
        self.gateway.get(f"/uri/{self.cap}")
        for name, kind in (("up-0", "upload"), ("down-0", "download")):
            for path in (f"/status/{name}", f"/status/{name}/"):
                shown = self.gateway.get(path)
                self.assertEqual((shown.status, shown.header("Content-Type")), (200, "text/html; charset=utf-8"))
                self.assertIn("Finished", shown.text)
            facts = self.gateway.get(f"/status/{name}?t=json").json()
            self.assertEqual((facts["type"], facts["total-size"], facts["status"]), (kind, 1000, "Finished"))

    def test_what_is_not_there(self) -> None:
        for path, status in (
            ("/status/up-7", 404), ("/status/up-abc", 404), ("/status/sideways-0", 404), ("/status/up-0/junk", 404),
            ("/status/up", 400), ("/status/up-0-0", 400), ("/status/up-0?t=xml", 400),
        ):  # fmt: skip
            self.assertEqual(self.gateway.get(path).status, status, path)
        self.assertEqual(self.gateway.get("/status/").status, 200)
        refused = self.gateway.get("/status/%3Cscript%3E")
        self.assertEqual((refused.status, refused.header("Content-Type")), (400, "text/plain; charset=utf-8"))


@define
class StorageOverview(Overview):
    def stats(self) -> Mapping[str, float | int | None]:
        return {"node.uptime": 1.0, "storage_server.accepting_immutable_shares": 1, "storage_server.allocated": 0}


class Storage(SynchronousTestCase):
    """`/storage`."""

    def test_a_node_that_stores(self) -> None:
        gateway = Gateway()
        gateway.site = make_site(gateway.files, StorageOverview(), clock=gateway.clock, counters=gateway.counters)
        facts = gateway.get("/storage?t=json").json()
        self.assertEqual(facts["stats"], {"storage_server.accepting_immutable_shares": 1, "storage_server.allocated": 0})
        self.assertIs(facts["lease-checker-progress"]["cycle-in-progress"], False)
        self.assertIn("accepting_immutable_shares", gateway.get("/storage/").text)

    def test_a_node_that_does_not(self) -> None:
        gateway = Gateway()
        self.assertEqual(gateway.get("/storage?t=json").json(), {})
        self.assertIn("No Storage Server Running", gateway.get("/storage").text)
        self.assertEqual(gateway.get("/storage?t=xml").status, 400)


class Incidents(SynchronousTestCase):
    """`/report_incident`."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.saved: list[str] = []

        async def save(details: str) -> None:
            self.saved.append(details)

        self.gateway.site = make_site(
            self.gateway.files, self.gateway.overview, clock=self.gateway.clock, counters=self.gateway.counters, save_incident=save
        )

    def test_what_was_written_is_kept_without_caps(self) -> None:
        details = "no file\x1b at URI:CHK:aaaa:bbbb:1:1:5"
        form = urlencode({"details": details}).encode()
        answer = self.gateway.request(
            "POST", "/report_incident", form, {"Content-Type": "application/x-www-form-urlencoded"}
        )
        self.assertEqual(
            (answer.status, answer.text), (200, "An incident report has been saved to logs/incidents/ in the node directory.")
        )
        self.assertEqual(self.saved, ["no file  at URI:CHK:[CENSORED]"])

    def test_only_post_and_only_from_here(self) -> None:
        refused = self.gateway.get("/report_incident")
        self.assertEqual((refused.status, refused.text), (400, "/report_incident can only be used with POST"))
        self.assertEqual(self.gateway.request("POST", "/report_incident", b"", {"Origin": "http://example.com"}).status, 403)
        self.assertEqual(self.saved, [])


class Static(SynchronousTestCase):
    """`/static` serves a folder, and nothing outside it."""

    def setUp(self) -> None:
        self.gateway = Gateway()
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "below").mkdir(parents=True)
        (self.folder / "page.html").write_bytes(b"<p>hello</p>")
        (self.folder / "below" / "index.html").write_bytes(b"index")
        (self.folder / ".hidden").write_bytes(b"hidden")
        (self.folder.parent / "outside").write_bytes(b"outside")
        (self.folder / "link").symlink_to(self.folder.parent / "outside")
        self.gateway.site = make_site(
            self.gateway.files, self.gateway.overview, clock=self.gateway.clock, counters=self.gateway.counters, static=self.folder
        )

    def test_files_and_folders(self) -> None:
        found = self.gateway.get("/static/page.html")
        self.assertEqual((found.status, found.header("Content-Type"), found.body), (200, "text/html", b"<p>hello</p>"))
        self.assertIn("sandbox", found.header("Content-Security-Policy") or "")
        self.assertEqual(self.gateway.get("/static").header("Location"), "static/")
        listed = self.gateway.get("/static/").text
        self.assertIn('href="./below/"', listed)
        self.assertNotIn(".hidden", listed)
        self.assertEqual(self.gateway.get("/static/below").header("Location"), "below/")
        self.assertEqual(self.gateway.get("/static/below/").body, b"index")

    def test_ranges_and_times(self) -> None:
        part = self.gateway.get("/static/page.html", Range="bytes=3-7")
        self.assertEqual((part.status, part.body, part.header("Content-Range")), (206, b"hello", "bytes 3-7/12"))
        self.assertEqual(self.gateway.get("/static/page.html", Range="bytes=99-100").status, 416)
        modified = self.gateway.get("/static/page.html").header("Last-Modified") or ""
        self.assertEqual(self.gateway.get("/static/page.html", if_modified_since=modified).status, 304)
        os.utime(self.folder / "page.html", (2e9, 2e9))
        self.assertEqual(self.gateway.get("/static/page.html", if_modified_since=modified).status, 200)
        head = self.gateway.request("HEAD", "/static/page.html")
        self.assertEqual((head.status, head.header("Content-Length"), head.body), (200, "12", b""))

    def test_nothing_else(self) -> None:
        for path in (
            "/static/nosuch", "/static/.hidden", "/static/link", "/static/../outside", "/static/%2e%2e/outside",
            "/static/..%2foutside", "/static/below/../../outside", "/static//page.html", "/static/page.html/",
            "/static/page.html/x", "/static/%ff", "/static/a%00b",
        ):  # fmt: skip
            self.assertEqual(self.gateway.get(path).status, 404, path)
        self.assertEqual(self.gateway.request("PUT", "/static/new", b"x").status, 405)
        self.assertEqual(Gateway().get("/static/").status, 404)
