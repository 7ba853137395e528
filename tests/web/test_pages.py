"""The pages of directories and files as the gateway makes them; what their scripts make of them is tested in tests/browser."""
from __future__ import annotations

import json
import re
from io import BytesIO
from urllib.parse import quote
from zipfile import ZipFile

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.content_types import type_of
from frontends.web.listing_rows import Order, Row, kind_of_name, natural, row_of
from frontends.web.pages import KIND_NAMES, shown
from frontends.web.qr_code import LONGEST, qr_code
from frontends.web.zip_layout import Archive
from lafs.capability_slots import child_caps
from lafs.interfaces import Child
from tests.web.harness import q, request_bytes
from tests.web.test_directories import OnGrid

CAP = re.compile(r"URI(:|%3A)[A-Z0-9-]+(:|%3A)[a-z2-7]{16}")


def row(name: str, size: int | None = None, kind: str = "file", modified: int | None = None) -> Row:
    return Row(name, "FILE", kind, size, None, modified)


class Orders(SynchronousTestCase):
    ROWS = (row("b10", 3), row("B9", None), row("a", 20), row("z", None, "folder"), row("y", None, "folder"))

    def names(self, order: str) -> list[str]:
        return [each.name for each in Order.parse(order).of(self.ROWS)]

    def test_names_as_people_sort_them_and_folders_first(self) -> None:
        self.assertEqual(self.names("name"), ["y", "z", "a", "B9", "b10"])
        self.assertEqual(self.names("-name"), ["z", "y", "b10", "B9", "a"])

    def test_sizes_with_those_that_are_not_known_as_the_smallest(self) -> None:
        self.assertEqual(self.names("size"), ["y", "z", "B9", "b10", "a"])
        self.assertEqual(self.names("-size"), ["y", "z", "a", "b10", "B9"])

    def test_what_is_no_order_is_the_usual_one(self) -> None:
        for text in ("", "-", "bogus", "--name", "name-"):
            self.assertEqual(Order.parse(text), Order(), text)

    def test_a_click_sorts_and_the_next_turns_it_round(self) -> None:
        clicks = (Order().by("name"), Order().by("size"), Order("size", True).by("size"))
        self.assertEqual([str(order) for order in clicks], ["-name", "size", "size"])

    @given(st.lists(st.text(max_size=8)))
    def test_any_names_can_be_sorted(self, names: list[str]) -> None:
        self.assertEqual(sorted(sorted(names, key=natural)), sorted(names))


class Rows(SynchronousTestCase):
    def of(self, name: str = "x", metadata: object = None, cap: str = "URI:LIT:mfrgg") -> Row:
        return row_of(Child(name, child_caps(None, cap), metadata or {}))  # type: ignore[arg-type]

    def test_kinds_of_names(self) -> None:
        wanted = {"a.JPG": "image", "a.webm": "video", "a.flac": "audio", "a.md": "text", "a.json": "text", "a.tar.gz": "archive",
                  "a.pdf": "document", "README": "file", ".profile": "file", "a.bin": "file", "a.svg": "image"}  # fmt: skip
        self.assertEqual({name: kind_of_name(name) for name in wanted}, wanted)

    @given(st.text(max_size=20))
    def test_every_name_is_of_a_kind_that_has_a_picture(self, name: str) -> None:
        self.assertIn(kind_of_name(name), KIND_NAMES)
        type_of(name)

    @given(st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inner: st.dictionaries(st.sampled_from(["tahoe", "linkmotime", "mtime", "ctime"]), inner),
    ))  # fmt: skip
    def test_whatever_stands_in_the_metadata_is_no_reason_not_to_list(self, value: object) -> None:
        made = self.of(metadata={"tahoe": value, "mtime": value, "ctime": value})
        for moment in (made.created, made.modified):
            self.assertTrue(moment is None or 0 <= moment < 2**40)

    def test_names_that_would_be_read_otherwise_are_marked(self) -> None:
        self.assertEqual(shown("photo\u202egpj.exe\x00"), "photo\ufffdgpj.exe\ufffd")
        self.assertEqual(shown("naïve 漢字 👨\u200d👩\u200d👧"), "naïve 漢字 👨\u200d👩\u200d👧")


