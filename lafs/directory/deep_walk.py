"""Everything that can be reached from a directory, one object after the other. Spec: 04 §8.

Directories are fetched ahead of their turn, a few at a time, and shown in the order of a walk that fetches one by one. One that
cannot be read is shown with its error, and the walk goes on.
"""
from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from attrs import field, frozen
from twisted.internet.defer import Deferred

from lafs.capability import Cap, DirectoryCap
from lafs.directory.directory import Directory
from lafs.errors import LafsError
from lafs.interfaces import Child, ChildKind, Listing
from lafs.tasks import spawn

FETCHED_AHEAD: Final = 8
"""Directories asked for before their turn."""

MOST_HELD: Final = 64
"""Directories fetched, or being fetched, before their turn. Of more, that whose turn is furthest is dropped, and fetched later."""


@frozen
class Visit:
    """One object of a walk. `caps` are texts; `path` the names that lead to it from the start.

    A directory has its `listing`, or the `error` that kept it from being read.
    """

    path: tuple[str, ...]
    kind: ChildKind
    cap: Cap | None
    text: str | None = field(repr=False)
    listing: Listing | None = field(default=None, repr=False)
    error: LafsError | None = None

    @property
    def verify_cap(self) -> str:
        """Text; empty for what cannot be verified."""
        verifier = self.cap.verifier() if self.cap is not None else None
        return verifier.text if verifier is not None else ""

    @property
    def repair_cap(self) -> str:
        """Text of the cap with which it can be repaired; empty if there is none. Spec: 04 §12.1."""
        cap = self.cap
        if cap is None:
            return ""
        if isinstance(cap, DirectoryCap) or cap.is_mutable:
            return "" if cap.is_readonly else cap.text
        return self.verify_cap

    @property
    def storage_index(self) -> str:
        """Text; empty for what is on no server."""
        index = self.cap.storage_index if self.cap is not None else None
        return str(index) if index is not None else ""

    def record(self) -> dict[str, Any]:
        """A line of a manifest, as a JSON object. Spec: 04 §12.1."""
        return {
            "path": list(self.path),
            "cap": self.text,
            "type": self.kind,
            "verifycap": self.verify_cap,
            "repaircap": self.repair_cap,
            "storage-index": self.storage_index,
        }


@frozen(eq=False)
class _Pending:
    """A directory whose turn will come."""

    path: tuple[str, ...]
    cap: DirectoryCap


class _Fetching:
    """The directories that wait for their turn, the next one last; those near their turn are being fetched."""

    def __init__(self, open_directory: Callable[[Cap], Directory]) -> None:
        self._open_directory = open_directory
        self._stack: list[_Pending] = []
        self._fetched: dict[_Pending, Deferred[Listing | LafsError]] = {}
        self._in_flight = 0

    def __len__(self) -> int:
        return len(self._stack)

    def push(self, directories: list[_Pending]) -> None:
        """Put `directories`, in this order, before all that wait."""
        self._stack += reversed(directories)
        self._fetch_ahead()

    async def pop(self) -> tuple[_Pending, Listing | LafsError]:
        """The next one, and what is in it."""
        pending = self._stack.pop()
        fetched = self._fetched.pop(pending, None) or self._fetch(pending)
        self._fetch_ahead()
        return pending, await fetched

    def cancel(self) -> None:
        """Stop all that is in flight."""
        fetched, self._fetched, self._stack = self._fetched, {}, []
        for each in fetched.values():
            _drop(each)

    def _fetch_ahead(self) -> None:
        for pending in reversed(self._stack[-FETCHED_AHEAD:]):
            if self._in_flight >= FETCHED_AHEAD:
                break
            if pending not in self._fetched:
                self._fetched[pending] = self._fetch(pending)
        if len(self._fetched) > MOST_HELD:
            for pending in self._stack:
                if pending in self._fetched:
                    _drop(self._fetched.pop(pending))
                    break

    def _fetch(self, pending: _Pending) -> Deferred[Listing | LafsError]:
        self._in_flight += 1
        return spawn(self._list(pending))

    async def _list(self, pending: _Pending) -> Listing | LafsError:
        try:
            return await self._open_directory(pending.cap).list()
        except LafsError as error:
            return error
        finally:
            self._in_flight -= 1


def _drop(fetched: Deferred[Listing | LafsError]) -> None:
    fetched.addErrback(lambda _: None)
    fetched.cancel()


async def walk(open_directory: Callable[[Cap], Directory], start: DirectoryCap) -> AsyncGenerator[Visit, None]:
    """Visit `start` and all that is below it; of several links to one object the first. Close it to stop early.

    Order: a directory, its unknown children, its files, then its directories with all that is below each; by name. What has
    no verify cap (literals, unknown children) is visited wherever it is linked.
    """
    seen = {start.verifier()} - {None}
    fetching = _Fetching(open_directory)
    fetching.push([_Pending((), start)])
    try:
        while fetching:
            pending, found = await fetching.pop()
            if isinstance(found, LafsError):
                yield Visit(pending.path, "directory", pending.cap, pending.cap.text, error=found)
                continue
            unknown, files, directories = _sorted_out(found, pending.path, seen)
            fetching.push(directories)
            yield Visit(pending.path, "directory", pending.cap, pending.cap.text, found)
            for path, child in unknown + files:
                yield Visit(path, child.kind, child.cap, child.caps.writable or child.caps.readonly)
    finally:
        fetching.cancel()


_Found = list[tuple[tuple[str, ...], Child]]


def _sorted_out(listing: Listing, path: tuple[str, ...], seen: set[Any]) -> tuple[_Found, _Found, list[_Pending]]:
    """Unknown children, files, and directories that were not seen before, which they are from now on."""
    unknown: _Found = []
    files: _Found = []
    directories: list[_Pending] = []
    for name, child in listing.children.items():
        below, cap = (*path, name), child.cap
        if cap is None:
            unknown.append((below, child))
            continue
        verifier = cap.verifier()
        if verifier is not None:
            if verifier in seen:
                continue
            seen.add(verifier)
        if isinstance(cap, DirectoryCap):
            directories.append(_Pending(below, cap))
        else:
            files.append((below, child))
    return unknown, files, directories
