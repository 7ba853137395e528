"""Storing files on a whole grid: round trips, placement, and what may go wrong with servers on the way."""
from __future__ import annotations

import errno
from collections import Counter

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import NoServers, ServerError, SourceFailed, UnhappyUpload
from lafs.immutable.parameters import EncodingParameters
from lafs.immutable.share_allocation import ANSWER_SECONDS, PATIENCE_SECONDS
from lafs.interfaces import StorageServer
from lafs.sources import BytesSource
from lafs.tasks import gather, spawn
from tests.memory_grid import Grid, ms, random_bytes
from tests.simulation.disk import Operation
from tests.simulation.machines import Machine

CONTENT = random_bytes(10_000, seed=1)
SEVERAL_SEGMENTS = random_bytes(5_000, seed=2)
SMALL_SEGMENTS = EncodingParameters(needed=3, happy=7, total=10, max_segment_size=1_000)
THREE_OF_FOUR = EncodingParameters(needed=3, happy=4, total=4, max_segment_size=1_000)


class RoundTrips(SynchronousTestCase):
    """What a put costs is counted in round trips, and the count is exact."""

    def test_a_small_file_is_stored_in_two(self) -> None:
        upload = Grid().store(CONTENT)
        self.assertEqual(upload.cost.round_trips, 2)
        self.assertEqual(upload.cost.requests, Counter(allocate_shares=10, write=10, close=10))

    def test_a_large_file_waits_for_no_more_of_them(self) -> None:
        self.assertEqual(Grid().store(random_bytes(3_000_000)).cost.round_trips, 2)

    def test_a_literal_file_needs_none(self) -> None:
        upload = Grid().store(b"up to 55 bytes")
        self.assertEqual((upload.cost.round_trips, upload.cost.requests.total()), (0, 0))

    def test_a_file_that_is_there_costs_one_and_pushes_nothing(self) -> None:
        grid = Grid()
        first = grid.store(CONTENT)
        second = grid.store(CONTENT)
        self.assertEqual(second.cost.round_trips, 1)
        self.assertEqual(second.cost.requests, Counter(allocate_shares=10))
        self.assertEqual((second.cap, second.result.sharemap), (first.cap, first.result.sharemap))
        self.assertEqual((second.result.pushed_shares, second.result.existing_shares), (0, 10))

    def test_three_hung_servers_of_ten_cost_one_delay(self) -> None:
        grid = Grid()
        grid.hang(grid.machines[:3])
        self.assertLessEqual(grid.store(CONTENT).elapsed, PATIENCE_SECONDS + 3 * ms(100))
        self.assertEqual(grid.leftovers(), [])

    def test_hung_servers_are_remembered_and_cost_nothing_the_next_time(self) -> None:
        grid = Grid()
        grid.hang(grid.machines[:3])
        grid.upload(CONTENT)
        self.assertLessEqual(grid.store(random_bytes(10_000, seed=3)).cost.round_trips, 3)


class Placement(SynchronousTestCase):
    """Shares are spread, in permuted order, the same way every time."""

    def test_every_share_has_a_server_of_its_own(self) -> None:
        grid = Grid(servers=12)
        cap = grid.upload(CONTENT)
        self.assertEqual([len(machines) for machines in grid.shares_of(cap).values()], [1] * 10)
        self.assertEqual(len(grid.holders_of(cap)), 10)

    def test_the_first_servers_in_permuted_order_are_chosen_in_every_run(self) -> None:
        runs = []
        for _ in range(2):
            grid = Grid(servers=15)
            runs.append([machine.name for machine in grid.holders_of(grid.upload(CONTENT))])
        self.assertEqual(runs[0], runs[1])

    def test_few_servers_take_several_shares_each(self) -> None:
        grid = Grid(servers=3, encoding=EncodingParameters(needed=3, happy=3, total=10))
        cap = grid.upload(CONTENT)
        load = Counter(machine.name for machines in grid.shares_of(cap).values() for machine in machines)
        self.assertEqual(sorted(load.values()), [3, 3, 4])

    def test_shares_that_were_lost_are_sent_again_and_no_others(self) -> None:
        grid = Grid(servers=12)
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, [1, 4, 5, 9])
        upload = grid.store(CONTENT)
        self.assertEqual(upload.result.pushed_shares, 4)
        self.assertEqual([len(machines) for machines in grid.shares_of(cap).values()], [1] * 10)

    def test_shares_crowded_on_few_servers_are_not_all_sent_again(self) -> None:
        crowded = Grid(servers=10, encoding=EncodingParameters(needed=3, happy=1, total=10))
        for machine in crowded.machines[1:]:
            crowded.kill([machine])
        crowded.upload(CONTENT)
        crowded.restart(crowded.machines[1:])
        upload = crowded.store(CONTENT)
        self.assertEqual(upload.result.existing_shares, 10)
        self.assertLessEqual(upload.result.pushed_shares, 9)

    def test_shares_on_readonly_servers_are_found_and_count(self) -> None:
        grid = Grid(servers=10)
        cap = grid.upload(CONTENT)
        grid.make_readonly(grid.machines[:5])
        upload = grid.store(CONTENT)
        self.assertEqual((upload.cap, upload.result.pushed_shares, len(upload.result.sharemap)), (cap, 0, 10))


