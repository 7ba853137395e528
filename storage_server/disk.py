"""Every effect a storage server has on its file system, as small synchronous verbs.

The store performs all its disk work through a `Disk`, so that the same code runs on a real one (`RealDisk`) and on one
that tears writes, forgets what was not synced and crashes between any two verbs (the simulation). Called from worker
threads; one `DiskFile` is used by one thread at a time.

What survives a crash (every caller relies on this model, and a simulated disk must not be kinder): contents and
size of a file are durable after its `sync`; its name in a directory (a creation, a rename, a removal) after
`sync_directory` of that directory. Anything else may or may not survive, whole or in part, in any order.
Spec: 05 §1; design, rule 6.
"""
from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from lafs.interfaces import Bytes

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

_system = ctypes.CDLL(None, use_errno=True)
_syncfs = getattr(_system, "syncfs", None)
"""Linux only; it lets go of the interpreter while it waits, as all calls of ctypes do."""
_sync_file_range = getattr(_system, "sync_file_range", None)
"""Linux only, likewise."""
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
SYNC_FILE_RANGE_WRITE = 2


class NotAFile(OSError):
    """Something that is not a regular file has the name of one: a directory, a pipe, a device."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "not a regular file")


@frozen
class DiskSpace:
    """Room on a file system, in bytes."""

    total: int
    free_for_root: int
    free_for_others: int


class DiskFile(Protocol):
    """An open regular file. Offsets and sizes in bytes; there is no current position."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end of the file. The caller bounds `size`."""
        ...

    def write(self, offset: int, data: Bytes) -> None:
        """All of `data` at `offset`; a gap before it reads as zeros. Raises OSError; part may then be written."""
        ...

    def size(self) -> int: ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, or extend it with zeros."""
        ...

    def begin_sync(self, offset: int, size: int) -> None:
        """Let the disk begin to write these bytes, so that a later `sync` finds less to do. Promises nothing, never fails."""
        ...

    def sync(self) -> None:
        """Return when contents and size survive a crash."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """Paths are absolute, `/`-separated and made by the store only. Failures are the OSErrors of `os`."""

    def create(self, path: str) -> DiskFile:
        """A new empty file, open for reading and writing. Raises FileExistsError."""
        ...

    def open(self, path: str, *, writable: bool = False) -> DiskFile:
        """An existing file. Raises FileNotFoundError, and NotAFile or IsADirectoryError for what is not one."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, replacing a file that had it. Both directories want a sync afterwards."""
        ...

    def remove(self, path: str) -> None:
        """Remove the name of a file. Raises FileNotFoundError, IsADirectoryError."""
        ...

    def make_directory(self, path: str) -> bool:
        """Make a directory if there is none; whether it was made. Its parent must exist (FileNotFoundError)."""
        ...

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory. Raises OSError (ENOTEMPTY) if it is not, FileNotFoundError."""
        ...

    def list_directory(self, path: str) -> Sequence[str]:
        """Names in a directory, in no order. Raises FileNotFoundError, NotADirectoryError."""
        ...

    def sync_directory(self, path: str) -> None:
        """Return when the names in the directory are as they are now even after a crash."""
        ...

    def sync_everything(self, path: str) -> None:
        """Return when all that was ever written to the file system of `path` survives a crash, names and contents.

        For when there is much of it: one such sync costs less than hundreds of others.
        """
        ...

    def exists(self, path: str) -> bool: ...

    def is_directory(self, path: str) -> bool: ...

    def space(self, path: str) -> DiskSpace:
        """Room on the file system that holds `path`. Raises OSError."""
        ...


def create_anew(disk: Disk, path: str) -> DiskFile:
    """A new empty file, in the place of one that an earlier attempt may have left. Raises OSError."""
    try:
        return disk.create(path)
    except FileExistsError:
        disk.remove(path)
        return disk.create(path)


class RealFile:
    """An open file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, size: int) -> bytes:
        pieces: list[bytes] = []
        while size > 0:
            piece = os.pread(self._descriptor, size, offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, offset: int, data: Bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            offset += written
            rest = rest[written:]

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def begin_sync(self, offset: int, size: int) -> None:
        if _sync_file_range is not None:
            _sync_file_range(self._descriptor, offset, size, SYNC_FILE_RANGE_WRITE)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealDisk:
    """The file system of this machine. Files and directories are for the owner only."""

    def create(self, path: str) -> RealFile:
        return RealFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))

    def open(self, path: str, *, writable: bool = False) -> RealFile:
        # Non-blocking, so that a pipe somebody left in a bucket cannot hold a worker thread for ever.
        mode = os.O_RDWR if writable else os.O_RDONLY
        descriptor = os.open(path, mode | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotAFile
        return RealFile(descriptor)

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def make_directory(self, path: str) -> bool:
        try:
            os.mkdir(path, DIRECTORY_MODE)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
            return False
        return True

    def remove_directory(self, path: str) -> None:
        os.rmdir(path)

    def list_directory(self, path: str) -> list[str]:
        return os.listdir(path)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_everything(self, path: str) -> None:
        if _syncfs is None:
            os.sync()
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _syncfs(descriptor):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(descriptor)

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path) and not os.path.islink(path)

    def space(self, path: str) -> DiskSpace:
        found = os.statvfs(path)
        return DiskSpace(
            total=found.f_frsize * found.f_blocks,
            free_for_root=found.f_frsize * found.f_bfree,
            free_for_others=found.f_frsize * found.f_bavail,
        )
