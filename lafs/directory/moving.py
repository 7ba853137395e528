"""Moving a child from one directory to another, or to another name. Spec: 04 §6.5.

Within one directory that is one write, all or nothing. Between two the child is linked in the one before it is unlinked in the
other: a failure in between leaves both links, and loses nothing.
"""
from __future__ import annotations

from collections.abc import Collection

from lafs.capability import Cap, DirectoryCap
from lafs.directory.directory import Directory
from lafs.directory.edits import Remove, SetChildren
from lafs.errors import BadChild, CircularMove, NotWriteable
from lafs.interfaces import NewChild, Replace


async def move(
    source: Directory,
    name: str,
    target: Directory,
    new_name: str,
    replace: Replace = "always",
    passed: Collection[Directory] = (),
) -> None:
    """Move the child `name` of `source` to `target`, as `new_name`. Onto itself it changes nothing, and is not looked for.

    `passed` are the directories that lead to `target`. Raises NotWriteable, NoSuchChild, ChildExists, and CircularMove if the
    child is `target` or one of `passed`: it would hang from itself, and from nowhere else.
    """
    if source.cap.is_readonly or target.cap.is_readonly:
        raise NotWriteable("To move something, both directories must be writeable. One of these capabilities only reads.")
    if source.is_same_as(target):
        await source.rename(name, new_name, replace)
        return
    child = await source.get(name)
    if _same_object(child.cap) in {_same_object(directory.cap) for directory in (target, *passed)}:
        raise CircularMove("A directory cannot be moved into itself.")
    if child.damaged and child.caps.writable is None:
        raise BadChild("Damaged", "the write cap of the child is damaged: moved, it would lose the rest of it")
    await target.edit(SetChildren((NewChild(new_name, child.caps, child.metadata),), replace))
    await source.edit(Remove(name, must_exist=False, only=child.caps))


def _same_object(cap: Cap | None) -> Cap | None:
    """Equal for caps of whatever strength to one directory."""
    return cap.verifier() or cap if isinstance(cap, DirectoryCap) else None
