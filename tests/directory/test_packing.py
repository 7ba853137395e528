"""The bytes of directories: as the peer writes and reads them, verbatim where nobody touched them, and safe from anybody."""
from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability_slots import child_caps
from lafs.crypto.netstring import netstring
from lafs.directory.children import View, pack_children
from lafs.directory.packing import Entry, pack_metadata, parse, read_metadata
from lafs.errors import BadChild, BadDirectory
from lafs.interfaces import Child, NewChild
from tests.directory.vectors import DEVIATIONS, VECTORS, described, new_child, view_of

CHK = "URI:CHK:xgl6wa2x2urkoy25c4yqf63rfa:fyawhtqlz5oucit6ymc2kyoi6bvmavt3xman2ots4qxcp6rb27sa:3:10:4321"
SSK = "URI:SSK:wra5q52mt4uwipg74dysppgsp4:m2wwfije3aemijo5qalvhyklg5admrbw2bjujpwil3lk23zdi6bq"
KEY = bytes(range(16))


def entry(name: bytes = b"a", readonly: bytes = CHK.encode(), write_field: bytes = b"", metadata: bytes = b"{}") -> bytes:
    return netstring(b"".join(map(netstring, (name, readonly, write_field, metadata))))


class Vectors(SynchronousTestCase):
    """Everything that the peer was seen to do with the bytes of directories."""

    def assert_children(self, children: list[Child], expected: list[dict[str, Any]], note: str) -> None:
        for child, known in zip(children, expected, strict=True):
            metadata = known.get("metadata_json") or json.dumps(known["metadata"])
            self.assertEqual(json.dumps(child.metadata), metadata)
            wanted = {key: value for key, value in known.items() if not key.startswith("metadata")}
            self.assertEqual({key: value for key, value in described(child).items() if key != "metadata"}, wanted, note)

    def test_packing(self) -> None:
        for vector in VECTORS["pack"]:
            with self.subTest(vector["id"]):
                view = view_of(vector["directory"]["writecap"] if vector["directory"] else None)
                inputs = [new_child(child) for child in vector["input"]]
                if "error" in vector:
                    self.assertEqual(self.assertRaises(BadChild, pack_children, inputs, view).kind, vector["error"])
                    continue
                contents = pack_children(inputs, view).contents
                if vector["id"] in DEVIATIONS:
                    children = view.listing(parse(contents)).listing.children.values()
                    self.assertEqual([child.caps.writable for child in children], [None])
                    continue
                self.assertEqual(contents, b64decode(vector["packed_b64"]))
                for seen in vector["views"]:
                    view = view_of(seen["cap"])
                    listing = view.listing(parse(contents, view.immutable)).listing
                    self.assert_children(list(listing.children.values()), seen["children"], seen["role"])

    def test_unpacking(self) -> None:
        for vector in VECTORS["unpack"]:
            contents = b64decode(vector["packed_b64"])
            for seen in vector["views"]:
                with self.subTest(vector["id"], role=seen["role"]):
                    view = view_of(seen["cap"])
                    if seen["result"] == "error":
                        self.assertRaises(BadDirectory, parse, contents, view.immutable)
                        continue
                    children = list(view.listing(parse(contents, view.immutable)).listing.children.values())
                    if vector["id"] in DEVIATIONS:
                        self.assertEqual([child.name for child in children], [child["name"] for child in seen["children"]])
                        self.assertEqual([child.caps.writable for child in children], [None] * len(children))
                        continue
                    self.assert_children(children, seen["children"], vector["note"])

    def test_immutable_directories(self) -> None:
        for vector in VECTORS["immutable_directories"]:
            with self.subTest(vector["id"]):
                packed = pack_children([new_child(child) for child in vector["input"]], View(immutable=True))
                self.assertEqual(packed.contents, b64decode(vector["packed_b64"]))


class UntouchedEntries(SynchronousTestCase):
    def test_a_directory_that_nobody_changed_is_the_same_bytes(self) -> None:
        contents = entry(b"b") + entry(b"a") + entry(b"b", metadata=b'{ "x":1}')
        self.assertEqual(parse(contents).contents, contents)

    def test_entries_with_forbidden_caps_are_left_out_but_stay(self) -> None:
        contents = entry(b"aa", b"URI:CHK:bogus") + entry(b"b")
        listing = View(KEY).listing(parse(contents)).listing
        self.assertEqual(list(listing.children), ["b"])
        self.assertEqual({name: fault.kind for name, fault in listing.left_out.items()}, {"aa": "malformed"})
        changed = parse(contents).changed({"b": None})
        self.assertEqual(changed.contents, entry(b"aa", b"URI:CHK:bogus"))

    def test_of_equal_names_the_last_is_read_and_only_it_is_kept(self) -> None:
        entries = parse(entry("e\u0301".encode()) + entry("\u00e9".encode(), b"URI:LIT:"))
        self.assertEqual(list(entries.by_name), ["\u00e9"])
        self.assertEqual(entries.changed({"\u00e9": None}).contents, b"")


