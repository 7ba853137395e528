"""What `lafs cp` has to do, found out before anything is changed: which files go where, and which directories take them.

Sources become one tree of what the target is to hold; then the tree is laid over what the target holds already. A collision, a
file where a directory is needed, a read-only directory: all are errors here. Spec: 08 §10, §24 C8, C9.
"""
from __future__ import annotations

import os
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from lafs.cli.gateway import Gateway
from lafs.cli.quoting import quoted
from lafs.cli.remote_objects import UNKNOWN, RemoteObject, below, find_object
from lafs.cli.remote_paths import RemotePath
from lafs.errors import LafsError

READ_TOGETHER = 8
"""Directories read at a time."""


class CannotCopy(LafsError):
    """What was asked for makes no sense, or would overwrite what it must not. Nothing was changed."""


@dataclass(frozen=True)
class Place:
    """A source or the target: `local`, or `remote` (then `found` is what is there). `name` is "" if it has none of its own."""

    text: str
    name: str
    local: Path | None = None
    remote: RemotePath | None = None
    found: RemoteObject | None = None

    @property
    def exists(self) -> bool:
        return self.found is not None if self.local is None else self.local.exists()

    @property
    def is_directory(self) -> bool:
        return bool(self.found and self.found.is_directory) if self.local is None else self.local.is_dir()

    @property
    def shown(self) -> str:
        return quoted(self.text)


Source = Path | RemoteObject
"""A file to copy."""


@dataclass
class Folder:
    """A directory of the target: what is to come into it, and which one it is (by path or cap) once that is known."""

    files: dict[str, Source] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)
    local: Path | None = None
    cap: str = field(default="", repr=False)
    """Of the remote directory, "" if it is to be made."""
    is_new: bool = False
    in_place: dict[str, str] = field(default_factory=dict, repr=False)
    """Write caps of the mutable files that are there, by name."""
    linked: dict[str, RemoteObject] = field(default_factory=dict, repr=False)
    """What is to be linked at the end."""

    def all(self) -> Iterator[Folder]:
        """This folder and all below it, each behind those it holds."""
        for folder in self.folders.values():
            yield from folder.all()
        yield self


def read_place(text: str, locate: Callable[[str], RemotePath], is_local: bool, gateway: Gateway) -> Place:
    """Look at an argument of `cp`."""
    if is_local:
        path = Path(text).expanduser()
        return Place(text, Path(os.path.abspath(path)).name, local=path)
    remote = locate(text)
    remote = RemotePath(remote.cap, remote.alias, remote.path.rstrip("/"))
    return Place(text, remote.path.rpartition("/")[2], remote=remote, found=find_object(gateway, remote.web_path()))


def check(sources: list[Place], target: Place, recursive: bool) -> None:
    """Raise CannotCopy for what cannot be. The table of spec 08 §10.2."""
    for source in sources:
        if not source.exists:
            raise CannotCopy(f"No such file or directory {source.shown}")
        if source.local is not None and not (source.local.is_file() or source.local.is_dir()):
            raise CannotCopy(f"source {source.shown} is neither a file nor a directory, I can't handle it")
        if source.found is not None and source.found.kind == UNKNOWN:
            raise CannotCopy(f"Cannot copy unknown nodes. Perhaps a newer version of lafs can: {source.shown}")
        if source.text.endswith("/") and not source.is_directory:
            raise CannotCopy(f"source {source.shown} is not a directory, but ends with a slash")
    directories = [source for source in sources if source.is_directory]
    if directories and not recursive:
        raise CannotCopy("cannot copy directories without --recursive")
    is_file = target.exists and not target.is_directory
    if len(sources) == 1 and not directories and not target.is_directory and target.text.endswith("/"):
        raise CannotCopy("target is not a directory, but ends with a slash")
    if is_file and len(sources) > 1:
        raise CannotCopy("copying multiple things requires target be a directory")
    if is_file and directories:
        raise CannotCopy("cannot copy directory into a file")
    if target.is_directory or len(sources) > 1:
        unnamed = [source for source in sources if not source.name and not source.is_directory]
        if unnamed:
            raise CannotCopy(
                "when copying into a directory, all source files must have names, but "
                f"{unnamed[0].shown} is unnamed"
            )


