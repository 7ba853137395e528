"""A disk in memory that remembers what would survive a power cut, and forgets the rest when it comes.

Implements `storage_server.disk.Disk`, and is as unkind as the model there allows. What a process sees is the page
cache; what is durable is kept apart. Contents become durable by `sync` of the file, names by `sync_directory` of
their directory. A power cut keeps any part of the unsynced rest: writes whole, torn at any byte or sector, or lost;
sizes that grew without their bytes, filled with zeros or with old junk; and creations, removals and renames in any
combination in which each step finds the names it was made on (a rename is one step of the journal).

The disk can be full, fail any operation with any OSError, and lose power before any operation that changes it. A
failed `sync` is the worst kind known: what it did not write is forgotten by the cache's books, so that the next one
succeeds without writing it.
"""
from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from random import Random

from attrs import define, field, frozen

from lafs.interfaces import Bytes
from storage_server.disk import DiskSpace

SECTOR = 512
CHANGING = frozenset(
    {"create", "write", "truncate", "sync", "rename", "remove", "make_directory", "remove_directory", "sync_directory",
     "sync_everything"}
)
"""Operations that change the disk: before each of these the power may be cut."""


class PowerCut(OSError):
    """The machine is off."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the power is cut")


@frozen
class Operation:
    """One operation about to be done. `number` counts all operations of the disk from 0."""

    number: int
    verb: str
    path: str


@frozen
class PendingWrite:
    offset: int
    data: bytes


@frozen
class PendingTruncate:
    size: int


@define(eq=False)
class File:
    """An inode: contents as processes see them, contents as they are on the platter, and the difference."""

    cached: bytearray = field(factory=bytearray)
    durable: bytearray = field(factory=bytearray)
    pending: list[PendingWrite | PendingTruncate] = field(factory=list)

    def write(self, change: PendingWrite | PendingTruncate) -> None:
        apply(self.cached, change)
        self.pending.append(change)

    def sync(self) -> None:
        # Only what is on the books is written: after a failed sync that may be less than what the cache shows.
        for change in self.pending:
            apply(self.durable, change)
        self.pending.clear()

    def lose_power(self, random: Random) -> None:
        """Keep any part of the pending changes."""
        mood = random.choice(["keep", "lose", "mix", "mix"])
        for change in self.pending:
            if mood == "keep" or (mood == "mix" and random.random() < 0.4):
                apply(self.durable, change)
            elif mood == "mix" and isinstance(change, PendingWrite):
                tear(self.durable, change, random)
        self.pending.clear()
        self.cached = bytearray(self.durable)


@define(eq=False)
class Directory:
    """An inode: names as processes see them, and as they are on the platter."""

    cached: dict[str, File | Directory] = field(factory=dict)
    durable: dict[str, File | Directory] = field(factory=dict)


Node = File | Directory


@frozen(eq=False)
class Step:
    """One step of the journal: the names it sets (or removes: None), all or none of them."""

    changes: tuple[tuple[Directory, str, Node | None], ...]

    def commit(self) -> None:
        for directory, name, node in self.changes:
            if node is None:
                directory.durable.pop(name, None)
            else:
                directory.durable[name] = node

    def builds_on(self, other: Step) -> bool:
        """Whether this step, made after `other`, touches a name that `other` touched."""
        return any(mine[0] is theirs[0] and mine[1] == theirs[1] for mine in self.changes for theirs in other.changes)


def apply(content: bytearray, change: PendingWrite | PendingTruncate) -> None:
    """Do to `content` what `change` says."""
    if isinstance(change, PendingTruncate):
        if change.size < len(content):
            del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.data)
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : end] = change.data


def tear(content: bytearray, write: PendingWrite, random: Random) -> None:
    """Do a part of `write`: its beginning up to any byte, any of its sectors, or only the size it gives the file."""
    end = write.offset + len(write.data)
    how = random.choice(["nothing", "beginning", "sectors", "size"])
    if how == "nothing":
        return
    if how in ("sectors", "size") and len(content) < end:
        missing = end - len(content)
        content.extend(random.randbytes(missing) if random.random() < 0.3 else bytes(missing))
    if how == "beginning":
        apply(content, PendingWrite(write.offset, write.data[: random.randrange(len(write.data) + 1)]))
    elif how == "sectors":
        for start in range(0, len(write.data), SECTOR):
            if random.random() < 0.5:
                apply(content, PendingWrite(write.offset + start, write.data[start : start + SECTOR]))


class SimulatedDisk:
    """One disk, which outlives the processes that use it. `random` decides what survives; `faults` is asked before
    every operation and may return the OSError it fails with; `capacity` is in bytes.
    """

    def __init__(self, random: Random, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.faults: Callable[[Operation], OSError | None] = lambda operation: None
        self.cut_power_at: int | None = None
        """Lose power instead of doing the changing operation with this number (see `changes`)."""
        self.on_power_cut: Callable[[], None] = lambda: None
        self.operations = 0
        self.changes = 0
        self.boots = 0
        self.powered = True
        self._random = random
        self._root = Directory()
        self._journal: list[Step] = []

    # --- power ------------------------------------------------------------------------------------------------

    def cut_power(self) -> None:
        """Drop any part of what is not synced. Every operation fails until `boot`."""
        self.powered = False
        self.cut_power_at = None
        for file in list(self._all_files()):
            file.lose_power(self._random)
        self._keep_some_steps()
        self._reread(self._root, set())

    def boot(self) -> None:
        """Start anew, after a power cut or the end of the process: open files are gone, what is on the disk is there."""
        self.powered = True
        self.boots += 1

    def _keep_some_steps(self) -> None:
        mood = self._random.choice(["keep", "lose", "mix", "mix"])
        dropped: list[Step] = []
        for step in self._journal:
            keep = mood == "keep" or (mood == "mix" and self._random.random() < 0.5)
            if keep and not any(step.builds_on(lost) for lost in dropped):
                step.commit()
            else:
                dropped.append(step)
        self._journal.clear()

    def _reread(self, directory: Directory, seen: set[int]) -> None:
        directory.cached = dict(directory.durable)
        for node in directory.cached.values():
            if isinstance(node, Directory) and id(node) not in seen:
                seen.add(id(node))
                self._reread(node, seen)

    def _all_files(self) -> Iterator[File]:
        """Every file that has a name, or may still have one after a power cut, once, in a stable order."""
        seen: set[int] = set()
        waiting: list[Node] = [self._root]
        for step in self._journal:
            waiting.extend(node for _, _, node in step.changes if node is not None)
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, File):
                yield node
            else:
                waiting.extend(node.cached.values())
                waiting.extend(node.durable.values())

    # --- what every operation goes through --------------------------------------------------------------------

    def begin(self, verb: str, path: str) -> None:
        """Count an operation; raises if it fails or the power is gone."""
        if not self.powered:
            raise PowerCut
        operation = Operation(self.operations, verb, path)
        self.operations += 1
        if verb in CHANGING:
            if self.cut_power_at is not None and self.changes >= self.cut_power_at:
                self.cut_power()
                self.on_power_cut()
                raise PowerCut
            self.changes += 1
        fault = self.faults(operation)
        if fault is not None:
            raise fault

    def used(self) -> int:
        """Bytes of all files."""

        def size(directory: Directory) -> int:
            return sum(
                len(node.cached) if isinstance(node, File) else size(node) for node in directory.cached.values()
            )

        return size(self._root)

    def claim(self, growth: int) -> int:
        """How many of `growth` more bytes there is room for."""
        if self.capacity is None:
            return growth
        return max(0, min(growth, self.capacity - self.used()))

    # --- Disk -------------------------------------------------------------------------------------------------

    def create(self, path: str) -> SimulatedFile:
        self.begin("create", path)
        directory, name = self._parent(path)
        if name in directory.cached:
            raise FileExistsError(errno.EEXIST, "file exists")
        file = File()
        self._take(Step(((directory, name, file),)))
        return SimulatedFile(self, file, path, writable=True)

    def open(self, path: str, *, writable: bool = False) -> SimulatedFile:
        self.begin("open", path)
        node = self._find(path)
        if not isinstance(node, File):
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        return SimulatedFile(self, node, path, writable)

    def rename(self, source: str, target: str) -> None:
        self.begin("rename", source)
        old_directory, old_name = self._parent(source)
        new_directory, new_name = self._parent(target)
        node = self._find(source)
        if isinstance(new_directory.cached.get(new_name), Directory):
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        self._take(Step(((old_directory, old_name, None), (new_directory, new_name, node))))

    def remove(self, path: str) -> None:
        self.begin("remove", path)
        directory, name = self._parent(path)
        if isinstance(self._find(path), Directory):
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        self._take(Step(((directory, name, None),)))

    def make_directory(self, path: str) -> bool:
        self.begin("make_directory", path)
        directory, name = self._parent(path)
        existing = directory.cached.get(name)
        if isinstance(existing, File):
            raise FileExistsError(errno.EEXIST, "file exists")
        if existing is not None:
            return False
        self._take(Step(((directory, name, Directory()),)))
        return True

    def remove_directory(self, path: str) -> None:
        self.begin("remove_directory", path)
        directory, name = self._parent(path)
        if self._directory(path).cached:
            raise OSError(errno.ENOTEMPTY, "directory not empty")
        self._take(Step(((directory, name, None),)))

    def list_directory(self, path: str) -> Sequence[str]:
        self.begin("list_directory", path)
        names = sorted(self._directory(path).cached)
        self._random.shuffle(names)
        return names

    def sync_directory(self, path: str) -> None:
        self.begin("sync_directory", path)
        directory = self._directory(path)
        wanted: list[Step] = []
        for step in reversed(self._journal):
            touches = any(changed is directory for changed, _, _ in step.changes)
            if touches or any(later.builds_on(step) for later in wanted):
                wanted.append(step)
        for step in reversed(wanted):
            step.commit()
            self._journal.remove(step)

    def sync_everything(self, path: str) -> None:
        self.begin("sync_everything", path)
        for file in list(self._all_files()):
            file.sync()
        for step in self._journal:
            step.commit()
        self._journal.clear()

    def exists(self, path: str) -> bool:
        self.begin("exists", path)
        return self._lookup(path) is not None

    def is_directory(self, path: str) -> bool:
        self.begin("is_directory", path)
        return isinstance(self._lookup(path), Directory)

    def space(self, path: str) -> DiskSpace:
        self.begin("space", path)
        self._find(path)
        total = 2**40 if self.capacity is None else self.capacity
        free = max(0, total - self.used()) if self.capacity is not None else total
        return DiskSpace(total=total, free_for_root=free, free_for_others=free)

    # --- looking in from outside, for tests -------------------------------------------------------------------

    def files(self) -> dict[str, bytes]:
        """Path -> contents of all files, as a process sees them."""
        found: dict[str, bytes] = {}

        def walk(directory: Directory, path: str) -> None:
            for name in sorted(directory.cached):
                node = directory.cached[name]
                if isinstance(node, File):
                    found[f"{path}/{name}"] = bytes(node.cached)
                else:
                    walk(node, f"{path}/{name}")

        walk(self._root, "")
        return found

    def replace(self, path: str, content: bytes) -> None:
        """Change what is in a file behind everybody's back, durably."""
        node = self._lookup(path)
        assert isinstance(node, File), "only a file can be replaced"
        node.pending.clear()
        node.durable = bytearray(content)
        node.cached = bytearray(content)

    def unlink(self, path: str) -> None:
        """Lose a file behind everybody's back, durably."""
        directory, name = self._parent(path)
        Step(((directory, name, None),)).commit()
        del directory.cached[name]

    # --- names ------------------------------------------------------------------------------------------------

    def _take(self, step: Step) -> None:
        for directory, name, node in step.changes:
            if node is None:
                directory.cached.pop(name, None)
            else:
                directory.cached[name] = node
        self._journal.append(step)

    def _lookup(self, path: str) -> Node | None:
        node: Node = self._root
        for name in [part for part in path.split("/") if part]:
            if isinstance(node, File) or name not in node.cached:
                return None
            node = node.cached[name]
        return node

    def _find(self, path: str) -> Node:
        node = self._lookup(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "no such file or directory")
        return node

    def _directory(self, path: str) -> Directory:
        node = self._find(path)
        if isinstance(node, File):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        return node

    def _parent(self, path: str) -> tuple[Directory, str]:
        assert path.startswith("/"), "paths are absolute"
        parent, _, name = path.rstrip("/").rpartition("/")
        return self._directory(parent), name