class Codes(SynchronousTestCase):
    def test_a_cap_becomes_a_picture_that_needs_nothing_else(self) -> None:
        picture = qr_code("URI:DIR2-RO:" + "a" * 80) or ""
        self.assertTrue(picture.startswith("data:image/svg+xml,"))
        self.assertNotIn("#", picture)

    def test_what_no_camera_could_read_is_none(self) -> None:
        self.assertIsNone(qr_code("x" * (LONGEST + 1)))


class DirectoryPages(OnGrid):
    def put(self, *names: str) -> None:
        for name in names:
            self.gateway.request("PUT", f"{self.at}/{quote(name, safe='')}", b"x" * 100)

    def test_a_listing_holds_no_cap(self) -> None:
        self.put("a", "b")
        self.post("mkdir", name="sub")
        markup = self.gateway.get(f"{self.at}/").text
        self.assertIn('data-name="sub"', markup)
        self.assertIsNone(CAP.search(markup))
        self.assertIsNone(CAP.search(self.gateway.get(f"{self.at}/?t=rows").text))

    def test_links_lead_back_to_where_they_belong_with_and_without_a_slash(self) -> None:
        self.put("a")
        self.post("mkdir", name="sub")
        for path, here in (("", f"./{q(self.root)}/"), ("/", "./"), ("/sub", "./sub/"), ("/sub/", "../sub/")):
            self.assertIn(f'data-here="{here}"', self.gateway.get(self.at + path).text, path)

    def test_what_cannot_be_changed_has_no_forms(self) -> None:
        self.put("a")
        read_cap = self.gateway.get(f"{self.at}?t=readonly-uri").text
        markup = self.gateway.get(f"/uri/{q(read_cap)}/").text
        for change in ("mkdir", "upload", "uri", "unlink", "delete-form", "rename-form", "move-form"):
            self.assertNotIn(f'"{change}"', markup)
            self.assertNotIn(f"?t={change}", markup)
        self.assertIn("read-only", markup)

    def test_rows_for_the_script(self) -> None:
        self.put("a.png")
        (found,) = self.gateway.get(f"{self.at}?t=rows").json()["rows"]
        self.assertEqual(found[:4], ["a.png", "FILE", "image", 100])

    def test_hostile_names_are_text(self) -> None:
        for name in ("<script>alert(1)</script>", "\"'><b>"):
            self.put(name)
        for page in ("/", "/?t=delete-form&name=%22%27%3E%3Cb%3E", "/?t=rename-form&name=%22%27%3E%3Cb%3E", "/?t=move-form&name=x"):
            markup = self.gateway.get(self.at + page).text
            self.assertNotIn("<b>&", markup)
            self.assertNotIn("<script>", markup)

    def test_forms_need_what_they_are_about(self) -> None:
        for form in ("rename", "delete", "move"):
            self.assertEqual(self.gateway.get(f"{self.at}?t={form}-form").status, 400)
        self.assertEqual(self.gateway.get(f"{self.at}?t=delete-form&name=nothing").status, 404)

    def test_a_child_is_moved_to_a_path_below_the_same_root(self) -> None:
        self.put("a")
        self.post("mkdir", name="sub")
        self.assertEqual(self.post("relink", from_name="a", to_path="/sub").status, 200)
        self.assertEqual(list(self.facts("/sub")["children"]), ["a"])
        self.assertEqual(self.post("relink", "/sub", from_name="a", to_path="/ignored", to_path_chosen="/").status, 200)
        self.assertEqual(self.names(), ["a", "sub"])
        self.assertEqual(self.post("relink", from_name="a", to_path="/a").status, 400)
        self.assertEqual(self.post("relink", from_name="a", to_path="/none").status, 404)
        self.assertEqual(self.post("relink", from_name="sub", to_path="/sub").status, 409)

    def test_a_name_with_blanks_around_it_can_be_changed(self) -> None:
        self.put(" a ")
        self.assertEqual(self.post("rename", from_name=" a ", to_name="b").status, 200)
        self.assertEqual(self.names(), ["b"])


