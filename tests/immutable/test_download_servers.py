"""What servers do to a download: nothing, as long as enough of them do their part. Round trips counted on a virtual
clock.
"""
from __future__ import annotations

from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import NoShares, NotEnoughShares
from lafs.immutable.server_speeds import HEDGE_DELAY, SUSPICION
from lafs.immutable.share_fetch import READ_TIMEOUT
from lafs.immutable.share_search import FIND_TIMEOUT
from tests.immutable.fake_servers import CollectingSink, DownloadWorld, coded, some_bytes

ROUND_TRIP = 0.1
TEN_KB = coded(some_bytes(10_000))
THREE_MB = coded(some_bytes(3_000_000))
OLD = coded(some_bytes(3_000_000), max_segment_size=131_072)
EVEN_OLDER = coded(some_bytes(600_000), max_segment_size=131_072)
PRECISION = 1e-6


class RoundTrips(SynchronousTestCase):
    """Nothing waits for an answer that it does not need."""

    def assert_round_trips(self, elapsed: float, count: int) -> None:
        self.assertAlmostEqual(elapsed / ROUND_TRIP, count, delta=PRECISION)

    def test_a_small_file_takes_one_to_find_and_one_to_read(self) -> None:
        world = DownloadWorld(TEN_KB)
        self.assert_round_trips(world.timed(), 2)
        self.assertEqual(len(world.reads), 3)
        self.assertEqual(world.lists, 8)

    def test_a_range_of_a_file_just_read_takes_one(self) -> None:
        for file in (TEN_KB, THREE_MB, OLD):
            world = DownloadWorld(file)
            world.timed()
            world.forget_calls()
            self.assert_round_trips(world.timed(4_000, 4_096), 1)
            self.assertEqual((len(world.reads), world.lists), (3, 0))

    def test_a_range_across_a_segment_boundary_takes_no_more(self) -> None:
        edge = THREE_MB.segmentation.segment_size
        world = DownloadWorld(THREE_MB)
        self.assert_round_trips(world.timed(edge - 2_000, 4_096), 2)
        self.assert_round_trips(world.timed(edge - 2_000, 4_096), 1)

    def test_a_range_far_inside_a_file_takes_two(self) -> None:
        self.assert_round_trips(DownloadWorld(THREE_MB).timed(2_500_000, 4_096), 2)

    def test_a_file_of_few_segments_takes_two(self) -> None:
        self.assert_round_trips(DownloadWorld(THREE_MB).timed(), 2)

    def test_a_file_with_the_older_segment_size_takes_one_more(self) -> None:
        self.assertLessEqual(DownloadWorld(EVEN_OLDER).timed(500_000, 4_096) / ROUND_TRIP, 3 + PRECISION)
        self.assertLessEqual(DownloadWorld(OLD).timed() / ROUND_TRIP, 3 + PRECISION)

    def test_every_layout_version_and_shape_takes_two(self) -> None:
        for needed, total in ((1, 1), (1, 4), (2, 3), (7, 10), (20, 25)):
            world = DownloadWorld(coded(some_bytes(10_000), needed, total), servers=total)
            self.assert_round_trips(world.timed(), 2)
            self.assertEqual(len(world.reads), needed)

    def test_many_segments_are_read_at_the_speed_of_the_line(self) -> None:
        file = coded(some_bytes(6_000_000), max_segment_size=30_000)
        world = DownloadWorld(file)
        self.assertEqual(file.segmentation.count, 200)
        self.assertLessEqual(world.timed() / ROUND_TRIP, 5 + PRECISION)
        self.assertLess(len(world.reads), 60)

    def test_no_more_shares_are_read_than_needed(self) -> None:
        file = coded(some_bytes(6_000_000), max_segment_size=131_072)
        world = DownloadWorld(file)
        world.timed()
        read = sum(length for _, _, length in world.reads)
        self.assertLess(read, 1.5 * len(file.content))
        self.assertLessEqual(len({number for number, _, _ in world.reads}), 3)

    def test_primary_shares_are_preferred_since_they_need_no_decoding(self) -> None:
        file = coded(some_bytes(16_000_000))
        world = DownloadWorld(file)
        world.grid.present.insert(0, world.grid.present.pop(8))
        world.timed()
        secondary = sum(length for number, _, length in world.reads if number >= 3)
        self.assertLess(secondary, len(file.content) / 3 / 4)


