"""Caps as a tree of paths with POSIX-like operations: what the SFTP and FTP front ends show. Spec: 09 §§4-11.

A path is a tuple of names (`paths.names_of`); `/uri/CAP/...` starts from CAP, all others from the root of the account. Directories
are believed for a second after they were read or written: clients ask for each thing many times over.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import evolve, field, frozen

from frontends.early_key import EarlyKey
from frontends.open_files import AttributeChange, Attributes, OpenFile
from frontends.paths import Names, can_be_shown, path_of
from frontends.places import Place, modified_of
from frontends.read_ahead import ReadFile, Streams
from frontends.refusals import Refused
from frontends.scratch import ScratchSpace
from frontends.writers import BELIEVED_SECONDS, Entry, Writers
from frontends.written_file import Old, WrittenFile
from lafs.capability import Cap, MutableFormat, MutableReadCap, MutableWriteCap, parse
from lafs.capability_slots import child_caps
from lafs.errors import ChildExists, LafsError, NoSuchChild
from lafs.filesystem import Filesystem
from lafs.interfaces import Child, FileNode, MutableFileNode, NewChild
from lafs.tasks import Lane, Window, gather
from lafs.workers import Workers

_EMPTY_FILE = "URI:LIT:"
_SIZES_AT_ONCE = 16


@frozen
class OpenFlags:
    """How a file is opened; at least one of `read` and `write`. `exclusive` needs `create`. Spec: 09 §6.2."""

    read: bool = False
    write: bool = False
    append: bool = False
    create: bool = False
    truncate: bool = False
    exclusive: bool = False


@frozen
class Space:
    """How much there is room for. Nobody can know that of a grid: these are the numbers that the peer gives. Spec: 09 §12."""

    block_size: int = 1024
    blocks: int = 628318530
    free_blocks: int = 314159265
    files: int = 200000000
    free_files: int = 100000000
    longest_name: int = 65535


@frozen
class TreeTools:
    """What all trees of one node share."""

    filesystem: Filesystem
    workers: Workers
    space: ScratchSpace
    format: MutableFormat = "SDMF"
    """Of new directories."""
    times: Literal["modified", "linked"] = "modified"
    """Which time is shown: what clients set, if they did, or always when the entry was last changed, as the peer does."""
    writers: Writers = field(factory=Writers)
    streams: Streams = field(factory=Streams)


class Tree:
    """What one account sees, from `root`. All methods raise `Refused` and errors of lafs.errors."""

    def __init__(self, tools: TreeTools, root: Cap) -> None:
        self._tools = tools
        self._filesystem = tools.filesystem
        self._writers = tools.writers
        self._root = root
        self._opening: dict[Names, tuple[Lane, int]] = {}

    # --- looking ---

    async def attributes(self, path: Names) -> Attributes:
        """Of what is there, or is just being written. Raises NoSuchChild."""
        await self._opened(path)
        place = await self._settled(path)
        if place.parent is not None:
            entry = self._writers.newest(place.parent, place.name)
            if entry is not None and (not place.exists or entry.file.is_changed):
                shown = await entry.file.attributes()
                return shown if shown.modified is not None else evolve(shown, modified=self._modified(place.child))
        if not place.exists:
            raise NoSuchChild(place.name)
        size = await self._size(place.cap) if place.kind == "file" and place.cap is not None else None
        return Attributes(place.kind, size, place.writable, self._modified(place.child))

    async def list(self, path: Names) -> Mapping[str, Attributes]:
        """The children and their attributes, files that are just being written among them."""
        place = await self._existing(path)
        if place.kind != "directory" or place.cap is None:
            what = "a file as if it were a directory" if place.kind == "file" else "an object of unknown kind"
            raise Refused("permission", f"cannot list {what}")
        directory = self._filesystem.open_directory(place.cap)
        listing = await directory.list(BELIEVED_SECONDS)
        shown: dict[str, Attributes] = {}
        unknown_sizes: list[tuple[str, Cap]] = []
        for name, child in listing.children.items():
            if not can_be_shown(name):
                continue
            entry = Place(child.cap, directory, name, child)
            size = None
            if entry.kind == "file" and child.cap is not None:
                if child.cap.is_mutable:
                    unknown_sizes.append((name, child.cap))
                else:
                    size = self._filesystem.open(child.cap).size
            shown[name] = Attributes(entry.kind, size, entry.writable, self._modified(child))
        await self._find_sizes(shown, unknown_sizes)
        for written in self._writers.below(directory):
            if written.file.is_changed or written.name not in shown:
                shown[written.name] = await written.file.attributes()
        return shown

    def space(self) -> Space:
        return Space()

    async def stored(self) -> bool:
        """Return when nothing that was closed waits to be stored any more; whether all of it was."""
        return not await self._writers.stored()

    # --- files ---

    async def open(self, path: Names, flags: OpenFlags) -> OpenFile:
        """Open a file by the table of spec 09 §6. Who opens one that another client is writing reads what is written so far."""
        _check_flags(path, flags)
        # Clients ask for a file right after they opened it, and do not wait for the answer.
        lane, waiting = self._opening.get(path, (Lane(), 0))
        self._opening[path] = lane, waiting + 1
        try:
            return await lane.submit(lambda: self._open(path, flags))
        finally:
            lane, waiting = self._opening.pop(path)
            if waiting > 1:
                self._opening[path] = lane, waiting - 1

    async def _opened(self, path: Names) -> None:
        """Return when all that was to be opened at `path` so far is."""
        if path in self._opening:
            await self._opening[path][0].idle()

    async def _open(self, path: Names, flags: OpenFlags) -> OpenFile:
        place = await self._settled(path)
        writing = self._writers.newest(place.parent, place.name) if place.parent is not None else None
        if writing is not None and not place.exists:
            if flags.exclusive:
                raise Refused("exists", f"child {place.name!r} already exists")
            if not flags.write:
                return writing.file.share()
        _check_open(place, flags)
        if flags.write or not place.exists:
            return await self._open_for_writing(place, flags)
        if writing is not None and writing.file.is_changed:
            return writing.file.share()
        assert place.cap is not None
        size = await self._size(place.cap)
        shown = Attributes("file", size, place.writable, self._modified(place.child))
        return ReadFile(self._node(place.cap), size, shown, self._tools.streams)

    async def _open_for_writing(self, place: Place, flags: OpenFlags) -> WrittenFile:
        tools = self._tools
        old: Old | None = None
        if place.exists and not flags.truncate and place.cap is not None:
            old = Old(self._node(place.cap), await self._size(place.cap), place.cap.is_mutable)
        if not place.exists and flags.exclusive and place.parent is not None:
            # Claims the name on the grid: of two that create it exclusively, through whatever gateways, one must lose.
            await place.parent.add([NewChild(place.name, child_caps(None, _EMPTY_FILE), {})], "never")
        entry = Entry(tools.filesystem, place)
        early_key = None
        if old is None and not isinstance(place.cap, MutableWriteCap):
            begin = tools.filesystem.key_hasher()
            early_key = EarlyKey(begin, tools.filesystem.encoding.max_segment_size) if begin is not None else None
        entry.file = WrittenFile(
            tools.workers,
            tools.space,
            old,
            entry,
            changed=flags.truncate if place.exists else not flags.exclusive,
            append=flags.append,
            early_key=early_key,
        )
        self._writers.add(entry)
        return entry.file

    # --- changes ---

    async def make_directory(self, path: Names, parents: bool = True, exist_ok: bool = True) -> None:
        """Make a directory, with `parents` also those on the way to it. Raises ChildExists, NoSuchChild, NotADirectory."""
        if parents and exist_ok:
            start, rest = self._start(path)
            await self._filesystem.make_directories(start, rest, self._tools.format)
            return
        place = await self._find(path)
        if place.exists:
            if exist_ok and place.kind == "directory":
                return
            raise ChildExists(f"{path_of(path)} is there already")
        assert place.parent is not None
        self._check_parent(place)
        made = await self._filesystem.create_directory(format=self._tools.format)
        await place.parent.add([NewChild(place.name, child_caps(made.cap.text, None))], "never")

    async def remove(self, path: Names) -> None:
        """Remove a file, or an object of unknown kind. What is being written under its name is never stored."""
        await self._opened(path)
        place = await self._entry(path, "remove")
        assert place.parent is not None
        if place.kind == "directory" and place.exists:
            raise Refused("permission", "delete required a file, not a directory")
        writing = self._writers.of(place.parent, place.name)
        for each in writing:
            each.file.forget_changes()
            if each.file.closing:
                await each.file.settled()
        await place.parent.remove(place.name, must_exist=not writing)

    async def remove_directory(self, path: Names) -> None:
        """Remove a directory; only an empty one."""
        place = await self._entry(path, "remove")
        assert place.parent is not None
        if not place.exists:
            raise NoSuchChild(place.name)
        if place.kind != "directory" or place.cap is None:
            raise Refused("permission", "delete required a directory, not a file")
        directory = self._filesystem.open_directory(place.cap)
        await self._writers.closed_below(directory)
        listing = await directory.list()
        if listing.children or listing.left_out or self._writers.below(directory):
            raise Refused("failure", "the directory is not empty")
        await place.parent.remove(place.name)

    async def rename(self, source: Names, target: Names, overwrite: bool) -> None:
        """Files being written follow; what is being written under the new name is never stored. Directories are not replaced."""
        await gather((self._opened(source), self._opened(target)))
        old, new = await self._entry(source, "rename a source"), await self._entry(target, "rename to a destination")
        assert old.parent is not None
        assert new.parent is not None
        writing = self._writers.of(old.parent, old.name)
        in_the_way = self._writers.of(new.parent, new.name)
        closing = [each for each in (*writing, *in_the_way) if each.file.closing]
        if closing:
            await gather(each.file.settled() for each in closing)
            await self.rename(source, target, overwrite)
            return
        if not old.exists and not writing:
            raise NoSuchChild(old.name)
        if not overwrite and (new.exists or in_the_way):
            raise Refused("permission", f"cannot rename to existing path {path_of(target)}")
        if old.parent.is_same_as(new.parent) and old.name == new.name:
            return
        if new.exists and new.kind == "directory":
            raise Refused("failure", "cannot rename over a directory")
        for each in in_the_way:
            each.file.forget_changes()
        for each in writing:
            each.move(new.parent, new.name)
        if old.exists:
            replace: Literal["only-files", "never"] = "only-files" if overwrite else "never"
            await self._filesystem.move(old.parent, old.name, new.parent, new.name, replace, new.passed)

    async def set_attributes(self, path: Names, change: AttributeChange) -> None:
        """Change what is given and keep the rest, also of what is being written. Of a root nothing is kept. Spec: 09 §11, S4."""
        await self._opened(path)
        place = await self._settled(path)
        if place.parent is None:
            return
        entry = self._writers.newest(place.parent, place.name)
        if entry is not None and (entry.file.is_changed or not place.exists):
            await entry.file.set_attributes(change)
            return
        if not place.exists:
            raise NoSuchChild(place.name)
        if change.size is not None:
            file = await self.open(path, OpenFlags(write=True))
            try:
                await file.set_attributes(change)
            except BaseException:
                file.abandon()
                raise
            await file.close()
            return
        metadata = place.annotated(change)
        if metadata is not None:
            await place.parent.set_metadata(place.name, metadata)

    # --- finding ---

    def _start(self, path: Names) -> tuple[Cap, Names]:
        if path[:1] != ("uri",):
            return self._root, path
        if len(path) == 1:
            raise Refused("missing", "/uri must be followed by a cap")
        return parse(path[1]), path[2:]

    async def _find(self, path: Names) -> Place:
        """Raises NoSuchChild or NotADirectory when what should hold the last name is not there."""
        start, rest = self._start(path)
        if not rest:
            return Place(start)
        trail = await self._filesystem.follow(start, rest, BELIEVED_SECONDS)
        if trail.obstacle is not None and not (isinstance(trail.obstacle, NoSuchChild) and len(trail.rest) == 1):
            raise trail.obstacle
        return Place(trail.cap if trail.child is not None else None, trail.passed[-1], rest[-1], trail.child, trail.passed)

    async def _settled(self, path: Names) -> Place:
        """Where `path` leads once all that is just being closed there is stored: some clients do not wait for that."""
        place = await self._find(path)
        if place.parent is not None and await self._writers.closed(place.parent, place.name):
            return await self._find(path)
        return place

    async def _existing(self, path: Names) -> Place:
        place = await self._find(path)
        if not place.exists:
            raise NoSuchChild(place.name)
        return place

    async def _entry(self, path: Names, verb: str) -> Place:
        place = await self._find(path)
        if place.parent is None:
            what = "an object" if verb == "remove" else "object"
            raise Refused("missing", f"cannot {verb} {what} specified by URI")
        self._check_parent(place)
        return place

    def _check_parent(self, place: Place) -> None:
        if place.parent is not None and place.parent.cap.is_readonly:
            raise Refused("permission", "the directory is read-only")

    def _node(self, cap: Cap) -> FileNode | MutableFileNode:
        if isinstance(cap, MutableWriteCap | MutableReadCap):
            return self._filesystem.open_mutable(cap)
        return self._filesystem.open(cap)

    async def _size(self, cap: Cap) -> int:
        if isinstance(cap, MutableWriteCap | MutableReadCap):
            return (await self._filesystem.open_mutable(cap).version()).size
        return self._filesystem.open(cap).size

    async def _find_sizes(self, shown: dict[str, Attributes], files: Sequence[tuple[str, Cap]]) -> None:
        """Ask the grid: clients take a file whose size a listing leaves out for an empty one."""
        window = Window(_SIZES_AT_ONCE)

        async def find(name: str, cap: Cap) -> None:
            await window.take()
            try:
                shown[name] = evolve(shown[name], size=await self._size(cap))
            except LafsError:
                pass  # It is there, whatever is wrong with it.
            finally:
                window.give_back()

        await gather(find(name, cap) for name, cap in files)

    def _modified(self, child: Child | None) -> int | None:
        return modified_of(child, self._tools.times == "modified")


def _check_flags(path: Names, flags: OpenFlags) -> None:
    if not (flags.read or flags.write):
        raise Refused("bad", "invalid file open flags: at least one of FXF_READ and FXF_WRITE must be set")
    if flags.exclusive and not flags.create:
        raise Refused("bad", "invalid file open flags: FXF_EXCL cannot be set without FXF_CREAT")
    if not path:
        raise Refused("missing", "path cannot be empty")


def _check_open(place: Place, flags: OpenFlags) -> None:
    if not place.exists:
        if not flags.create:
            raise Refused("missing", "the file does not exist, and was not opened with the creation (CREAT) flag")
        if place.parent is not None and place.parent.cap.is_readonly:
            raise Refused("permission", "cannot create a file when the parent directory is read-only")
        return
    if flags.exclusive:
        raise Refused("exists", f"child {place.name!r} already exists")
    if place.kind == "directory":
        raise Refused("permission", "cannot open a directory as if it were a file")
    if place.kind == "unknown":
        raise Refused("permission", "cannot open an object of a kind that is not known")
    if flags.write and not place.writable:
        raise Refused("permission", "cannot open a non-writeable file for writing")
