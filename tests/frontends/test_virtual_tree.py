"""The tree: open flags, files in flight, names and attributes, on a grid in memory. Spec: 09 §4 to §11, §15, §21."""
from __future__ import annotations

from collections.abc import Awaitable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from frontends.open_files import AttributeChange
from frontends.paths import names_of
from frontends.read_ahead import AHEAD, BEHIND
from frontends.refusals import Reason, Refused
from frontends.virtual_tree import OpenFlags
from lafs.capability import DirectoryCap, LiteralCap, MutableWriteCap
from lafs.capability_slots import child_caps
from lafs.errors import ChildExists, CircularMove, LafsError, NoSuchChild, NotADirectory, SourceFailed, UnhappyUpload
from lafs.interfaces import NewChild
from lafs.sources import BytesSource
from tests.frontends.tree_on_grid import APPEND, CREATE, EXCLUSIVE, PATCH, READ, GridTree
from tests.memory_grid import random_bytes

OLD = random_bytes(300_000, seed=1)
NEW = random_bytes(200_000, seed=2)


class TreeCase(SynchronousTestCase):
    """Has a tree with a file of three segments in it."""

    def setUp(self) -> None:
        self.at = GridTree()
        self.at.write("old", OLD)

    def refused(self, reason: Reason, work: Awaitable[object]) -> None:
        with self.assertRaises(Refused) as raised:
            self.at.run(work)
        self.assertEqual(raised.exception.reason, reason, str(raised.exception))

    def open_refused(self, reason: Reason, path: str, flags: OpenFlags) -> None:
        self.refused(reason, self.at.tree.open(names_of(path), flags))


class OpenFlagMatrix(TreeCase):
    """Which flags do what. Spec: 09 §6."""

    def test_flags_that_make_no_sense_are_refused(self) -> None:
        self.open_refused("bad", "old", OpenFlags(create=True))
        self.open_refused("bad", "old", OpenFlags(write=True, exclusive=True))
        self.open_refused("missing", "", READ)

    def test_what_cannot_be_opened_is_refused_for_its_own_reason(self) -> None:
        self.at.mkdir("dir")
        self.open_refused("missing", "nothing", READ)
        self.open_refused("missing", "nothing", OpenFlags(write=True))
        self.open_refused("permission", "dir", READ)
        self.open_refused("exists", "old", EXCLUSIVE)
        for path in ("nowhere/file", "nowhere/deeper/file"):
            self.assertRaises(NoSuchChild, self.at.open, path, CREATE)
        self.assertRaises(NotADirectory, self.at.open, "old/file", CREATE)

    def test_what_is_left_of_the_old_contents(self) -> None:
        """Flags, what is written at 10 (None: nothing), and what is there afterwards."""
        patched = OLD[:10] + b"new" + OLD[13:]
        cases: list[tuple[OpenFlags, bytes | None, bytes]] = [
            (OpenFlags(write=True), b"new", patched),
            (OpenFlags(write=True), None, OLD),
            (PATCH, b"new", patched),
            (OpenFlags(write=True, create=True), b"new", patched),
            (OpenFlags(write=True, create=True), None, OLD),
            (OpenFlags(write=True, truncate=True), b"new", bytes(10) + b"new"),
            (OpenFlags(write=True, truncate=True), None, b""),
            (CREATE, None, b""),
            (APPEND, b"new", OLD + b"new"),
        ]
        for number, (flags, data, expected) in enumerate(cases):
            path = f"case {number}"
            self.at.write(path, OLD)
            file = self.at.open(path, flags)
            if data is not None:
                self.at.run(file.write_chunk(10, data))
            self.at.run(file.close())
            self.assertEqual(self.at.read(path), expected, flags)

    def test_what_becomes_of_a_file_that_was_not_there(self) -> None:
        for flags in (CREATE, EXCLUSIVE, APPEND, OpenFlags(read=True, create=True)):
            path = f"{flags}"
            file = self.at.open(path, flags)
            self.assertEqual(self.at.contents(file), b"")
            self.at.run(file.close())
            self.assertEqual(self.at.read(path), b"")

    def test_of_two_that_create_a_file_exclusively_through_two_gateways_one_fails(self) -> None:
        first = self.at.open("lock", EXCLUSIVE)
        self.assertRaises(LafsError, self.at.other_gateway().open, "lock", EXCLUSIVE)
        self.at.run(first.close())

    def test_a_file_that_was_only_opened_is_not_stored_again(self) -> None:
        before = self.at.stat("old")
        self.at.pass_time(100)
        for flags in (OpenFlags(write=True), OpenFlags(write=True, create=True), PATCH):
            self.at.run(self.at.open("old", flags).close())
        self.assertEqual(self.at.stat("old"), before)

    def test_reading_and_writing_need_their_flags(self) -> None:
        file = self.at.open("old")
        self.refused("permission", file.write_chunk(0, b"x"))
        self.refused("permission", file.set_attributes(AttributeChange(size=1)))


