"""The temporary contents of files being written: right like a bytearray, and unreadable on the disk."""
from __future__ import annotations

import os
import tempfile
from io import FileIO
from pathlib import Path
from typing import BinaryIO, cast
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as some

from frontends import scratch
from frontends.early_key import EarlyKey
from frontends.scratch import LARGEST_GAP, PAGE, PAGES_IN_MEMORY, Scratch, ScratchSpace
from lafs.errors import SourceFailed
from lafs.immutable.keying import KeyHasher
from lafs.immutable.parameters import EncodingParameters

REACH = PAGE * (PAGES_IN_MEMORY + 3)


class Watched(ScratchSpace):
    """A space that keeps the file it gave out, and may be full."""

    def __init__(self) -> None:
        super().__init__(None)
        self.file: BinaryIO | None = None
        self.full = False

    def new_file(self) -> BinaryIO:
        self.file = super().new_file()
        return self.file

    def check_room(self, file: BinaryIO) -> None:
        if self.full:
            raise SourceFailed("full")


_changes = some.lists(
    some.one_of(
        some.tuples(some.just("write"), some.integers(0, REACH), some.integers(1, 3 * PAGE)),
        some.tuples(some.just("resize"), some.integers(0, REACH), some.just(0)),
    ),
    max_size=12,
)


class ScratchContents(TestCase):
    """Whatever is written where."""

    @settings(max_examples=60, deadline=None)
    @given(_changes, some.integers(0, REACH), some.integers(0, 2 * PAGE))
    def test_it_holds_what_a_bytearray_would(self, changes: list[tuple[str, int, int]], offset: int, size: int) -> None:
        kept, expected = Scratch(Watched()), bytearray()
        for number, (what, where, length) in enumerate(changes):
            if what == "write":
                data = bytes([number + 1]) * length
                expected.extend(bytes(max(0, where - len(expected))))
                expected[where : where + length] = data
                kept.write(where, data)
            else:
                del expected[where:]
                expected.extend(bytes(where - len(expected)))
                kept.resize(where)
        self.assertEqual(kept.size, len(expected))
        self.assertEqual(kept.read(offset, size), bytes(expected[offset : offset + size]))
        self.assertEqual(kept.read(0, kept.size), bytes(expected))
        kept.close()

    def test_a_small_file_never_touches_the_disk(self) -> None:
        space = Watched()
        kept = Scratch(space)
        for offset in range(0, PAGE * PAGES_IN_MEMORY, PAGE):
            kept.write(offset, b"x" * PAGE)
        self.assertIsNone(space.file)
        kept.write(PAGE * PAGES_IN_MEMORY, b"x")
        self.assertIsNotNone(space.file)

    def test_missing_runs_are_those_nothing_was_put_into(self) -> None:
        kept = Scratch(Watched(), size=6 * PAGE)
        kept.write(2 * PAGE + 5, b"x")
        self.assertEqual(list(kept.missing(0, 6 * PAGE)), [(0, 2 * PAGE), (3 * PAGE, 6 * PAGE)])
        self.assertEqual(list(kept.missing(2 * PAGE, 3 * PAGE)), [])
        self.assertEqual(list(kept.missing(PAGE + 1, PAGE + 2)), [(PAGE, 2 * PAGE)])

    def test_a_gap_takes_no_room_but_is_not_endless(self) -> None:
        kept = Scratch(Watched())
        kept.write(LARGEST_GAP, b"x")
        self.assertEqual(kept.read(LARGEST_GAP - 1, 2), b"\0x")
        with self.assertRaises(SourceFailed):
            kept.resize(3 * LARGEST_GAP)