class OneFileTwice(SynchronousTestCase):
    """Uploads of one file at the same time do not stand in each other's way."""

    def test_all_of_them_succeed_and_every_share_is_sent_once(self) -> None:
        for content in (CONTENT, random_bytes(3_000_000)):
            grid = Grid()
            results = grid.run(gather(grid.client.upload(BytesSource(content)) for _ in range(3)))
            self.assertEqual([result.pushed_shares for result in results], [10, 0, 0])
            self.assertEqual(len({result.cap.text for result in results}), 1)
            self.assertEqual([len(machines) for machines in grid.shares_of(results[0].cap).values()], [1] * 10)

    def test_the_end_of_one_is_not_the_end_of_the_other(self) -> None:
        for leaving in (0, 1):
            grid = Grid()
            uploads = [spawn(grid.client.upload(BytesSource(CONTENT))) for _ in range(2)]
            grid.time.pass_time(ms(120))
            uploads[leaving].cancel()
            self.failureResultOf(uploads[leaving], CancelledError)
            self.assertEqual(grid.run(uploads[1 - leaving]).cap, grid.upload(CONTENT))
            self.assertEqual(grid.leftovers(), [])


class FullServers(SynchronousTestCase):
    """A share that one server refuses is offered to the next at once."""

    def test_servers_that_filled_up_since_they_were_asked_cost_one_more_round_trip(self) -> None:
        twin = Grid(servers=14)
        chosen_first = names(twin.holders_of(twin.upload(CONTENT)))
        grid = Grid(servers=14)
        grid.fill(machine for machine in grid.machines if machine.name in chosen_first[:4])
        upload = grid.store(CONTENT)
        self.assertEqual(upload.cost.round_trips, 3)
        self.assertEqual(sorted(grid.shares_of(upload.cap)), list(range(10)))
        self.assertEqual(len(grid.holders_of(upload.cap)), 10)
        self.assertFalse(set(names(grid.holders_of(upload.cap))) & set(chosen_first[:4]))

    def test_readonly_servers_are_passed_over(self) -> None:
        grid = Grid(servers=12)
        grid.make_readonly(grid.machines[:2])
        upload = grid.store(CONTENT)
        self.assertEqual(upload.cost.round_trips, 2)
        self.assertEqual(len(grid.holders_of(upload.cap)), 10)

    def test_shares_double_up_when_no_spare_server_is_left(self) -> None:
        grid = Grid(servers=10)
        grid.fill(grid.machines[:3])
        upload = grid.store(CONTENT)
        self.assertEqual(sorted(grid.shares_of(upload.cap)), list(range(10)))
        self.assertEqual(len(grid.holders_of(upload.cap)), 7)

    def test_a_disk_that_fills_up_in_mid_upload_costs_its_share_only(self) -> None:
        grid = Grid(servers=10)
        content = random_bytes(200_000, seed=4)
        for machine in grid.machines[:3]:
            machine.disk.faults = _full_once_written_to
        upload = grid.store(content)
        self.assertEqual(grid.download(upload.cap).content, content)
        self.assertEqual(len(upload.result.sharemap), 7)


def _full_once_written_to(operation: Operation) -> OSError | None:
    return OSError(errno.ENOSPC, "no space left") if operation.verb == "write" else None


