"""What mutable files do when nothing goes wrong, and how many round trips it takes."""
from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import MutableWriteCap
from lafs.errors import BadCapability, NoServers, NotWriteable, UncoordinatedWrite, UnrecoverableFile
from lafs.immutable.parameters import EncodingParameters
from lafs.mutable.node import MutableFile
from lafs.sources import BytesSource
from lafs.tasks import gather
from tests.memory_grid import Collector, Grid, random_bytes
from tests.mutable.slots import all_stored, new_client
from tests.private_keys import known_keys

FORMATS: Any = ("SDMF", "MDMF")
SEGMENT = 131073
"""Bytes of an MDMF segment of a 3-of-N file."""


def reopened(grid: Grid, node: MutableFile) -> MutableFile:
    """The same file, opened by a client that knows nothing yet."""
    grid.forget()
    return grid.client.open_mutable(node.cap)


def contents_of(grid: Grid, node: MutableFile) -> bytes:
    contents, _ = grid.run(reopened(grid, node).contents())
    return contents


class Contents(SynchronousTestCase):
    def test_what_was_written_is_read(self) -> None:
        for format in FORMATS:
            grid = Grid()
            for size in (0, 1, 3, 1000, SEGMENT, SEGMENT + 1, 3 * SEGMENT):
                contents = random_bytes(size)
                node = grid.run(grid.client.create_mutable(contents, format))
                self.assertEqual(contents_of(grid, node), contents)
                found, version = grid.run(grid.client.open_mutable(node.cap.readonly()).contents())
                self.assertEqual((found, version.size, version.format), (contents, size, format))
                self.assertEqual((version.sequence_number, version.needed, version.total), (1, 3, 10))
            self.assertEqual(grid.leftovers(), [])

    def test_a_source_of_unknown_size_is_written_whole(self) -> None:
        class Stream(BytesSource):
            size = None  # type: ignore[assignment]

        grid = Grid()
        for format in FORMATS:
            contents = random_bytes(2 * SEGMENT + 5)
            node = grid.run(grid.client.create_mutable(Stream(contents), format))
            self.assertEqual(contents_of(grid, node), contents)

    def test_first_contents_may_follow_from_the_cap(self) -> None:
        grid = Grid()
        node = grid.run(grid.client.create_mutable(lambda cap: cap.write_key))
        assert isinstance(node.cap, MutableWriteCap)
        self.assertEqual(contents_of(grid, node), node.cap.write_key)

    def test_any_range_is_read(self) -> None:
        grid = Grid(servers=4, encoding=EncodingParameters(2, 2, 4))
        contents = random_bytes(3 * SEGMENT)
        for format in FORMATS:
            node = grid.run(grid.client.create_mutable(contents, format))
            for offset, size in ((0, 10), (SEGMENT - 5, 10), (10, 2 * SEGMENT), (3 * SEGMENT - 1, 50), (9 * SEGMENT, 5), (7, 0)):
                sink = grid.sink()
                grid.run(reopened(grid, node).read(sink, offset, size))
                self.assertEqual(sink.content, contents[offset : offset + size])
            sink = grid.sink()
            grid.run(node.read(sink, 100))
            self.assertEqual(sink.content, contents[100:])
        with self.assertRaises(ValueError):
            grid.run(node.read(Collector(grid.clock), -1))

    def test_a_large_file_is_read_in_pieces_while_the_sink_takes_its_time(self) -> None:
        grid = Grid(servers=4, encoding=EncodingParameters(2, 2, 4))
        contents = random_bytes(5_000_000)
        node = grid.run(grid.client.create_mutable(contents, "MDMF"))
        sink = grid.sink(pause_seconds=0.5)
        grid.run(reopened(grid, node).read(sink))
        self.assertEqual(sink.content, contents)
        self.assertGreater(len(sink.pieces), 30)


