"""What a client remembers of a mutable file spares it round trips, and is never believed where others may have written."""
from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import MutableWriteCap
from lafs.errors import RolledBack
from lafs.filesystem import Filesystem
from lafs.immutable.parameters import EncodingParameters
from lafs.mutable.node import MutableFile
from lafs.mutable.slot import PICTURE_SECONDS, ContentsMemory, Slot
from lafs.sources import BytesSource
from tests.memory_grid import Cost, Grid, random_bytes
from tests.mutable.slots import new_client, numbers_stored, plant, stored
from tests.mutable.test_faults import Mask

FORMATS: Any = ("SDMF", "MDMF")
SEGMENT = 131073
READ, WRITE = "read_slot", "test_and_write_slot"


class Memory(SynchronousTestCase):
    def made(self, contents: bytes = b"", format: Any = "SDMF") -> MutableFile:
        self.grid = Grid(encoding=EncodingParameters(3, 7, 10))
        node = self.grid.run(self.grid.client.create_mutable(contents, format))
        assert isinstance(node.cap, MutableWriteCap)
        self.cap = node.cap
        return node

    def cost(self, work: Any) -> Cost:
        _, cost = self.grid._measured(work)
        return cost

    def stranger(self) -> MutableFile:
        return new_client(self.grid, seed=1).open_mutable(self.cap)

    def contents(self, client: Filesystem | None = None) -> bytes:
        return self.grid.run((client or new_client(self.grid)).open_mutable(self.cap).contents())[0]


class RoundTrips(Memory):
    def test_what_this_client_wrote_last_it_changes_in_one(self) -> None:
        for format in FORMATS:
            node = self.made(random_bytes(50_000), format)
            works: list[Callable[[MutableFile], Any]] = [
                lambda node: node.modify(lambda contents: contents + b"1"),
                lambda node: node.overwrite(BytesSource(random_bytes(60_000))),
                lambda node: node.modify(lambda contents: contents[:-1]),
            ]
            for work in works:
                cost = self.cost(work(node))
                self.assertEqual((cost.round_trips, dict(cost.requests)), (1, {WRITE: 10}))
            self.assertEqual(self.contents(), random_bytes(60_000)[:-1])

    def test_a_part_of_a_large_file_takes_one_more_for_the_segments_at_its_edges(self) -> None:
        expected = bytearray(random_bytes(10 * SEGMENT))
        node = self.made(bytes(expected), "MDMF")
        end = len(expected)
        for offset, size, round_trips, reads in (
            (5, 100, 2, 3), (SEGMENT, SEGMENT, 1, 0), (end, 50, 1, 0), (100, SEGMENT, 2, 6),
        ):
            data = random_bytes(size, seed=offset)
            expected[offset : offset + size] = data
            cost = self.cost(node.update(offset, BytesSource(data)))
            self.assertEqual((cost.round_trips, cost.requests[READ], cost.requests[WRITE]), (round_trips, reads, 10))
        self.assertEqual(self.contents(), bytes(expected))

    def test_reading_asks_no_more_servers_than_must_have_met_the_newest(self) -> None:
        self.made(b"contents")
        client = new_client(self.grid)
        for expected in (5, 4, 4):
            _, cost = self.grid._measured(client.open_mutable(self.cap).contents())
            self.assertEqual((cost.round_trips, dict(cost.requests)), (1, {READ: expected}))

    def test_ranges_of_a_large_file_bring_its_hash_trees_once(self) -> None:
        contents = random_bytes(30 * SEGMENT)
        self.made(contents, "MDMF")
        asked: list[int] = []

        class Clerk(Mask):
            async def read_slot(self, storage_index: Any, share_numbers: Any, ranges: Any) -> Any:
                if share_numbers:
                    asked.append(len(ranges))
                return await super().read_slot(storage_index, share_numbers, ranges)

        self.grid.disguise(self.grid.machines, Clerk)
        client = new_client(self.grid)
        for offset in (SEGMENT, 20 * SEGMENT):
            sink = self.grid.sink()
            self.grid.run(client.open_mutable(self.cap).read(sink, offset, 1000))
            self.assertEqual(sink.content, contents[offset : offset + 1000])
        self.assertEqual(asked, 3 * [len(["prefix", "tree", "blocks"])] + 3 * [len(["prefix", "blocks"])])


