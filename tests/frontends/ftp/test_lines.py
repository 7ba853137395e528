"""What is said to clients: replies, listings, paths, addresses, text. Pure."""
from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.ftp.ascii_type import FromWire, ToWire
from frontends.ftp.errors import TransferBroken, explain
from frontends.ftp.listings import FACTS, facts_line, long_line, timestamp
from frontends.ftp.passive import epsv_text, pasv_text, plain
from frontends.ftp.paths import entry, is_sayable, quoted, resolve
from frontends.ftp.replies import Refusal, Reply
from frontends.open_files import Attributes
from frontends.refusals import Refused
from lafs.errors import NoServers, NoSpace, NoSuchChild, NotEnoughShares, NotWriteable, SourceFailed, UnhappyUpload

NOON = int(datetime.datetime(2026, 3, 9, 12, 5, 7, tzinfo=datetime.UTC).timestamp())


class Replies(SynchronousTestCase):
    def test_a_long_one_begins_and_ends_with_its_code(self) -> None:
        self.assertEqual(Reply(211, "These", ("A", "B")).encode(), b"211-These\r\n A\r\n B\r\n211 End\r\n")

    @given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=3))
    def test_nothing_in_it_adds_a_line(self, text: str, between: list[str]) -> None:
        sent = Reply(550, text, between).encode()
        self.assertEqual(sent.count(b"\n"), sent.count(b"\r\n"))
        self.assertEqual(sent.count(b"\r\n"), len(between) + 2 if between else 1)
        self.assertEqual(sent.count(b"\r"), sent.count(b"\r\n"))

    def test_errors_have_the_codes_that_programs_act_on(self) -> None:
        for error, code in (
            (NoSuchChild("x"), 550), (NotWriteable("x"), 550), (Refused("permission", "x"), 550), (Refusal(504, "x"), 504),
            (NoServers("x"), 452), (UnhappyUpload("x"), 452), (NoSpace("x"), 452), (NotEnoughShares("x"), 451),
            (SourceFailed("x"), 451), (TransferBroken("x"), 426),
        ):  # fmt: skip
            self.assertEqual(explain(error).code, code)

    def test_what_nobody_foresaw_is_not_told(self) -> None:
        reply = explain(ValueError("URI:DIR2:secret"))
        self.assertEqual(reply.code, 451)
        self.assertNotIn("URI", reply.text)


class Listings(SynchronousTestCase):
    def test_long_lines_are_those_that_clients_parse(self) -> None:
        now = NOON + 86_400
        for described, expected in (
            (Attributes("file", 42, True, NOON), "-rw-r--r--   1 lafs     lafs               42 Mar 09 12:05 a  b"),
            (Attributes("file", 42, False, NOON - 200 * 86_400), "-r--r--r--   1 lafs     lafs               42 Aug 21  2025 a  b"),
            (Attributes("directory", None, True, None), "drwxr-xr-x   1 lafs     lafs                0 Jan 01  1970 a  b"),
            (Attributes("unknown"), "----------   1 lafs     lafs                0 Jan 01  1970 a  b"),
        ):
            self.assertEqual(long_line("a  b", described, now), expected)

    def test_facts_are_those_that_are_known(self) -> None:
        file = Attributes("file", 42, True, NOON)
        self.assertEqual(facts_line("n", file), "type=file;size=42;modify=20260309120507;perm=adfrw;UNIX.mode=0644; n")
        self.assertEqual(facts_line("n", Attributes("directory")), "type=dir;perm=el;UNIX.mode=0555; n")
        self.assertEqual(facts_line("n", Attributes("unknown")), "type=OS.lafs=unknown;perm=;UNIX.mode=0000; n")
        self.assertEqual(facts_line("n", file, ("size",)), "size=42; n")
        self.assertEqual(facts_line("n", file, ()), " n")

    @given(
        st.sampled_from(["file", "directory", "unknown"]),
        st.none() | st.integers(0),
        st.booleans(),
        st.none() | st.integers(),
        st.integers(0, 2**40),
    )
    def test_no_metadata_breaks_a_line(self, kind: str, size: int | None, writable: bool, modified: int | None, now: int) -> None:
        described = Attributes(kind, size, writable, modified)  # type: ignore[arg-type]
        self.assertTrue(long_line("name", described, now).endswith(" name"))
        self.assertTrue(facts_line("name", described, FACTS).startswith("type="))

    def test_times_are_utc(self) -> None:
        self.assertEqual(timestamp(0), "19700101000000")


class Paths(SynchronousTestCase):
    def test_relative_ones_start_from_where_one_is(self) -> None:
        for text, expected in (
            ("x", ("a", "b", "x")), ("/x//y/", ("x", "y")), ("..", ("a",)), ("../../../..", ()), ("./x/../y", ("a", "b", "y")),
            ("", ("a", "b")), ("e\u0301", ("a", "b", "\u00e9")), (" ", ("a", "b", " ")),
        ):  # fmt: skip
            self.assertEqual(resolve(("a", "b"), text), expected)

    def test_the_root_has_no_name(self) -> None:
        for text in ("", "/", "..", "."):
            self.assertEqual(self.assertRaises(Refusal, entry, (), text).code, 553)

    def test_quotes_are_doubled(self) -> None:
        self.assertEqual(quoted(('a"b', "c")), '"/a""b/c"')

    def test_names_that_would_be_misunderstood_are_not_said(self) -> None:
        for name in ("", ".", "..", "a/b", "/etc/passwd", "a\nb", "a\r", "a\0b", "\ud800"):
            self.assertFalse(is_sayable(name), name)
        for name in ("...", " ", "-la", "ä", "\t", "a\\b"):
            self.assertTrue(is_sayable(name), name)


class Addresses(SynchronousTestCase):
    def test_replies_are_those_of_the_rfcs(self) -> None:
        self.assertEqual(pasv_text("192.0.2.1", 50001), "Entering Passive Mode (192,0,2,1,195,81).")
        self.assertEqual(epsv_text(50001), "Entering Extended Passive Mode (|||50001|)")

    def test_ipv4_over_ipv6_is_ipv4(self) -> None:
        self.assertEqual(plain("::ffff:192.0.2.1"), "192.0.2.1")
        for host in ("::1", "192.0.2.1", "fe80::1%lo", "nonsense"):
            self.assertEqual(plain(host), host)


class Text(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"x", b"\r\n"))))
    def test_pieces_are_converted_as_the_whole_is(self, pieces: list[bytes]) -> None:
        for kind in (ToWire, FromWire):
            piecewise, whole = kind(), kind()
            data = b"".join(pieces)
            self.assertEqual(
                b"".join(map(piecewise.convert, pieces)) + piecewise.end(), whole.convert(data) + whole.end()
            )

    @given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n"])).map(b"".join))
    def test_line_ends_are_those_of_the_other_side(self, data: bytes) -> None:
        to_wire, from_wire = ToWire(), FromWire()
        sent = to_wire.convert(data)
        self.assertEqual(sent.count(b"\n"), sent.count(b"\r\n"))
        kept = from_wire.convert(sent) + from_wire.end()
        self.assertEqual(kept, data.replace(b"\r\n", b"\n"))
