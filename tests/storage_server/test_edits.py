"""Edits as values: packed, unpacked, carried out, and carried out again."""
from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from storage_server.disk import RealDisk
from storage_server.edits import Change, Edit, Put, Removal, Zeros, apply_steps, gathered, pack, unpack

PATHS = st.sampled_from(["aa/aa" + "b" * 24 + "/0", "z7/z7" + "2" * 24 + "/255"])
STEPS = st.one_of(
    st.builds(Put, st.integers(0, 2**63), st.binary(max_size=50)),
    st.builds(Zeros, st.integers(0, 2**63), st.integers(0, 2**63)),
)
SMALL_STEPS = st.lists(
    st.one_of(
        st.builds(Put, st.integers(0, 100), st.binary(min_size=1, max_size=40)),
        st.builds(Zeros, st.integers(0, 100), st.integers(1, 100)),
    ),
    max_size=6,
)
CHANGES = st.one_of(
    st.builds(Edit, PATHS, st.lists(STEPS, max_size=4).map(tuple), st.booleans()), st.builds(Removal, PATHS)
)


class Packing(SynchronousTestCase):
    @given(st.lists(CHANGES, max_size=4))
    def test_what_was_packed_is_unpacked(self, changes: list[Change]) -> None:
        self.assertEqual(unpack(b"".join(pack(changes))), changes)

    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_are_understood_or_refused(self, junk: bytes) -> None:
        try:
            changes = unpack(junk)
        except ValueError:
            return
        self.assertEqual(unpack(b"".join(pack(changes))), changes)

    @given(st.lists(CHANGES, min_size=1, max_size=3), st.data())
    def test_a_cut_is_noticed_unless_it_falls_between_changes(self, changes: list[Change], data: st.DataObject) -> None:
        packed = b"".join(pack(changes))
        cut = data.draw(st.integers(0, len(packed) - 1))
        try:
            found = unpack(packed[:cut])
        except ValueError:
            return
        self.assertEqual(found, changes[: len(found)])

    def test_paths_that_lead_elsewhere_are_refused(self) -> None:
        share = "aa/aa" + "b" * 24 + "/"
        for path in ("../../etc/passwd", "/etc/passwd", share + "../x", share + "0\n", share + "00", "aa/bb" + "b" * 24):
            self.assertRaises(ValueError, unpack, b"".join(pack([Removal(path)])))


class Steps(SynchronousTestCase):
    @given(st.binary(max_size=64), SMALL_STEPS)
    def test_doing_them_twice_is_doing_them_once(self, before: bytes, steps: list[Put | Zeros]) -> None:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(before)
        expected = bytearray(before)
        for step in steps:
            data = step.data if isinstance(step, Put) else bytes(step.size)
            expected.extend(bytes(max(0, step.offset - len(expected))))
            expected[step.offset : step.offset + len(data)] = data
        for _ in range(2):
            file = RealDisk().open(str(path), writable=True)
            apply_steps(file, steps)
            file.close()
            self.assertEqual(path.read_bytes(), bytes(expected))

    @given(SMALL_STEPS)
    def test_those_of_a_new_file_may_be_one(self, steps: list[Put | Zeros]) -> None:
        results = []
        for each in (steps, gathered(steps)):
            path = Path(self.mktemp())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            file = RealDisk().open(str(path), writable=True)
            apply_steps(file, each)
            file.close()
            results.append(path.read_bytes())
        self.assertEqual(results[0], results[1])
        self.assertEqual(len(gathered(steps)), min(len(steps), 1))

    def test_those_of_a_vast_new_file_stay_as_they_are(self) -> None:
        steps = [Put(0, b"head"), Zeros(4, 10**12), Put(10**12, b"tail")]
        self.assertEqual(gathered(steps), steps)

    def test_a_vast_hole_takes_no_room(self) -> None:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"data")
        file = RealDisk().open(str(path), writable=True)
        apply_steps(file, [Zeros(2, 10**12)])
        file.close()
        self.assertEqual(path.stat().st_size, 2 + 10**12)
        self.assertLess(path.stat().st_blocks * 512, 10**6)