class Doubt(Memory):
    """When a look at the servers comes first."""

    def looks_first(self, node: MutableFile) -> bool:
        return self.cost(node.modify(lambda contents: contents + b"x")).requests[READ] > 0

    def test_some_time_after_the_last_write(self) -> None:
        node = self.made()
        self.assertFalse(self.looks_first(node))
        self.grid.time.pass_time(PICTURE_SECONDS + 1)
        self.assertTrue(self.looks_first(node))
        self.assertFalse(self.looks_first(node))

    def test_when_servers_have_come_or_gone(self) -> None:
        for change in (self.grid_disconnects, self.grid_reconnects):
            node = self.made()
            change()
            self.assertTrue(self.looks_first(node))

    def grid_disconnects(self) -> None:
        self.grid.disconnect(self.grid.machines[:1])

    def grid_reconnects(self) -> None:
        self.grid.reconnect(self.grid.machines[:1])

    def test_when_a_write_did_not_reach_all(self) -> None:
        node = self.made()
        self.grid.hang(self.grid.machines[:1])
        self.assertFalse(self.looks_first(node))
        self.assertTrue(self.looks_first(node))

    def test_while_others_write_too(self) -> None:
        node = self.made()
        self.grid.run(self.stranger().modify(lambda contents: contents + b"s"))
        self.assertTrue(self.looks_first(node))  # after an attempt in vain
        self.assertTrue(self.looks_first(node))
        self.grid.time.pass_time(PICTURE_SECONDS + 1)
        self.assertTrue(self.looks_first(node))
        self.assertFalse(self.looks_first(node))
        self.assertEqual(self.contents(), b"sxxxx")

    def test_when_a_read_has_shown_something_else(self) -> None:
        node = self.made()
        self.grid.run(self.stranger().modify(lambda contents: contents + b"s"))
        self.grid.run(node.contents())
        cost = self.cost(node.modify(lambda contents: contents + b"x"))
        self.assertEqual((cost.round_trips, cost.requests[WRITE]), (2, 10))


class Strangers(Memory):
    """What others wrote meanwhile is neither lost nor overlooked."""

    def test_changes_are_made_on_top_of_theirs(self) -> None:
        for format in FORMATS:
            node = self.made(b"1", format)
            self.grid.run(self.stranger().modify(lambda contents: contents + b"2"))
            version = self.grid.run(node.modify(lambda contents: contents + b"3"))
            self.assertEqual((self.contents(), version.sequence_number), (b"123", 3))
            self.assertEqual({number for _, number in numbers_stored(self.grid, self.cap)}, {3})

    def test_an_attempt_in_vain_leaves_nothing_behind_and_costs_one_round_trip_to_look(self) -> None:
        node = self.made(b"1")
        self.grid.run(self.stranger().overwrite(BytesSource(b"2")))
        _, cost = self.grid._measured(node.overwrite(BytesSource(b"3")))
        self.assertLessEqual(cost.round_trips, 4)
        self.assertEqual(numbers_stored(self.grid, self.cap), [(number, 3) for number in range(10)])

    def test_parts_are_put_into_what_they_wrote(self) -> None:
        contents = random_bytes(3 * SEGMENT)
        node = self.made(contents, "MDMF")
        self.grid.run(self.stranger().update(0, BytesSource(b"theirs")))
        self.grid.run(node.update(10, BytesSource(b"ours")))
        self.grid.run(self.stranger().update(len(contents), BytesSource(b"longer")))
        self.grid.run(node.update(len(contents), BytesSource(b"L")))
        self.assertEqual(self.contents(), b"theirs" + contents[6:10] + b"ours" + contents[14:] + b"Longer")

    def test_that_nothing_is_to_be_changed_is_not_concluded_from_memory(self) -> None:
        node = self.made(b"a")
        self.grid.run(self.stranger().overwrite(BytesSource(b"b")))
        self.grid.run(node.modify(lambda contents: b"a"))
        self.assertEqual(self.contents(), b"a")

    def test_nor_that_a_change_cannot_be_made(self) -> None:
        def replace_b(contents: bytes) -> bytes:
            if contents != b"b":
                raise KeyError(contents)
            return b"c"

        node = self.made(b"a")
        self.grid.run(self.stranger().overwrite(BytesSource(b"b")))
        self.grid.run(node.modify(replace_b))
        self.assertEqual(self.contents(), b"c")
        with self.assertRaises(KeyError):
            self.grid.run(node.modify(replace_b))

    def test_whatever_servers_their_write_missed_it_is_read(self) -> None:
        self.made(b"0")
        reader = new_client(self.grid, seed=7)
        for turn, missed in enumerate(list(combinations(range(10), 3))[::12], 1):
            machines = [self.grid.machines[number] for number in missed]
            self.contents(reader)
            self.grid.disconnect(machines)
            self.grid.run(self.stranger().overwrite(BytesSource(b"%d" % turn)))
            self.grid.reconnect(machines)
            self.assertEqual(self.contents(reader), b"%d" % turn)
            self.grid.run(self.stranger().modify(lambda contents: contents + b"."))


