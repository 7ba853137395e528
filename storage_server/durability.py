"""A disk that never waits for its platters: `durability = relaxed`.

For those who prefer speed to surviving a power cut. A crash of the process alone still loses nothing that was
acknowledged, for the operating system keeps what it was given.
"""
from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from lafs.interfaces import Bytes
from storage_server.disk import Disk, DiskFile, DiskSpace


@frozen
class RelaxedFile:
    """A file whose `sync` does nothing."""

    _file: DiskFile

    def read(self, offset: int, size: int) -> bytes:
        return self._file.read(offset, size)

    def write(self, offset: int, data: Bytes) -> None:
        self._file.write(offset, data)

    def size(self) -> int:
        return self._file.size()

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def begin_sync(self, offset: int, size: int) -> None:
        pass

    def sync(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


@frozen
class RelaxedDisk:
    """A disk whose syncs do nothing."""

    _disk: Disk

    def create(self, path: str) -> RelaxedFile:
        return RelaxedFile(self._disk.create(path))

    def open(self, path: str, *, writable: bool = False) -> RelaxedFile:
        return RelaxedFile(self._disk.open(path, writable=writable))

    def rename(self, source: str, target: str) -> None:
        self._disk.rename(source, target)

    def remove(self, path: str) -> None:
        self._disk.remove(path)

    def make_directory(self, path: str) -> bool:
        return self._disk.make_directory(path)

    def remove_directory(self, path: str) -> None:
        self._disk.remove_directory(path)

    def list_directory(self, path: str) -> Sequence[str]:
        return self._disk.list_directory(path)

    def sync_directory(self, path: str) -> None:
        pass

    def sync_everything(self, path: str) -> None:
        pass

    def exists(self, path: str) -> bool:
        return self._disk.exists(path)

    def is_directory(self, path: str) -> bool:
        return self._disk.is_directory(path)

    def space(self, path: str) -> DiskSpace:
        return self._disk.space(path)
