"""Many changes come to the same in one go, and touch no byte twice."""
from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from storage_server.edits import Change, Edit, Put, Removal, Step, Zeros, apply_steps
from storage_server.net_changes import net_changes, net_steps
from tests.simulation.disk import SimulatedDisk

STEPS = st.lists(
    st.one_of(
        st.builds(Put, st.integers(0, 100), st.binary(min_size=1, max_size=40)),
        st.builds(Zeros, st.integers(0, 100), st.integers(1, 100)),
    ),
    max_size=8,
)
SHARES = ["aa/x/0", "aa/x/1", "aa/y/0"]
PATHS = st.sampled_from(SHARES)
CHANGES = st.lists(
    st.one_of(st.builds(Edit, PATHS, STEPS.map(tuple), st.booleans()), st.builds(Removal, PATHS)), max_size=8
)


def after(steps: list[Step], before: bytes) -> bytes:
    disk = SimulatedDisk(Random(0))
    file = disk.create("/x")
    file.write(0, before)
    apply_steps(file, steps)
    return disk.files()["/x"]


def outcome(changes: list[Change], there: dict[str, bytes]) -> dict[str, bytes]:
    disk = SimulatedDisk(Random(0))
    for directory in ("/shares", "/shares/aa", "/shares/aa/x", "/shares/aa/y"):
        disk.make_directory(directory)
    for path, content in there.items():
        disk.create(f"/shares/{path}").write(0, content)
    for change in changes:
        path = f"/shares/{change.path}"
        if isinstance(change, Removal):
            if disk.exists(path):
                disk.remove(path)
        elif disk.exists(path):
            apply_steps(disk.open(path, writable=True), change.steps)
        elif change.create:
            apply_steps(disk.create(path), change.steps)
    return {path.removeprefix("/shares/"): content for path, content in disk.files().items()}


class NetChanges(SynchronousTestCase):
    @given(STEPS, st.binary(max_size=80))
    def test_steps_end_in_the_same_bytes(self, steps: list[Step], before: bytes) -> None:
        self.assertEqual(after(net_steps(steps), before), after(steps, before))

    @given(STEPS)
    def test_no_byte_is_touched_twice(self, steps: list[Step]) -> None:
        touched = [position for step in net_steps(steps) for position in range(step.offset, step.end)]
        self.assertEqual(len(touched), len(set(touched)))

    @given(STEPS, st.binary(max_size=80))
    def test_a_file_in_its_last_state_never_leaves_it(self, steps: list[Step], before: bytes) -> None:
        last = after(steps, before)
        for step in net_steps(steps):
            self.assertEqual(after([step], last), last)

    @given(CHANGES, st.lists(st.binary(max_size=80), min_size=3, max_size=3))
    def test_files_in_their_last_state_never_leave_it(self, changes: list[Change], contents: list[bytes]) -> None:
        # A change without creation is planned for a share that is there, so all are there at first.
        expected = outcome(changes, dict(zip(SHARES, contents, strict=True)))
        net = net_changes(changes)
        self.assertEqual(len({change.path for change in net}), len(net))
        self.assertEqual(outcome(net, expected), expected, "in the state they lead to, they change nothing")