class Servers(Memory):
    def test_one_that_lost_its_share_gets_it_again(self) -> None:
        node = self.made(b"contents")
        plant(self.grid, self.cap, self.grid.machines[0], {})
        cost = self.cost(node.modify(bytes.upper))
        self.assertLessEqual(cost.round_trips, 3)
        self.assertEqual(numbers_stored(self.grid, self.cap), [(number, 2) for number in range(10)])

    def test_old_shares_put_back_are_noticed(self) -> None:
        for format in FORMATS:
            node = self.made(b"old", format)
            old = {each: stored(self.grid, each, self.cap.storage_index) for each in self.grid.machines}
            self.grid.run(node.overwrite(BytesSource(b"new")))
            for machine, shares in old.items():
                plant(self.grid, self.cap, machine, shares)
            with self.assertRaises(RolledBack):
                self.grid.run(node.modify(bytes.upper))
            with self.assertRaises(RolledBack):
                self.grid.run(node.update(1, BytesSource(b"x")))

    def test_some_old_shares_put_back_change_nothing_of_what_is_written(self) -> None:
        node = self.made(b"old")
        old = {each: stored(self.grid, each, self.cap.storage_index) for each in self.grid.machines[:4]}
        self.grid.run(node.overwrite(BytesSource(b"new")))
        for machine, shares in old.items():
            plant(self.grid, self.cap, machine, shares)
        self.grid.run(node.modify(lambda contents: contents if contents.endswith(b"!") else contents + b"!"))
        self.assertEqual(self.contents(), b"new!")
        self.assertEqual(len({number for _, number in numbers_stored(self.grid, self.cap)}), 1)


class Bounds(SynchronousTestCase):
    def test_contents_that_were_not_used_for_longest_are_forgotten(self) -> None:
        grid = Grid(servers=1)
        nodes = [grid.run(grid.client.create_mutable(bytes(200_000))) for _ in range(4)]
        slots: list[Slot] = [node._slot for node in nodes]
        memory = ContentsMemory(500_000)
        for slot in slots[:3]:
            slot.memory = memory
            memory.used(slot, 200_000)
        self.assertEqual([slot.newest is None for slot in slots], [True, False, False, False])
        slots[1].keep(slots[1].newest[0], bytes(100_000))  # type: ignore[index]
        slots[2].keep(slots[2].newest[0], bytes(300_000))  # type: ignore[index]
        self.assertEqual([slot.newest is None for slot in slots], [True, False, True, False])