class HungServers(SynchronousTestCase):
    """A server that never answers costs its own hedge delay and nothing else."""

    def test_servers_that_hang_altogether_cost_nothing_while_others_have_enough(self) -> None:
        for hung in ((0, 1, 2), (0, 4, 7), (5, 6, 7), (7, 8, 9)):
            world = DownloadWorld(TEN_KB)
            for number in hung:
                world.servers[number].hung = True
            self.assertAlmostEqual(world.timed(), 2 * ROUND_TRIP)
            world.assert_quiet()

    def test_any_three_that_hang_in_reads_cost_one_hedge_delay(self) -> None:
        for hung in combinations(range(8), 3):
            world = DownloadWorld(TEN_KB)
            for number in hung:
                world.servers[number].hung_reads = True
            self.assertLessEqual(world.timed(), 2 * ROUND_TRIP + HEDGE_DELAY + ROUND_TRIP + 0.02, hung)
            world.assert_quiet()

    def test_a_server_that_hung_is_left_alone_by_later_reads(self) -> None:
        world = DownloadWorld(TEN_KB)
        world.servers[0].hung_reads = True
        world.timed()
        self.assertAlmostEqual(world.timed(), ROUND_TRIP)
        world.deal(coded(some_bytes(20_000, "another")))
        self.assertAlmostEqual(world.timed(), 2 * ROUND_TRIP)
        self.assertEqual(len(world.servers[0].reads), 1)

    def test_a_server_that_recovers_is_used_again(self) -> None:
        world = DownloadWorld(TEN_KB)
        world.servers[0].hung_reads = True
        world.timed()
        world.servers[0].hung_reads = False
        world.clock.advance(SUSPICION + 1)
        world.forget_calls()
        world.deal(coded(some_bytes(20_000, "another")))
        world.timed()
        self.assertEqual(len(world.servers[0].reads), 1)

    def test_one_hedge_delay_covers_all_runs_of_a_large_file(self) -> None:
        file = coded(some_bytes(3_000_000), max_segment_size=60_000)
        quick = DownloadWorld(file).timed()
        world = DownloadWorld(file)
        world.servers[1].hung_reads = True
        self.assertLessEqual(world.timed(), quick + HEDGE_DELAY + 2 * ROUND_TRIP)

    def test_a_server_that_hangs_in_the_middle_costs_one_hedge_delay(self) -> None:
        file = coded(some_bytes(3_000_000), max_segment_size=60_000)
        quick = DownloadWorld(file).timed()
        world = DownloadWorld(file)
        world.clock.callLater(2.5 * ROUND_TRIP, setattr, world.servers[1], "hung_reads", True)
        self.assertLessEqual(world.timed(), quick + HEDGE_DELAY + 2 * ROUND_TRIP)

    def test_hung_servers_in_front_of_the_others_cost_one_hedge_delay(self) -> None:
        world = DownloadWorld(TEN_KB, servers=10)
        for server in world.servers[:7]:
            server.hung = True
        self.assertLessEqual(world.timed(), HEDGE_DELAY + 2 * ROUND_TRIP + PRECISION)

    def test_nothing_waits_for_ever(self) -> None:
        world = DownloadWorld(TEN_KB)
        for server in world.servers:
            server.hung = True
        error, elapsed = self.failure(world)
        self.assertLess(elapsed, 2 * FIND_TIMEOUT)
        self.assertIn("no shares (need 3). Last failure: None", str(error))
        self.assertIn("no answer from srv00000", str(error))
        world.assert_quiet()

    def test_reads_are_given_up_in_the_end(self) -> None:
        world = DownloadWorld(TEN_KB)
        for server in world.servers:
            server.hung_reads = True
        error, elapsed = self.failure(world)
        self.assertLess(elapsed, 3 * READ_TIMEOUT)
        self.assertIn("no shares (need 3). Last failure: no answer within", str(error))
        world.assert_quiet()

    def test_a_slow_line_is_not_taken_for_hung_servers(self) -> None:
        world = DownloadWorld(THREE_MB)
        for server in world.servers:
            server.bytes_per_second = 200_000.0
        world.timed()
        read = sum(length for _, _, length in world.reads)
        self.assertLess(read, 1.2 * len(THREE_MB.content))

    def test_a_very_slow_line_is_burdened_less_and_less_often(self) -> None:
        file = coded(some_bytes(1_000_000), needed=1, total=10)
        world = DownloadWorld(file)
        for server in world.servers:
            server.bytes_per_second = 100_000.0
        world.timed()
        self.assertLessEqual(len(world.reads), 3)

    def failure(self, world: DownloadWorld) -> tuple[Exception, float]:
        started = world.clock.seconds()
        error = self.assertRaises(NotEnoughShares, world.read)
        return error, world.clock.seconds() - started