class FilePages(OnGrid):
    def view(self, name: str, contents: bytes) -> str:
        self.gateway.request("PUT", f"{self.at}/{quote(name)}", contents)
        return self.gateway.get(f"{self.at}/{quote(name)}?t=view").text

    def test_each_kind_is_shown_in_its_own_way(self) -> None:
        for name, tag in (("a.png", "<img src="), ("a.webm", "<video src="), ("a.wav", "<audio src="), ("a.txt", "<pre")):
            self.assertIn(tag, self.view(name, b"contents" * 20), name)
        self.assertIn("no preview", self.view("a.pdf", b"%PDF" * 30))
        self.assertIn("no preview", self.view("README", b"\x00\x01" * 90))
        self.assertIn("plain words", self.view("README", b"plain words " * 9))

    def test_a_long_text_is_cut_between_characters(self) -> None:
        markup = self.view("a.txt", b"x" + "é".encode() * 50_000)
        self.assertIn("The first 64 kB", markup)
        self.assertNotIn("\ufffd", markup)

    def test_markup_in_a_text_is_text(self) -> None:
        self.assertIn("&lt;script&gt;", self.view("a.html", b"<script>alert(1)</script>" * 9))

    def test_what_may_be_given_away(self) -> None:
        facts = self.facts()
        for grant, key in (("", "ro_uri"), ("&grant=write", "rw_uri"), ("&grant=verify", "verify_uri")):
            self.assertIn(f">{facts[key]}</code>", self.gateway.get(f"{self.at}?t=share{grant}").text)
        readonly = f"/uri/{q(facts['ro_uri'])}"
        self.assertEqual(self.gateway.get(f"{readonly}?t=share&grant=write").status, 400)
        self.assertNotIn(facts["rw_uri"], self.gateway.get(f"{self.at}?t=share").text)


class Batches(OnGrid):
    def send(self, files: object, contents: bytes = b"", path: str = "") -> tuple[int, object]:
        body = json.dumps(files).encode() + b"\n" + contents
        headers = {"Content-Type": "application/octet-stream"}
        response = self.gateway.request("POST", f"{self.at}{path}?t=upload-batch", body, headers)
        return response.status, json.loads(response.body)["refused"] if response.status == 200 else response.text

    def test_all_files_are_stored_and_linked_with_one_change(self) -> None:
        names = [f"file {number} ä" for number in range(40)]
        contents = {name: name.encode() * (number + 1) for number, name in enumerate(names)}
        sizes = [[name, len(content)] for name, content in contents.items()]
        before = self.gateway.grid.client.counters.snapshot().get("mutable.files_published", 0)
        self.assertEqual(self.send(sizes, b"".join(contents.values())), (200, {}))
        self.assertEqual(self.gateway.grid.client.counters.snapshot()["mutable.files_published"], before + 1)
        for name in names[::13]:
            self.assertEqual(self.gateway.get(f"{self.at}/{quote(name)}").body, contents[name])
        self.assertEqual(len(self.names()), 40)

    def test_one_that_cannot_be_stored_does_not_keep_the_others_out(self) -> None:
        self.post("mkdir", name="taken")
        status, refused = self.send([["a", 3], ["taken", 1], ["b", 0]], b"aaax")
        self.assertEqual((status, list(refused)), (200, ["taken"]))  # type: ignore[call-overload]
        self.assertEqual(self.names(), ["a", "b", "taken"])

    def test_a_mutable_file_is_overwritten_in_place(self) -> None:
        cap = self.gateway.request("PUT", f"{self.at}/m?format=SDMF", b"old").text
        self.assertEqual(self.send([["m", 3]], b"new"), (200, {}))
        self.assertEqual(self.gateway.get(f"/uri/{q(cap)}").body, b"new")

    def test_what_is_no_batch_changes_nothing(self) -> None:
        many = [[f"{number}", 0] for number in range(501)]
        for files in ({}, 5, [1], [["a"]], [["a", "1"]], [["a", -1]], [["a", 1.0]], [["", 1]], [["a/b", 1]], [["a", 1], ["a", 1]],
                      [[1, 1]], [["a", True]], [["a", 10**9]], many):  # fmt: skip
            self.assertIn(self.send(files, b"x" * 10)[0], (400, 413), files)
        self.assertEqual(self.gateway.request("POST", f"{self.at}?t=upload-batch", b"no line").status, 400)
        self.assertEqual(self.send([["a", 5]], b"1234")[0], 400)
        self.assertEqual(self.names(), [])

    def test_not_through_a_cap_that_reads(self) -> None:
        readonly = self.gateway.get(f"{self.at}?t=readonly-uri").text
        response = self.gateway.request("POST", f"/uri/{q(readonly)}?t=upload-batch", b'[["a", 1]]\nx')
        self.assertEqual(response.status, 403)


