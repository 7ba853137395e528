"""Edits: what the peer does to metadata and entries, and what it should have done."""
from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability_slots import child_caps
from lafs.crypto.netstring import netstring
from lafs.directory.children import View, pack_children
from lafs.directory.edits import (
    Draft,
    Edit,
    Moment,
    Remove,
    Rename,
    SetChildren,
    SetMetadata,
    apply,
    updated_metadata,
)
from lafs.directory.packing import Entries, parse
from lafs.errors import BadChild, ChildExists, ChildOfWrongKind, LafsError, NoSuchChild
from lafs.interfaces import NewChild, Replace
from tests.directory.test_packing import CHK, KEY, SSK, entry
from tests.directory.vectors import ERRORS, VECTORS, new_child, view_of

DIRECTORY = "URI:DIR2-CHK:a77nbmzoneks6potqchhqyskue:xerd6p67vk45tnhbcain4djcsjcfkwdz5negjyr5ftfewaqrhfhq:3:10:500"
NOW = 1_700_000_000.5
VIEW = View(KEY)


def new(name: str, cap: str = CHK, metadata: dict[str, Any] | None = None) -> NewChild:
    return NewChild(name, child_caps(cap, None), metadata)


def directory(*children: NewChild) -> Entries:
    return pack_children(children, VIEW)


def edited(entries: Entries, *edits: Edit, first: bool = True) -> tuple[Entries, list[str]]:
    """What becomes of it, and the names of the errors ("" for none)."""
    result, outcomes = apply(entries, VIEW, edits, Moment(NOW, first))
    return result, [type(each).__name__ if isinstance(each, LafsError) else "" for each in outcomes]


class Vectors(SynchronousTestCase):
    def edit_of(self, operation: dict[str, Any]) -> Edit:
        if operation["type"] == "add":
            modes: dict[str, Replace] = {"true": "always", "false": "never", "only-files": "only-files"}
            return SetChildren([new_child(each) for each in operation["entries"]], modes[operation["overwrite"]])
        if operation["type"] == "set-metadata":
            return SetMetadata(operation["name"], operation["metadata"])
        must_be = "file" if operation["must_be_file"] else "directory" if operation["must_be_directory"] else None
        return Remove(operation["name"], operation["must_exist"], must_be)

    def test_modifications(self) -> None:
        for vector in VECTORS["modify"]:
            with self.subTest(vector["id"]):
                before = parse(b64decode(vector["before_b64"]))
                edit, moment = self.edit_of(vector["op"]), Moment(vector["now"], vector["first_time"])
                view = view_of(vector["writecap"])
                if vector["result"] == "error":
                    error = self.assertRaises(LafsError, Draft(before, view, moment).edit, edit)
                    name = error.kind if isinstance(error, BadChild) else type(error).__name__
                    self.assertEqual(name, ERRORS.get(vector["error"], vector["error"]))
                    continue
                after, _ = apply(before, view, [edit], moment)
                if vector["result"] == "unchanged":
                    self.assertIs(after, before)
                    continue
                expected = parse(b64decode(vector["after_b64"]))
                hidden = view.listing(before).listing.left_out  # the peer loses these
                self.assertEqual(set(after.by_name), set(expected.by_name) | set(hidden))
                visible = after.changed(dict.fromkeys(hidden))
                self.assertEqual(visible.contents, expected.contents)

    def test_metadata(self) -> None:
        for vector in VECTORS["metadata_update"]:
            result = updated_metadata(vector["old"], vector["new"], vector["now"])
            self.assertEqual(json.dumps(result), vector["result_text"])


class Combining(SynchronousTestCase):
    """Several edits in one write: each has its own outcome."""

    def test_one_that_fails_hinders_no_other(self) -> None:
        after, outcomes = edited(
            directory(new("a")), Remove("b"), SetChildren([new("c")]), SetChildren([new("a")], "never"), Rename("c", "d")
        )
        self.assertEqual(outcomes, ["NoSuchChild", "", "ChildExists", ""])
        self.assertEqual(list(after.by_name), ["a", "d"])

    def test_one_that_fails_half_way_leaves_nothing(self) -> None:
        before = directory(new("a"), new("z"))
        after, outcomes = edited(before, SetChildren([new("z", "URI:LIT:"), new("b"), new("a")], "never"))
        self.assertEqual((after, outcomes), (before, ["ChildExists"]))
        after, outcomes = edited(before, Remove("z"), SetChildren([new("z"), new("z", "lafs://unknown")]), SetChildren([new("b")]))
        self.assertEqual(outcomes, ["", "BadChild", ""])
        self.assertEqual(list(after.by_name), ["a", "b"])

    def test_what_an_earlier_one_did_is_seen_by_later_ones(self) -> None:
        after, outcomes = edited(directory(new("a")), Remove("a"), SetChildren([new("a", SSK)], "never"), Remove("a"), Remove("a"))
        self.assertEqual(outcomes, ["", "", "", "NoSuchChild"])
        self.assertEqual(after.contents, b"")

    def test_changes_that_cancel_out_change_nothing(self) -> None:
        before = directory(new("a"))
        after, _ = edited(before, SetChildren([new("b")]), Remove("b"))
        self.assertIs(after, before)

    def test_only_what_was_touched_is_written_anew(self) -> None:
        before = parse(entry(b"old", CHK.encode() + b"  ", metadata=b'{ "x":1}') + entry(b"bad", b"URI:CHK:bogus"))
        after, _ = edited(before, SetChildren([new("new")]))
        for name in ("old", "bad"):
            self.assertIs(after.by_name[name], before.by_name[name])