class Contents(TreeCase):
    """What is written is what is read."""

    def test_files_of_all_sizes_come_back(self) -> None:
        for size in (0, 1, 55, 56, 65536, 131073, 600_000):
            contents = random_bytes(size, seed=size)
            self.at.write("file", contents)
            self.assertEqual((self.at.read("file"), self.at.stat("file").size), (contents, size))

    def test_the_cap_is_that_of_an_upload_whatever_the_order_of_writes(self) -> None:
        expected = self.at.grid.upload(OLD)
        for order in (range(0, 300_000, 50_000), (0, 100_000, 50_000, 150_000, 250_000, 200_000), range(250_000, -1, -50_000)):
            file = self.at.open("ordered", CREATE)
            for start in order:
                self.at.run(file.write_chunk(start, OLD[start : start + 50_000]))
            self.at.run(file.close())
            self.assertEqual(self.at.run(self.at.directory().get("ordered")).cap, expected)

    def test_one_byte_in_the_middle_of_a_large_file(self) -> None:
        file = self.at.open("old", PATCH)
        self.at.run(file.write_chunk(150_000, b"!"))
        self.assertEqual(self.at.run(file.read_chunk(149_999, 3)), OLD[149_999:150_000] + b"!" + OLD[150_001:150_002])
        self.at.run(file.close())
        self.assertEqual(self.at.read("old"), OLD[:150_000] + b"!" + OLD[150_001:])

    def test_cut_and_extended_it_reads_zeros_where_it_was_cut(self) -> None:
        file = self.at.open("old", PATCH)
        for size in (100_000, 250_000):
            self.at.run(file.set_attributes(AttributeChange(size=size)))
        self.assertEqual(self.at.run(file.attributes()).size, 250_000)
        self.at.run(file.close())
        self.assertEqual(self.at.read("old"), OLD[:100_000] + bytes(150_000))

    def test_a_file_is_cut_by_its_path(self) -> None:
        self.at.run(self.at.tree.set_attributes(names_of("old"), AttributeChange(size=7)))
        self.assertEqual(self.at.read("old"), OLD[:7])

    def test_reads_in_any_order_are_right(self) -> None:
        file = self.at.open("old")
        for offset in (0, 32768, 250_000, 16_384, 299_990, 65_536, 98_304, 5, 300_000, 400_000):
            self.assertEqual(self.at.run(file.read_chunk(offset, 32768)), OLD[offset : offset + 32768])

    def test_many_reads_at_once_are_right_although_they_overtake_each_other(self) -> None:
        large = random_bytes(BEHIND + 3_000_000, seed=9)
        self.at.write("large", large)
        file = self.at.open("large")
        offsets = list(range(0, len(large), 100_000))
        offsets[3:9] = reversed(offsets[3:9])
        reads = [self.at.begin(file.read_chunk(offset, 100_000)) for offset in offsets]
        for offset, read in zip(offsets, reads, strict=True):
            self.assertEqual(self.at.run(read), large[offset : offset + 100_000])

    def test_reading_the_end_of_a_large_file_does_not_fetch_all_of_it(self) -> None:
        large = random_bytes(3 * AHEAD, seed=3)
        self.at.write("large", large)
        network = self.at.grid.network
        before = network.bytes_answered
        file = self.at.open("large")
        self.assertEqual(self.at.run(file.read_chunk(len(large) - 10, 100)), large[-10:])
        self.assertLess(network.bytes_answered - before, 2_000_000)

    def test_mutable_files_keep_their_caps(self) -> None:
        for format in ("SDMF", "MDMF"):
            made = self.at.run(self.at.grid.client.create_mutable(OLD, format))  # type: ignore[arg-type]
            self.at.run(self.at.directory().add([NewChild(format, child_caps(made.cap.text, None))]))
            file = self.at.open(format, PATCH)
            self.at.run(file.write_chunk(1000, NEW))
            self.at.run(file.close())
            self.at.pass_time(2)
            child = self.at.run(self.at.directory().get(format))
            assert isinstance(child.cap, MutableWriteCap)
            self.assertEqual((child.cap, self.at.read(format)), (made.cap, OLD[:1000] + NEW + OLD[201_000:]))


    def test_a_mutable_file_is_changed_as_it_was_when_it_was_first_written_to(self) -> None:
        """Pieces of two versions must not be mixed: whole pages are written first, so that nothing has to be fetched for them."""
        first, second = random_bytes(300_000, seed=11), random_bytes(300_000, seed=12)
        made = self.at.run(self.at.grid.client.create_mutable(first, "MDMF"))
        self.at.run(self.at.directory().add([NewChild("mutable", child_caps(made.cap.text, None))]))
        file = self.at.open("mutable", PATCH)
        self.at.run(file.write_chunk(65536, bytes(65536)))
        self.at.run(file.attributes())  # after which it is written
        self.at.run(made.overwrite(BytesSource(second)))
        self.at.run(file.close())
        self.assertEqual(self.at.read("mutable"), first[:65536] + bytes(65536) + first[131072:])


