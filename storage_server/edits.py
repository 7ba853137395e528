"""Changes to share files as values, so that they can be planned, written down, carried out, and carried out again.

Pure but for `apply`. A plan of edits is physical (these bytes at that offset), so carrying it out twice, or again after it was
half done when the power went, ends in the same bytes. The journal writes edits down before they are done; the packed form
here is private to it and lives only from one checkpoint to the next.
"""
from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

from attrs import field, frozen

from lafs.interfaces import Bytes
from storage_server.disk import Disk, DiskFile

T = TypeVar("T")

SHARE_PATH: Final = re.compile(r"(?P<prefix>[a-z2-7]{2})/(?P=prefix)[a-z2-7]{24}/(?:0|[1-9][0-9]{0,2})", re.ASCII)
"""Relative to `shares/`: prefix, bucket, share number."""

CHUNK: Final = bytes(64 * 1024)

LARGEST_GATHERED: Final = 256 * 1024
"""Bytes of a new file that are put together in memory before they are written."""


@frozen
class Put:
    """These bytes at this offset of the file."""

    offset: int
    data: Bytes = field(repr=False)

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@frozen
class Zeros:
    """`size` zero bytes at this offset of the file. Takes no room beyond the end of it."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


Step = Put | Zeros


@frozen
class Edit:
    """Steps to be carried out, in order, on one share file. With `create`, the file is made if it is not there."""

    path: str
    steps: Sequence[Step]
    create: bool = False


@frozen
class Removal:
    """The end of one share file, and of its bucket if that is then empty."""

    path: str


Change = Edit | Removal


@frozen
class Planned(Generic[T]):
    """What one commit would change, all of it in one bucket, and what its planner wants to be told when that is certain."""

    changes: Sequence[Change]
    result: T


def bucket_of(path: str) -> str:
    """The bucket of a share path, relative to `shares/` as that is."""
    return path.rpartition("/")[0]


def gathered(steps: Sequence[Step]) -> Sequence[Step]:
    """The same for a file that is not there yet, in one step if that is a small one: each costs a disk thread a system call."""
    size = max((step.end for step in steps), default=0)
    if not 0 < size <= LARGEST_GATHERED:
        return steps
    content = bytearray(size)
    for step in steps:
        content[step.offset : step.end] = step.data if isinstance(step, Put) else bytes(step.size)
    return [Put(0, content)]


def apply_steps(file: DiskFile, steps: Sequence[Step]) -> None:
    """Carry out `steps` on an open file."""
    for step in steps:
        if isinstance(step, Put):
            file.write(step.offset, step.data)
        else:
            _write_zeros(file, step)


def _write_zeros(file: DiskFile, zeros: Zeros) -> None:
    present = file.size()
    if zeros.end > present:
        file.truncate(zeros.end)
    for start in range(zeros.offset, min(zeros.end, present), len(CHUNK)):
        file.write(start, memoryview(CHUNK)[: min(zeros.end, present) - start])


def apply_removal(disk: Disk, shares: str, removal: Removal) -> None:
    """Remove the file and its emptied bucket. Harmless when that is already done."""
    with suppress(FileNotFoundError):
        disk.remove(f"{shares}/{removal.path}")
    with suppress(OSError):  # Other shares are in it, or it is gone.
        disk.remove_directory(f"{shares}/{bucket_of(removal.path)}")


# --- the packed form ---------------------------------------------------------------------------------------------------

_EDIT, _CREATION, _REMOVAL = range(3)
_PUT, _ZEROS = range(2)
_CHANGE = struct.Struct(">BBI")
_STEP = struct.Struct(">BQQ")


def pack(changes: Sequence[Change]) -> list[Bytes]:
    """The packed form of `changes`, as pieces to be joined."""
    pieces: list[Bytes] = []
    for change in changes:
        path = change.path.encode("ascii")
        if isinstance(change, Removal):
            pieces += (_CHANGE.pack(_REMOVAL, len(path), 0), path)
            continue
        pieces += (_CHANGE.pack(_CREATION if change.create else _EDIT, len(path), len(change.steps)), path)
        for step in change.steps:
            if isinstance(step, Put):
                pieces += (_STEP.pack(_PUT, step.offset, len(step.data)), step.data)
            else:
                pieces.append(_STEP.pack(_ZEROS, step.offset, step.size))
    return pieces


def unpack(packed: bytes) -> list[Change]:
    """The changes that were packed. Raises ValueError for anything `pack` did not make."""
    position = 0
    view = memoryview(packed)

    def take(size: int) -> memoryview:
        nonlocal position
        if size > len(view) - position:
            raise ValueError("the packed changes end too early")
        position += size
        return view[position - size : position]

    def steps(count: int) -> Iterator[Step]:
        for _ in range(count):
            kind, offset, size = _STEP.unpack(take(_STEP.size))
            if kind == _PUT:
                yield Put(offset, bytes(take(size)))
            elif kind == _ZEROS:
                yield Zeros(offset, size)
            else:
                raise ValueError("an unknown kind of step")

    changes: list[Change] = []
    while position < len(view):
        kind, path_size, step_count = _CHANGE.unpack(take(_CHANGE.size))
        path = str(take(path_size), "ascii")
        if not SHARE_PATH.fullmatch(path):
            raise ValueError("not the path of a share")
        if kind == _REMOVAL and not step_count:
            changes.append(Removal(path))
        elif kind in (_EDIT, _CREATION):
            changes.append(Edit(path, tuple(steps(step_count)), create=kind == _CREATION))
        else:
            raise ValueError("an unknown kind of change")
    return changes
