"""No change is made on top of an old version while there are signs of a newer one that somebody may have been told is written."""
from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import MutableWriteCap
from lafs.capability_slots import child_caps
from lafs.errors import NewerVersionAway, UnhappyUpload
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import NewChild
from lafs.mutable.node import MutableFile
from lafs.sources import BytesSource
from lafs.tasks import spawn
from tests.memory_grid import Grid
from tests.mutable.slots import new_client, numbers_stored, plant, stored
from tests.simulation.machines import Machine

FORMATS: Any = ("SDMF", "MDMF")
LONGEST_WAIT = 15.0


class NewerVersion(SynchronousTestCase):
    def begin(self, format: Any = "SDMF") -> None:
        self.grid = Grid(encoding=EncodingParameters(3, 7, 10))
        node = self.grid.run(self.grid.client.create_mutable(b"old", format))
        assert isinstance(node.cap, MutableWriteCap)
        self.cap = node.cap
        self.holders = self.grid.holders_of(self.cap)

    def node(self, seed: int = 1) -> MutableFile:
        return new_client(self.grid, seed).open_mutable(self.cap)

    def acknowledged_behind_a_wall(self) -> list[Machine]:
        """A write that seven servers took, of which five are away afterwards; the other three are back. Returns the five."""
        self.grid.disconnect(self.holders[:3])
        self.grid.run(self.node(2).overwrite(BytesSource(b"new")))
        self.grid.reconnect(self.holders[:3])
        away = self.holders[5:]
        self.grid.disconnect(away)
        return away


class Refused(NewerVersion):
    def test_a_change_of_an_old_version_when_most_of_a_newer_one_is_away(self) -> None:
        for format in FORMATS:
            self.begin(format)
            # Two holders of shares 3 and 4 of the new version are left, and three shares of the old one.
            for machine in self.acknowledged_behind_a_wall():
                self.assertIsNotNone(machine.store)
            for machine in self.holders[3:5]:
                shares = stored(self.grid, machine, self.cap.storage_index)
                plant(self.grid, self.cap, machine, dict(list(shares.items())[:1]))
            before = numbers_stored(self.grid, self.cap)
            for work in (lambda: self.node().modify(bytes.upper), lambda: self.node().update(0, BytesSource(b"x"))):
                with self.assertRaises(NewerVersionAway) as caught:
                    self.grid.run(work())
                self.assertIn("2 share(s) were found, and 3 are needed", str(caught.exception))
            self.assertEqual(numbers_stored(self.grid, self.cap), before)

    def test_after_a_bounded_wait(self) -> None:
        self.begin()
        self.one_sign_of_a_newer_version()
        _, cost = self.grid._measured(self.refused())
        self.assertLess(cost.elapsed, LONGEST_WAIT)
        self.assertGreater(cost.elapsed, 5)

    async def refused(self) -> None:
        try:
            await self.node().modify(bytes.upper)
        except NewerVersionAway:
            return
        raise AssertionError("a change was made from an old version")

    def one_sign_of_a_newer_version(self) -> list[Machine]:
        """One server has a newer version, three have the old one, and the six others are away. Returns those."""
        old = {each: stored(self.grid, each, self.cap.storage_index) for each in self.holders[1:4]}
        self.grid.run(self.node(2).overwrite(BytesSource(b"new")))
        for machine, shares in old.items():
            plant(self.grid, self.cap, machine, shares)
        self.grid.disconnect(self.holders[4:])
        return self.holders[4:]

    def test_when_they_come_back_in_time_it_is_made_on_top_of_the_newer_one(self) -> None:
        self.begin()
        away = self.one_sign_of_a_newer_version()
        running = spawn(self.node().modify(bytes.upper))
        self.grid.time.pass_time(2.0)
        self.grid.reconnect(away)
        self.grid.run(running)
        self.assertEqual(self.grid.run(self.node().contents())[0], b"NEW")

    def test_an_edit_of_a_directory(self) -> None:
        grid = Grid(encoding=EncodingParameters(3, 7, 10))
        directory = grid.run(grid.client.create_directory())
        content = directory.cap.content
        assert isinstance(content, MutableWriteCap)
        holders = grid.holders_of(content)
        old = {each: stored(grid, each, content.storage_index) for each in holders[1:4]}
        children = [[NewChild(name, child_caps("URI:LIT:nbswy3dp", None))] for name in "ab"]
        grid.run(directory.add(children[0]))
        for machine, shares in old.items():
            plant(grid, content, machine, shares)
        grid.disconnect(holders[4:])
        other = new_client(grid, 3).open_directory(directory.cap)
        with self.assertRaises(NewerVersionAway):
            grid.run(other.add(children[1]))
        grid.reconnect(holders[4:])
        grid.run(other.add(children[1]))
        self.assertEqual(list(grid.run(directory.list()).children), ["a", "b"])

    def test_overwriting_is_not(self) -> None:
        self.begin()
        self.one_sign_of_a_newer_version()
        version = self.grid.run(self.node().overwrite(BytesSource(b"newest")))
        self.assertEqual(version.sequence_number, 3)
        self.assertEqual(self.grid.run(self.node().contents())[0], b"newest")

    def test_a_forced_repair_is_not_and_ends_the_refusals(self) -> None:
        self.begin()
        self.one_sign_of_a_newer_version()
        self.assertTrue(self.grid.run(self.node().repair(force=True)).successful)
        self.grid.run(self.node().modify(bytes.upper))
        self.assertEqual(self.grid.run(self.node().contents())[0], b"OLD")


class NotRefused(NewerVersion):
    """Too few servers can have taken the newer version for anybody to have been told that it is written."""

    def test_a_change_after_a_writer_who_died_in_the_middle(self) -> None:
        self.begin()
        old = {each: stored(self.grid, each, self.cap.storage_index) for each in self.holders[2:]}
        self.grid.run(self.node(2).overwrite(BytesSource(b"half written")))
        for machine, shares in old.items():
            plant(self.grid, self.cap, machine, shares)
        version, cost = self.grid._measured(self.node().modify(bytes.upper))
        self.assertEqual((version.sequence_number, cost.round_trips), (3, 2))
        self.assertEqual(self.grid.run(self.node().contents())[0], b"OLD")

    def test_a_change_after_a_failed_write_of_ones_own(self) -> None:
        self.begin("MDMF")
        node, stranger = self.node(), self.node(2)
        self.grid.run(node.overwrite(BytesSource(b"newer")))
        self.grid.hang(self.holders[2:])
        with self.assertRaises(UnhappyUpload):
            self.grid.run(node.update(0, BytesSource(b"NEVER")))
        self.grid.reconnect(self.holders[2:])
        self.grid.disconnect(self.holders[5:])
        with self.assertRaises(NewerVersionAway):
            self.grid.run(stranger.modify(bytes.upper))
        self.grid.run(node.modify(lambda contents: contents + b"!"))
        self.assertEqual(self.grid.run(node.contents())[0], b"newer!")
