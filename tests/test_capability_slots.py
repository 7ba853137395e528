"""The two slots of a directory entry, judged together."""
from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import parse
from lafs.capability_slots import ChildCaps, child_caps
from tests.crypto.vector_groups import group

WRITE = "URI:SSK:ccvrlzmlyjatf3lwpcds6rr2u4:ricm4zobovzxiti6xtj5klv2cd3xgpfihktupcoby5g2bakdissa"

slots = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(["", "ro.", "imm.", "ro.imm."]),
            st.sampled_from([WRITE, WRITE.replace("SSK", "SSK-RO"), "future:q", "URI:LIT:ae", "URI:SSK:damaged"]),
        ),
    ),
)


class Slots(SynchronousTestCase):
    """Which child an entry means."""

    def test_entries_mean_what_they_mean_to_the_peer(self) -> None:
        for case in group("child_cap_pair"):
            with self.subTest(case["id"]):
                given_slots, expected = case["in"], case["out"]
                deep = given_slots["deep_immutable"]
                child = child_caps(given_slots["rw"], given_slots["ro"], deep)
                if self.is_write_cap_in_the_reading_slot(given_slots) and not expected["unknown"]:
                    # The peer hands the write cap to everyone who may read the directory. Here it grants reading.
                    self.assertIsNone(child.writable)
                    self.assertEqual(child.readonly, expected["ro"])
                    continue
                self.check(child, expected, deep)

    def is_write_cap_in_the_reading_slot(self, given_slots: dict[str, Any]) -> bool:
        if given_slots["rw"] or not given_slots["ro"]:
            return False
        cap = parse(given_slots["ro"])
        return not cap.is_readonly and cap.readonly() is not None

    def check(self, child: ChildCaps, expected: dict[str, Any], deep: bool) -> None:
        self.assertEqual(child.known is None, expected["unknown"])
        self.assertEqual((child.writable, child.readonly), (expected["rw"], expected["ro"]))
        self.assertEqual(child.fault.kind if child.fault else None, expected["error"])
        if "message" in expected:
            assert child.fault is not None
            self.assertEqual(child.fault.message, expected["message"])
        self.assertEqual(child.allowed_in_immutable_directory, expected["allowed_in_immutable_directory"])
        if "stored_ro_field" in expected:
            self.assertEqual(child.stored_readonly(deep), expected["stored_ro_field"])

    def test_a_write_cap_in_the_reading_slot_grants_reading_only(self) -> None:
        child = child_caps(None, WRITE)
        assert child.known is not None
        self.assertTrue(child.known.is_readonly)
        self.assertIsNone(child.writable)
        readonly = parse(WRITE).readonly()
        assert readonly is not None
        self.assertEqual(child.readonly, readonly.text)

    def test_of_verifiers_only_that_of_an_immutable_file_is_a_child(self) -> None:
        chk = "URI:CHK:3ddgzbplsxzqq7rxz6tnablnca:4a5oyqrdp4v6wibf3yuthdjtjpg5flwb6tusuujdzv6hrabu62ga:3:10:1234"
        for text, is_child in (
            (chk, True),
            (chk.replace("CHK", "DIR2-CHK"), False),
            (WRITE, False),
            (WRITE.replace("SSK", "DIR2"), False),
        ):
            verifier = parse(text).verifier()
            assert verifier is not None
            child = child_caps(None, verifier.text)
            self.assertEqual(child.known is not None, is_child)
            self.assertEqual(child.readonly, verifier.text if is_child else f"ro.{verifier.text}")

    def test_an_empty_slot_is_an_absent_one(self) -> None:
        self.assertEqual(child_caps("", ""), child_caps(None, None))
        self.assertEqual(child_caps("", "URI:LIT:ae"), child_caps(None, "URI:LIT:ae"))

    @given(slots, slots, st.booleans())
    def test_no_entry_breaks_anything_or_shows_its_caps(self, writable: str | None, readonly: str | None, deep: bool) -> None:
        child = child_caps(writable, readonly, deep)
        self.assertNotIn("ccvrlzml", repr(child))
        if child.fault is not None:
            self.assertEqual((child.writable, child.readonly, child.known), (None, None, None))
            self.assertFalse(child.allowed_in_immutable_directory)
        if deep:
            self.assertIsNone(child.writable)

    @given(slots, slots, st.booleans())
    def test_what_is_stored_reads_back_the_same(self, writable: str | None, readonly: str | None, deep: bool) -> None:
        # One prefix is all that an entry can express: of two, the first is lost in storing.
        assume(not any((text or "").startswith("ro.imm.") for text in (writable, readonly)))
        child = child_caps(writable, readonly, deep)
        if child.fault is None:
            self.assertEqual(child_caps(child.writable, child.stored_readonly(deep), deep), child)
