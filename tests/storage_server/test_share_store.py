"""What the share store does beyond what every storage server promises: room, leases, time, damage, and old directories."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lafs.errors import LafsError, NoSpace, ServerError
from lafs.interfaces import ByteRange, SlotSecrets, SlotTest, SlotWrite, StoredShares
from lafs.tasks import spawn
from storage_server.advisories import BURST, LARGEST_REASON
from storage_server.edits import LARGEST_GATHERED
from storage_server.leases import DURATION_SECONDS
from storage_server.mutable_container import MutableContainer
from tests.storage_server.conformance import contents
from tests.storage_server.harness import (
    NODE_ID,
    START,
    Harness,
    MeasuredDisk,
    SlowWorkers,
    StoreCase,
    result_of,
    secrets,
    storage_index,
)

INDEX = storage_index(1)
OTHER = storage_index(2)
SLOT = SlotSecrets(b"w" * 32, secrets(1))


class LargeSlots(StoreCase):
    """New mutable shares of some size go to a file of their own, not through the journal."""

    def write(self, harness: Harness, content: bytes, **options: Any) -> bool:
        write = {0: SlotWrite(options.get("tests", []), [(0, content)], options.get("new_length"))}
        return result_of(harness.store.test_and_write_slot(INDEX, SLOT, write, []))[0]

    def read(self, harness: Harness) -> dict[int, bytes]:
        found = result_of(harness.store.read_slot(INDEX, frozenset(), [ByteRange(0, 2**30)]))
        return {number: pieces[0] for number, pieces in found.items()}

    def test_the_journal_remembers_nothing_of_a_large_new_share_but_what_changes_in_it_later(self) -> None:
        harness = self.make()
        large = contents(LARGEST_GATHERED + 1)
        self.assertTrue(self.write(harness, large))
        self.assertEqual(harness.store._journal.size, 0)
        self.assertTrue(self.write(harness, b"!"))
        self.assertGreater(harness.store._journal.size, 0)
        self.assertEqual(self.read(harness), {0: b"!" + large[1:]})

    def test_a_failed_test_creates_nothing(self) -> None:
        harness = self.make()
        self.assertFalse(self.write(harness, contents(LARGEST_GATHERED + 1), tests=[SlotTest(0, 1, b"x")]))
        self.assertEqual(self.read(harness), {})

    def test_one_that_comes_after_a_removal_which_the_journal_remembers_goes_through_it_too(self) -> None:
        harness = self.make()
        self.assertTrue(self.write(harness, b"first"))
        self.assertTrue(self.write(harness, b"", new_length=0))
        size, large = harness.store._journal.size, contents(LARGEST_GATHERED + 1)
        self.assertTrue(self.write(harness, large))
        self.assertGreater(harness.store._journal.size, size + len(large))
        self.assertEqual(self.read(harness), {0: large})


class Room(StoreCase):
    """Space, and servers that take nothing."""

    def test_reserved_space_is_left_alone(self) -> None:
        harness = self.make(reserved_space=1000)
        assert isinstance(harness.disk, MeasuredDisk)
        harness.disk.available = 1100
        self.assertEqual(result_of(harness.store.version()).available_space, 100)
        allocation = result_of(harness.store.allocate_shares(INDEX, frozenset([0, 1]), 60, secrets()))
        self.assertEqual(set(allocation.writers), {0})
        harness.disk.available = 1000
        self.assertFalse(result_of(harness.store.version()).takes_immutable_shares)

    def test_whole_shares_find_no_more_room_than_others(self) -> None:
        harness = self.make(reserved_space=1000)
        assert isinstance(harness.disk, MeasuredDisk)
        harness.disk.available = 1100
        whole = dict.fromkeys(range(4), b"x" * 40)
        writer = result_of(harness.store.allocate_shares(OTHER, frozenset([0]), 20, secrets())).writers[0]
        answer = result_of(harness.store.store_shares(INDEX, secrets(), whole))
        self.assertEqual(answer, StoredShares(stored=frozenset([0, 1]), refused=frozenset([2, 3])))
        result_of(writer.abort())
        answer = result_of(harness.store.store_shares(INDEX, secrets(), whole))
        self.assertEqual(answer, StoredShares(frozenset([0, 1]), frozenset([2, 3])))
        harness.disk.available = 1000
        answer = result_of(harness.store.store_shares(OTHER, secrets(), whole))
        self.assertEqual(answer, StoredShares(refused=frozenset(whole)))
        self.assertEqual(harness.store._uploads.allocated, 0)

    def test_room_is_not_promised_twice_to_whole_shares_that_come_at_once(self) -> None:
        harness = self.make()
        assert isinstance(harness.disk, MeasuredDisk)
        harness.disk.available = 100
        slow = SlowWorkers()
        harness.store._commits._workers = slow
        answers = [spawn(harness.store.store_shares(index, secrets(), {0: b"x" * 60})) for index in (INDEX, OTHER)]
        while slow.gates:
            slow.release()
        stored = [result_of(answer).stored for answer in answers]
        self.assertEqual(stored, [frozenset([0]), frozenset()])

    def test_whole_shares_renew_the_leases_on_what_is_there(self) -> None:
        harness = self.make()
        result_of(harness.store.store_shares(INDEX, secrets(1), {0: b"data"}))
        first = harness.share_path(INDEX, 0).read_bytes()
        harness.clock.advance(1000)
        result_of(harness.store.store_shares(INDEX, secrets(1), {0: b"data"}))
        renewed = harness.share_path(INDEX, 0).read_bytes()
        self.assertEqual(int.from_bytes(renewed[-4:], "big") - int.from_bytes(first[-4:], "big"), 1000)
        result_of(harness.store.store_shares(INDEX, secrets(2), {0: b"data"}))
        self.assertEqual(len(harness.share_path(INDEX, 0).read_bytes()), len(first) + 72)

    def test_a_whole_share_is_the_file_that_an_upload_would_have_made(self) -> None:
        for size in (5, 70_000):
            one, other = self.make(), self.make()
            one.upload(INDEX, {3: contents(size)})
            result_of(other.store.store_shares(INDEX, secrets(), {3: contents(size)}))
            self.assertEqual(one.share_path(INDEX, 3).read_bytes(), other.share_path(INDEX, 3).read_bytes())

    def test_a_full_disk_refuses_whole_shares_and_takes_them_when_there_is_room_again(self) -> None:
        for size in (5, 70_000):
            harness = self.make()
            create = harness.disk.create

            def full(path: str) -> Any:
                raise OSError(28, "No space left on device", path)

            harness.disk.create = full  # type: ignore[method-assign]
            self.message_of(harness.store.store_shares(INDEX, secrets(), {0: contents(size)}), NoSpace)
            harness.disk.create = create  # type: ignore[method-assign]
            self.assertEqual(harness.store._uploads.allocated, 0)
            answer = result_of(harness.store.store_shares(INDEX, secrets(), {0: contents(size)}))
            self.assertEqual(answer.stored, {0})
            self.assertEqual(harness.contents(INDEX), {0: contents(size)})

    def test_a_disk_that_cannot_tell_has_no_room(self) -> None:
        harness = self.make()

        def fail(path: str) -> Any:
            raise OSError(5, "input/output error")

        harness.disk.space = fail  # type: ignore[method-assign]
        self.assertEqual(result_of(harness.store.version()).available_space, 0)

    def test_a_read_only_server_takes_nothing_and_renews(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"data"})
        result_of(harness.store.test_and_write_slot(OTHER, SLOT, {0: SlotWrite([], [(0, b"slot")])}, []))
        harness = harness.restarted(options={"readonly": True})
        for write in (SlotWrite([], [(0, b"SLOT")]), SlotWrite([], [], new_length=2), SlotWrite([], [], new_length=0)):
            self.message_of(harness.store.test_and_write_slot(OTHER, SLOT, {0: write}, []), NoSpace)
        self.message_of(harness.store.test_and_write_slot(OTHER, SLOT, {1: SlotWrite([], [])}, []), NoSpace)
        read = result_of(harness.store.read_slot(OTHER, frozenset(), [ByteRange(0, 9)]))
        self.assertEqual(read, {0: [b"slot"]})
        self.assertEqual(
            result_of(harness.store.allocate_shares(INDEX, frozenset([5]), 1, secrets(1))).writers, {}
        )
        self.message_of(harness.store.add_lease(INDEX, secrets(2)), NoSpace)
        result_of(harness.store.add_lease(INDEX, secrets(1)))
        result_of(harness.store.report_corruption("immutable", INDEX, 0, "bad"))
        self.assertEqual(list((harness.root / "corruption-advisories").iterdir()), [])

    def test_mutable_writes_need_room_too_and_none_is_needed_in_place(self) -> None:
        harness = self.make()
        assert isinstance(harness.disk, MeasuredDisk)
        store = harness.store
        result_of(store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"x" * 100)])}, []))
        harness.disk.available = 400
        grow = {0: SlotWrite([], [(0, b"y" * 600)])}
        self.message_of(store.test_and_write_slot(INDEX, SLOT, grow, []), NoSpace)
        self.message_of(store.test_and_write_slot(OTHER, SLOT, {0: SlotWrite([], [])}, []), NoSpace)
        vast = {0: SlotWrite([], [(10**15, b"y")])}
        self.message_of(store.test_and_write_slot(INDEX, SLOT, vast, []), NoSpace)
        result_of(store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"z" * 100)])}, []))
        self.assertEqual(result_of(store.read_slot(INDEX, frozenset(), [ByteRange(0, 999)])), {0: [b"z" * 100]})

    def test_a_full_disk_is_told_as_such_and_the_share_forgotten(self) -> None:
        harness = self.make()

        def full(path: str) -> Any:
            raise OSError(28, "No space left on device", path)

        harness.disk.create = full  # type: ignore[method-assign]
        writer = result_of(harness.store.allocate_shares(INDEX, frozenset([0]), 4, secrets())).writers[0]
        result_of(writer.write(0, b"data"))
        self.message_of(writer.close(), NoSpace)
        self.assertEqual(harness.store._uploads.allocated, 0)


class Damage(StoreCase):
    """One bad file never hurts its neighbours, and what clients are told names no path and no byte."""

    JUNK = (b"", b"x" * 5, b"\0\0\0\7" + bytes(100), b"\0\0\0\2\0\0\0\5\0\0\0\3hello", b"Tahoe mutable container v3\n" + bytes(999))

    def test_undecodable_shares_are_left_out_of_every_answer(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"fine"})
        for number, junk in enumerate(self.JUNK, start=1):
            self.plant(harness, INDEX, str(number), junk)
        asked = frozenset(range(10))
        self.assertEqual(harness.contents(INDEX), {0: b"fine"})
        result_of(harness.store.add_lease(INDEX, secrets(2)))
        allocation = result_of(harness.store.allocate_shares(INDEX, asked, 4, secrets(1)))
        self.assertEqual(allocation.existing, {0})
        self.assertEqual(set(allocation.writers), asked - {0} - set(range(1, 1 + len(self.JUNK))))
        for number, junk in enumerate(self.JUNK, start=1):
            self.assertEqual(harness.share_path(INDEX, number).read_bytes(), junk)

    def test_undecodable_shares_do_not_stop_a_slot(self) -> None:
        harness = self.make()
        result_of(harness.store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"one")])}, []))
        self.plant(harness, INDEX, "1", self.JUNK[3])
        result_of(harness.store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"two")])}, []))
        self.assertEqual(result_of(harness.store.read_slot(INDEX, frozenset(), [ByteRange(0, 9)])), {0: [b"two"]})
        writes = {0: SlotWrite([], [(0, b"xxx")]), 1: SlotWrite([], [(0, b"xxx")])}
        self.message_of(harness.store.test_and_write_slot(INDEX, SLOT, writes, []), ServerError)
        self.assertEqual(result_of(harness.store.read_slot(INDEX, frozenset(), [ByteRange(0, 9)])), {0: [b"two"]})

    def test_files_that_are_no_shares_are_never_touched(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"fine"})
        names = ["00", "01", "-1", " 1", "1_0", "256", "99999999999", "readme", "0.bak", "\u0661"]
        paths = [self.plant(harness, INDEX, name, b"mine") for name in names]
        (harness.share_path(INDEX, 0).parent / "7").mkdir()
        self.assertEqual(harness.contents(INDEX), {0: b"fine"})
        result_of(harness.store.add_lease(INDEX, secrets(2)))
        self.assertTrue(all(path.read_bytes() == b"mine" for path in paths))

    def test_directories_that_somebody_removed_are_made_again(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"first"})
        shutil.rmtree(harness.share_path(INDEX, 0).parent.parent)
        harness.upload(OTHER, {0: b"second"})
        harness.upload(INDEX, {0: b"first"})
        self.assertEqual((harness.contents(INDEX), harness.contents(OTHER)), ({0: b"first"}, {0: b"second"}))

    def test_errors_hold_no_path_and_no_bytes(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"SECRET-DATA"})
        path = self.plant(harness, OTHER, "0", b"\0\0\0\7SECRET-DATA" + bytes(500))
        reader = result_of(harness.store.list_shares(INDEX))[0]
        harness.share_path(INDEX, 0).write_bytes(path.read_bytes())
        failing = [
            reader.read(0, 5),
            harness.store.test_and_write_slot(OTHER, SLOT, {0: SlotWrite([], [(0, b"x")])}, []),
            harness.store.test_and_write_slot(INDEX, SLOT, {}, [ByteRange(-1, 5)]),
        ]
        for work in failing:
            message = self.message_of(work, LafsError)
            for leak in ("SECRET", "/", str(harness.root), INDEX.text, OTHER.text):
                self.assertNotIn(leak, message)

    def test_a_share_that_was_replaced_is_never_read_past_its_own_end(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"long share data"})
        reader = result_of(harness.store.list_shares(INDEX))[0]
        other = self.make()
        other.upload(INDEX, {0: b"short"})
        harness.share_path(INDEX, 0).write_bytes(other.share_path(INDEX, 0).read_bytes())
        self.assertEqual(result_of(reader.read(0, 1000)), b"short")
        harness.share_path(INDEX, 0).unlink()
        self.message_of(reader.read(0, 1000), ServerError)

    def test_the_operator_is_told_once_of_each_bad_share(self) -> None:
        harness = self.make()
        self.plant(harness, INDEX, "1", b"junk")
        for _ in range(3):
            result_of(harness.store.list_shares(INDEX))
        self.assertEqual(harness.store._files._reported, {f"{INDEX.text}/1"})


class Leases(StoreCase):
    """Who wants a share kept."""

    def leases(self, harness: Harness, index: Any, number: int) -> list[tuple[int, int]]:
        content = harness.share_path(index, number).read_bytes()
        count = int.from_bytes(content[8:12], "big")
        records = [content[-72 * (count - slot) :][:72] for slot in range(count)]
        return [(int.from_bytes(each[:4], "big"), int.from_bytes(each[68:], "big")) for each in records]

    def test_a_client_that_asks_for_what_is_there_gets_a_lease_on_all_of_it(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"a", 1: b"b"})
        harness.clock.advance(1000)
        result_of(harness.store.allocate_shares(INDEX, frozenset([0]), 1, secrets(2)))
        result_of(harness.store.allocate_shares(INDEX, frozenset(), 1, secrets(1)))
        end = int(START + DURATION_SECONDS)
        for number in (0, 1):
            self.assertEqual(self.leases(harness, INDEX, number), [(0, end + 1000), (0, end + 1000)])

    def test_the_share_data_is_not_touched_by_leases(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: contents(10_000)})
        reader = result_of(harness.store.list_shares(INDEX))[0]
        for number in range(2, 12):
            result_of(harness.store.add_lease(INDEX, secrets(number)))
        self.assertEqual(result_of(reader.read(9_990, 10_000)), contents(10_000)[9_990:])
        self.assertEqual(harness.contents(INDEX), {0: contents(10_000)})


class Advisories(StoreCase):
    """Reports of damage are kept, and bounded."""

    def files(self, harness: Harness) -> list[Path]:
        return sorted((harness.root / "corruption-advisories").iterdir())

    def test_a_report_of_a_share_that_is_here_becomes_a_file(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {3: b"x"})
        result_of(harness.store.report_corruption("immutable", INDEX, 3, "hash mismatch\nin block 3"))
        result_of(harness.store.report_corruption("immutable", INDEX, 4, "not here"))
        result_of(harness.store.report_corruption("mutable", OTHER, 3, "not here"))
        (path,) = self.files(harness)
        self.assertEqual(path.name, f"2023-11-14T221320--{INDEX.text}-3")
        self.assertIn("hash mismatch\nin block 3", path.read_text())

    def test_reports_are_cut_counted_and_slowed_down(self) -> None:
        harness = self.make()
        harness.upload(INDEX, {0: b"x"})
        for _ in range(3 * BURST):
            harness.clock.advance(0.001)
            result_of(harness.store.report_corruption("immutable", INDEX, 0, "x" * 10**6))
        files = self.files(harness)
        self.assertEqual(len(files), BURST)
        self.assertTrue(all(path.stat().st_size < LARGEST_REASON + 200 for path in files))
        harness.clock.advance(10)
        for _ in range(20):
            harness.clock.advance(0.001)
            result_of(harness.store.report_corruption("immutable", INDEX, 0, "more"))
        self.assertEqual(len(self.files(harness)), BURST + 10)


class Statistics(StoreCase):
    def test_counters_and_latencies_have_the_peers_names(self) -> None:
        harness = self.make(reserved_space=7)
        harness.upload(INDEX, dict.fromkeys(range(12), b"data"))
        harness.contents(INDEX)
        counters = harness.counters.snapshot()
        self.assertEqual(counters["storage_server.allocate"], 1)
        self.assertEqual(counters["storage_server.write"], 12)
        self.assertEqual(counters["storage_server.close"], 12)
        self.assertEqual(counters["storage_server.bytes_added"], 12 * (12 + 4 + 72))
        self.assertEqual(counters["storage_server.read"], 12)
        result_of(harness.store.allocate_shares(OTHER, frozenset([0]), 100, secrets()))
        stats = result_of(harness.store.statistics())
        self.assertEqual(stats["storage_server.allocated"], 100)
        self.assertEqual(stats["storage_server.reserved_space"], 7)
        self.assertEqual(stats["storage_server.accepting_immutable_shares"], 1)
        self.assertEqual(stats["storage_server.latencies.close.samplesize"], 12)
        self.assertEqual(stats["storage_server.latencies.close.50_0_percentile"], 0)
        self.assertIsNone(stats["storage_server.latencies.close.99_0_percentile"])
        self.assertIsNone(stats["storage_server.latencies.get.mean"])
        json.dumps(stats)


class OldDirectories(StoreCase):
    """A directory that a Tahoe server left is served as it is."""

    def test_what_is_there_stays_and_what_is_missing_is_made(self) -> None:
        root = Path(self.mktemp()).resolve()
        shares = root / "shares"
        kept = {
            root / "lease_checker.state": b"\x80\x02cos\nsystem\n",
            root / "bucket_counter.state.json": b"{}",
            shares / "zz" / "README": b"junk",
            shares / "notes.txt": b"junk",
        }
        (shares / "incoming" / "aa" / "x").mkdir(parents=True)
        (shares / "incoming" / "aa" / "x" / "0").write_bytes(b"half")
        empty = shares / INDEX.text[:2] / INDEX.text
        empty.mkdir(parents=True)
        for path, content in kept.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        harness = Harness(root)
        self.assertEqual({path: path.read_bytes() for path in kept}, kept)
        self.assertEqual(list((shares / "incoming").iterdir()), [])
        self.assertEqual(harness.contents(INDEX), {})
        harness.upload(INDEX, {0: b"x"})
        self.assertEqual(harness.contents(INDEX), {0: b"x"})

    def test_a_root_several_levels_down_is_made(self) -> None:
        harness = Harness(Path(self.mktemp()).resolve() / "a" / "b" / "c")
        harness.upload(INDEX, {0: b"x"})
        self.assertTrue(harness.share_path(INDEX, 0).exists())

    def test_a_journal_that_another_program_swept_away_is_not_missed(self) -> None:
        harness = self.make()
        result_of(harness.store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"ours")])}, []))
        journals = list((harness.root / "shares" / "incoming").iterdir())
        self.assertEqual(len(journals), 1)
        journals[0].unlink()
        container = MutableContainer.fresh(NODE_ID, b"w" * 32)
        harness.share_path(INDEX, 0).write_bytes(container.pack())
        harness = harness.restarted()
        self.assertEqual(result_of(harness.store.read_slot(INDEX, frozenset(), [ByteRange(0, 9)])), {0: [b""]})