class SlowServers(SynchronousTestCase):
    """Fast servers are preferred, once it is known which they are."""

    def test_a_far_away_server_is_not_waited_for(self) -> None:
        world = DownloadWorld(TEN_KB)
        world.servers[0].latency = 3.0
        self.assertAlmostEqual(world.timed(), 2 * ROUND_TRIP)

    def test_a_server_that_trickles_is_left_for_a_faster_one(self) -> None:
        file = coded(some_bytes(20_000_000), max_segment_size=131_072)
        world = DownloadWorld(file)
        for server in world.servers:
            server.bytes_per_second = 10_000_000.0
        world.servers[1].bytes_per_second = 300_000.0
        world.timed()
        trickled = sum(length for _, _, length in world.servers[1].reads)
        self.assertLess(trickled, len(file.content) / 3 / 2)


class FailingServers(SynchronousTestCase):
    """A server that fails is replaced at once."""

    def test_a_failing_read_costs_one_round_trip(self) -> None:
        world = DownloadWorld(TEN_KB)
        for server in world.servers[:3]:
            server.broken_reads = True
        self.assertAlmostEqual(world.timed(), 3 * ROUND_TRIP)

    def test_any_loss_down_to_what_is_needed_is_survived(self) -> None:
        for left in ((0, 1, 2), (7, 8, 9), (0, 5, 9), (2, 3, 7)):
            world = DownloadWorld(TEN_KB)
            for number, server in enumerate(world.servers):
                server.broken = number not in left
            world.timed()

    def test_losing_servers_in_the_middle_is_survived(self) -> None:
        file = coded(some_bytes(3_000_000), max_segment_size=60_000)
        world = DownloadWorld(file)
        for step, server in enumerate(world.servers[:7]):
            world.clock.callLater((2.2 + step / 4) * ROUND_TRIP, setattr, server, "broken", True)
        world.timed()
        world.clock.advance(10)
        world.assert_quiet()

    def test_one_loss_too_many_says_what_is_there_and_what_is_needed(self) -> None:
        world = DownloadWorld(TEN_KB)
        for server in world.servers[1:]:
            server.shares.clear()
        world.servers[5].broken = True
        error = self.assertRaises(NotEnoughShares, world.read)
        self.assertIn("ran out of shares: complete=sh0 pending= overdue= unused= need 3. Last failure: None", str(error))
        self.assertIn("Asked 10 servers; found share 0 on srv00000; no answer from srv00005", str(error))
        self.assertIn("Any 3 different shares of the 10", str(error))
        self.assertNotIn(TEN_KB.cap.text, str(error))
        world.assert_quiet()

    def test_a_reader_that_raises_anything_at_all_costs_the_share_only(self) -> None:
        def fail(offset: int, length: int, answer: bytes) -> bytes:
            raise KeyError("a bug")

        world = DownloadWorld(TEN_KB)
        world.servers[0].lie = fail
        world.timed()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_question_that_is_cancelled_by_somebody_else_is_no_reason_to_wait(self) -> None:
        world = DownloadWorld(TEN_KB, servers=4)
        for server in world.servers[1:]:
            server.shares.clear()
        world.servers[0].hung = True
        work = world.start(CollectingSink())
        world.clock.advance(0.1)
        world.servers[0].cancel_all()
        self.assertRaises(NoShares, world.finish, work, 0.0)
        world.assert_quiet()

    def test_a_message_names_some_servers_and_counts_the_rest(self) -> None:
        world = DownloadWorld(TEN_KB, servers=30)
        for server in world.servers:
            server.broken = True
        error = self.assertRaises(NoShares, world.read)
        self.assertIn("Asked 30 servers", str(error))
        self.assertIn("srv00009 and 20 more", str(error))

    def test_no_share_at_all_says_so(self) -> None:
        world = DownloadWorld(TEN_KB)
        for server in world.servers:
            server.shares.clear()
        error = self.assertRaises(NoShares, world.read)
        self.assertIn("no shares (need 3). Last failure: None. Asked 10 servers; found no share.", str(error))

    def test_no_server_at_all_says_so(self) -> None:
        world = DownloadWorld(TEN_KB)
        world.grid.present.clear()
        error = self.assertRaises(NoShares, world.read)
        self.assertIn("No storage server is connected", str(error))


