"""Small files on servers that take whole shares: one round trip up and one down, and troubles end as they do on other servers."""
from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import LafsError, UnhappyUpload
from lafs.immutable.parameters import EncodingParameters
from lafs.immutable.server_speeds import HEDGE_DELAY
from lafs.immutable.whole_shares import PATIENCE_SECONDS, SMALL_SHARE
from tests.memory_grid import Grid, ms, random_bytes
from tests.simulation.liars import LIES, Liar

CONTENT = random_bytes(10_000)
ROUND_TRIP = ms(100)


def small_grid(servers: int = 10) -> Grid:
    return Grid(servers=servers, whole_shares=True)


class RoundTrips(SynchronousTestCase):
    """What it costs when all goes well."""

    def test_storing_takes_one_round_trip_and_one_call_to_each_server(self) -> None:
        upload = small_grid().store(CONTENT)
        self.assertEqual(upload.cost.round_trips, 1)
        self.assertEqual(upload.cost.requests, {"store_shares": 10})
        self.assertEqual((upload.result.pushed_shares, upload.result.existing_shares), (10, 0))

    def test_reading_takes_one_round_trip_and_few_calls(self) -> None:
        grid = small_grid()
        cap = grid.upload(CONTENT)
        grid.forget()
        download = grid.download(cap)
        self.assertEqual(download.content, CONTENT)
        self.assertEqual(download.cost.round_trips, 1)
        self.assertEqual(set(download.cost.requests), {"read_shares"})
        self.assertLessEqual(download.cost.requests["read_shares"], 8)

    def test_reading_again_asks_nobody(self) -> None:
        grid = small_grid()
        cap = grid.upload(CONTENT)
        grid.download(cap)
        self.assertEqual(grid.download(cap, 5000, 100).cost.round_trips, 0)

    def test_storing_again_stores_nothing(self) -> None:
        grid = small_grid()
        cap = grid.upload(CONTENT)
        again = grid.store(CONTENT)
        self.assertEqual((again.cap, again.result.pushed_shares, again.result.existing_shares), (cap, 0, 10))
        self.assertEqual(again.cost.round_trips, 1)
        self.assertEqual({number: len(held) for number, held in grid.shares_of(cap).items()}, dict.fromkeys(range(10), 1))

    def test_larger_files_go_the_long_way(self) -> None:
        grid = small_grid()
        content = random_bytes(3 * SMALL_SHARE + 3000)
        upload = grid.store(content)
        self.assertNotIn("store_shares", upload.cost.requests)
        self.assertEqual(grid.download(upload.cap).content, content)

    def test_every_size_up_to_there_comes_back(self) -> None:
        for size in (56, 57, 1000, 131_072, 3 * SMALL_SHARE - 3000):
            grid = small_grid()
            content = random_bytes(size)
            cap = grid.upload(content)
            grid.forget()
            self.assertEqual(grid.download(cap).content, content)


class OtherWays(SynchronousTestCase):
    """The caps and shares are the same whichever way a file went, and each way finds what went the other."""

    def test_shares_and_caps_are_the_same(self) -> None:
        short, long = small_grid(), Grid(servers=10)
        cap = short.upload(CONTENT)
        self.assertEqual(long.upload(CONTENT), cap)
        for number in range(10):
            self.assertEqual(short.share(cap, number), long.share(cap, number))

    def test_one_server_that_cannot_sends_all_the_long_way(self) -> None:
        grid = small_grid()
        grid.machines[3].whole_shares = False
        grid.reconnect(grid.machines[3:4])
        upload = grid.store(CONTENT)
        self.assertNotIn("store_shares", upload.cost.requests)
        grid.forget()
        self.assertEqual(grid.download(upload.cap).content, CONTENT)

    def test_segments_of_another_size_are_read_all_the_same(self) -> None:
        grid = Grid(servers=10, encoding=EncodingParameters(max_segment_size=500), whole_shares=True)
        cap = grid.upload(CONTENT)
        grid.encoding = EncodingParameters()
        grid.forget()
        self.assertEqual(grid.download(cap).content, CONTENT)


