"""Directories on a whole grid: round trips, writers in contention, and what a client makes for its users."""
from __future__ import annotations

from base64 import b64decode
from collections.abc import Coroutine
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import parse
from lafs.capability_slots import child_caps
from lafs.directory.deep_walk import Visit
from lafs.directory.directory import Directory
from lafs.errors import (
    BadChild,
    NoSuchChild,
    NotADirectory,
    NotWriteable,
    UncoordinatedWrite,
    UnhappyUpload,
    UnrecoverableFile,
)
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import NewChild
from lafs.statistics import Counters
from lafs.tasks import gather, sleep
from lafs.workers import InlineWorkers
from tests.directory.test_packing import CHK, SSK
from tests.directory.vectors import VECTORS, new_child
from tests.memory_grid import Grid
from tests.mutable.slots import new_client
from tests.simulation.machines import MachineGrid


def new(name: str, cap: str = CHK) -> NewChild:
    return NewChild(name, child_caps(cap, None))


class OnGrid(SynchronousTestCase):
    def setUp(self) -> None:
        self.grid = Grid()
        self.client = self.grid.client

    def made(self, *children: NewChild) -> Directory:
        return self.grid.run(self.client.create_directory(children))

    def names(self, directory: Directory) -> list[str]:
        return list(self.grid.run(directory.list()).children)


class RoundTrips(OnGrid):
    """Round trips that waited for one another, on the clock of the grid."""

    def test_making_a_directory_takes_one(self) -> None:
        _, cost = self.grid._measured(self.client.create_directory())
        self.assertLessEqual(cost.round_trips, 1)
        _, cost = self.grid._measured(self.client.create_directory([new("a"), new("b", SSK)]))
        self.assertLessEqual(cost.round_trips, 1)

    def test_adding_a_child_takes_two_at_first_touch_and_then_one_call_to_each_server(self) -> None:
        directory = self.made(new("a"))
        _, cost = self.grid._measured(directory.add([new("b")]))
        self.assertEqual((cost.round_trips, dict(cost.requests)), (1, {"test_and_write_slot": 10}))
        stranger = new_client(self.grid, seed=1).open_directory(directory.cap)
        for round_trips, name in ((2, "c"), (1, "d"), (1, "e")):
            _, cost = self.grid._measured(stranger.add([new(name)]))
            self.assertEqual((cost.round_trips, cost.requests["test_and_write_slot"]), (round_trips, 10))
        self.assertEqual(self.names(directory), ["a", "b", "c", "d", "e"])

    def test_what_an_edit_finds_is_never_concluded_from_memory(self) -> None:
        """A child that another has removed may be added again, and one that another has added may be removed."""
        directory = self.made(new("a"))
        other = new_client(self.grid, seed=1).open_directory(directory.cap)
        self.grid.run(other.remove("a"))
        self.grid.run(directory.add([new("a")], "never"))
        self.grid.run(other.add([new("b")]))
        self.grid.run(directory.remove("b"))
        self.grid.run(other.add([new("c")]))
        with self.assertRaises(NoSuchChild):
            self.grid.run(directory.remove("b"))
        self.assertEqual(self.names(directory), ["a", "c"])

    def test_renaming_takes_no_more_than_adding(self) -> None:
        directory = self.made(new("a"))
        _, cost = self.grid._measured(directory.rename("a", "b"))
        self.assertLessEqual(cost.round_trips, 1)

    def test_listing_takes_one_for_each_directory_of_a_path(self) -> None:
        inner = self.made(new("file"))
        outer = self.made(new("inner", inner.cap.text))
        stranger = new_client(self.grid, seed=1)
        _, cost = self.grid._measured(stranger.resolve(outer.cap, ["inner", "file"]))
        self.assertLessEqual(cost.round_trips, 2)

    def test_a_large_directory_that_did_not_change_is_not_fetched_again(self) -> None:
        directory = self.made(*(new(f"{number:04}") for number in range(300)))
        self.names(directory)
        _, cost = self.grid._measured(directory.list())
        self.assertLessEqual(cost.round_trips, 1)
        self.assertLess(cost.bytes_answered, 100_000)


class Contention(OnGrid):
    def test_a_thousand_additions_by_one_client_take_few_writes_and_all_survive(self) -> None:
        directory = self.made()
        before = self.client.counters.snapshot()["mutable.files_published"]
        self.grid.run(gather(directory.add([new(f"{number:04}")]) for number in range(1000)))
        self.assertLessEqual(self.client.counters.snapshot()["mutable.files_published"] - before, 10)
        self.assertEqual(len(self.names(directory)), 1000)

    def test_twenty_writers_lose_nothing_of_two_thousand_additions(self) -> None:
        directory = self.made()
        clients = [self.client, *(new_client(self.grid, seed) for seed in range(1, 5))]

        async def write(writer: int) -> None:
            mine = clients[writer % len(clients)].open_directory(directory.cap)
            for start in range(0, 100, 5):
                await gather(mine.add([new(f"{writer:02}-{number:03}")], "never") for number in range(start, start + 5))

        self.grid.run(gather(write(writer) for writer in range(20)))
        expected = [f"{writer:02}-{number:03}" for writer in range(20) for number in range(100)]
        self.assertEqual(self.names(directory), expected)


