"""Checks and repairs on a whole grid: counts, placement, damaged shares, hung and lying servers, leases."""
from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import Cap, DirectoryCap, ImmutableReadCap, LiteralCap, MutableWriteCap, UnknownCap
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadCapability, ServerError
from lafs.health import CheckResults, RepairResults
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import ShareReader, StorageServer
from lafs.tasks import gather, spawn
from tests.memory_grid import Grid, index_of, ms, random_bytes
from tests.simulation.liars import LIES, Liar

CONTENT = random_bytes(10_000, seed=3)
SMALL_SEGMENTS = EncodingParameters(needed=3, happy=7, total=10, max_segment_size=3_000)
THREE_OF_FIVE = EncodingParameters(needed=3, happy=5, total=5, max_segment_size=3_000)
SMALL_SEGMENTS_ANYWHERE = EncodingParameters(needed=3, happy=3, total=10, max_segment_size=3_000)


def check(grid: Grid, cap: Cap, verify: bool = False, add_lease: bool = False) -> CheckResults:
    found = grid.run(grid.client.check(cap, verify, add_lease))
    assert found is not None
    return found


def repair(grid: Grid, cap: Cap, verify: bool = False) -> RepairResults:
    done = grid.run(grid.client.check_and_repair(cap, verify))
    assert done is not None
    return done


def flipped_block(share: bytes) -> bytes:
    return share[:100] + bytes([share[100] ^ 1]) + share[101:]


class Claims:
    """A server that says it has shares which cannot be, and is otherwise honest. Implements `StorageServer`."""

    def __init__(self, honest: StorageServer, numbers: tuple[object, ...]) -> None:
        self._honest = honest
        self._numbers = numbers

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._honest, verb)

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
        readers = dict(await self._honest.list_shares(storage_index))
        return {**readers, **dict.fromkeys(self._numbers, next(iter(readers.values()), None))}  # type: ignore[dict-item]


