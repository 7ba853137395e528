"""Paths, and moving what they lead to."""
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import LiteralCap, parse
from lafs.capability_slots import child_caps
from lafs.directory.moving import move
from lafs.directory.traversal import Trail, follow
from lafs.errors import (
    BadCapability,
    BadChild,
    ChildExists,
    CircularMove,
    NoSuchChild,
    NotADirectory,
    NotWriteable,
    UnrecoverableFile,
)
from lafs.interfaces import NewChild, Replace
from lafs.tasks import spawn
from tests.directory.files import World, directory_cap
from tests.directory.test_packing import CHK, SSK, entry


def new(name: str, cap: str = CHK) -> NewChild:
    return NewChild(name, child_caps(cap, None))


class Tree(SynchronousTestCase):
    """/ has file, unknown, d1; d1 has file, d2; d2 has only a file."""

    def setUp(self) -> None:
        self.world = World()
        self.client = self.world.client()
        self.root, self.first, self.second = (self.client.open(directory_cap(number)) for number in range(3))
        self.add(0, new("file"), new("unknown", "ro.later:x"), new("d1", self.first.cap.text), new("lit", "URI:DIR2-LIT:"))
        self.add(1, new("file", SSK), new("d2", self.second.cap.text))
        self.add(2, new("file", "URI:LIT:nbswy3dp"))

    def add(self, number: int, *children: NewChild) -> None:
        self.successResultOf(spawn(self.client.open(directory_cap(number)).add(children)))

    def names(self, number: int) -> list[str]:
        return list(self.successResultOf(spawn(self.client.open(directory_cap(number)).list())).children)


class Paths(Tree):
    def follow(self, *path: str) -> Trail:
        return self.successResultOf(spawn(follow(self.client.open, self.root.cap, path)))

    def test_lead_through_directories_to_anything(self) -> None:
        self.assertEqual(self.follow().cap, self.root.cap)
        trail = self.follow("d1", "d2", "file")
        self.assertEqual((trail.cap, trail.rest, trail.obstacle), (LiteralCap(b"hello"), (), None))
        self.assertEqual([each.cap for each in trail.passed], [self.root.cap, self.first.cap, self.second.cap])
        self.assertEqual(trail.child.name if trail.child else None, "file")
        self.assertIsNone(self.follow("unknown").cap)
        self.assertIsNone(self.follow("unknown").obstacle)

    def test_say_which_name_is_missing_and_what_is_left(self) -> None:
        for path, missing, passed in ((("x",), "x", 1), (("d1", "y", "z"), "y", 2), (("lit", "q"), "q", 2), (("d1", ""), "", 2)):
            trail = self.follow(*path)
            self.assertIsInstance(trail.obstacle, NoSuchChild)
            self.assertEqual((trail.rest[0], len(trail.passed), trail.child), (missing, passed, None))
            self.assertEqual(str(trail.obstacle), f"No such child: {missing}")

    def test_do_not_go_on_below_what_has_no_children(self) -> None:
        for path, name in ((("file", "x", "y"), "x"), (("d1", "file", "z"), "z"), (("unknown", "x"), "x")):
            obstacle = self.follow(*path).obstacle
            assert isinstance(obstacle, NotADirectory)
            self.assertEqual((obstacle.name, obstacle.unknown), (name, "unknown" in path))
            self.assertIn(repr(name), str(obstacle))
        trail = self.successResultOf(spawn(follow(self.client.open, parse(CHK), ["x"])))
        self.assertIsInstance(trail.obstacle, NotADirectory)

    def test_through_read_caps_lead_to_read_caps(self) -> None:
        trail = self.successResultOf(spawn(follow(self.client.open, self.root.cap.readonly(), ["d1", "file"])))
        assert trail.cap is not None
        self.assertTrue(trail.cap.is_readonly)
        self.assertEqual(trail.passed[1].cap, self.first.cap.readonly())

    def test_fail_with_what_cannot_be_read(self) -> None:
        self.world.slot(self.first.cap).failure = UnrecoverableFile("no shares")
        self.failureResultOf(spawn(follow(self.client.open, self.root.cap, ["d1", "file"])), UnrecoverableFile)
        verifier = self.root.cap.verifier()
        assert verifier is not None
        self.failureResultOf(spawn(follow(self.client.open, verifier, ["x"])), BadCapability)


