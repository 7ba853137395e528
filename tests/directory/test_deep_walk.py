"""Walks over everything below a directory: the order and identity of the peer, and no end at the first dead directory."""
from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import Cap, DirectoryCap, MutableWriteCap, parse
from lafs.capability_slots import child_caps
from lafs.directory import deep_walk
from lafs.directory.children import View, pack_children
from lafs.directory.deep_statistics import DeepStatistics, bucket
from lafs.directory.deep_walk import Visit, walk
from lafs.directory.directory import Directory
from lafs.errors import BadDirectory, UnrecoverableFile
from lafs.interfaces import Listing, NewChild
from lafs.tasks import spawn
from tests.directory.files import ImmutableFile, World
from tests.directory.test_packing import CHK, SSK
from tests.directory.vectors import VECTORS


def directory_text(number: int) -> str:
    """The write cap of one of any number of directories."""
    return DirectoryCap(MutableWriteCap("SDMF", number.to_bytes(16, "big"), bytes(32))).text


async def visits(open_directory: Callable[[Cap], Directory], start: Cap) -> list[Visit]:
    assert isinstance(start, DirectoryCap)
    return [visit async for visit in walk(open_directory, start)]


class Walks(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()

    def walk(self, start: Cap) -> list[Visit]:
        return self.successResultOf(spawn(visits(self.world.client().open, start)))

    def fill(self, text: str, **children: str) -> Cap:
        """Make the directory of the cap `text` hold these caps."""
        cap = parse(text)
        assert isinstance(cap, DirectoryCap)
        new = [NewChild(name, child_caps(child, None)) for name, child in children.items()]
        self.world.slot(cap).put(pack_children(new, View.through(cap)).contents)
        return cap

    def paths(self, start: Cap) -> list[str]:
        return ["/".join(visit.path) for visit in self.walk(start)]


class Vectors(Walks):
    def test_manifests(self) -> None:
        for directory in VECTORS["traversal"]["directories"]:
            cap, contents = parse(directory["cap"]), b64decode(directory["contents_b64"])
            if cap.is_mutable:
                self.world.slot(cap).put(contents)
            else:
                self.world.immutable[cap.storage_index] = ImmutableFile(cap, contents)
        for vector in VECTORS["traversal"]["walks"]:
            lines = vector["stream_manifest_lines"]
            found = self.walk(parse(vector["root"]))
            self.assertEqual([json.dumps(visit.record()) for visit in found], lines[: len(found)])
            statistics = DeepStatistics()
            for visit in found:
                statistics.add(visit)
            rest = [json.loads(line) for line in lines[len(found) :]]
            self.assertLessEqual(len(rest), 1)
            if rest:
                self.assertEqual(json.dumps([{"type": "stats", "stats": statistics.as_json()}]), json.dumps(rest))

    def test_histogram(self) -> None:
        for lower, upper in VECTORS["histogram"]["buckets"]:
            self.assertEqual((bucket(lower), bucket(upper)), ((lower, upper), (lower, upper)))
        for size, bounds in VECTORS["histogram"]["samples"]:
            self.assertEqual(bucket(size), tuple(bounds))


class Order(Walks):
    def test_unknown_children_then_files_then_each_directory_with_what_is_below(self) -> None:
        self.fill(directory_text(2), f=CHK.replace("xgl6", "agl6"))
        self.fill(directory_text(3))
        start = self.fill(directory_text(1), b=directory_text(2), c=SSK, a=directory_text(3), z="ro.unknown", d=CHK)
        self.assertEqual(self.paths(start), ["", "z", "c", "d", "a", "b", "b/f"])

    def test_cycles_end_and_shared_children_are_met_once(self) -> None:
        self.fill(directory_text(2), up=directory_text(1), me=directory_text(2), f=CHK, lit="URI:LIT:nbswy3dp")
        start = self.fill(directory_text(1), d=directory_text(2), e=directory_text(2), f=CHK, lit="URI:LIT:nbswy3dp")
        self.assertEqual(self.paths(start), ["", "f", "lit", "d", "d/lit"])

    def test_is_the_same_however_many_are_fetched_ahead_or_held(self) -> None:
        for number in range(60):
            below = {str(child): directory_text(child) for child in range(3 * number + 1, 3 * number + 4)}
            self.fill(directory_text(number), **below)
        for number in range(60, 200):
            self.fill(directory_text(number))
        start = parse(directory_text(0))
        usual = self.paths(start)
        self.assertEqual(len(usual), 181)
        for ahead, held in ((1, 64), (8, 2), (100, 1000)):
            self.patch(deep_walk, "FETCHED_AHEAD", ahead)
            self.patch(deep_walk, "MOST_HELD", held)
            self.assertEqual(self.paths(start), usual)


class Failures(Walks):
    def test_one_dead_directory_is_reported_and_the_walk_goes_on(self) -> None:
        self.fill(directory_text(3), f=CHK)
        start = self.fill(directory_text(1), a=directory_text(2), b=directory_text(3), c=directory_text(4))
        self.world.slot(parse(directory_text(2))).failure = UnrecoverableFile("no shares")
        self.world.slot(parse(directory_text(4))).put(b"rubbish")
        found = self.walk(start)
        self.assertEqual(["/".join(visit.path) for visit in found], ["", "a", "b", "b/f", "c"])
        self.assertEqual([type(visit.error) for visit in found if visit.error], [UnrecoverableFile, BadDirectory])
        self.assertEqual(found[1].text, directory_text(2))

    def test_a_dead_start_is_reported(self) -> None:
        start = parse(directory_text(1))
        self.world.slot(start).failure = UnrecoverableFile("no shares")
        self.assertEqual([type(visit.error) for visit in self.walk(start)], [UnrecoverableFile])


class FetchingAhead(Walks):
    """Directories that answer when the test says so."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[Deferred[None]] = []
        self.cancelled = 0
        self.start = self.fill(directory_text(0), **{f"{number:02}": directory_text(number) for number in range(1, 31)})

    def open(self, cap: Cap) -> Directory:
        directory = self.world.client().open(cap)
        answer: Deferred[None] = Deferred(self.count_cancelled)
        true_list = directory.list

        async def slow_list() -> Listing:
            if cap != self.start:
                self.asked.append(answer)
                await answer
            return await true_list()

        directory.list = slow_list  # type: ignore[method-assign]
        return directory

    def count_cancelled(self, _: object) -> None:
        self.cancelled += 1

    def test_is_bounded_and_goes_on_as_answers_come(self) -> None:
        walking = spawn(visits(self.open, self.start))
        self.assertLessEqual(len(self.asked), deep_walk.FETCHED_AHEAD + 1)
        self.assertGreaterEqual(len(self.asked), deep_walk.FETCHED_AHEAD)
        done = 0
        while done < len(self.asked):
            self.asked[done].callback(None)
            done += 1
            self.assertLessEqual(len(self.asked) - done, deep_walk.FETCHED_AHEAD + 1)
        self.assertEqual(len(self.successResultOf(walking)), 31)
        self.assertEqual(done, 30)

    def test_stops_with_whoever_asked(self) -> None:
        walking = spawn(visits(self.open, self.start))
        walking.cancel()
        self.failureResultOf(walking)
        self.assertEqual(self.cancelled, len(self.asked))
        self.assertGreater(self.cancelled, 0)


class Statistics(Walks):
    def test_grow_with_each_visit_and_measure_what_they_can(self) -> None:
        self.fill(directory_text(2))
        start = self.fill(directory_text(1), a=CHK, b="URI:LIT:nbswy3dp", c=SSK, d=directory_text(2), u="ro.unknown")
        statistics = DeepStatistics()
        counts = []
        for visit in self.walk(start):
            statistics.add(visit)
            counts.append(sum(statistics.as_json()[key] for key in ("count-files", "count-directories", "count-unknown")))
        self.assertEqual(counts, [1, 2, 3, 4, 5, 6])
        result = statistics.as_json()
        self.assertEqual(result["largest-directory-children"], 5)
        self.assertEqual(result["size-directories"], len(self.world.slot(start).contents))
        self.assertEqual(result["size-files-histogram"], [[4, 10, 1], [3163, 10000, 1]])
        self.assertEqual((result["count-mutable-files"], result["size-literal-files"]), (1, 5))
