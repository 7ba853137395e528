"""The directories of one client: one KnownDirectory for each, through however many caps it is open. Used by lafs/filesystem.py."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from lafs.capability import (
    Cap,
    DirectoryCap,
    FileCap,
    ImmutableReadCap,
    LiteralCap,
    MutableReadCap,
    MutableWriteCap,
)
from lafs.directory.children import View
from lafs.directory.directory import Directory, read_immutable, read_mutable
from lafs.directory.known_directory import EditedDirectory, KnownDirectory, Tools
from lafs.errors import BadCapability
from lafs.interfaces import FileNode, MutableFileNode
from lafs.tasks import Clock
from lafs.workers import Workers

REMEMBERED = 8 * 1024 * 1024
"""Bytes of contents of directories that are remembered. Understood, they take about ten times as much memory."""

MOST_REMEMBERED = 500
"""Directories, however small."""


class Directories:
    """Opens directories. `open_immutable` and `open_mutable` open the files that hold them."""

    def __init__(
        self,
        clock: Clock,
        workers: Workers,
        open_immutable: Callable[[FileCap], FileNode],
        open_mutable: Callable[[MutableWriteCap | MutableReadCap], MutableFileNode],
    ) -> None:
        self._tools = Tools(clock, workers)
        self._open_immutable = open_immutable
        self._open_mutable = open_mutable
        self._open: WeakValueDictionary[object, KnownDirectory] = WeakValueDictionary()
        self._edited: WeakValueDictionary[object, EditedDirectory] = WeakValueDictionary()
        self._recent: OrderedDict[KnownDirectory, None] = OrderedDict()

    def open(self, cap: Cap) -> Directory:
        """The directory of `cap`; asks nobody anything yet. Raises BadCapability for a cap that reads no directory."""
        if not isinstance(cap, DirectoryCap):
            raise BadCapability("this is not the cap of a directory")
        cap.check_ranges()
        content = cap.content
        key = _identity(content)
        known = self._open.get(key)
        if known is None:
            known = self._open[key] = KnownDirectory(self._tools, not content.is_mutable, self._remember)
        if isinstance(content, MutableWriteCap | MutableReadCap):
            file = self._open_mutable(content)
            return Directory(cap, known, partial(read_mutable, known, file), self._edited_by(key, known, file, cap))
        return Directory(cap, known, partial(read_immutable, known, self._open_immutable(content)))

    def _edited_by(
        self, key: object, known: KnownDirectory, file: MutableFileNode, cap: DirectoryCap
    ) -> EditedDirectory | None:
        if cap.is_readonly:
            return None
        edited = self._edited.get(key)
        if edited is None:
            edited = self._edited[key] = EditedDirectory(known, file, View.through(cap))
        return edited

    def _remember(self, known: KnownDirectory) -> None:
        """Keep what is known of a directory that was just used; forget those that were not used for longest."""
        recent = self._recent
        recent[known] = None
        recent.move_to_end(known)
        weight = sum(each.weight for each in recent)
        while len(recent) > 1 and (weight > REMEMBERED or len(recent) > MOST_REMEMBERED):
            oldest, _ = recent.popitem(last=False)
            weight -= oldest.weight
            oldest.forget()


def _identity(content: FileCap) -> Any:
    """Equal for all caps of one directory. The fingerprint is part of it: a forged one must not be shown what others read."""
    if isinstance(content, MutableWriteCap | MutableReadCap):
        return content.storage_index, content.fingerprint
    if isinstance(content, ImmutableReadCap | LiteralCap):
        return content
    raise BadCapability("this cap checks a directory, and does not read it")