class FindingShares(SynchronousTestCase):
    """Shares are found wherever they are."""

    def test_in_a_large_grid_few_servers_are_asked(self) -> None:
        world = DownloadWorld(TEN_KB, servers=200)
        world.timed()
        self.assertEqual(world.lists, 8)

    def test_shares_at_the_far_end_of_the_ring_are_found_in_growing_waves(self) -> None:
        world = DownloadWorld(TEN_KB, servers=100)
        for number in range(10):
            world.servers[number].shares, world.servers[90 + number].shares = {}, world.servers[number].shares
        self.assertLessEqual(world.timed(), 6 * ROUND_TRIP + PRECISION)

    def test_one_server_with_everything_is_enough(self) -> None:
        world = DownloadWorld(TEN_KB, servers=1)
        self.assertAlmostEqual(world.timed(), 2 * ROUND_TRIP)

    def test_copies_of_a_share_stand_in_for_it(self) -> None:
        file = coded(some_bytes(10_000), needed=2, total=2)
        world = DownloadWorld(file, servers=6)
        for server in world.servers:
            server.shares = dict(file.shares)
        for server in world.servers[:4]:
            server.broken_reads = True
        world.timed()

    def test_the_same_share_everywhere_is_still_one_share(self) -> None:
        world = DownloadWorld(TEN_KB)
        for server in world.servers:
            server.shares = {4: TEN_KB.shares[4]}
        error = self.assertRaises(NotEnoughShares, world.read)
        self.assertIn("complete=sh4 ", str(error))

    def test_shares_that_moved_are_found_again(self) -> None:
        world = DownloadWorld(TEN_KB, servers=20)
        world.timed()
        for number in range(10):
            world.servers[number].shares, world.servers[10 + number].shares = {}, world.servers[number].shares
        world.timed()

    def test_a_server_that_came_back_is_found_again(self) -> None:
        world = DownloadWorld(TEN_KB)
        before = list(world.grid.present)
        world.timed()
        world.grid.present[:] = before[7:]
        for server in world.servers[:7]:
            server.broken = True
        world.timed()
        world.grid.present[:] = before[:7]
        for server in world.servers:
            server.broken = False
        world.timed()

    def test_a_file_that_was_not_there_is_found_when_it_is(self) -> None:
        world = DownloadWorld(TEN_KB)
        for server in world.servers:
            server.broken = True
        self.assertRaises(NoShares, world.read)
        for server in world.servers:
            server.broken = False
        world.timed()

    def test_servers_that_left_are_not_asked(self) -> None:
        world = DownloadWorld(TEN_KB)
        world.timed()
        world.forget_calls()
        del world.grid.present[:3]
        sink = CollectingSink()
        world.finish(world.start(sink))
        self.assertEqual(sink.content, TEN_KB.content)
        self.assertEqual(sum(len(server.reads) for server in world.servers[:3]), 0)
