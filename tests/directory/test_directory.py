"""A directory on the grid: what others write is seen and kept, edits go in together, and nothing is parsed twice."""
from __future__ import annotations

from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import DirectoryCap, parse
from lafs.capability_slots import child_caps
from lafs.directory import directories, known_directory
from lafs.directory.children import View, pack_children
from lafs.directory.directory import Directory
from lafs.directory.edits import SetChildren
from lafs.directory.packing import LARGEST_DIRECTORY
from lafs.errors import (
    BadCapability,
    BadDirectory,
    ChildExists,
    NoSuchChild,
    NotWriteable,
    UnhappyUpload,
    UnrecoverableFile,
)
from lafs.interfaces import Child, Listing, NewChild
from lafs.tasks import spawn
from tests.directory.files import ImmutableFile, World, directory_cap
from tests.directory.test_packing import CHK, SSK, entry


def new(name: str, cap: str = CHK) -> NewChild:
    return NewChild(name, child_caps(cap, None))


def adding(directory: Directory, name: str) -> Deferred[Child | None]:
    return spawn(directory.edit(SetChildren((new(name),))))


class Directories(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.cap = directory_cap()
        self.slot = self.world.slot(self.cap)
        self.client = self.world.client()
        self.directory = self.client.open(self.cap)

    def names(self, directory: Directory | None = None) -> list[str]:
        return list(self.successResultOf(spawn((directory or self.directory).list())).children)

    def add(self, *names: str, directory: Directory | None = None) -> None:
        self.successResultOf(spawn((directory or self.directory).add([new(name) for name in names])))


class Reading(Directories):
    def test_what_was_added_is_listed_and_found(self) -> None:
        self.add("b", "a", "e\u0301")
        self.assertEqual(self.names(), ["a", "b", "\u00e9"])
        child = self.successResultOf(spawn(self.directory.get("e\u0301")))
        self.assertEqual((child.name, child.caps.readonly), ("\u00e9", CHK))
        self.failureResultOf(spawn(self.directory.get("c")), NoSuchChild)

    def test_what_others_write_is_seen(self) -> None:
        self.add("mine")
        self.add("theirs", directory=self.world.directory())
        self.assertEqual(self.names(), ["mine", "theirs"])

    def test_a_read_cap_shows_no_write_caps_and_changes_nothing(self) -> None:
        self.successResultOf(spawn(self.directory.add([new("a", SSK)])))
        reader = self.client.open(self.cap.readonly())
        child = self.successResultOf(spawn(reader.list())).children["a"]
        self.assertIsNone(child.caps.writable)
        self.assertEqual(self.successResultOf(spawn(self.directory.list())).children["a"].caps.writable, SSK)
        self.failureResultOf(spawn(reader.add([new("b")])), NotWriteable)

    def test_damaged_contents_and_lost_files_are_errors_of_their_own(self) -> None:
        self.slot.put(b"12:rubbish")
        self.failureResultOf(spawn(self.directory.list()), BadDirectory)
        self.failureResultOf(spawn(self.directory.add([new("a")])), BadDirectory)
        self.slot.failure = UnrecoverableFile("no shares")
        self.failureResultOf(spawn(self.directory.get("a")), UnrecoverableFile)

    def test_other_caps_open_no_directory(self) -> None:
        verifier = self.cap.verifier()
        assert verifier is not None
        for cap in (parse(CHK), parse(SSK), verifier, parse("lafs://unknown")):
            self.assertRaises(BadCapability, self.client.open, cap)

    def test_a_forged_fingerprint_shares_nothing_with_the_true_one(self) -> None:
        forged = parse(self.cap.text.replace(":po6", ":qo6"))
        self.assertEqual(forged.storage_index, self.cap.storage_index)
        self.assertFalse(self.client.open(forged).is_same_as(self.directory))
        self.assertTrue(self.client.open(self.cap.readonly()).is_same_as(self.directory))


class Immutable(Directories):
    CAP = parse("URI:DIR2-CHK:a77nbmzoneks6potqchhqyskue:xerd6p67vk45tnhbcain4djcsjcfkwdz5negjyr5ftfewaqrhfhq:3:10:500")

    def test_directories_are_fetched_once(self) -> None:
        contents = pack_children([new("a"), new("b")], View(immutable=True)).contents
        file = self.world.immutable[self.CAP.storage_index] = ImmutableFile(self.CAP, contents)
        for _ in range(3):
            self.assertEqual(self.names(self.client.open(self.CAP)), ["a", "b"])
        self.assertEqual(file.reads, 1)
        self.failureResultOf(spawn(self.client.open(self.CAP).add([new("c")])), NotWriteable)

    def test_contents_larger_than_memory_are_not_fetched(self) -> None:
        file = self.world.immutable[self.CAP.storage_index] = ImmutableFile(self.CAP, b"")
        with mock.patch.object(ImmutableFile, "size", LARGEST_DIRECTORY + 1):
            self.failureResultOf(spawn(self.client.open(self.CAP).list()), BadDirectory)
        self.assertEqual(file.reads, 0)


class Combining(Directories):
    """Edits that arrive while a write is in flight go in with the next one."""

    def test_a_thousand_edits_cost_two_writes(self) -> None:
        gate = self.slot.gate = Deferred()
        adds = [adding(self.client.open(self.cap), f"{number:04}") for number in range(1000)]
        self.slot.gate = None
        gate.callback(None)
        for each in adds:
            self.successResultOf(each)
        self.assertEqual((len(self.names()), self.slot.writes), (1000, 2))

    def test_each_has_its_own_outcome(self) -> None:
        gate = self.slot.gate = Deferred()
        first = adding(self.directory, "a")
        good = adding(self.directory, "b")
        bad = spawn(self.directory.add([new("c"), new("b")], "never"))
        missing = spawn(self.directory.remove("missing"))
        removed = spawn(self.directory.remove("a"))
        self.slot.gate = None
        gate.callback(None)
        self.successResultOf(first)
        self.successResultOf(good)
        self.failureResultOf(bad, ChildExists)
        self.failureResultOf(missing, NoSuchChild)
        self.assertEqual(self.successResultOf(removed).name, "a")  # type: ignore[union-attr]
        self.assertEqual((self.names(), self.slot.writes), (["b"], 2))

    def test_what_fails_all_fails_each_and_the_next_try_starts_afresh(self) -> None:
        gate = self.slot.gate = Deferred()
        adds = [adding(self.directory, name) for name in "abc"]
        self.slot.failure, self.slot.gate = UnhappyUpload("no space"), None
        gate.callback(None)
        self.successResultOf(adds[0])
        for each in adds[1:]:
            self.failureResultOf(each, UnhappyUpload)
        self.slot.failure = None
        self.add("d")
        self.assertEqual(self.names(), ["a", "d"])

    def test_edits_that_wait_can_be_cancelled(self) -> None:
        gate = self.slot.gate = Deferred()
        in_flight, waiting, other = (adding(self.directory, name) for name in "abc")
        waiting.cancel()
        in_flight.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.failureResultOf(in_flight, CancelledError)
        self.slot.gate = None
        gate.callback(None)
        self.successResultOf(other)
        self.assertEqual(self.names(), ["a", "c"])

    def test_nothing_is_written_when_nothing_changes(self) -> None:
        self.add("a")
        self.failureResultOf(spawn(self.directory.add([new("a")], "never")), ChildExists)
        self.successResultOf(spawn(self.directory.remove("b", must_exist=False)))
        self.successResultOf(spawn(self.directory.rename("a", "a")))
        self.assertEqual(self.slot.writes, 1)


class Collisions(Directories):
    def test_changes_of_others_in_between_are_kept(self) -> None:
        other = self.world.directory()
        self.slot.meanwhile = [lambda: self.add("theirs", directory=other), lambda: self.add("more", directory=other)]
        self.add("mine")
        self.assertEqual(self.names(), ["mine", "more", "theirs"])

    def test_what_another_added_first_is_not_replaced(self) -> None:
        other = self.world.directory()
        self.slot.meanwhile = [lambda: self.add("name", directory=other)]
        self.failureResultOf(spawn(self.directory.add([new("name", SSK)], "never")), ChildExists)
        self.assertEqual(self.successResultOf(spawn(self.directory.get("name"))).caps.readonly, CHK)

    def test_a_child_that_another_removed_first_is_gone_as_wanted(self) -> None:
        self.add("a")
        other = self.world.directory()
        self.slot.meanwhile = [lambda: self.successResultOf(spawn(other.remove("a"))) and None]
        self.successResultOf(spawn(self.directory.remove("a")))
        self.assertEqual(self.names(), [])


class Remembering(Directories):
    """A version is parsed once, and large ones are fetched once."""

    def setUp(self) -> None:
        super().setUp()
        self.parsed = 0

        def parse(contents: bytes, immutable: bool = False) -> object:
            self.parsed += 1
            return known_directory_parse(contents, immutable)

        known_directory_parse = known_directory.parse
        self.patch(known_directory, "parse", parse)

    def test_small_directories_are_read_but_not_parsed_again(self) -> None:
        self.add("a")
        self.assertEqual(self.parsed, 1)  # the empty one
        listings = [self.successResultOf(spawn(self.client.open(self.cap).list())) for _ in range(3)]
        self.assertEqual((self.parsed, self.slot.reads, self.slot.versions), (1, 3, 0))
        self.assertIs(listings[0], listings[2])

    def test_of_large_ones_only_the_version_is_asked_for(self) -> None:
        self.add(*map(str, range(100)))
        for number in range(100, 105):
            self.names()
            self.add(str(number))
        self.assertEqual(len(self.names()), 105)
        self.assertEqual((self.parsed, self.slot.reads), (1, 0))

    def test_a_new_version_is_fetched_and_only_what_is_new_in_it_is_looked_at(self) -> None:
        self.add(*map(str, range(100)))
        before = self.successResultOf(spawn(self.directory.list()))
        self.add("other", directory=self.world.directory())
        with mock.patch.object(View, "child", autospec=True, side_effect=View.child) as looked_at:
            after = self.successResultOf(spawn(self.directory.list()))
        self.assertEqual(looked_at.call_count, 1)
        self.assertIs(after.children["7"], before.children["7"])
        self.assertIn("other", after.children)

    def test_what_is_made_of_a_listing_is_made_once_for_each_version_and_view(self) -> None:
        made: list[int] = []

        def count(listing: Listing) -> int:
            made.append(len(listing.children))
            return len(listing.children)

        self.add("a")
        reader = self.client.open(self.cap.readonly())
        for expected in (1, 2):
            for directory in (self.directory, self.directory, reader, reader):
                self.assertEqual(self.successResultOf(spawn(directory.rendered(count))), expected)
            self.add("b")
        self.assertEqual(made, [1, 1, 2, 2])

    def test_memory_is_bounded_and_what_was_forgotten_is_read_again(self) -> None:
        self.patch(directories, "REMEMBERED", 1000)
        self.add(*map(str, range(100)))
        self.assertGreater(self.directory.known.weight, 1000)  # the one in use is kept whatever its size
        other = self.client.open(directory_cap(1))
        self.add("a", directory=other)
        self.assertEqual((self.directory.known.weight, other.known.weight > 0), (0, True))
        self.assertEqual(len(self.names()), 100)

    def test_what_nobody_uses_is_let_go(self) -> None:
        self.patch(directories, "MOST_REMEMBERED", 1)
        for number in range(4):
            self.add("a", directory=self.client.open(directory_cap(number)))
        self.assertEqual(len(self.client._recent), 1)


class Oddities(Directories):
    """Entries that are damaged or forbidden are counted in the log, once, without names or caps."""

    def test_are_logged_once(self) -> None:
        seen: list[dict[str, object]] = []
        globalLogPublisher.addObserver(seen.append)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, seen.append)  # type: ignore[arg-type]
        self.slot.put(entry(b"secret", CHK.encode(), bytes(100)) + entry(b"bad", b"URI:CHK:bogus"))
        self.names()
        self.names()
        self.add("c")
        self.names()
        told = [event for event in seen if event["log_namespace"] == "lafs.directory"]
        self.assertEqual([(event["damaged"], event["left_out"]) for event in told], [(1, 1)])
        self.assertNotIn("secret", repr(told))
        self.assertNotIn("URI:", repr(told))


class AddressedAlike(SynchronousTestCase):
    def test_a_directory_cap_of_either_strength_is_hidden_in_representations(self) -> None:
        world = World()
        directory = world.directory()
        self.assertNotIn("4d33vyt", repr(directory))
        self.assertIsInstance(directory.cap, DirectoryCap)