class Unhappy(SynchronousTestCase):
    """An upload that cannot be spread as wanted fails, says who did what, and leaves nothing behind."""

    def failure(self, grid: Grid) -> str:
        with self.assertRaises(UnhappyUpload) as raised:
            grid.store(CONTENT)
        self.assertEqual(grid.leftovers(), [])
        self.assertEqual([machine.name for machine in grid.machines if machine.unfinished()], [])
        return str(raised.exception)

    def test_too_few_servers(self) -> None:
        message = self.failure(Grid(servers=6))
        self.assertIn("shares could be placed on only 6 server(s)", message)
        self.assertIn("at least 7 such servers", message)

    def test_hardly_any_server(self) -> None:
        self.assertIn("shares could be placed or found on only 2 server(s)", self.failure(Grid(servers=2)))

    def test_servers_that_refused_are_named(self) -> None:
        grid = Grid(servers=10)
        grid.fill(grid.machines[:4])
        message = self.failure(grid)
        for machine in grid.machines:
            self.assertIn(machine.name, message)
        self.assertEqual(message.count("refused"), 4)

    def test_servers_that_hang_are_named_and_waited_for_only_so_long(self) -> None:
        grid = Grid(servers=10)
        grid.hang(grid.machines[:4])
        before = grid.time.seconds()
        message = self.failure(grid)
        self.assertLessEqual(grid.time.seconds() - before, ANSWER_SECONDS + 2)
        for machine in grid.machines[:4]:
            self.assertIn(machine.name, message)

    def test_a_server_that_hangs_after_it_promised_room_is_not_waited_for(self) -> None:
        grid = Grid(servers=10)
        grid.fill(grid.machines[:4])
        grid.time.callLater(ms(150), lambda: grid.hang(grid.machines[4:5]))
        before = grid.time.seconds()
        with self.assertRaises(UnhappyUpload):
            grid.upload(CONTENT)
        self.assertLessEqual(grid.time.seconds() - before, PATIENCE_SECONDS)

    def test_a_server_that_fails_is_named(self) -> None:
        grid = Grid(servers=7)
        grid.disguise(grid.machines[:1], lambda store: _Failing(store))
        self.assertIn(grid.machines[0].name, self.failure(grid))

    def test_no_server_at_all(self) -> None:
        grid = Grid(servers=1)
        grid.kill(grid.machines)
        with self.assertRaises(NoServers):
            grid.upload(CONTENT)

    def test_happiness_below_needed_does_not_pass_for_success(self) -> None:
        grid = Grid(servers=4, encoding=EncodingParameters(needed=3, happy=1, total=4))
        grid.fill(grid.machines)
        self.failure(grid)


class _Failing:
    """A store that fails every allocation."""

    def __init__(self, store: StorageServer) -> None:
        self.version = store.version
        self.list_shares = store.list_shares

    async def allocate_shares(self, *_: object) -> None:
        raise ServerError("out of order")