class Checking(SynchronousTestCase):
    """A check asks everyone, believes nobody about anybody else, and counts what there is."""

    def test_a_fresh_file_is_healthy_in_one_round_trip(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        before = grid.time.seconds()
        found = check(grid, cap)
        self.assertAlmostEqual(grid.time.seconds() - before, ms(100))
        self.assertEqual((found.healthy, found.summary), (True, "Healthy"))
        self.assertEqual((found.good_shares, found.needed, found.total, found.good_hosts, found.happiness), (10, 3, 10, 10, 10))
        self.assertEqual((found.recoverable_versions, found.unrecoverable_versions, len(found.servers_responding)), (1, 0, 10))
        self.assertEqual(sorted(found.sharemap), sorted(map(str, range(10))))
        self.assertEqual(found.storage_index, index_of(cap).text)
        self.assertEqual(grid.leftovers(), [])

    def test_missing_shares_are_counted(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, range(6))
        found = check(grid, cap)
        self.assertEqual((found.healthy, found.recoverable, found.summary), (False, True, "Not Healthy: 4 shares (enc 3-of-10)"))
        grid.lose_shares(cap, (6, 7))
        found = check(grid, cap)
        self.assertEqual((found.recoverable, found.recoverable_versions, found.unrecoverable_versions), (False, 0, 1))

    def test_any_cap_that_tells_what_to_look_for_will_do(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        assert isinstance(cap, ImmutableReadCap)
        for each in (cap, cap.verifier(), DirectoryCap(cap), DirectoryCap(cap.verifier())):
            self.assertEqual(check(grid, each), check(grid, cap))
        self.assertIsNone(grid.run(grid.client.check(LiteralCap(b"x"), verify=True)))
        self.assertIsNone(grid.run(grid.client.check_and_repair(DirectoryCap(LiteralCap(b"")))))
        with self.assertRaises(BadCapability):
            check(grid, UnknownCap("x-future:abc"))
        with self.assertRaises(BadCapability):
            check(grid, evolve(cap, needed=5, total=4))

    def test_all_shares_on_one_server_is_not_healthy_where_there_are_more(self) -> None:
        grid = Grid(encoding=EncodingParameters(3, 1, 10))
        grid.disconnect(grid.machines[1:])
        cap = grid.upload(CONTENT)
        self.assertEqual(check(grid, cap).happiness, 1)
        self.assertTrue(check(grid, cap).healthy, "there is nowhere else, and nobody wants more")
        grid.reconnect(grid.machines)
        grid.encoding = EncodingParameters(3, 7, 10)
        grid.forget()
        found = check(grid, cap)
        self.assertEqual((found.good_shares, found.happiness, found.healthy), (10, 1, False))
        self.assertIn("spread over 1 server(s) only, not 7", found.summary)

        done = repair(grid, cap)
        self.assertTrue(done.successful, done.trouble)
        self.assertEqual(check(grid, cap).happiness, 7)
        self.assertEqual(sum(map(len, grid.shares_of(cap).values())), 16, "no more is written than it takes")

    def test_a_hung_server_counts_as_holding_nothing_and_others_are_counted(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.hang(grid.holders_of(cap)[:1])
        found = check(grid, cap)
        self.assertEqual((found.good_shares, len(found.servers_responding)), (9, 9))

    def test_a_server_that_claims_impossible_shares_disturbs_nothing(self) -> None:
        grid = Grid(servers=11)
        cap = grid.upload(CONTENT)
        grid.disguise(grid.machines[:1], lambda honest: Claims(honest, (10, 255, 10**9, -1, "1", None)))
        for verify in (False, True):
            found = check(grid, cap, verify)
            self.assertEqual((found.healthy, found.good_shares, found.corrupt), (True, 10, []))

    def test_leases_are_renewed_on_every_server(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        machine = grid.holders_of(cap)[0]
        (path,) = machine.share_paths(index_of(cap)).values()

        def expiry() -> int:
            return int.from_bytes(machine.disk.files()[path][-4:], "big")

        before = expiry()
        grid.time.pass_time(1000)
        check(grid, cap)
        self.assertEqual(expiry(), before)
        check(grid, cap, add_lease=True)
        self.assertEqual(expiry(), before + 1000)


class Verifying(SynchronousTestCase):
    """To verify is to read everything; a bad share costs itself and is reported."""

    def test_corrupt_shares_are_named_and_reported(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.corrupt(cap, flipped_block, (2, 5))
        self.assertTrue(check(grid, cap).healthy, "by their word")
        grid.network.requests.clear()
        found = check(grid, cap, verify=True)
        self.assertEqual((found.healthy, found.good_shares, found.recoverable), (False, 8, True))
        self.assertEqual(sorted(each.share_number for each in found.corrupt), [2, 5])
        self.assertEqual(grid.network.requests["report_corruption"], 2)

    def test_small_shares_are_verified_in_one_read_each(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.network.requests.clear()
        self.assertTrue(check(grid, cap, verify=True).healthy)
        self.assertEqual((grid.network.requests["list_shares"], grid.network.requests["read"]), (10, 10))

    def test_a_truncated_share_costs_only_itself(self) -> None:
        for length in (0, 3, 35, 100):
            grid = Grid(encoding=SMALL_SEGMENTS)
            cap = grid.upload(CONTENT)
            grid.corrupt(cap, lambda share, length=length: share[:length], (4,))  # type: ignore[misc]
            found = check(grid, cap, verify=True)
            self.assertEqual((found.good_shares, [each.share_number for each in found.corrupt]), (9, [4]), length)

    def test_a_share_that_cannot_be_read_is_neither_good_nor_corrupt(self) -> None:
        class Unreadable(Claims):
            async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
                return dict.fromkeys(await super().list_shares(storage_index), self)  # type: ignore[misc]

            async def read(self, offset: int, length: int) -> bytes:
                raise ServerError("no")

        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.disguise(grid.holders_of(cap)[:1], lambda honest: Unreadable(honest, ()))
        found = check(grid, cap, verify=True)
        self.assertEqual((found.good_shares, found.corrupt), (9, []))


    def test_a_server_that_hangs_is_waited_for_once_and_not_for_each_share(self) -> None:
        grid = Grid(servers=2, encoding=EncodingParameters(3, 1, 10))
        cap = grid.upload(CONTENT)
        checking = spawn(grid.client.check(cap, verify=True))
        grid.time.pass_time(grid.latency * 2 + 0.01)
        grid.hang(grid.machines[:1])
        before = grid.time.seconds()
        found = grid.run(checking)
        assert found is not None
        self.assertEqual((found.good_shares, found.corrupt), (5, []))
        self.assertLess(grid.time.seconds() - before, 40)


class Repairing(SynchronousTestCase):
    """A repair stores what is missing, nothing else, and nothing that is not the file."""

    def test_a_healthy_file_is_left_alone(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.network.requests.clear()
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful, done.after), (False, False, done.before))
        self.assertEqual(set(grid.network.requests), {"list_shares"})

    def test_only_missing_shares_are_written_and_they_are_the_same_bytes(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        shares = {number: grid.share(cap, number) for number in range(10)}
        grid.lose_shares(cap, (0, 3, 4, 9))
        written = grid.network.bytes_written
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful, done.trouble), (True, True, ""))
        self.assertEqual((done.before.good_shares, done.after.good_shares, done.after.summary), (6, 10, "Healthy"))
        self.assertEqual(grid.network.bytes_written - written, 4 * len(shares[0]))
        self.assertEqual({number: grid.share(cap, number) for number in range(10)}, shares)
        self.assertEqual({number: len(holders) for number, holders in grid.shares_of(cap).items()}, dict.fromkeys(range(10), 1))
        self.assertEqual(check(grid, cap, verify=True).summary, "Healthy")
        self.assertEqual(grid.leftovers(), [])

    def test_a_verify_cap_is_enough(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        assert isinstance(cap, ImmutableReadCap)
        grid.lose_shares(cap, range(7))
        grid.forget()
        self.assertTrue(repair(grid, cap.verifier()).successful)
        grid.lose_shares(cap, (7, 8, 9))
        grid.forget()
        self.assertEqual(grid.download(cap).content, CONTENT)

    def test_a_corrupt_share_is_stored_again_elsewhere(self) -> None:
        grid = Grid(servers=11, encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.corrupt(cap, flipped_block, (2,))
        done = repair(grid, cap, verify=True)
        self.assertTrue(done.successful, done.trouble)
        self.assertEqual(len(done.before.corrupt), 1)
        self.assertEqual(len(grid.shares_of(cap)[2]), 2)
        found = check(grid, cap, verify=True)
        self.assertEqual((found.healthy, found.good_shares, len(found.corrupt)), (True, 10, 1))

    def test_a_corrupt_share_is_stored_again_even_if_each_server_has_one(self) -> None:
        grid = Grid(servers=10, encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.corrupt(cap, lambda share: share[:20], (2, 3))
        done = repair(grid, cap, verify=True)
        self.assertTrue(done.successful, done.trouble)
        self.assertEqual(check(grid, cap, verify=True).good_shares, 10)

    def test_what_cannot_be_recovered_is_a_result_and_no_error(self) -> None:
        grid = Grid()
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, range(8))
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful, done.after.recoverable), (True, False, False))
        self.assertIn("2 shares were found", done.trouble)

    def test_shares_that_claim_to_be_good_and_are_not_make_no_repair(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, (0,))
        grid.corrupt(cap, flipped_block, range(1, 8))
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful), (True, False))
        self.assertIn("NotEnoughShares", done.trouble)
        self.assertEqual(grid.leftovers(), [])

    def test_a_full_grid_is_told(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, (0, 1))
        grid.fill(grid.machines)
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful), (True, False))
        self.assertTrue(done.trouble)

    def test_a_hung_server_is_done_without(self) -> None:
        grid = Grid(servers=12, encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, (0, 1))
        grid.hang(grid.machines[10:])
        self.assertTrue(repair(grid, cap).successful)

    def test_two_repairs_at_once_write_each_share_once(self) -> None:
        grid = Grid(encoding=SMALL_SEGMENTS)
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, (0, 1, 2))
        first, second = grid.run(gather([grid.client.check_and_repair(cap) for _ in range(2)]))
        assert first is not None
        assert second is not None
        self.assertEqual((first.successful, second.attempted), (True, False))

    def test_a_file_of_many_segments_is_repaired(self) -> None:
        grid = Grid(servers=5, encoding=EncodingParameters(2, 4, 5, max_segment_size=100_000))
        content = random_bytes(20_000_000, seed=9)
        cap = grid.upload(content)
        grid.lose_shares(cap, (0, 1, 2))
        grid.forget()
        self.assertTrue(repair(grid, cap).successful)
        grid.lose_shares(cap, (3, 4))
        grid.forget()
        self.assertEqual(grid.download(cap).content, content)