class WriteCapsOfChildren(SynchronousTestCase):
    """A wrong MAC is seen; what it guards is used only if the read cap beside it vouches for it."""

    def packed(self, damage: slice, readonly: str | None = None) -> Entry:
        made = View(KEY).entry("a", child_caps(SSK, None), {})
        fields = made.fields
        field = bytearray(fields.write_field)
        field[damage] = bytes(byte ^ 1 for byte in field[damage])
        return Entry.of("a", fields.readonly if readonly is None else readonly.encode(), bytes(field), {})

    def test_a_right_mac_is_no_news(self) -> None:
        child = View(KEY).child(self.packed(slice(0, 0)))
        self.assertEqual((child.caps.writable, child.damaged), (SSK, False))

    def test_a_wrong_mac_is_reported_and_the_cap_that_fits_its_read_cap_is_used(self) -> None:
        child = View(KEY).child(self.packed(slice(-1, None)))
        self.assertEqual((child.caps.writable, child.damaged), (SSK, True))

    def test_a_cap_that_does_not_fit_its_read_cap_is_not_used(self) -> None:
        for damaged in (self.packed(slice(20, 21)), self.packed(slice(-1, None), CHK)):
            child = View(KEY).child(damaged)
            self.assertEqual((child.caps.writable, child.damaged), (None, True))
            self.assertIsNotNone(child.cap)

    def test_without_the_write_key_nobody_can_tell(self) -> None:
        child = View().child(self.packed(slice(20, 21)))
        self.assertEqual((child.caps.writable, child.damaged), (None, False))

    def test_a_write_cap_in_the_slot_that_readers_see_grants_nothing(self) -> None:
        for view in (View(), View(KEY)):
            child = view.child(Entry.of("a", SSK.encode(), b"", {}))
            self.assertIsNone(child.caps.writable)
            self.assertTrue(child.cap is not None and child.cap.is_readonly)


class AnyBytes(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=400), st.booleans())
    def test_are_refused_or_kept(self, contents: bytes, immutable: bool) -> None:
        try:
            entries = parse(contents, immutable)
        except BadDirectory:
            return
        self.assertEqual(entries.contents, contents)

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.tuples(st.text(max_size=3).map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=60),
                           st.binary(max_size=120), st.sampled_from([b"{}", b'{"a": [1]}', b"[]", b""])), max_size=4),
        st.booleans(),
    )
    def test_in_the_fields_are_refused_or_listed_and_kept(self, fields: list[tuple[bytes, ...]], immutable: bool) -> None:
        contents = b"".join(entry(*each) for each in fields)
        try:
            entries = parse(contents, immutable)
        except BadDirectory:
            return
        for view in (View(immutable=immutable), View(None if immutable else KEY, immutable)):
            listing = view.listing(entries).listing
            self.assertEqual(set(listing.children) | set(listing.left_out), set(entries.by_name))
        self.assertEqual(entries.contents, contents)
        # Taking an entry out and putting it back changes nothing but the order and what had its name before it.
        name = next(iter(entries.by_name), None)
        if name is not None:
            again = entries.changed({name: None}).changed({name: entries.by_name[name]})
            self.assertEqual(again.by_name, entries.by_name)

    @settings(max_examples=100, deadline=None)
    @given(st.dictionaries(st.text(max_size=5), st.sampled_from([CHK, SSK, "URI:LIT:", "URI:DIR2-LIT:", "ro.x:y"]), max_size=5))
    def test_what_is_packed_is_read_back(self, caps: dict[str, str]) -> None:
        view = View(KEY)
        new = [NewChild(name, child_caps(cap if cap == SSK else None, cap)) for name, cap in caps.items()]
        try:
            entries = pack_children(new, view)
        except BadChild as error:
            self.assertEqual(error.kind, "ValueError")  # half a character
            return
        again = parse(entries.contents)
        self.assertEqual(again.by_name, entries.by_name)
        self.assertEqual(again.contents, b"".join(map(netstring, (each.raw for each in again.by_name.values()))))
        self.assertFalse(any(child.damaged for child in view.listing(again).listing.children.values()))

    def test_lengths_are_judged_before_anything_is_taken_for_that_long(self) -> None:
        for contents in (b"9" * 4000 + b":a,", b"99999999999999999999:a,", b"-1:,", b":,", b"1:a", b"\xb2:aa,"):
            self.assertRaises(BadDirectory, parse, contents)


class MetadataText(SynchronousTestCase):
    def test_is_written_in_the_dialect_of_all_writers(self) -> None:
        text = pack_metadata({"b": [1, 2.5, 1e22, float("inf")], "a": "\u00e9\x7f/\"\U0001f600", "e": {}})
        self.assertEqual(text, b'{"b": [1, 2.5, 1e+22, Infinity], "a": "\\u00e9\\u007f/\\"\\ud83d\\ude00", "e": {}}')
        self.assertEqual(pack_metadata(read_metadata(text)), text)

    def test_what_is_no_object_or_too_deep_is_refused(self) -> None:
        for text in (b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000):
            self.assertRaises(ValueError, read_metadata, text)
        deep: dict[str, Any] = {}
        for _ in range(100_000):
            deep = {"a": deep}
        self.assertRaises(ValueError, pack_metadata, deep)
        # Freed by hand, for the interpreter frees it recursively.
        while deep:
            deep = deep["a"]