class Reader:
    """Walks the sources. `warn` is told of what is left out."""

    def __init__(self, gateway: Gateway, warn: Callable[[str], None]) -> None:
        self._gateway = gateway
        self._warn = warn

    def tree(self, sources: Iterable[Place]) -> Folder:
        """All the sources, as what the target directory is to hold."""
        root = Folder()
        for source in sources:
            if not source.is_directory:
                put(root, source.name, source.found or source.local)
            elif source.local is not None:
                self._local(source.local, enter(root, source.name), frozenset())
            else:
                assert source.found is not None
                self._remote(source.found, enter(root, source.name) if source.name else root)
        return root

    def _local(self, path: Path, into: Folder, outer: frozenset[tuple[int, int]]) -> None:
        facts = path.stat()
        inner = outer | {(facts.st_dev, facts.st_ino)}
        for entry in sorted(os.scandir(path), key=lambda each: each.name):
            try:
                child = entry.stat()
            except OSError:  # a dangling link
                continue
            if stat.S_ISREG(child.st_mode):
                put(into, entry.name, Path(entry.path))
            elif not stat.S_ISDIR(child.st_mode):
                self._warn(f"left out, neither a file nor a directory: {quoted(entry.path)}")
            elif (child.st_dev, child.st_ino) in inner:
                self._warn(f"left out, a link to a directory that it is in: {quoted(entry.path)}")
            else:
                self._local(Path(entry.path), enter(into, entry.name), inner)

    def _remote(self, found: RemoteObject, into: Folder) -> None:
        """`found` and all below it, one level after the other: the directories of a level are read together."""
        level = [_Reached(found, into, frozenset())]
        with ReadersOfDirectories(self._gateway) as readers:
            while level:
                below_it = [inner for reached in level for inner in self._entered(reached)]
                objects = readers.read([inner.found.read_cap for inner in below_it])
                level = [replace(inner, found=whole) for inner, whole in zip(below_it, objects, strict=True)]

    def _entered(self, reached: _Reached) -> Iterator[_Reached]:
        """Takes note of the files of a directory. Yields the directories in it, which have not been read yet."""
        found = reached.found
        if found.read_cap in reached.outer:
            raise CannotCopy("a directory on the grid contains itself: it cannot be copied")
        for name, child in sorted(found.children.items()):
            if child.kind == UNKNOWN:
                raise CannotCopy(f"Cannot copy unknown nodes. Perhaps a newer version of lafs can: {quoted(name)}")
            if child.is_directory:
                yield _Reached(child, enter(reached.into, name), reached.outer | {found.read_cap})
            else:
                put(reached.into, name, child)


@dataclass(frozen=True)
class _Reached:
    """A directory of a source, the folder that it is to become, and the directories that it is in, by read cap."""

    found: RemoteObject
    into: Folder
    outer: frozenset[str]


class ReadersOfDirectories:
    """Reads several directories at a time, each of its threads over a connection of its own."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._own = threading.local()
        self._gateways: list[Gateway] = []
        self._pool = ThreadPoolExecutor(READ_TOGETHER)

    def __enter__(self) -> ReadersOfDirectories:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for gateway in self._gateways:
            gateway.close()

    def read(self, caps: list[str]) -> list[RemoteObject]:
        """What these name, with their children, in order. Raises CannotCopy, and what a gateway raises."""
        if len(caps) == 1:
            return [self._read(caps[0], self._gateway)]
        return list(self._pool.map(self._read, caps))

    def _read(self, cap: str, gateway: Gateway | None = None) -> RemoteObject:
        whole = find_object(gateway or self._connection(), below(cap))
        if whole is None:
            raise CannotCopy("a directory on the grid cannot be read")
        return whole

    def _connection(self) -> Gateway:
        """This thread's."""
        if not hasattr(self._own, "gateway"):
            self._own.gateway = self._gateway.another()
            self._gateways.append(self._own.gateway)
        gateway: Gateway = self._own.gateway
        return gateway


def put(folder: Folder, name: str, source: Source | None) -> None:
    assert source is not None
    name = unicodedata.normalize("NFC", name)
    if name in folder.files or name in folder.folders:
        raise CannotCopy(f"cannot copy multiple files with the same name into the same target directory: {quoted(name)}")
    folder.files[name] = source


def enter(folder: Folder, name: str) -> Folder:
    name = unicodedata.normalize("NFC", name)
    if name in folder.files:
        raise CannotCopy(f"cannot copy a file and a directory with the same name into one directory: {quoted(name)}")
    return folder.folders.setdefault(name, Folder())


def lay_over_local(folder: Folder, path: Path) -> None:
    """Give each folder its path. Raises CannotCopy for what is in the way."""
    if path.exists() and not path.is_dir():
        raise CannotCopy(f"{quoted(str(path))} is in the way: it is not a directory")
    folder.local = path
    for name, inner in folder.folders.items():
        lay_over_local(inner, path / safe(name))
    for name in folder.files:
        there = path / safe(name)
        if there.exists() and not there.is_file():
            raise CannotCopy(f"{quoted(str(there))} is in the way: it is not a file")


def safe(name: str) -> str:
    """A name from the grid that can be one here: it stays in its directory. Raises CannotCopy."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise CannotCopy(f"no local file can have the name {quoted(name)}")
    return name


def lay_over_remote(gateway: Gateway, folder: Folder, found: RemoteObject) -> None:
    """Give each folder that is there its cap. Reads only the directories that something comes into, those of a level together."""
    level = [(folder, found)]
    with ReadersOfDirectories(gateway) as readers:
        while level:
            deeper = [each for pair in level for each in _laid_over(*pair)]
            objects = readers.read([there.cap for _, there in deeper])
            level = [(inner, whole) for (inner, _), whole in zip(deeper, objects, strict=True)]


def _laid_over(folder: Folder, found: RemoteObject) -> Iterator[tuple[Folder, RemoteObject]]:
    """Lay one folder over the directory that is there. Yields the folders in it that are there too, and what is there, unread."""
    if not found.write_cap:
        raise CannotCopy("the target directory is read-only")
    folder.cap = found.write_cap
    for name, inner in folder.folders.items():
        there = found.children.get(name)
        if there is not None and not there.is_directory:
            raise CannotCopy(f"{quoted(name)} is in the way: it is not a directory")
        if there is not None:
            yield inner, there
    for name in folder.files:
        there = found.children.get(name)
        if there is not None and there.kind != "filenode":
            raise CannotCopy(f"{quoted(name)} is in the way: it is not a file")
        if there is not None and there.is_mutable and there.write_cap:
            folder.in_place[name] = there.write_cap