class Chaos(SynchronousTestCase):
    """Whatever servers do, a check ends with a result, and a repair stores nothing but shares of the file."""

    def test_liars_losses_and_damage(self) -> None:
        repaired = 0
        for seed in range(40):
            random = Random(seed)
            grid = Grid(servers=random.choice((5, 10, 12)), encoding=SMALL_SEGMENTS_ANYWHERE, seed=seed)
            cap = grid.upload(CONTENT)
            shares = {number: grid.share(cap, number) for number in range(10)}
            grid.lose_shares(cap, random.sample(range(10), random.randint(0, 4)))
            damaged = random.sample(range(10), random.randint(0, 3))
            grid.corrupt(cap, lambda share: spoilt(share, random), damaged)  # noqa: B023
            liars = random.sample(grid.machines, random.randint(0, 2))
            lies = random.sample(sorted(LIES), random.randint(1, 3))
            grid.disguise(liars, lambda honest: Liar(honest, random, lies))  # noqa: B023
            grid.forget()
            check(grid, cap, verify=random.random() < 0.5)
            done = repair(grid, cap, verify=True)
            repaired += done.successful
            for machine in grid.machines:
                for number, path in machine.share_paths(index_of(cap)).items():
                    container = machine.disk.files()[path]
                    end = len(container) - 72 * int.from_bytes(container[8:12], "big")
                    if number not in damaged:
                        self.assertEqual(container[12:end], shares[number], (seed, number))
            self.assertEqual(grid.leftovers(), [], seed)
        self.assertGreater(repaired, 15)


    def test_a_connection_that_breaks_at_any_message(self) -> None:
        last, number = 1, 0
        while number < last:
            grid = Grid(servers=5, encoding=THREE_OF_FIVE)
            cap = grid.upload(CONTENT)
            shares = {share: grid.share(cap, share) for share in range(5)}
            grid.lose_shares(cap, (0, 1))
            before = grid.network.messages
            grid.cut_at({number})
            done = repair(grid, cap)
            last = max(last, grid.network.messages - before)
            self.assertEqual(grid.leftovers(), [], number)
            self.assertEqual(done.successful, done.after.healthy, number)
            grid.cut_at(())
            grid.restart(grid.machines)
            repair(grid, cap)
            found = check(grid, cap, verify=True)
            self.assertEqual((found.good_shares, found.corrupt), (5, []), number)
            self.assertEqual({share: grid.share(cap, share) for share in range(5)}, shares, number)
            number += 1
        self.assertGreater(number, 25)

    def test_a_client_that_goes_away_at_any_time_leaves_nothing_behind(self) -> None:
        grid = Grid(servers=5, encoding=THREE_OF_FIVE, latency=ms(10))
        cap = grid.upload(CONTENT)
        grid.lose_shares(cap, (0, 1))
        ended = 0
        for steps in range(30):
            grid.forget()
            repairing = spawn(grid.client.check_and_repair(cap, verify=True))
            repairing.addErrback(lambda _: None)
            grid.time.pass_time(ms(5) * steps)
            ended += repairing.called
            repairing.cancel()
            self.assertEqual(grid.leftovers(), [], steps)
            grid.lose_shares(cap, (0, 1))
        self.assertGreater(ended, 3)
        self.assertLess(ended, 25)