class Moving(Tree):
    def move(self, source: int, name: str, target: int, new_name: str, replace: Replace = "always", passed: int = 0) -> None:
        through = [self.client.open(directory_cap(number)) for number in range(passed)]
        source_directory, target_directory = (self.client.open(directory_cap(number)) for number in (source, target))
        self.successResultOf(spawn(move(source_directory, name, target_directory, new_name, replace, through)))

    def assert_refused(self, error: type[Exception], source: int, name: str, target: int, new_name: str, passed: int = 0) -> None:
        before = [self.world.slot(directory_cap(number)).contents for number in range(3)]
        through = [self.client.open(directory_cap(number)) for number in range(passed)]
        source_directory, target_directory = (self.client.open(directory_cap(number)) for number in (source, target))
        self.failureResultOf(spawn(move(source_directory, name, target_directory, new_name, "never", through)), error)
        self.assertEqual([self.world.slot(directory_cap(number)).contents for number in range(3)], before)

    def test_within_one_directory_is_one_write(self) -> None:
        writes = self.world.slot(self.root.cap).writes
        self.move(0, "file", 0, "renamed")
        self.assertEqual(self.names(0), ["d1", "lit", "renamed", "unknown"])
        self.assertEqual(self.world.slot(self.root.cap).writes, writes + 1)

    def test_onto_itself_keeps_the_child(self) -> None:
        self.move(0, "file", 0, "file")
        self.assertIn("file", self.names(0))

    def test_between_directories_carries_caps_and_metadata_along(self) -> None:
        self.successResultOf(spawn(self.first.set_metadata("file", {"color": "red"})))
        self.move(1, "file", 2, "moved")
        self.assertEqual((self.names(1), self.names(2)), (["d2"], ["file", "moved"]))
        child = self.successResultOf(spawn(self.second.get("moved")))
        self.assertEqual((child.caps.writable, child.metadata["color"]), (SSK, "red"))

    def test_of_a_missing_child_or_onto_one_that_is_to_stay_changes_nothing(self) -> None:
        self.assert_refused(NoSuchChild, 0, "missing", 1, "x")
        self.assert_refused(NoSuchChild, 0, "missing", 0, "x")
        self.assert_refused(ChildExists, 1, "file", 2, "file")
        self.assert_refused(ChildExists, 0, "file", 0, "d1")

    def test_of_a_directory_into_itself_is_refused(self) -> None:
        self.assert_refused(CircularMove, 0, "d1", 1, "loop")
        self.assert_refused(CircularMove, 0, "d1", 2, "loop", passed=2)
        # Also when the link is one that only reads.
        self.add(0, new("reading", self.first.cap.readonly().text))
        self.assert_refused(CircularMove, 0, "reading", 1, "loop")

    def test_needs_two_writeable_directories(self) -> None:
        reader = self.client.open(self.second.cap.readonly())
        for source, target in ((self.root, reader), (reader, self.root)):
            self.failureResultOf(spawn(move(source, "file", target, "x")), NotWriteable)

    def test_leaves_what_another_put_under_the_old_name_in_between(self) -> None:
        other = self.world.directory(0)
        self.world.slot(self.second.cap).meanwhile = [
            lambda: self.successResultOf(spawn(other.add([new("file", SSK)])))
        ]
        self.move(0, "file", 2, "moved")
        self.assertEqual(self.successResultOf(spawn(self.root.get("file"))).caps.writable, SSK)
        self.assertEqual(self.successResultOf(spawn(self.second.get("moved"))).caps.readonly, CHK)

    def test_does_not_lose_a_write_cap_that_it_cannot_read(self) -> None:
        self.world.slot(self.root.cap).put(entry(b"a", CHK.encode(), bytes(100)))
        self.assert_refused(BadChild, 0, "a", 1, "a")
