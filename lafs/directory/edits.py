"""Changes to a directory, as values that can be applied to whatever is there when they are carried out.

Pure. An edit is applied again, on newer contents, when somebody else wrote in between: it must hold nothing of what it saw
before. Spec: 04 §5, §6.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from attrs import frozen

from lafs.capability_slots import ChildCaps
from lafs.directory.children import View
from lafs.directory.packing import Entries, Entry, name_in_directory
from lafs.errors import ChildExists, ChildOfWrongKind, LafsError, NoSuchChild
from lafs.interfaces import Child, ChildKind, Metadata, NewChild, Replace


@frozen
class Moment:
    """When edits are applied: `now` in seconds since the epoch, the same in every round; `first` in the first round only.

    In later rounds a directory may hold what an earlier one wrote, although it seemed to have failed.
    """

    now: float
    first: bool = True


class Draft:
    """A directory being changed: what was read, and over it what the edits of this round did so far."""

    def __init__(self, entries: Entries, view: View, moment: Moment) -> None:
        self.view = view
        self.moment = moment
        self._entries = entries
        self._changes: dict[str, Entry | None] = {}
        self._undo: list[tuple[str, Entry | None, bool]] = []

    def edit(self, edit: Edit) -> Child | None:
        """Apply `edit`: all of it or, if it raises, nothing."""
        self._undo.clear()
        try:
            return edit.apply(self)
        except LafsError:
            while self._undo:
                name, entry, changed = self._undo.pop()
                if changed:
                    self._changes[name] = entry
                else:
                    del self._changes[name]
            raise

    def put(self, name: str, entry: Entry | None) -> None:
        """Make `entry` that of `name`, or take it out."""
        self._undo.append((name, self._changes.get(name), name in self._changes))
        self._changes[name] = entry

    def entry(self, name: str) -> Entry | None:
        return self._changes[name] if name in self._changes else self._entries.by_name.get(name)

    def child(self, name: str) -> Child | None:
        """The child under `name`, which is in NFC; also one that is left out of listings."""
        entry = self.entry(name)
        return None if entry is None else self.view.child(entry)

    def visible(self, name: str) -> tuple[Entry, Child]:
        """The child under `name` with its entry. Raises NoSuchChild, for those that are left out of listings as well."""
        entry = self.entry(name)
        if entry is not None:
            child = self.view.child(entry)
            if child.caps.fault is None:
                return entry, child
        raise NoSuchChild(name)

    def is_ours(self, name: str) -> bool:
        """Whether an earlier round of these very edits wrote the entry under `name`."""
        if self.moment.first or name in self._changes:
            return False
        child = self.child(name)
        times = child.metadata.get("tahoe") if child is not None else None
        return isinstance(times, dict) and times.get("linkmotime") == self.moment.now

    def result(self) -> Entries:
        """The directory as changed; the very object that was read if nothing changed."""
        by_name = self._entries.by_name
        changes = {name: entry for name, entry in self._changes.items() if entry != by_name.get(name)}
        return self._entries.changed(changes) if changes else self._entries


class Edit(Protocol):
    """One change that happens as a whole or not at all."""

    def apply(self, draft: Draft) -> Child | None:
        """Make the change in `draft`, and return the child that it takes out, if any. Raises errors of lafs.errors."""
        ...


def apply(
    entries: Entries, view: View, edits: Sequence[Edit], moment: Moment
) -> tuple[Entries, list[Child | LafsError | None]]:
    """Apply `edits` one after the other; one that fails changes nothing, and hinders no other."""
    draft = Draft(entries, view, moment)
    outcomes: list[Child | LafsError | None] = []
    for edit in edits:
        try:
            outcomes.append(draft.edit(edit))
        except LafsError as error:
            outcomes.append(error)
    return draft.result(), outcomes


# --- the edits -----------------------------------------------------------------------------------------------------------


@frozen
class SetChildren:
    """Link all `children`, or none if one may not be. Spec: 04 §6.2."""

    children: Sequence[NewChild]
    replace: Replace = "always"

    def apply(self, draft: Draft) -> None:
        for new in self.children:
            name = name_in_directory(new.name)
            _check_replacing(draft, name, new.caps, self.replace)
            old = draft.child(name)
            metadata = updated_metadata(old.metadata if old is not None else None, new.metadata, draft.moment.now)
            draft.put(name, draft.view.entry(name, _restrained(new.caps, metadata), metadata))


@frozen
class Remove:
    """Unlink a child. With `only`, only while it still has these caps. Spec: 04 §6.3."""

    name: str
    must_exist: bool = True
    must_be: ChildKind | None = None
    only: ChildCaps | None = None

    def apply(self, draft: Draft) -> Child | None:
        name = name_in_directory(self.name)
        child = draft.child(name)
        if child is None:
            if self.must_exist and draft.moment.first:
                raise NoSuchChild(name)
            return None
        if self.only is not None and child.caps != self.only:
            return None
        if self.must_be is not None and child.kind not in (self.must_be, "unknown"):
            raise ChildOfWrongKind(f"{name!r} is a {child.kind}, not a {self.must_be}")
        draft.put(name, None)
        return child


@frozen
class Rename:
    """Link a child under another name and unlink it under its own, at once. Spec: 04 §6.5."""

    name: str
    new_name: str
    replace: Replace = "always"

    def apply(self, draft: Draft) -> None:
        name, new_name = name_in_directory(self.name), name_in_directory(self.new_name)
        if name == new_name:
            return
        if draft.entry(name) is None and draft.is_ours(new_name):
            return
        entry, child = draft.visible(name)
        _check_replacing(draft, new_name, child.caps, self.replace)
        old = draft.child(new_name)
        metadata = updated_metadata(old.metadata if old is not None else None, child.metadata, draft.moment.now)
        renamed = Child(new_name, _restrained(child.caps, metadata), metadata, child.damaged)
        draft.put(name, None)
        draft.put(new_name, draft.view.altered(entry, renamed))


@frozen
class SetMetadata:
    """Replace the metadata of a child. Spec: 04 §6.4."""

    name: str
    metadata: Metadata

    def apply(self, draft: Draft) -> None:
        name = name_in_directory(self.name)
        entry, child = draft.visible(name)
        metadata = updated_metadata(child.metadata, self.metadata, draft.moment.now)
        restrained = _restrained(child.caps, metadata)
        # A write cap that was not understood must go as well, when the link is to carry none.
        damaged = child.damaged and not metadata.get("no-write")
        draft.put(name, draft.view.altered(entry, Child(name, restrained, metadata, damaged)))


def _check_replacing(draft: Draft, name: str, caps: ChildCaps, replace: Replace) -> None:
    """Raise ChildExists if the child under `name` may not be replaced by one of `caps`."""
    if replace == "always":
        return
    old = draft.child(name)
    if old is None or (draft.is_ours(name) and old.caps == caps):
        return
    if replace == "never" or old.kind == "directory":
        raise ChildExists("There was already a child by that name, and you asked me to not replace it.")


def _restrained(caps: ChildCaps, metadata: Metadata) -> ChildCaps:
    """`caps` without the right to write, if the link is not to carry it."""
    return caps.attenuated() if metadata.get("no-write") else caps


def updated_metadata(old: Metadata | None, new: Metadata | None, now: float) -> dict[str, Any]:
    """The metadata of a link that is set: link times are kept by the system, all else belongs to the caller. Spec: 04 §5.2."""
    old = old or {}
    if new is None:
        result = dict(old)
    else:
        result = {key: value for key, value in new.items() if key != "tahoe"}
        if "tahoe" in old:
            result["tahoe"] = old["tahoe"]
    found = result.get("tahoe")
    times = dict(found) if isinstance(found, dict) else {}
    times.setdefault("linkcrtime", old.get("ctime", now))
    times["linkmotime"] = now
    result["tahoe"] = times
    return result