class Placement(SynchronousTestCase):
    """No share is stored twice because others came or went; none is lost because one server fails."""

    def test_a_grid_that_has_grown_gets_at_most_one_share_on_each_new_server(self) -> None:
        grid = small_grid(13)
        newcomers = grid.machines[:3]
        grid.kill(newcomers)
        cap = grid.upload(CONTENT)
        grid.restart(newcomers)
        again = grid.store(CONTENT)
        self.assertEqual(again.cap, cap)
        self.assertLessEqual(sum(len(held) for held in grid.shares_of(cap).values()), 13)

    def test_lost_shares_are_stored_again(self) -> None:
        grid = small_grid()
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, [1, 4, 5, 9])
        again = grid.store(CONTENT)
        self.assertEqual((again.result.pushed_shares, again.result.existing_shares), (4, 6))
        self.assertEqual(set(grid.shares_of(cap)), set(range(10)))

    def test_what_a_full_server_refuses_goes_to_the_next(self) -> None:
        grid = small_grid(12)
        grid.fill(grid.machines[:2])
        upload = grid.store(CONTENT)
        self.assertEqual(set(grid.shares_of(upload.cap)), set(range(10)))
        self.assertEqual(grid.leftovers(), [])

    def test_a_hung_server_costs_its_patience_and_its_share_finds_another_home(self) -> None:
        grid = small_grid(11)
        grid.hang(grid.machines[:1])
        upload = grid.store(CONTENT)
        self.assertLess(upload.elapsed, 4)
        self.assertEqual(set(grid.shares_of(upload.cap)), set(range(10)))
        again = grid.store(random_bytes(10_000, seed=2))
        self.assertLessEqual(again.elapsed, 4 * ROUND_TRIP)

    def test_too_few_servers_fail_the_upload_and_say_why(self) -> None:
        grid = small_grid(6)
        error = self.assertRaises(UnhappyUpload, grid.store, CONTENT)
        self.assertIn("6", str(error))
        self.assertEqual(grid.leftovers(), [])

    def test_a_connection_lost_at_any_message_costs_no_more_than_its_server(self) -> None:
        for number in range(20):
            grid = small_grid(11)
            grid.cut_at([number])
            upload = grid.store(CONTENT)
            self.assertEqual(grid.download(upload.cap).content, CONTENT)
            self.assertEqual(grid.leftovers(), [])

    def test_what_was_acknowledged_survives_a_power_cut_everywhere(self) -> None:
        grid = small_grid()
        cap = grid.upload(CONTENT)
        grid.lose_power(grid.machines)
        grid.restart(grid.machines)
        self.assertEqual(grid.download(cap).content, CONTENT)


class HungServers(SynchronousTestCase):
    """Three of ten that never answer cost one delay, however many they are."""

    def test_a_reader_loses_no_more_than_one_hedge_delay(self) -> None:
        grid = small_grid()
        cap = grid.upload(CONTENT)
        grid.forget()
        grid.hang(grid.holders_of(cap)[:3])
        download = grid.download(cap)
        self.assertEqual(download.content, CONTENT)
        self.assertLessEqual(download.elapsed, 3 * ROUND_TRIP + HEDGE_DELAY)

    def test_a_writer_waits_for_all_of_them_together(self) -> None:
        grid = small_grid()
        grid.hang(grid.machines[:3])
        upload = grid.store(CONTENT)
        self.assertLessEqual(upload.elapsed, PATIENCE_SECONDS + 0.5 + 5 * ROUND_TRIP)
        self.assertEqual(set(grid.shares_of(upload.cap)), set(range(10)))


class BadServers(SynchronousTestCase):
    """Nothing that servers say makes a wrong byte or an endless wait."""

    def test_seven_of_ten_may_lie_to_readers(self) -> None:
        for lie in LIES:
            grid = small_grid()
            cap = grid.upload(CONTENT)
            liars = grid.holders_of(cap)[:7]
            grid.disguise(liars, lambda store, lie=lie: Liar(store, Random(lie), [lie], always=True))  # type: ignore[misc]
            grid.forget()
            self.assertEqual(grid.download(cap).content, CONTENT, lie)

    def test_all_may_lie_to_writers_and_the_upload_ends(self) -> None:
        for lie in LIES:
            grid = small_grid()
            grid.disguise(grid.machines, lambda store, lie=lie: Liar(store, Random(lie), [lie]))  # type: ignore[misc]
            try:
                upload = grid.store(CONTENT)
            except LafsError:
                continue
            self.assertLessEqual(upload.result.sharemap.keys(), set(range(10)), lie)

    def test_damaged_shares_are_reported_and_replaced(self) -> None:
        grid = small_grid()
        cap = grid.upload(CONTENT)
        grid.corrupt(cap, lambda share: share[:200] + bytes([share[200] ^ 1]) + share[201:], [0, 1, 2])
        grid.forget()
        download = grid.download(cap)
        self.assertEqual(download.content, CONTENT)
        self.assertGreater(download.cost.requests["report_corruption"], 0)

    def test_shares_cut_at_any_place_are_replaced(self) -> None:
        for size in (0, 1, 11, 35, 36, 100, 3333, 3400):
            grid = small_grid()
            cap = grid.upload(CONTENT)
            grid.corrupt(cap, lambda share, size=size: share[:size], [0, 2, 4])  # type: ignore[misc]
            grid.forget()
            self.assertEqual(grid.download(cap).content, CONTENT)