class LostServers(SynchronousTestCase):
    """Whatever message of an upload is the last that arrives, the upload succeeds on the others or fails cleanly."""

    def messages(self) -> int:
        grid = Grid(servers=5, encoding=THREE_OF_FOUR)
        seen = grid.record_messages()
        grid.store(SEVERAL_SEGMENTS)
        return len(seen)

    def test_a_cut_at_any_message_with_a_spare_server(self) -> None:
        """Before anything is sent the spare server takes over; afterwards three of four happy servers are too few."""
        outcomes = Counter[str]()
        for number in range(self.messages()):
            grid = Grid(servers=5, encoding=THREE_OF_FOUR)
            grid.cut_at([number])
            try:
                cap = grid.upload(SEVERAL_SEGMENTS)
            except UnhappyUpload as unhappy:
                cut = [machine for machine in grid.machines if machine.server is None]
                self.assertIn(cut[0].name, str(unhappy))
                outcomes["unhappy"] += 1
            else:
                self.assertEqual(grid.download(cap).content, SEVERAL_SEGMENTS)
                outcomes["stored"] += 1
            self.assertEqual(grid.leftovers(), [], f"cut at message {number}")
        self.assertGreater(outcomes["stored"], 0)
        self.assertGreater(outcomes["unhappy"], 0)

    def test_a_cut_at_any_message_when_one_server_less_is_happiness_enough(self) -> None:
        for number in range(self.messages()):
            grid = Grid(servers=5, encoding=EncodingParameters(needed=2, happy=3, total=4, max_segment_size=1_000))
            grid.cut_at([number])
            cap = grid.upload(SEVERAL_SEGMENTS)
            self.assertEqual(grid.download(cap).content, SEVERAL_SEGMENTS, f"cut at message {number}")
            self.assertEqual(grid.leftovers(), [], f"cut at message {number}")

    def test_what_is_acknowledged_survives_loss_of_power_of_every_server_right_then(self) -> None:
        for seed in range(20):
            grid = Grid(servers=4, encoding=THREE_OF_FOUR, seed=seed)
            cap = grid.upload(SEVERAL_SEGMENTS)
            grid.lose_power(grid.machines)
            grid.restart(grid.machines)
            self.assertEqual(len(grid.shares_of(cap)), 4)
            self.assertEqual(grid.download(cap).content, SEVERAL_SEGMENTS)

    def test_power_lost_at_any_change_of_a_disk_costs_that_share_only(self) -> None:
        encoding = EncodingParameters(needed=2, happy=2, total=3, max_segment_size=1_000)
        for change in range(100):
            grid = Grid(servers=3, encoding=encoding, seed=change)
            victim = grid.machines[0]
            victim.disk.cut_power_at = victim.disk.changes + change
            upload = grid.store(SEVERAL_SEGMENTS)
            crashed = not victim.disk.powered
            acknowledged = sorted(
                number for number, holders in upload.result.sharemap.items() if victim.identity.server_id in holders
            )
            self.assertTrue(crashed or acknowledged)
            grid.lose_power([victim])
            grid.restart([victim])
            held = victim.share_paths(upload.cap.storage_index)  # type: ignore[arg-type]
            self.assertLessEqual(set(acknowledged), set(held), f"power lost at change {change}")
            self.assertEqual(victim.unfinished(), [])
            grid.kill(grid.machines[1:2])
            if held:
                self.assertEqual(grid.download(upload.cap).content, SEVERAL_SEGMENTS)
            if not crashed:
                return
        self.fail("an upload makes fewer changes than this")

    def test_a_server_that_hangs_in_mid_upload_costs_its_own_time_only(self) -> None:
        grid = Grid(servers=10, bytes_per_second=100_000)
        uploading = spawn(grid.client.upload(BytesSource(random_bytes(3_000_000, seed=5))))
        grid.time.pass_time(1)
        grid.hang(grid.machines[:2])
        result = grid.run(uploading)
        self.assertEqual(len(result.sharemap), 8)
        grid.thaw(grid.machines[:2])
        self.assertEqual(grid.leftovers(), [])

    def test_servers_that_all_hang_in_mid_upload_end_it(self) -> None:
        grid = Grid(servers=10, bytes_per_second=100_000)
        uploading = spawn(grid.client.upload(BytesSource(random_bytes(3_000_000, seed=5))))
        grid.time.pass_time(1)
        grid.hang(grid.machines)
        before = grid.time.seconds()
        with self.assertRaises(UnhappyUpload):
            grid.run(uploading)
        self.assertLessEqual(grid.time.seconds() - before, 300)


class GivenUp(SynchronousTestCase):
    """An upload that is cancelled, or whose source fails, leaves nothing on any server."""

    def test_cancelled_at_any_moment(self) -> None:
        finished = False
        for step in range(45):
            grid = Grid(servers=10, encoding=SMALL_SEGMENTS)
            uploading = spawn(grid.client.upload(BytesSource(SEVERAL_SEGMENTS)))
            grid.time.pass_time(step * ms(5))
            finished = uploading.called
            uploading.cancel()
            if not finished:
                self.failureResultOf(uploading, CancelledError)
                self.assertEqual(grid.leftovers(), [], f"cancelled after {step * 5} ms")
        self.assertTrue(finished, "the last one was finished before it was cancelled")

    def test_a_source_that_fails_in_mid_upload(self) -> None:
        grid = Grid(servers=10, encoding=SMALL_SEGMENTS)
        with self.assertRaises(SourceFailed):
            grid.run(grid.client.upload(_Faltering(SEVERAL_SEGMENTS)))
        self.assertEqual(grid.leftovers(), [])
        self.assertEqual([each.disk.files() for each in grid.machines if each.unfinished()], [])


class _Faltering(BytesSource):
    """Reads well the first time, for the key, and fails in the middle of the second."""

    passes = 0

    async def rewind(self) -> None:
        self.passes += 1
        await super().rewind()

    async def read(self, size: int) -> bytes:
        if self.passes and self._position >= 3_000:
            raise SourceFailed("the file went away")
        return await super().read(min(size, 1_000) if self.passes else size)


def names(machines: list[Machine]) -> list[str]:
    return [machine.name for machine in machines]