class Changes(SynchronousTestCase):
    def test_overwriting_leaves_nothing_of_what_was_there(self) -> None:
        for format in FORMATS:
            grid = Grid()
            node = grid.run(grid.client.create_mutable(random_bytes(300_000), format))
            for contents in (b"short", b"", random_bytes(500_000), b"again"):
                version = grid.run(node.overwrite(BytesSource(contents)))
                self.assertEqual(contents_of(grid, node), contents)
            self.assertEqual(version.sequence_number, 5)
            self.assertLess(max(len(share) for _, _, share in all_stored(grid, node.cap)), 2400)

    def test_a_change_that_changes_nothing_writes_nothing(self) -> None:
        grid = Grid()
        node = grid.run(grid.client.create_mutable(b"as it is"))
        self.assertEqual(grid.run(node.modify(lambda contents: contents)).sequence_number, 1)

    def test_a_change_that_fails_writes_nothing(self) -> None:
        def refuse(contents: bytes) -> bytes:
            raise KeyError("not so")

        grid = Grid()
        node = grid.run(grid.client.create_mutable(b"as it is"))
        with self.assertRaises(KeyError):
            grid.run(node.modify(refuse))
        self.assertEqual(contents_of(grid, node), b"as it is")
        self.assertEqual(grid.leftovers(), [])

    @settings(max_examples=25)
    @given(
        st.sampled_from(FORMATS),
        st.integers(0, 3 * SEGMENT),
        st.lists(st.tuples(st.integers(0, 1000), st.sampled_from([1, 100, SEGMENT - 1, SEGMENT, SEGMENT + 1])), max_size=3),
        st.booleans(),
    )
    def test_updates_put_bytes_where_they_belong_and_truncate_nothing(
        self, format: Any, size: int, updates: list[tuple[int, int]], aligned: bool
    ) -> None:
        grid = Grid(servers=4, encoding=EncodingParameters(3, 3, 4))
        expected = random_bytes(size - size % SEGMENT if aligned else size)
        node = grid.run(grid.client.create_mutable(expected, format))
        for number, (permille, length) in enumerate(updates):
            offset = len(expected) * permille // 1000
            data = random_bytes(length, seed=number + 1)
            version = grid.run(node.update(offset, BytesSource(data)))
            expected = expected[:offset] + data + expected[offset + length :]
            self.assertEqual(version.size, len(expected))
        self.assertEqual(contents_of(grid, node), expected)

    def test_an_update_beyond_the_end_is_refused(self) -> None:
        grid = Grid()
        for format in FORMATS:
            node = grid.run(grid.client.create_mutable(b"short", format))
            with self.assertRaises(ValueError):
                grid.run(node.update(6, BytesSource(b"x")))
            self.assertEqual(contents_of(grid, node), b"short")

    def test_files_keep_their_own_coding_and_format(self) -> None:
        grid = Grid()
        for format in FORMATS:
            node = grid.run(grid.client.create_mutable(random_bytes(200_000), format))
            for parameters in (EncodingParameters(1, 1, 3), EncodingParameters(7, 8, 12)):
                other = new_client(grid, encoding=parameters).open_mutable(node.cap)
                grid.run(other.update(10, BytesSource(b"new")))
                grid.run(other.modify(lambda contents: contents + b"!"))
                version = grid.run(other.overwrite(BytesSource(b"all new" * 20_000)))
                self.assertEqual((version.needed, version.total, version.format), (3, 10, format))
            self.assertEqual(contents_of(grid, node), b"all new" * 20_000)

    def test_a_cap_of_the_other_format_writes_the_format_that_is_there(self) -> None:
        grid = Grid()
        node = grid.run(grid.client.create_mutable(b"contents", "SDMF"))
        assert isinstance(node.cap, MutableWriteCap)
        other = MutableWriteCap("MDMF", node.cap.write_key, node.cap.fingerprint)
        version = grid.run(new_client(grid).open_mutable(other).modify(lambda contents: contents + b"!"))
        self.assertEqual(version.format, "SDMF")
        self.assertEqual(contents_of(grid, node), b"contents!")

    def test_changes_of_one_process_follow_each_other(self) -> None:
        grid = Grid()
        node = grid.run(grid.client.create_mutable(b""))
        nodes = [grid.client.open_mutable(node.cap) for _ in range(5)]
        grid.run(gather(each.modify(lambda old, n=n: old + b"%d" % n) for n, each in enumerate(nodes)))  # type: ignore[misc]
        contents, version = grid.run(node.contents())
        self.assertEqual((contents, version.sequence_number), (b"01234", 6))