class FilesInFlight(TreeCase):
    """Files that are open for writing. Spec: 09 §9."""

    def test_who_reads_or_lists_meanwhile_sees_what_is_written_so_far(self) -> None:
        file = self.at.open("new", CREATE)
        self.at.run(file.write_chunk(0, NEW))
        self.assertEqual((self.at.stat("new").size, self.at.names(), self.at.read("new")), (len(NEW), ["new", "old"], NEW))
        self.at.run(file.close())

    def test_a_reader_keeps_what_it_reads_when_the_writer_is_done(self) -> None:
        file = self.at.open("new", CREATE)
        self.at.run(file.write_chunk(0, NEW))
        reader = self.at.open("new")
        self.at.run(file.close())
        self.assertEqual(self.at.contents(reader), NEW)

    def test_a_transfer_that_broke_off_changes_nothing(self) -> None:
        for path in ("old", "new"):
            file = self.at.open(path, CREATE)
            self.at.run(file.write_chunk(0, NEW))
            file.abandon()
            self.at.pass_time(10)
        self.assertEqual((self.at.names(), self.at.read("old")), (["old"], OLD))

    def test_open_waits_for_a_close_that_nobody_waited_for(self) -> None:
        file = self.at.open("new", CREATE)
        self.at.run(file.write_chunk(0, NEW))
        closing = self.at.begin(file.close())
        self.assertEqual(self.at.read("new"), NEW)
        self.at.run(closing)

    def test_what_is_asked_right_after_an_open_waits_for_it(self) -> None:
        opening = self.at.begin(self.at.tree.open(("fresh",), EXCLUSIVE))
        self.assertEqual(self.at.stat("fresh").size, 0)
        self.at.run(self.at.run(opening).close())

    def test_of_two_writers_the_last_to_close_wins(self) -> None:
        first, second = self.at.open("old", CREATE), self.at.open("old", CREATE)
        self.at.run(first.write_chunk(0, b"first" * 100))
        self.at.run(second.write_chunk(0, b"second" * 100))
        self.at.run(second.close())
        self.at.run(first.close())
        self.assertEqual(self.at.read("old"), b"first" * 100)

    def test_a_file_that_is_removed_while_it_is_written_stays_away(self) -> None:
        for path in ("old", "new"):
            file = self.at.open(path, CREATE)
            self.at.run(file.write_chunk(0, NEW))
            self.at.remove(path)
            self.assertEqual(self.at.run(file.read_chunk(0, 10)), NEW[:10])
            self.at.run(file.close())
            self.assertRaises(NoSuchChild, self.at.stat, path)

    def test_a_file_that_is_renamed_while_it_is_written_is_stored_under_its_new_name(self) -> None:
        file = self.at.open("new", CREATE)
        self.at.run(file.write_chunk(0, NEW))
        self.at.rename("new", "newer")
        self.at.run(file.close())
        self.assertEqual((self.at.names(), self.at.read("newer")), (["newer", "old"], NEW))

    def test_editors_save_by_renaming_over_the_old(self) -> None:
        file = self.at.open("old~", EXCLUSIVE)
        self.at.run(file.write_chunk(0, NEW))
        closing = self.at.begin(file.close())
        self.at.rename("old~", "old", overwrite=True)
        self.at.run(closing)
        self.assertEqual((self.at.names(), self.at.read("old")), (["old"], NEW))

    def test_what_is_being_written_does_not_come_back_over_what_was_renamed_to_its_name(self) -> None:
        self.at.write("better", NEW)
        file = self.at.open("old", CREATE)
        self.at.run(file.write_chunk(0, b"stale"))
        self.refused("permission", self.at.tree.rename(("better",), ("old",), False))
        self.at.rename("better", "old", overwrite=True)
        self.at.run(file.close())
        self.assertEqual(self.at.read("old"), NEW)

    def test_attributes_set_while_it_is_written_are_stored_with_it(self) -> None:
        file = self.at.open("new", CREATE)
        self.at.run(file.write_chunk(0, NEW))
        self.at.run(self.at.tree.set_attributes(("new",), AttributeChange(modified=1_000_000_000)))
        self.at.run(file.close())
        self.assertEqual(self.at.stat("new").modified, 1_000_000_000)

    def test_what_is_synced_is_on_the_grid_while_the_file_is_still_open(self) -> None:
        file = self.at.open("new", CREATE)
        self.at.run(file.write_chunk(0, NEW))
        self.at.run(file.sync())
        self.assertEqual(self.at.other_gateway().read("new"), NEW)
        file.abandon()

    def test_close_says_that_the_grid_took_nothing_and_the_old_stays(self) -> None:
        file = self.at.open("old", CREATE)
        self.at.run(file.write_chunk(0, NEW))
        lost = self.at.grid.machines[:4]
        self.at.grid.kill(lost)
        with self.assertRaises(UnhappyUpload):
            self.at.run(file.close())
        self.assertEqual(self.at.run(self.at.tools.writers.stored()), 1)
        self.at.grid.restart(lost)
        self.assertEqual(self.at.read("old"), OLD)

    def test_nothing_of_a_file_whose_disk_was_full_is_stored(self) -> None:
        file = self.at.open("old", CREATE)
        self.patch(type(self.at.tools.space), "check_room", _no_room)
        self.at.run(file.write_chunk(0, bytes(2_000_000)))
        with self.assertRaises(SourceFailed):
            self.at.run(file.close())
        self.assertEqual(self.at.read("old"), OLD)

    def test_old_contents_that_cannot_be_fetched_are_not_lost(self) -> None:
        file = self.at.open("old", OpenFlags(write=True))
        lost = self.at.grid.machines[:3]
        self.at.grid.kill(lost)
        self.at.run(file.write_chunk(150_000, b"!"))
        with self.assertRaises(LafsError):
            self.at.run(file.close())
        self.at.grid.restart(lost)
        self.assertEqual(self.at.read("old"), OLD)

    def test_many_writes_at_once_wait_when_they_are_too_many(self) -> None:
        file = self.at.open("new", CREATE)
        writes: list[Deferred[None]] = [self.at.begin(file.write_chunk(start * 50_000, NEW[:50_000])) for start in range(200)]
        for write in writes:
            self.at.run(write)
        self.at.run(file.close())
        self.assertEqual(self.at.read("new"), NEW[:50_000] * 200)