class ScratchOnDisk(TestCase):
    """What somebody finds who has the disk afterwards."""

    def setUp(self) -> None:
        self.space = Watched()
        self.kept = Scratch(self.space)

    def on_disk(self, page: int) -> bytes:
        assert self.space.file is not None
        return os.pread(self.space.file.fileno(), PAGE, page * PAGE)

    def push_out(self, first: int) -> None:
        for page in range(first, first + PAGES_IN_MEMORY):
            self.kept.write(page * PAGE, b"\xff" * PAGE)

    def test_the_disk_never_holds_plaintext(self) -> None:
        self.kept.write(0, b"secret" * PAGE)
        self.push_out(10)
        self.assertNotIn(b"secret", self.on_disk(0))

    def test_two_contents_of_one_place_never_share_key_stream(self) -> None:
        """With one key stream the XOR of both would be the XOR of the plaintexts, which is what breaks such files."""
        self.kept.write(0, b"A" * PAGE)
        self.push_out(10)
        before = self.on_disk(0)
        self.kept.write(0, b"B" * PAGE)
        self.push_out(20)
        after = self.on_disk(0)
        self.assertNotEqual(bytes(x ^ y for x, y in zip(before, after, strict=True)), bytes([ord("A") ^ ord("B")]) * PAGE)
        self.assertEqual(self.kept.read(0, PAGE), b"B" * PAGE)

    def test_equal_pages_do_not_look_equal(self) -> None:
        self.push_out(0)
        self.push_out(10)
        self.assertNotEqual(self.on_disk(0), self.on_disk(1))

    def test_the_file_has_no_name(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(folder.rmdir)
        file = ScratchSpace(folder).new_file()
        self.addCleanup(file.close)
        self.assertEqual(list(folder.iterdir()), [])

    def test_a_disk_that_is_nearly_full_is_left_alone(self) -> None:
        self.space.full = True
        with self.assertRaises(SourceFailed):
            self.push_out(0)
            self.push_out(10)

    def test_room_is_measured_on_the_disk_of_the_file(self) -> None:
        with tempfile.TemporaryFile(buffering=0) as file:
            space = ScratchSpace(None)
            space.check_room(cast("BinaryIO", cast("FileIO", file)))
            reserve = scratch.DISK_RESERVE
            self.addCleanup(setattr, scratch, "DISK_RESERVE", reserve)
            scratch.DISK_RESERVE = 1 << 62
            with self.assertRaises(SourceFailed):
                space.check_room(cast("BinaryIO", cast("FileIO", file)))


ENCODING = EncodingParameters(max_segment_size=3 * 1024)

_writes = some.lists(some.tuples(some.integers(0, 12), some.integers(1, 4)), min_size=1, max_size=14)


class EarlyKeys(TestCase):
    """Keys found while files are written."""

    def hasher(self) -> KeyHasher:
        return KeyHasher(b"secret", ENCODING)

    def key(self, contents: bytes) -> bytes:
        hasher = self.hasher()
        hasher.update(contents)
        return hasher.digest()

    @settings(max_examples=200, deadline=None)
    @given(_writes, some.integers(0, 16))
    def test_a_key_is_that_of_what_is_there_or_none(self, writes: list[tuple[int, int]], cut: int) -> None:
        kept, early = Scratch(Watched()), EarlyKey(self.hasher, ENCODING.max_segment_size)
        for number, (block, blocks) in enumerate(writes):
            data = bytes([number + 1]) * (blocks * 1000)
            kept.write(block * 1000, data)
            early.wrote(block * 1000, data, kept)
            if number == len(writes) // 2 and cut * 1000 < kept.size:
                kept.resize(cut * 1000)
                early.cut(cut * 1000)
        found = early.finish(kept)
        if found is not None:
            self.assertEqual(found, self.key(kept.read(0, kept.size)))

    def test_writes_in_order_and_nearly_in_order_are_hashed_as_they_come(self) -> None:
        for order in (range(20), [1, 0, 2, 4, 3, 6, 5, 7, 9, 8, *range(10, 20)]):
            kept, early = Scratch(Watched()), EarlyKey(self.hasher, ENCODING.max_segment_size)
            for block in order:
                data = bytes([block]) * 1000
                kept.write(block * 1000, data)
                early.wrote(block * 1000, data, kept)
            self.assertEqual(early.finish(kept), self.key(kept.read(0, kept.size)))

    def test_what_is_rewritten_once_it_was_hashed_gives_no_early_key(self) -> None:
        kept, early = Scratch(Watched()), EarlyKey(self.hasher, ENCODING.max_segment_size)
        for offset in (0, 4000, 8000, 0):
            kept.write(offset, bytes(4000))
            early.wrote(offset, bytes(4000), kept)
        self.assertIsNone(early.finish(kept))
