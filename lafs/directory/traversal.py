"""Following a path from a cap, name by name. Spec: 04 §7, 07 §3.1."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from lafs.capability import Cap, DirectoryCap
from lafs.directory.directory import Directory
from lafs.errors import LafsError, NoSuchChild, NotADirectory
from lafs.interfaces import Child


@frozen
class Trail:
    """How far a path leads.

    `passed` are the directories in which names were looked up; the last of them holds `child`, which is where the path ended:
    None if it ended at its start, or at a name that is not there. `rest` are the names that are left; none if all were found.
    """

    start: Cap
    passed: tuple[Directory, ...] = ()
    child: Child | None = None
    rest: tuple[str, ...] = ()

    @property
    def cap(self) -> Cap | None:
        """The strongest cap to where the path ended; None if that is of a kind that this version does not know."""
        return self.start if self.child is None else self.child.cap

    @property
    def obstacle(self) -> LafsError | None:
        """Why the path leads no further. The error names the component that could not be followed."""
        if not self.rest:
            return None
        if self.child is None and self.passed:
            return NoSuchChild(self.rest[0])
        return NotADirectory(self.rest[0], unknown=self.child is not None and self.child.kind == "unknown")


async def follow(
    open_directory: Callable[[Cap], Directory], start: Cap, path: Sequence[str], within_seconds: float = 0
) -> Trail:
    """Follow `path` as far as it leads; of directories, what was seen within so many seconds is believed.

    Raises what reading a directory raises, and BadCapability for a `start` that reads none.
    """
    passed: list[Directory] = []
    child: Child | None = None
    cap: Cap | None = start
    for position, name in enumerate(path):
        if not isinstance(cap, DirectoryCap):
            return Trail(start, tuple(passed), child, tuple(path[position:]))
        directory = open_directory(cap)
        passed.append(directory)
        try:
            child = await directory.get(name, within_seconds)
        except NoSuchChild:
            return Trail(start, tuple(passed), None, tuple(path[position:]))
        cap = child.cap
    return Trail(start, tuple(passed), child)
