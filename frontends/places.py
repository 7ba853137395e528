"""Where a path leads, and what may be done there. Pure. Used by `virtual_tree` and `writers`. Spec: 09 §5."""
from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from frontends.open_files import AttributeChange
from lafs.capability import Cap, DirectoryCap, UnknownCap
from lafs.directory.directory import Directory
from lafs.interfaces import Child, ChildKind


@frozen
class Place:
    """Without `parent` it is a root; without `child` below one, nothing is there. `passed` are the directories that lead to it."""

    cap: Cap | None
    parent: Directory | None = None
    name: str = ""
    child: Child | None = None
    passed: tuple[Directory, ...] = ()

    @property
    def exists(self) -> bool:
        return self.parent is None or self.child is not None

    @property
    def kind(self) -> ChildKind:
        if self.child is not None:
            return self.child.kind
        if isinstance(self.cap, DirectoryCap):
            return "directory"
        return "unknown" if self.cap is None or isinstance(self.cap, UnknownCap) else "file"

    @property
    def writable(self) -> bool:
        """Whether what is here may be written; an immutable file may be replaced in a directory that may be."""
        if self.kind == "unknown" or self.cap is None:
            return False
        if self.kind == "file" and not self.cap.is_mutable and self.parent is not None:
            metadata = self.child.metadata if self.child is not None else {}
            return not self.parent.cap.is_readonly and not metadata.get("no-write")
        return not self.cap.is_readonly


    def annotated(self, change: AttributeChange) -> dict[str, Any] | None:
        """The metadata of the child after `change`; None if that changes nothing."""
        if self.child is None:
            return None
        if self.cap is None or self.cap.is_mutable or self.kind != "file":
            # Taking the right to write from what can change would take its write cap out of the entry, for ever.
            change = evolve(change, writable=None)
        before = {key: value for key, value in self.child.metadata.items() if key != "tahoe"}
        after = change.applied_to(before)
        return None if after == before else after


def modified_of(child: Child | None, as_set: bool) -> int | None:
    """When it was modified, in seconds since the epoch: with `as_set`, as a client said, if one did; else when it was linked."""
    if child is None:
        return None
    system = child.metadata.get("tahoe")
    linked = system.get("linkmotime") if isinstance(system, dict) else None
    said = child.metadata.get("mtime")
    for moment in (said, linked) if as_set else (linked, said):
        if isinstance(moment, int | float) and not isinstance(moment, bool) and abs(moment) < 2**53:
            return int(moment) % 2**32
    return None
