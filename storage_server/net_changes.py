"""What many changes come to in the end, without the states in between.

Pure. After the disk has failed, all changes in the journals are carried out anew on share files that are being read
meanwhile. Carried out one by one they would lead every file through its past once more, and a second failure could leave
it there; carried out like this, they write to each byte only what it holds already. Used by `journal.py`.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field

from storage_server.edits import Change, Edit, Put, Removal, Step, Zeros
from storage_server.intervals import Intervals


@define
class _Fate:
    """What becomes of one path."""

    steps: list[Step] = field(factory=list)
    create: bool = False
    removed: bool = False


def net_changes(changes: Iterable[Change]) -> list[Change]:
    """At most one change for each path, that together do what `changes` do one after the other."""
    fates: dict[str, _Fate] = {}
    for change in changes:
        if isinstance(change, Removal):
            fates[change.path] = _Fate(removed=True)
            continue
        fate = fates.setdefault(change.path, _Fate())
        if fate.removed and not change.create:
            continue  # A lease on a share that is gone.
        fate.removed = False
        fate.create = fate.create or change.create
        fate.steps += change.steps
    return [
        Removal(path) if fate.removed else Edit(path, net_steps(fate.steps), fate.create)
        for path, fate in fates.items()
    ]


def net_steps(steps: Sequence[Step]) -> list[Step]:
    """Steps that do what `steps` do, in any order, and touch no byte twice."""
    written = Intervals()
    kept: list[Step] = []
    for step in reversed(steps):
        position = step.offset
        for start, end in [*written.within(step.offset, step.end), (step.end, step.end)]:
            if position < start:
                kept.append(_part(step, position, start))
            position = end
        written.add(step.offset, step.end)
    return kept


def _part(step: Step, start: int, end: int) -> Step:
    if isinstance(step, Zeros):
        return Zeros(start, end - start)
    return Put(start, memoryview(step.data)[start - step.offset : end - step.offset])