def _no_room(*_: object) -> None:
    raise SourceFailed("full")


class Names(TreeCase):
    """Directories, removing and renaming. Spec: 09 §10."""

    def test_a_directory_is_made_with_those_on_the_way_and_may_be_there(self) -> None:
        self.at.mkdir("a/b/c")
        self.at.mkdir("a/b/c")
        self.assertEqual((self.at.names("a"), self.at.names("a/b")), (["b"], ["c"]))
        self.assertRaises(ChildExists, self.at.run, self.at.tree.make_directory(("a",), parents=False, exist_ok=False))
        self.assertRaises(NoSuchChild, self.at.run, self.at.tree.make_directory(("x", "y"), parents=False))
        self.assertRaises(NotADirectory, self.at.mkdir, "old")

    def test_only_empty_directories_are_removed(self) -> None:
        self.at.mkdir("a/b")
        self.refused("failure", self.at.tree.remove_directory(("a",)))
        self.at.run(self.at.tree.remove_directory(("a", "b")))
        self.at.run(self.at.tree.remove_directory(("a",)))
        self.assertEqual(self.at.names(), ["old"])

    def test_a_directory_in_which_a_file_is_being_written_is_not_empty(self) -> None:
        self.at.mkdir("a")
        file = self.at.open("a/new", CREATE)
        self.refused("failure", self.at.tree.remove_directory(("a",)))
        file.abandon()

    def test_files_and_directories_are_removed_by_their_own_verbs(self) -> None:
        self.at.mkdir("a")
        self.refused("permission", self.at.tree.remove(("a",)))
        self.refused("permission", self.at.tree.remove_directory(("old",)))
        self.assertRaises(NoSuchChild, self.at.remove, "nothing")
        self.assertRaises(NoSuchChild, self.at.run, self.at.tree.remove_directory(("nothing",)))

    def test_renaming_replaces_only_files_and_only_if_it_may(self) -> None:
        self.at.write("other", NEW)
        self.at.mkdir("full/inside")
        self.refused("permission", self.at.tree.rename(("other",), ("old",), False))
        for source in ("other", "full"):
            self.refused("failure", self.at.tree.rename((source,), ("full",), True)) if source == "other" else None
        self.at.rename("other", "old", overwrite=True)
        self.assertEqual((self.at.names(), self.at.read("old")), (["full", "old"], NEW))

    def test_a_directory_is_not_moved_below_itself(self) -> None:
        self.at.mkdir("a/b")
        self.assertRaises(CircularMove, self.at.rename, "a", "a/b/c")
        self.assertEqual(self.at.names("a"), ["b"])

    def test_renaming_to_its_own_name_changes_nothing(self) -> None:
        self.at.rename("old", "old", overwrite=True)
        self.assertEqual(self.at.read("old"), OLD)

    def test_what_another_gateway_did_is_seen_after_a_second(self) -> None:
        other = self.at.other_gateway()
        other.write("from afar", NEW)
        self.at.pass_time(1.1)
        self.assertEqual(self.at.read("from afar"), NEW)

    def test_names_that_are_no_names_of_files_are_not_shown(self) -> None:
        caps = child_caps(None, LiteralCap(b"x").text)
        self.at.run(self.at.directory().add([NewChild(name, caps) for name in ("..", "a/b", "fine")]))
        self.assertEqual(self.at.names(), ["fine", "old"])

    def test_sizes_of_mutable_files_are_in_listings(self) -> None:
        made = self.at.run(self.at.grid.client.create_mutable(OLD[:1000]))
        self.at.run(self.at.directory().add([NewChild("mutable", child_caps(made.cap.text, None))]))
        self.assertEqual(self.at.run(self.at.tree.list(()))["mutable"].size, 1000)