def spoilt(share: bytes, random: Random) -> bytes:
    """One byte changed, or the end cut off."""
    place = random.randrange(len(share))
    return share[:place] if random.random() < 0.3 else share[:place] + bytes([share[place] ^ 1]) + share[place + 1 :]


class Mutable(SynchronousTestCase):
    """Mutable files and directories, through caps of any strength."""

    def test_checked_and_repaired(self) -> None:
        grid = Grid()
        file = grid.run(grid.client.create_mutable(CONTENT))
        cap = file.cap
        assert isinstance(cap, MutableWriteCap)
        self.assertEqual(check(grid, cap).summary, "Healthy")
        grid.lose_shares(cap, (0, 1))
        read_only = repair(grid, cap.readonly())
        self.assertEqual((read_only.attempted, read_only.before.recoverable, read_only.before.good_shares), (False, True, 8))
        self.assertIn("8 shares (enc 3-of-10)", check(grid, cap.verifier()).summary)
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful, done.after.summary), (True, True, "Healthy"))

    def test_shares_on_too_few_servers_are_copied_to_others(self) -> None:
        grid = Grid(encoding=EncodingParameters(3, 1, 10))
        grid.disconnect(grid.machines[2:])
        cap = grid.run(grid.client.create_mutable(CONTENT)).cap
        grid.reconnect(grid.machines)
        grid.encoding = EncodingParameters(3, 7, 10)
        grid.forget()
        found = check(grid, cap)
        self.assertEqual((found.good_shares, found.happiness, found.healthy), (10, 2, False))
        self.assertIn("spread over 2 server(s) only, not 7", found.summary)
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful, done.trouble), (True, True, ""))
        found = check(grid, cap, verify=True)
        self.assertEqual((found.healthy, found.happiness, found.recoverable_versions, found.wrong_shares), (True, 7, 1, 0))
        contents, version = grid.run(grid.client.open_mutable(cap).contents())
        self.assertEqual((contents, version.sequence_number), (CONTENT, 2))
        self.assertFalse(repair(grid, cap).attempted)

    def test_directories_are_checked_by_the_file_that_holds_them(self) -> None:
        grid = Grid()
        directory = grid.run(grid.client.create_directory())
        self.assertTrue(check(grid, directory.cap, verify=True, add_lease=True).healthy)

    def test_what_is_lost_is_a_result(self) -> None:
        grid = Grid()
        cap = grid.run(grid.client.create_mutable(CONTENT)).cap
        grid.lose_shares(cap, range(8))
        done = repair(grid, cap)
        self.assertEqual((done.attempted, done.successful, done.before.recoverable), (True, False, False))