class Archives(OnGrid):
    def test_a_folder_as_an_archive_with_everything_below_it_even_twice(self) -> None:
        for path in ("a.txt", "sub/b ü.txt", "sub/deep/same", "sub/same"):
            self.gateway.request("PUT", f"{self.at}/{quote(path)}", b"same contents " * 20)
        self.gateway.request("PUT", f"{self.at}/empty", b"")
        self.gateway.request("PUT", f"{self.at}/m?format=SDMF", b"mutable")
        response = self.gateway.get(f"{self.at}?t=zip")
        self.assertIn(b"attachment", (response.header("Content-Disposition") or "").encode())
        with ZipFile(BytesIO(response.body)) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(
                sorted(archive.namelist()),
                ["a.txt", "empty", "m", "sub/", "sub/b ü.txt", "sub/deep/", "sub/deep/same", "sub/same"],
            )
            self.assertEqual([archive.read(name) for name in ("m", "empty")], [b"mutable", b""])
            self.assertEqual(archive.read("sub/deep/same"), b"same contents " * 20)

    def test_a_folder_that_is_in_itself_ends(self) -> None:
        self.post("mkdir", name="sub")
        self.post("uri", "/sub", name="up", uri=self.root)
        with ZipFile(BytesIO(self.gateway.get(f"{self.at}?t=zip").body)) as archive:
            self.assertEqual(archive.namelist(), ["sub/", "sub/up/"])

    def test_only_what_is_named(self) -> None:
        for name in "abc":
            self.gateway.request("PUT", f"{self.at}/{name}", b"x")
        response = self.post("zip", names='["a", "c"]')
        with ZipFile(BytesIO(response.body)) as archive:
            self.assertEqual(archive.namelist(), ["a", "c"])
        self.assertEqual([self.post("zip", names=names).status for names in ("[", "5", "[1]", '["d"]')], [400, 400, 400, 404])

    def test_a_file_that_cannot_be_read_cuts_it_off(self) -> None:
        self.gateway.request("PUT", f"{self.at}/a", b"x" * 1000)
        missing = "URI:CHK:" + "a" * 26 + ":" + "a" * 52 + ":1:1:1000"
        self.post("uri", name="b", uri=missing)
        connection = self.gateway.connect()
        connection.send(request_bytes("GET", f"{self.at}?t=zip"))
        self.gateway.wait_for(connection)
        self.assertTrue(connection.wire.aborted)

    def test_no_name_leads_out_of_where_it_is_unpacked(self) -> None:
        names = ("..", ".", "../evil", "a/b", "c\\d", " .. ")
        children = {name: ["filenode", {"ro_uri": "URI:LIT:mfrgg"}] for name in names}
        self.gateway.request("POST", f"{self.at}?t=set_children", json.dumps(children).encode())
        with ZipFile(BytesIO(self.gateway.get(f"{self.at}?t=zip").body)) as archive:
            self.assertEqual(len(archive.namelist()), len(names))
            for name in archive.namelist():
                self.assertNotIn("/", name)
                self.assertNotIn(name.strip(), ("", ".", ".."))

    def test_sizes_and_times_at_their_limits(self) -> None:
        archive = Archive()
        made = b"".join(
            archive.begin(str(number), moment) + archive.add(b"x") + archive.end()
            for number, moment in enumerate((None, 0, -1, 1e9, 1e300, 3_999_999_999.0))
        ) + b"".join(archive.close())
        with ZipFile(BytesIO(made)) as read:
            self.assertIsNone(read.testzip())
            self.assertEqual(read.getinfo("3").date_time, (2001, 9, 9, 1, 46, 40))
            self.assertEqual(read.getinfo("0").date_time[0], 1980)