class Renaming(SynchronousTestCase):
    def test_keeps_user_metadata_and_gives_new_link_times(self) -> None:
        before = directory(new("a", SSK, {"u": 1, "tahoe": {"linkcrtime": 5, "linkmotime": 6}}))
        after, _ = edited(before, Rename("a", "b"))
        child = VIEW.child(after.by_name["b"])
        self.assertEqual(child.metadata, {"u": 1, "tahoe": {"linkcrtime": NOW, "linkmotime": NOW}})
        self.assertEqual((list(after.by_name), child.caps.writable), (["b"], SSK))

    def test_onto_another_child_has_the_creation_time_of_that_one(self) -> None:
        before = directory(new("a", SSK, {"u": 1}), new("b", CHK, {"v": 1, "tahoe": {"linkcrtime": 5}}))
        after, _ = edited(before, Rename("a", "b"))
        self.assertEqual(VIEW.child(after.by_name["b"]).metadata, {"u": 1, "tahoe": {"linkcrtime": 5, "linkmotime": NOW}})

    def test_to_its_own_name_keeps_the_child(self) -> None:
        before = directory(new("\u00e9"))
        after, outcomes = edited(before, Rename("\u00e9", "e\u0301"), Rename("missing", "missing"))
        self.assertIs(after, before)
        self.assertEqual(outcomes, ["", ""])

    def test_replaces_only_what_it_may(self) -> None:
        before = directory(new("a"), new("b"), new("d", DIRECTORY))
        for target, replace, expected in (
            ("b", "always", ""), ("b", "never", "ChildExists"), ("b", "only-files", ""),
            ("d", "always", ""), ("d", "never", "ChildExists"), ("d", "only-files", "ChildExists"),
        ):
            after, outcomes = edited(before, Rename("a", target, replace))  # type: ignore[arg-type]
            self.assertEqual(outcomes, [expected])
            self.assertEqual("a" in after.by_name, bool(expected))

    def test_of_a_missing_child_says_so(self) -> None:
        self.assertEqual(edited(directory(), Rename("a", "b"))[1], ["NoSuchChild"])


class Rounds(SynchronousTestCase):
    """After a collision edits are applied again, perhaps to what they wrote themselves."""

    def test_an_addition_that_got_in_after_all_is_no_conflict_with_itself(self) -> None:
        edits = [SetChildren([new("a")], "never"), Rename("x", "y", "never"), Remove("z")]
        written, _ = edited(directory(new("x"), new("z")), *edits)
        again, outcomes = edited(written, *edits, first=False)
        self.assertIs(again, written)
        self.assertEqual(outcomes, ["", "", ""])

    def test_what_another_put_there_is_a_conflict(self) -> None:
        mine = SetChildren([new("a")], "never")
        theirs, _ = apply(directory(), VIEW, [SetChildren([new("a", SSK)])], Moment(NOW - 1))
        self.assertEqual(edited(theirs, mine, first=False)[1], ["ChildExists"])

    def test_names_that_others_wrote_in_between_stay(self) -> None:
        mine = SetChildren([new("a")])
        theirs, _ = edited(directory(), SetChildren([new("b")]))
        self.assertEqual(list(edited(theirs, mine, first=False)[0].by_name), ["a", "b"])


class Conditions(SynchronousTestCase):
    def test_removal_of_one_certain_child_spares_another_under_its_name(self) -> None:
        before = directory(new("a", SSK))
        self.assertIs(edited(before, Remove("a", only=child_caps(CHK, None)))[0], before)
        self.assertEqual(edited(before, Remove("a", only=child_caps(SSK, None)))[0].contents, b"")

    def test_removal_returns_what_was_there(self) -> None:
        _, (child,) = apply(directory(new("a", SSK)), VIEW, [Remove("a")], Moment(NOW))
        self.assertEqual(child.caps.writable, SSK)  # type: ignore[union-attr]

    def test_errors_name_what_is_wrong_and_no_cap(self) -> None:
        for edit, kind in (
            (SetChildren([new("a", "lafs://secret")]), BadChild),
            (SetChildren([new("a", "ro." + SSK)]), BadChild),
            (Remove("nobody"), NoSuchChild),
            (Remove("a", must_be="directory"), ChildOfWrongKind),
            (SetChildren([new("a")], "never"), ChildExists),
        ):
            _, (error,) = apply(directory(new("a")), VIEW, [edit], Moment(NOW))
            self.assertIsInstance(error, kind)
            self.assertNotIn("secret", str(error))
            self.assertNotIn("URI:", str(error))

    def test_names_hidden_for_their_caps_are_taken_but_can_be_overwritten_and_removed(self) -> None:
        before = parse(entry(b"bad", b"URI:CHK:bogus"))
        self.assertEqual(edited(before, SetChildren([new("bad")], "never"))[1], ["ChildExists"])
        self.assertEqual(edited(before, SetMetadata("bad", {}), Rename("bad", "b"))[1], ["NoSuchChild", "NoSuchChild"])
        self.assertEqual(list(VIEW.listing(edited(before, SetChildren([new("bad")]))[0]).listing.children), ["bad"])
        self.assertEqual(edited(before, Remove("bad"))[0].contents, b"")

    def test_a_write_cap_that_nobody_can_read_survives_renaming_and_new_metadata(self) -> None:
        garbled = bytes(range(100))
        before = parse(netstring(b"".join(map(netstring, (b"a", CHK.encode(), garbled, b"{}")))))
        after, outcomes = edited(before, Rename("a", "b"), SetMetadata("b", {"k": 1}))
        self.assertEqual(outcomes, ["", ""])
        self.assertEqual(after.by_name["b"].fields.write_field, garbled)
        restrained, _ = edited(after, SetMetadata("b", {"no-write": True}))
        self.assertNotEqual(restrained.by_name["b"].fields.write_field, garbled)
