"""A file that is being downloaded: NAME.part beside NAME, and NAME.part.json that says of what it is a part.

Used by `lafs get`. The file appears under its own name when it is complete, never before; a download that broke off can be
continued by the same command. The sidecar names the object by a hash, never by its cap, and the version by the gateway's ETag
(objects without one can change, and are never continued). Before anything is appended, the last bytes of the part are fetched
again and compared. Spec: 08 §24 C7.

Safe in a directory others can write to: links are not followed, and only a regular file of our own is reused.
"""
from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from lafs.errors import LafsError

SIDECAR_LIMIT = 4096
FORMAT = "lafs get 1"


class InTheWay(LafsError):
    """Something of the person's is where a download would put its bytes."""


@dataclass(frozen=True)
class Origin:
    """What a partial file is a part of: `size` bytes of the object with this fingerprint, in the version `etag`."""

    fingerprint: str
    etag: str
    size: int | None

    @property
    def can_be_continued(self) -> bool:
        return bool(self.etag) and self.size is not None


def fingerprint(target: str) -> str:
    """A name for an object that does not reveal its cap. `target` is its path in the web API."""
    return hashlib.sha256(f"{FORMAT}\n{target}".encode()).hexdigest()


@dataclass(frozen=True)
class Places:
    """The three names of a download."""

    final: Path

    @property
    def part(self) -> Path:
        return self.final.with_name(self.final.name + ".part")

    @property
    def sidecar(self) -> Path:
        return self.final.with_name(self.final.name + ".part.json")


def read_origin(places: Places) -> Origin | None:
    """What the sidecar says, or None if there is none that lafs wrote."""
    try:
        descriptor = os.open(places.sidecar, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            content = json.loads(file.read(SIDECAR_LIMIT))
        if content.pop("format") != FORMAT:
            return None
        origin = Origin(**content)
        well_formed = isinstance(origin.fingerprint, str) and isinstance(origin.etag, str)
        return origin if well_formed and (origin.size is None or type(origin.size) is int) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def left_over(places: Places, name: str) -> tuple[Origin, int] | None:
    """Of what, and how many bytes, there is left of an earlier download of the object with fingerprint `name`."""
    origin = read_origin(places)
    if origin is None or origin.fingerprint != name or not origin.can_be_continued:
        return None
    try:
        facts = os.lstat(places.part)
    except OSError:
        return None
    assert origin.size is not None
    return (origin, facts.st_size) if stat.S_ISREG(facts.st_mode) and 0 < facts.st_size <= origin.size else None


class PartialFile:
    """NAME.part, open and locked. Ends with `finish` or with `leave`."""

    def __init__(self, places: Places, origin: Origin, keep: int = 0) -> None:
        """Open the part, keeping its first `keep` bytes.

        Raises InTheWay when another `lafs get` is writing it or it is not of our making; OSError.
        """
        self._places = places
        self._origin = origin
        ours = read_origin(places) is not None
        self._descriptor = self._open(ours)
        try:
            if os.fstat(self._descriptor).st_size < keep:
                raise InTheWay(f"{places.part} changed while it was being looked at; try again")
            self._write_sidecar()
            os.ftruncate(self._descriptor, keep)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.size = keep

    def _open(self, ours: bool) -> int:
        """The part, made if it is not there, and locked. An empty file is anybody's: a crash may leave one."""
        part = self._places.part
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_nlink != 1:
                raise InTheWay(f"{part} is in the way: move it, or choose another name")
            if facts.st_size and not ours:
                raise InTheWay(f"{part} is in the way, and was not made by lafs: move it, or choose another name")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(facts, os.lstat(part)):
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            raise InTheWay(f"another `lafs get` is writing {self._places.final}") from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _write_sidecar(self) -> None:
        """Written anew each time, so that a link planted under its name is replaced and never written through."""
        sidecar = self._places.sidecar
        sidecar.unlink(missing_ok=True)
        descriptor = os.open(sidecar, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, **asdict(self._origin)}, file)

    def mend(self, offset: int, fresh: bytes) -> bool:
        """Put `fresh` in place of the bytes from `offset` to the end, if the first half of them is the same.

        The end of a part is where a crash, or a Tahoe gateway's "problem during download", leaves what is no part of the file.
        """
        half = fresh[: (len(fresh) + 1) // 2]
        if os.pread(self._descriptor, len(half), offset) != half:
            return False
        self.size = offset
        self.append(memoryview(fresh))
        return True

    def append(self, data: memoryview) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, self.size)
            self.size += written
            data = data[written:]

    def finish(self) -> None:
        """Give the file its own name, with the permissions of the one it replaces."""
        final = self._places.final
        try:
            replaced = os.stat(final)
        except FileNotFoundError:
            pass
        else:
            os.fchmod(self._descriptor, stat.S_IMODE(replaced.st_mode))
            os.fsync(self._descriptor)  # or a crash could leave neither the old file nor the new
        os.replace(self._places.part, final)
        os.close(self._descriptor)
        self._places.sidecar.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the part, to be looked at anew."""
        os.close(self._descriptor)

    def leave(self) -> bool:
        """End before the end. Whether the part was kept to be continued; if it cannot be, it is removed."""
        kept = self._origin.can_be_continued and self.size > 0
        if not kept:
            self._places.part.unlink(missing_ok=True)
            self._places.sidecar.unlink(missing_ok=True)
        os.close(self._descriptor)
        return kept
