"""Bytes of SFTP: read back, and safe against anything a client sends."""
from __future__ import annotations

import struct
from collections.abc import Iterable
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as some

from frontends.open_files import Attributes
from frontends.paths import can_be_shown, names_of, path_of
from frontends.refusals import Refused
from frontends.sftp import wire
from frontends.sftp.presentation import change_of, long_name, shown, status_of
from frontends.sftp.wire import BadPacket, Fields, FileAttributes, Splitter
from lafs.errors import NoSuchChild, UnhappyUpload
from lafs.interfaces import ChildKind

_attributes = some.builds(
    FileAttributes,
    some.none() | some.integers(0, 2**64 - 1),
    some.none() | some.integers(0, 2**32 - 1),
    some.just(5),
    some.integers(0, 2**32 - 1),
)


class Wire(TestCase):
    """Packets and fields."""

    @given(some.lists(some.binary(min_size=1, max_size=300), max_size=8), some.integers(1, 50))
    def test_packets_come_out_however_the_stream_is_cut(self, packets: list[bytes], size: int) -> None:
        stream = b"".join(struct.pack(">L", len(each)) + each for each in packets)
        splitter, found = Splitter(), []
        for start in range(0, len(stream), size):
            splitter.feed(stream[start : start + size])
            found += list(_all(splitter))
        self.assertEqual(found, packets)

    def test_a_packet_of_impossible_size_is_refused_before_it_is_there(self) -> None:
        for size in (0, wire.LARGEST_PACKET + 1, 2**32 - 1):
            splitter = Splitter()
            splitter.feed(struct.pack(">L", size))
            self.assertRaises(BadPacket, splitter.next)

    @given(_attributes)
    def test_attributes_come_back_as_they_were_sent(self, attributes: FileAttributes) -> None:
        self.assertEqual(Fields(wire.packed_attributes(attributes)).attributes(), attributes)

    @given(some.binary(max_size=200))
    def test_fields_survive_any_bytes(self, data: bytes) -> None:
        for read in (Fields.attributes, Fields.string, Fields.number, Fields.long):
            fields = Fields(data)
            try:
                for _ in range(5):
                    read(fields)
            except BadPacket:
                pass

    def test_a_text_is_sent_in_utf8(self) -> None:
        self.assertIn("nösuch".encode(), wire.status_reply(1, wire.NO_SUCH_FILE, "nösuch"))


def _all(splitter: Splitter) -> Iterable[bytes]:
    while (packet := splitter.next()) is not None:
        yield packet


class Presentation(TestCase):
    """Attributes, listings and errors."""

    def test_modes_show_kinds_and_who_may_write(self) -> None:
        expected: dict[ChildKind, tuple[int, int]] = {
            "directory": (0o40777, 0o40555), "file": (0o100666, 0o100444), "unknown": (0, 0)
        }  # fmt: skip
        for kind, modes in expected.items():
            self.assertEqual(tuple(shown(Attributes(kind, writable=may)).permissions for may in (True, False)), modes)

    def test_a_long_name_ends_with_the_name_as_it_is(self) -> None:
        line = long_name("é x", Attributes("file", 12, True, 1_000_000_000), now=1_000_000_100.0)
        self.assertRegex(line, r"^-rw-rw-rw-    1 lafs     lafs           12 Sep \d\d \d\d:\d\d é x$")
        self.assertRegex(long_name("d", Attributes("directory"), now=1e9), r"^dr-xr-xr-x .* 1970 d$")

    def test_only_the_owners_right_to_write_counts(self) -> None:
        rights = [change_of(FileAttributes(permissions=mode)).writable for mode in (0o444, 0o044, 0o200, 0o644)]
        self.assertEqual(rights, [False, False, True, True])

    def test_extended_attributes_are_text(self) -> None:
        self.assertEqual(change_of(FileAttributes(extended={b"a": b"v\xff"})).extended, {"ext_a": "v\ufffd"})

    def test_errors_have_codes_and_unforeseen_ones_say_nothing(self) -> None:
        self.assertEqual(status_of(NoSuchChild("é")), (wire.NO_SUCH_FILE, "é"))
        self.assertEqual(status_of(Refused("exists", "x")), (wire.FAILURE, "x"))
        self.assertEqual(status_of(UnhappyUpload("few")), (wire.FAILURE, "few"))
        self.assertEqual(status_of(ValueError("URI:DIR2:secret")), (wire.FAILURE, "internal error"))


class Paths(TestCase):
    """Spec: 09 §4."""

    def test_all_ways_to_write_a_path_mean_the_same(self) -> None:
        for path in (b"a/b", b"/a/b", b"/a/b/", b"./a/./b", b"a//b", b"../../a/x/../b"):
            self.assertEqual(names_of(path), ("a", "b"), path)
        for path in (b"", b".", b"/", b"..", b"a/.."):
            self.assertEqual(names_of(path), ())

    def test_names_are_composed_and_not_utf8_is_missing(self) -> None:
        self.assertEqual(names_of("e\u0301".encode()), ("é",))
        for path in (b"\xff", "\ud800"):
            with self.assertRaises(Refused) as raised:
                names_of(path)
            self.assertEqual(raised.exception.reason, "missing")

    @given(some.lists(some.text(min_size=1).filter(can_be_shown)))
    def test_a_path_that_is_shown_leads_back(self, names: list[str]) -> None:
        composed = names_of(path_of(names))
        self.assertEqual(names_of(path_of(composed)), composed)

    def test_names_that_would_lead_elsewhere_are_not_shown(self) -> None:
        self.assertEqual([can_be_shown(name) for name in ("..", ".", "a/b", "", "a\0", "\ud800", "a..b")], [False] * 6 + [True])