class Rights(TreeCase):
    """Read-only caps, roots, protection. Spec: 09 §4, §5, §11."""

    def test_a_cap_below_uri_is_a_root_of_its_own(self) -> None:
        file = self.at.run(self.at.directory().get("old"))
        assert file.cap is not None
        for path in (f"uri/{file.cap.text}", f"uri/{self.at.root.text}/old"):
            self.assertEqual(self.at.read(path), OLD)
        self.open_refused("permission", f"uri/{file.cap.text}", OpenFlags(write=True))
        self.open_refused("permission", "uri/URI:nonsense", READ)
        self.refused("missing", self.at.tree.attributes(("uri",)))
        self.refused("missing", self.at.tree.remove(("uri", file.cap.text)))
        self.at.run(self.at.tree.set_attributes((), AttributeChange(writable=False)))

    def test_nothing_changes_through_a_cap_that_only_reads(self) -> None:
        assert isinstance(self.at.root, DirectoryCap)
        readonly = self.at.root.readonly()
        reader = GridTree(self.at.grid, readonly)
        self.assertEqual((reader.read("old"), reader.stat("old").writable, reader.stat("").writable), (OLD, False, False))
        for work in (
            reader.tree.open(("new",), CREATE),
            reader.tree.open(("old",), CREATE),
            reader.tree.remove(("old",)),
            reader.tree.rename(("old",), ("new",), True),
            reader.tree.make_directory(("new",), parents=False),
        ):
            self.refused("permission", work)

    def test_protection_keeps_a_file_until_it_is_lifted_and_touching_does_not_lift_it(self) -> None:
        for change in (AttributeChange(writable=False), AttributeChange(modified=5)):
            self.at.run(self.at.tree.set_attributes(("old",), change))
        self.assertEqual((self.at.stat("old").writable, self.at.stat("old").modified), (False, 5))
        self.open_refused("permission", "old", CREATE)
        self.at.run(self.at.tree.set_attributes(("old",), AttributeChange(writable=True)))
        self.at.write("old", NEW)
        self.assertEqual(self.at.read("old"), NEW)

    def test_other_metadata_is_kept(self) -> None:
        self.at.run(self.at.directory().set_metadata("old", {"mine": [1]}))
        self.at.pass_time(2)
        self.at.run(self.at.tree.set_attributes(("old",), AttributeChange(modified=7, extended={"ext_a": "b"})))
        self.at.write("old", NEW)
        metadata = self.at.run(self.at.directory().get("old")).metadata
        self.assertEqual({key: metadata.get(key) for key in ("mine", "ext_a", "mtime")}, {"mine": [1], "ext_a": "b", "mtime": None})

    def test_protection_does_not_take_the_write_cap_of_what_can_change(self) -> None:
        self.at.mkdir("dir")
        self.at.run(self.at.tree.set_attributes(("dir",), AttributeChange(writable=False)))
        self.at.write("dir/file", NEW)
        self.assertEqual(self.at.names("dir"), ["file"])

    def test_a_mutable_file_opened_through_its_own_cap_is_written_in_place(self) -> None:
        made = self.at.run(self.at.grid.client.create_mutable(OLD))
        self.at.write(f"uri/{made.cap.text}", NEW, CREATE)
        self.assertEqual(self.at.run(self.at.grid.client.open_mutable(made.cap).contents())[0], NEW)

    def test_an_upload_by_others_shows_when_it_was_linked(self) -> None:
        result = self.at.run(self.at.grid.client.upload(BytesSource(NEW)))
        self.at.run(self.at.directory().add([NewChild("theirs", child_caps(None, result.cap.text))]))
        self.at.pass_time(2)
        shown = self.at.stat("theirs").modified
        assert shown is not None
        self.assertLess(abs(shown - self.at.grid.clock.seconds()), 5)