class Authority(SynchronousTestCase):
    def test_each_cap_grants_what_it_names(self) -> None:
        grid = Grid()
        node = grid.run(grid.client.create_mutable(b"contents"))
        for cap in (node.cap.readonly(), node.cap.verifier()):
            other = grid.client.open_mutable(cap)
            for change in (
                other.overwrite(BytesSource(b"x")),
                other.update(0, BytesSource(b"x")),
                other.modify(bytes.upper),
                other.repair(),
            ):
                with self.assertRaises(NotWriteable):
                    grid.run(change)
            self.assertEqual(grid.run(other.version()).size, 8)
        with self.assertRaises(BadCapability):
            grid.run(grid.client.open_mutable(node.cap.verifier()).contents())
        self.assertNotIn(node.cap.text.split(":")[2], repr(node))

    def test_a_key_has_one_file(self) -> None:
        grid = Grid()
        key = known_keys()()
        node = grid.run(grid.client.create_mutable(b"first", "SDMF", key))
        with self.assertRaises(UncoordinatedWrite):
            grid.run(new_client(grid).create_mutable(b"second", "SDMF", key))
        self.assertEqual(contents_of(grid, node), b"first")

    def test_a_file_that_is_not_there_is_an_error(self) -> None:
        grid, elsewhere = Grid(), Grid()
        node = grid.run(grid.client.create_mutable(b"here"))
        for attempt in (lambda node: node.contents(), lambda node: node.overwrite(BytesSource(b"x"))):
            with self.assertRaises(UnrecoverableFile):
                elsewhere.run(attempt(elsewhere.client.open_mutable(node.cap)))

    def test_without_servers_there_is_an_error(self) -> None:
        grid = Grid(servers=0)
        with self.assertRaises(NoServers):
            grid.run(grid.client.create_mutable(b""))


class RoundTrips(SynchronousTestCase):
    """As few as the order of things allows."""

    def test_what_is_small_comes_with_its_version_and_what_is_large_does_not(self) -> None:
        grid = Grid()
        node = grid.run(grid.client.create_mutable(b"x" * 1000))
        (contents, version), cost = grid._measured(reopened(grid, node).contents_within(1000))
        self.assertEqual((contents, version.size, cost.round_trips), (b"x" * 1000, 1000, 1))
        (contents, version), cost = grid._measured(reopened(grid, node).contents_within(999))
        self.assertEqual((contents, version.size, cost.round_trips), (None, 1000, 1))

    def cost(self, size: int, format: Any) -> list[float]:
        """Of: creating, and by clients that know nothing of the file: reading, overwriting, modifying (and again), updating."""
        grid = Grid()
        costs = []

        def measured(work: Any) -> None:
            _, cost = grid._measured(work)
            costs.append(cost.round_trips)

        node, cost = grid._measured(grid.client.create_mutable(random_bytes(size), format))
        costs.append(cost.round_trips)
        measured(reopened(grid, node).contents())
        measured(reopened(grid, node).overwrite(BytesSource(random_bytes(size))))
        fresh = reopened(grid, node)
        measured(fresh.modify(lambda contents: contents + b"1"))
        measured(fresh.modify(lambda contents: contents + b"2"))
        measured(reopened(grid, node).update(3, BytesSource(b"abc")))
        return costs

    def test_of_a_small_file(self) -> None:
        for format in FORMATS:
            create, read, overwrite, modify, again, update = self.cost(2_000, format)
            self.assertEqual((create, read, overwrite, modify, again, update), (1, 1, 2, 2, 1, 2))

    def test_of_a_middling_file(self) -> None:
        self.assertEqual(self.cost(100_000, "SDMF"), [1, 1, 2, 2, 1, 2])

    def test_of_a_large_file(self) -> None:
        self.assertEqual(self.cost(1_000_000, "SDMF"), [1, 2, 3, 3, 3, 3])
        self.assertEqual(self.cost(1_000_000, "MDMF"), [1, 2, 2, 3, 3, 3])

    def test_what_is_read_is_counted(self) -> None:
        grid = Grid()
        node = grid.run(grid.client.create_mutable(b"12345"))
        grid.run(node.contents())
        counted = grid.client.counters.snapshot()
        self.assertEqual(counted["mutable.files_published"], 1)
        self.assertEqual(counted["mutable.bytes_published"], 5)
        self.assertEqual(counted["mutable.files_retrieved"], 1)
        self.assertEqual(counted["mutable.bytes_retrieved"], 5)