class SimulatedFile:
    """An open file. Useless once its disk has been booted again."""

    def __init__(self, disk: SimulatedDisk, file: File, path: str, writable: bool) -> None:
        self._disk = disk
        self._file = file
        self._path = path
        self._writable = writable
        self._boot = disk.boots
        self._closed = False

    def read(self, offset: int, size: int) -> bytes:
        self._begin("read")
        return bytes(self._file.cached[offset : offset + size])

    def write(self, offset: int, data: Bytes) -> None:
        self._begin("write")
        payload = bytes(data)
        growth = max(0, offset + len(payload) - len(self._file.cached))
        fits = len(payload) - (growth - self._disk.claim(growth))
        if fits > 0:
            self._file.write(PendingWrite(offset, payload[:fits]))
        if fits < len(payload):
            raise OSError(errno.ENOSPC, "no space left on device")

    def size(self) -> int:
        self._begin("size")
        return len(self._file.cached)

    def truncate(self, size: int) -> None:
        self._begin("truncate")
        growth = max(0, size - len(self._file.cached))
        if self._disk.claim(growth) < growth:
            raise OSError(errno.ENOSPC, "no space left on device")
        self._file.write(PendingTruncate(size))

    def begin_sync(self, offset: int, size: int) -> None:
        """What a power cut keeps is a matter of chance anyway."""

    def sync(self) -> None:
        try:
            self._begin("sync")
        except PowerCut:
            raise
        except OSError:
            self._file.pending.clear()
            raise
        self._file.sync()

    def close(self) -> None:
        self._closed = True

    def _begin(self, verb: str) -> None:
        if self._boot != self._disk.boots:
            raise PowerCut
        if self._closed:
            raise OSError(errno.EBADF, "bad file descriptor")
        if verb in ("write", "truncate") and not self._writable:
            raise OSError(errno.EBADF, "not open for writing")
        self._disk.begin(verb, self._path)
