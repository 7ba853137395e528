from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.body import Body
from frontends.web.errors import Refusal
from frontends.web.forms import MOST_FIELD_BYTES, MOST_FIELDS, SMALL_FILE, Form, form_kind, read_form
from lafs.errors import SourceFailed
from lafs.interfaces import Source
from lafs.tasks import spawn
from tests.web.harness import multipart
from tests.web.test_body import Valve

Part = tuple[str, str | None, bytes]


def body_of(data: bytes, piece: int = 65536) -> Body:
    body = Body(len(data), Valve())
    for start in range(0, len(data), piece):
        body.feed(data[start : start + piece])
    body.end()
    return body


async def read_all(source: Source, size: int = 100_000) -> bytes:
    pieces = []
    while piece := await source.read(size):
        pieces.append(piece)
    return b"".join(pieces)


class Forms(SynchronousTestCase):
    def read(self, *parts: Part, piece: int = 65536) -> Form:
        data, headers = multipart(*parts)
        return self.successResultOf(spawn(read_form(body_of(data, piece), headers["Content-Type"])))

    def refused(self, data: bytes, content_type: str = "multipart/form-data; boundary=frontier") -> int:
        failure = self.failureResultOf(spawn(read_form(body_of(data), content_type)), Refusal)
        return failure.value.status

    def test_a_small_file_and_the_fields_around_it(self) -> None:
        form = self.read(("t", None, b"upload"), ("file", "ä.txt", b"\r\n--front"), ("name", None, "ü".encode()))
        assert form.file is not None
        self.assertEqual(dict(form.fields), {"t": "upload", "name": "ü"})
        self.assertEqual(form.file.name, "ä.txt")
        self.assertEqual(form.file.source.size, 9)
        self.assertEqual(self.successResultOf(spawn(read_all(form.file.source))), b"\r\n--front")

    def test_a_large_file_streams_and_the_fields_after_it_come_late(self) -> None:
        contents = bytes(range(256)) * (5 * SMALL_FILE // 256)
        form = self.read(("t", None, b"upload"), ("file", "x", contents), ("name", None, b"n"))
        assert form.file is not None
        self.assertEqual(dict(form.fields), {"t": "upload"})
        self.assertIsNone(form.file.source.size)
        self.assertEqual(self.successResultOf(spawn(read_all(form.file.source))), contents)
        self.assertEqual(dict(self.successResultOf(spawn(form.late_fields()))), {"name": "n"})

    def test_a_large_file_is_not_read_further_than_asked(self) -> None:
        data, headers = multipart(("file", "x", bytes(3 * SMALL_FILE)))
        body = Body(len(data), Valve())
        body.feed(data[: SMALL_FILE + 200_000])
        form = self.successResultOf(spawn(read_form(body, headers["Content-Type"])))
        assert form.file is not None
        self.assertEqual(len(self.successResultOf(spawn(form.file.source.read(1000)))), 1000)
        rest = spawn(form.file.source.read(3 * SMALL_FILE))
        self.assertNoResult(rest)
        body.feed(data[SMALL_FILE + 200_000 :])
        body.end()
        self.assertEqual(len(self.successResultOf(rest)), 3 * SMALL_FILE - 1000)

    def test_a_form_that_breaks_off_fails_the_file(self) -> None:
        data, headers = multipart(("file", "x", bytes(3 * SMALL_FILE)))
        form = self.successResultOf(spawn(read_form(body_of(data[: 2 * SMALL_FILE]), headers["Content-Type"])))
        assert form.file is not None
        self.failureResultOf(spawn(read_all(form.file.source)), Refusal)

    def test_a_client_that_goes_away_fails_the_file(self) -> None:
        data, headers = multipart(("file", "x", bytes(3 * SMALL_FILE)))
        body = Body(len(data), Valve())
        body.feed(data[: 2 * SMALL_FILE])
        form = self.successResultOf(spawn(read_form(body, headers["Content-Type"])))
        assert form.file is not None
        reading = spawn(read_all(form.file.source))
        body.fail("gone")
        self.failureResultOf(reading, SourceFailed)

    def test_the_first_of_equal_names_counts(self) -> None:
        self.assertEqual(dict(self.read(("a", None, b"1"), ("a", None, b"2")).fields), {"a": "1"})

    def test_only_the_first_file_is_the_file(self) -> None:
        form = self.read(("file", "x", b"first"), ("file", "y", b"second"))
        assert form.file is not None
        self.assertEqual(self.successResultOf(spawn(read_all(form.file.source))), b"first")

    def test_a_form_without_a_file(self) -> None:
        self.assertIsNone(self.read(("t", None, b"mkdir")).file)

    def test_urlencoded(self) -> None:
        body = body_of(b"t=mkdir&name=a+b&name=c&x=%C3%A4&e=")
        form = self.successResultOf(spawn(read_form(body, "application/x-www-form-urlencoded")))
        self.assertEqual(dict(form.fields), {"t": "mkdir", "name": "a b", "x": "ä", "e": ""})

    def test_what_is_malformed_is_refused(self) -> None:
        whole, _ = multipart(("a", None, b"1"))
        self.assertEqual(self.refused(whole[:-10]), 400)
        self.assertEqual(self.refused(b""), 400)
        self.assertEqual(self.refused(b"hello"), 400)
        self.assertEqual(self.refused(whole, "multipart/form-data"), 400)
        self.assertEqual(self.refused(whole, "multipart/form-data; boundary="), 400)
        self.assertEqual(self.refused(multipart(("a", None, b"\xff"))[0]), 400)
        self.assertEqual(self.refused(b"a=%ff", "application/x-www-form-urlencoded"), 400)

    def test_fields_are_bounded(self) -> None:
        self.assertEqual(self.refused(multipart(("a", None, bytes(MOST_FIELD_BYTES + 1)))[0]), 413)
        self.assertEqual(self.refused(multipart(*[("a", None, b"")] * (MOST_FIELDS + 1))[0]), 413)
        self.assertEqual(self.refused(b"a=" + b"x" * MOST_FIELD_BYTES, "application/x-www-form-urlencoded"), 413)

    def test_which_bodies_are_forms(self) -> None:
        self.assertEqual(form_kind("Multipart/Form-Data; boundary=x"), "multipart/form-data")
        self.assertEqual(form_kind("application/x-www-form-urlencoded"), "application/x-www-form-urlencoded")
        for other in (None, "", "text/plain", "application/json; multipart/form-data"):
            self.assertIsNone(form_kind(other))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=300), st.integers(1, 40))
    def test_any_bytes_are_a_form_or_are_refused(self, data: bytes, piece: int) -> None:
        for prefix in (b"", b'--frontier\r\nContent-Disposition: form-data; name="file"\r\n\r\n'):
            reading = spawn(read_form(body_of(prefix + data, piece), "multipart/form-data; boundary=frontier"))
            reading.addErrback(lambda failure: failure.trap(Refusal))
            self.assertIn(self.successResultOf(reading).__class__, (Form, type))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["a", "b", "file"]), st.binary(max_size=100)), max_size=6),
        st.integers(1, 200),
    )
    def test_what_is_put_in_comes_out_however_it_arrives(self, parts: list[tuple[str, bytes]], piece: int) -> None:
        form = self.read(*[(name, None, value.hex().encode() + b"\r\n--frontie") for name, value in parts], piece=piece)
        wanted: dict[str, str] = {}
        for name, value in parts:
            wanted.setdefault(name, value.hex() + "\r\n--frontie")
        contents = wanted.pop("file", None)
        fields = {name: value for name, value in form.fields.items() if name != "file"}
        self.assertEqual(fields, wanted)
        self.assertEqual(form.file is None, contents is None)
        if form.file is not None and contents is not None:
            self.assertEqual(self.successResultOf(spawn(read_all(form.file.source))), contents.encode())