class Making(OnGrid):
    def test_children_of_a_new_directory_can_be_read_by_others(self) -> None:
        directory = self.made(new("b", SSK), new("a"))
        stranger = new_client(self.grid, seed=1)
        listing = self.grid.run(stranger.open_directory(directory.cap).list())
        self.assertEqual({name: child.caps.writable for name, child in listing.children.items()}, {"a": None, "b": SSK})
        self.assertFalse(any(child.damaged for child in listing.children.values()))
        self.assertIsNone(self.grid.run(stranger.open_directory(directory.cap.readonly()).get("b")).caps.writable)

    def test_formats_can_be_chosen(self) -> None:
        directory = self.grid.run(self.client.create_directory([new("a")], "MDMF"))
        self.assertTrue(directory.cap.text.startswith("URI:DIR2-MDMF:"))
        self.grid.run(directory.add([new("b")]))
        self.assertEqual(self.names(new_client(self.grid).open_directory(directory.cap)), ["a", "b"])

    def test_immutable_directories_are_those_of_the_peer(self) -> None:
        for vector in VECTORS["immutable_directories"]:
            client = Filesystem(
                MachineGrid(self.grid.machines), InlineWorkers(), self.grid.clock,
                ClientSecrets(bytes(32), bytes.fromhex(vector["convergence_secret_hex"])),
                EncodingParameters(vector["k"], 1, vector["n"], vector["max_segment_size"]), Counters(),
            )
            directory = self.grid.run(client.create_immutable_directory([new_child(child) for child in vector["input"]]))
            self.assertEqual(directory.cap.text, vector["dircap"])
            self.assertEqual(len(self.names(directory)), len(vector["input"]))
            self.assertTrue(b64decode(vector["packed_b64"]) or directory.cap.text == "URI:DIR2-LIT:")

    def test_mutable_children_of_immutable_directories_are_refused_before_anything_is_stored(self) -> None:
        before = self.grid.network.messages
        error = self.assertRaises(BadChild, self.grid.run, self.client.create_immutable_directory([new("a", SSK)]))
        self.assertEqual((error.kind, self.grid.network.messages), ("MustBeDeepImmutableError", before))

    def test_missing_directories_of_a_path_appear_all_at_once(self) -> None:
        root = self.made(new("file"))
        deep = self.grid.run(self.client.make_directories(root.cap, ["a", "b", "c"]))
        self.grid.run(deep.add([new("x")]))
        self.assertEqual(self.grid.run(self.client.resolve(root.cap, ["a", "b", "c", "x"])).cap, parse(CHK))
        again = self.grid.run(self.client.make_directories(root.cap, ["a", "b", "c"]))
        self.assertEqual(again.cap, deep.cap)
        self.assertEqual(self.names(root), ["a", "file"])

    def test_two_who_make_the_same_directories_get_the_same(self) -> None:
        root = self.made()
        clients = [self.client, self.client, new_client(self.grid, seed=1)]
        made = self.grid.run(gather(client.make_directories(root.cap, ["a", "b"]) for client in clients))
        self.assertEqual(len({directory.cap for directory in made}), 1)

    def test_paths_through_files_and_read_only_directories_make_nothing(self) -> None:
        root = self.made(new("file"))
        self.assertRaises(NotADirectory, self.grid.run, self.client.make_directories(root.cap, ["file", "a"]))
        self.assertRaises(NotADirectory, self.grid.run, self.client.make_directories(root.cap, ["file"]))
        self.assertRaises(NotWriteable, self.grid.run, self.client.make_directories(root.cap.readonly(), ["a"]))
        self.assertRaises(NoSuchChild, self.grid.run, self.client.resolve(root.cap, ["a"]))

    def test_walks_see_everything_while_servers_are_lost(self) -> None:
        root = self.made(new("file"))
        for path in (["a", "b"], ["a", "c"], ["d"]):
            self.grid.run(self.client.make_directories(root.cap, path))
        self.grid.hang(self.grid.machines[:2])

        async def visits() -> list[Visit]:
            return [visit async for visit in new_client(self.grid).walk(root.cap)]

        found = self.grid.run(visits())
        self.assertEqual(["/".join(visit.path) for visit in found], ["", "file", "a", "a/b", "a/c", "d"])


class Editors(OnGrid):
    """Random edits by clients of which connections break: what was acknowledged is there, and nobody asked for anything else.

    Connections come back soon, so that every version that was acknowledged can be recovered at any time.
    """

    def test_no_acknowledged_change_is_lost(self) -> None:
        for seed in range(6):
            with self.subTest(seed=seed):
                self.edit_at_random(seed)

    def edit_at_random(self, seed: int) -> None:
        random = Random(seed)
        grid = Grid(servers=5, encoding=EncodingParameters(2, 4, 5), seed=seed)
        cap = grid.run(grid.client.create_directory()).cap
        clients = [grid.client, new_client(grid, 1), new_client(grid, 2)]
        grid.cut_at({100 * number + random.randrange(60) for number in range(6)})
        there: set[str] = set()
        doubtful: set[str] = set()

        async def certain(work: Coroutine[Any, Any, object], name: str) -> bool:
            try:
                await work
            except (UnhappyUpload, UncoordinatedWrite, UnrecoverableFile):
                doubtful.add(name)
                return False
            return True

        async def edit(writer: int) -> None:
            mine = clients[writer % len(clients)].open_directory(cap)
            for number in range(8):
                name = f"{writer}-{number}"
                if await certain(mine.add([new(name)], "never"), name):
                    there.add(name)
                    if random.random() < 0.3 and await certain(mine.remove(name), name):
                        there.discard(name)

        async def reconnect() -> None:
            for _ in range(100):
                await sleep(0.2, grid.clock)
                await gather(machine.connect() for machine in grid.machines)

        grid.run(gather([*(edit(writer) for writer in range(6)), reconnect()]))
        names = set(grid.run(new_client(grid, 9).open_directory(cap).list()).children)
        self.assertLessEqual(there - doubtful, names)
        self.assertLessEqual(names, there | doubtful)
        self.assertGreater(len(there - doubtful), 5)
