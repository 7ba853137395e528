"""Shares on their way in, and the journal: what is held, for how long, and when it is certain."""
from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from lafs.errors import ConflictingWrite, DataTooLarge, ServerError
from lafs.interfaces import Bytes, SlotSecrets, SlotWrite
from lafs.statistics import Counters
from lafs.tasks import gather, spawn
from storage_server.commits import CHECKPOINT_SECONDS
from storage_server.disk import RealFile
from storage_server.share_store import ShareStore
from storage_server.uploads import FLUSH_SIZE, INACTIVITY_SECONDS
from tests.storage_server.conformance import contents
from tests.storage_server.harness import (
    NODE_ID,
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


class CountedFile(RealFile):
    """A file that its disk knows to be open."""

    def __init__(self, disk: CountingDisk, file: RealFile) -> None:
        super().__init__(os.dup(file._descriptor))
        file.close()
        self._disk = disk
        disk.open_files += 1

    def write(self, offset: int, data: Bytes) -> None:
        self._disk.perhaps_fail("write")
        super().write(offset, data)

    def sync(self) -> None:
        self._disk.perhaps_fail("sync")
        super().sync()

    def close(self) -> None:
        self._disk.open_files -= self._descriptor >= 0
        super().close()


class CountingDisk(MeasuredDisk):
    """Counts what is open, and fails one verb when told to."""

    open_files = 0
    failing = ""

    def perhaps_fail(self, verb: str) -> None:
        if verb == self.failing:
            raise OSError(errno.EIO, "input/output error")

    def create(self, path: str) -> CountedFile:
        return CountedFile(self, super().create(path))

    def open(self, path: str, *, writable: bool = False) -> CountedFile:
        return CountedFile(self, super().open(path, writable=writable))


class Uploads(StoreCase):
    """Shares on their way in."""

    def make(self, disk: CountingDisk | None = None, **options: object) -> Harness:
        return Harness(Path(self.mktemp()).resolve(), disk=disk or MeasuredDisk(), options=dict(options))

    def begin(self, harness: Harness, size: int, number: int = 0) -> Any:
        return result_of(
            harness.store.allocate_shares(INDEX, frozenset([number]), size, secrets())
        ).writers[number]

    def test_texts_of_errors_are_the_peers(self) -> None:
        writer = self.begin(self.make(), 1000)
        result_of(writer.write(90, b"x" * 10))
        self.assertEqual(
            self.message_of(writer.write(80, b"y" * 30), ConflictingWrite),
            "Chunk 90-100 doesn't match already written data.",
        )
        self.assertEqual(self.message_of(writer.write(950, b"z" * 100), DataTooLarge), "(1000, 950, 100)")

    def test_a_small_share_leaves_nothing_on_the_disk_before_it_is_closed(self) -> None:
        harness = self.make()
        writer = self.begin(harness, 4096)
        result_of(writer.write(0, contents(4096)))
        self.assertEqual([path for path in harness.root.rglob("*") if path.is_file()], [])

    def test_only_so_many_files_of_uploads_stay_open_and_none_when_they_are_over(self) -> None:
        import storage_server.uploads as module

        self.patch(module, "MOST_OPEN", 3)
        disk = CountingDisk()
        harness = self.make(disk)
        size = 3 * FLUSH_SIZE
        content = contents(size)
        for _ in range(2):
            writers = [self.begin(harness, size, number) for number in range(6)]
            for start in range(0, size, FLUSH_SIZE):
                for writer in writers:
                    result_of(writer.write(start, content[start : start + FLUSH_SIZE]))
                    self.assertLessEqual(disk.open_files, 3)
            self.assertEqual(disk.open_files, 3)
            for writer in writers[1:5]:
                result_of(writer.abort())
            result_of(writers[0].close())
            self.message_of(writers[5].write(0, b"?" * 10), ConflictingWrite)
            result_of(writers[5].close())
            self.assertEqual(disk.open_files, 0)
            self.assertEqual(harness.contents(INDEX), {0: content, 5: content})
            self.assertEqual(disk.open_files, 0)
            for number in (0, 5):
                harness.share_path(INDEX, number).unlink()

    def test_a_failing_disk_leaves_no_file_open(self) -> None:
        for verb in ("write", "sync"):
            disk = CountingDisk()
            harness = self.make(disk)
            writer = self.begin(harness, 2 * FLUSH_SIZE)
            result_of(writer.write(0, bytes(FLUSH_SIZE)))
            self.assertEqual(disk.open_files, 1)
            disk.failing = verb
            self.message_of(gather([writer.write(FLUSH_SIZE, bytes(FLUSH_SIZE)), writer.close()]), ServerError)
            self.assertEqual(disk.open_files, 0)
            self.assertEqual(harness.store._uploads.open_files, 0)

    def test_a_large_share_is_held_in_memory_only_so_far(self) -> None:
        harness = self.make()
        size = 8 * FLUSH_SIZE
        writer = self.begin(harness, size)
        for start in range(0, size, 100_000):
            result_of(writer.write(start, contents(size)[start : start + 100_000]))
            self.assertLess(harness.store._uploads.buffered, FLUSH_SIZE + 100_000)
        result_of(writer.close())
        self.assertEqual(harness.store._uploads.buffered, 0)
        self.assertEqual(harness.contents(INDEX), {0: contents(size)})

    def test_all_uploads_together_hold_only_so_much(self) -> None:
        harness = self.make()
        self.patch_limit(10_000)
        writers = [self.begin(harness, 4000, number) for number in range(5)]
        for writer in writers:
            result_of(writer.write(0, contents(4000)))
            self.assertLessEqual(harness.store._uploads.buffered, 14_000)
        for writer in writers:
            result_of(writer.close())
        self.assertEqual(harness.contents(INDEX), {number: contents(4000) for number in range(5)})

    def patch_limit(self, limit: int) -> None:
        import storage_server.uploads as module

        self.patch(module, "BUFFER_LIMIT", limit)

    def test_a_buffer_that_its_owner_reuses_is_not_read_again(self) -> None:
        harness = self.make()
        writer = self.begin(harness, 8)
        buffer = bytearray(b"abcd")
        result_of(writer.write(0, memoryview(buffer)))
        buffer[:] = b"efgh"
        result_of(writer.write(4, buffer))
        buffer[:] = b"????"
        result_of(writer.close())
        self.assertEqual(harness.contents(INDEX), {0: b"abcdefgh"})

    def test_a_silent_client_is_given_up_and_its_room_given_back(self) -> None:
        harness = self.make()
        writer = self.begin(harness, 10)
        self.begin(harness, 2 * FLUSH_SIZE, 1)
        result_of(writer.write(0, b"1"))
        harness.clock.advance(INACTIVITY_SECONDS - 1)
        result_of(writer.write(1, b"2"))
        self.assertEqual(harness.store._uploads.allocated, 10 + 2 * FLUSH_SIZE)
        harness.clock.advance(1)
        self.assertEqual(harness.store._uploads.allocated, 10)
        harness.clock.advance(INACTIVITY_SECONDS - 2)
        self.assertEqual(harness.store._uploads.allocated, 10)
        harness.clock.advance(1)
        self.assertEqual(harness.store._uploads.allocated, 0)
        self.message_of(writer.write(2, b"3"), ServerError)
        self.begin(harness, 10)

    def test_finished_and_aborted_uploads_leave_no_timers(self) -> None:
        harness = self.make()
        writer = self.begin(harness, 1)
        result_of(writer.write(0, b"x"))
        result_of(writer.close())
        result_of(self.begin(harness, 1, 1).abort())
        result_of(harness.store._commits.stop())
        self.assertEqual(harness.clock.getDelayedCalls(), [])

    def test_a_stop_aborts_what_is_unfinished_and_the_store_takes_no_more(self) -> None:
        harness = self.make()
        writer = self.begin(harness, 2 * FLUSH_SIZE)
        result_of(writer.write(0, contents(FLUSH_SIZE)))
        result_of(harness.store.stop())
        self.assertEqual([path for path in harness.root.rglob("*") if path.is_file()], [])
        self.assertEqual(harness.clock.getDelayedCalls(), [])
        self.message_of(writer.write(0, b"x"), ServerError)
        self.message_of(harness.store.list_shares(INDEX), ServerError)

    def test_cancelling_one_who_waits_leaves_no_half_done_work(self) -> None:
        harness, workers = self.make(), SlowWorkers()
        harness.store = ShareStore(
            harness.root, disk=harness.disk, workers=workers, clock=harness.clock, node_id=NODE_ID, counters=Counters()
        )
        start = spawn(harness.store.start())
        workers.release()
        self.successResultOf(start)
        first = spawn(harness.store.add_lease(INDEX, secrets(1)))
        second = spawn(harness.store.list_shares(INDEX))
        first.addErrback(lambda _: None)
        first.cancel()
        self.assertNoResult(second)
        workers.release()
        self.assertEqual(self.successResultOf(second), {})

    def test_nobody_is_told_of_a_share_before_its_name_is_certain(self) -> None:
        harness, workers = self.make(), SlowWorkers()
        harness.store = ShareStore(
            harness.root, disk=harness.disk, workers=workers, clock=harness.clock, node_id=NODE_ID, counters=Counters()
        )
        start = spawn(harness.store.start())
        workers.release()
        self.successResultOf(start)
        allocation = spawn(harness.store.allocate_shares(INDEX, frozenset([0]), 100_000, secrets()))
        workers.release()
        writer = self.successResultOf(allocation).writers[0]
        self.successResultOf(spawn(writer.write(0, contents(100_000))))
        close = spawn(writer.close())
        workers.gates.pop(0).callback(None)
        self.assertTrue(harness.share_path(INDEX, 0).exists())
        (syncing,) = workers.gates
        workers.gates.clear()
        other = spawn(harness.store.allocate_shares(INDEX, frozenset([0]), 100_000, secrets(2)))
        workers.release()
        self.assertNoResult(other)
        syncing.callback(None)
        self.successResultOf(close)
        self.assertNoResult(other)
        workers.release()
        self.assertEqual(self.successResultOf(other).existing, {0})

    def test_more_uploads_than_a_server_can_keep_track_of_are_refused(self) -> None:
        import storage_server.uploads as module

        self.patch(module, "MAXIMUM_UPLOADS", 3)
        allocation = result_of(self.make().store.allocate_shares(INDEX, frozenset(range(5)), 0, secrets()))
        self.assertEqual(set(allocation.writers), {0, 1, 2})

    def test_a_share_in_too_many_pieces_is_refused(self) -> None:
        import storage_server.uploads as module

        self.patch(module, "MAXIMUM_FRAGMENTS", 3)
        writer = self.begin(self.make(), 100)
        for start in (0, 2, 4):
            result_of(writer.write(start, b"x"))
        self.message_of(writer.write(6, b"x"), ServerError)



class Journals(StoreCase):
    def test_a_checkpoint_comes_by_itself_and_leaves_nothing_behind(self) -> None:
        harness = self.make()
        result_of(harness.store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"x")])}, []))
        incoming = harness.root / "shares" / "incoming"
        self.assertEqual(len(list(incoming.iterdir())), 1)
        harness.clock.advance(60)
        self.assertEqual(list(incoming.iterdir()), [])
        self.assertEqual(harness.clock.getDelayedCalls(), [])

    def test_shares_that_are_closed_together_are_certain_by_one_sync(self) -> None:
        harness, workers = self.make(), SlowWorkers()
        harness.store = ShareStore(
            harness.root, disk=harness.disk, workers=workers, clock=harness.clock, node_id=NODE_ID, counters=Counters()
        )
        starting = spawn(harness.store.start())
        workers.release()
        self.successResultOf(starting)
        indexes = [storage_index(number) for number in range(20)]
        asking = [spawn(harness.store.allocate_shares(index, frozenset([0]), 3, secrets())) for index in indexes]
        workers.release()
        writers = [self.successResultOf(each).writers[0] for each in asking]
        closing = []
        for writer in writers:
            spawn(writer.write(0, b"abc"))
            closing.append(spawn(writer.close()))
        for expected_jobs in (1, 1, 0):
            self.assertEqual(len(workers.gates), expected_jobs)
            if workers.gates:
                workers.gates.pop(0).callback(None)
        for each in closing:
            self.successResultOf(each)

    def test_commits_go_on_while_an_old_journal_is_closed(self) -> None:
        harness, workers = self.make(), SlowWorkers()
        harness.store = ShareStore(
            harness.root, disk=harness.disk, workers=workers, clock=harness.clock, node_id=NODE_ID, counters=Counters()
        )
        store = harness.store
        starting = spawn(store.start())
        workers.release()
        self.successResultOf(starting)

        def write(data: bytes) -> Deferred[Any]:
            return spawn(store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, data)])}, []))

        first = write(b"one")
        workers.release()
        self.successResultOf(first)
        harness.clock.advance(CHECKPOINT_SECONDS)
        (closing,) = workers.gates
        workers.gates.clear()
        second = write(b"two")
        workers.release()
        self.successResultOf(second)
        stopping = spawn(store.stop())
        workers.release()
        self.assertNoResult(stopping)
        closing.callback(None)
        workers.release()
        self.successResultOf(stopping)
        incoming = harness.root / "shares" / "incoming"
        self.assertEqual(list(incoming.iterdir()), [])
        self.assertTrue(harness.share_path(INDEX, 0).read_bytes()[468:].startswith(b"two"))

    def test_a_share_may_be_uploaded_where_a_slot_was_deleted(self) -> None:
        harness = self.make()
        result_of(harness.store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"x" * 50)])}, []))
        result_of(harness.store.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [], new_length=0)}, []))
        harness.upload(INDEX, {0: b"immutable now"})
        harness = harness.restarted()
        self.assertEqual(harness.contents(INDEX), {0: b"immutable now"})
