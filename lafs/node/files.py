"""Small files of a node directory, written whole or not at all, and read with a bound.

Called by `keys`, `known_nodes`, `process` and `creation`. Spec: 05 §15.1.
"""

from __future__ import annotations

import os
from pathlib import Path

from lafs.errors import NodeError

SECRET = 0o600
PUBLIC = 0o644

LARGEST_FILE = 4 * 1024 * 1024


def write_whole(path: Path, data: bytes, mode: int = PUBLIC) -> None:
    """Replace the contents of `path`; after a crash it holds the old or the new, synced. Raises NodeError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_directory(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise NodeError(f"{path} cannot be written: {error.strerror}") from None


def read_small(path: Path) -> bytes | None:
    """The contents of `path`; None if there is no such file. Raises NodeError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NodeError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST_FILE:
        raise NodeError(f"{path} is larger than {LARGEST_FILE} bytes, so it is not what a node writes there")
    return data


def read_text(path: Path) -> str | None:
    """The contents of `path` without surrounding blanks; None if there is no such file. Raises NodeError."""
    data = read_small(path)
    try:
        return None if data is None else data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise NodeError(f"{path} is not UTF-8 text") from None


def make_private(directory: Path) -> Path:
    """`directory`/private, for the owner only; made if it is not there. Raises NodeError."""
    private = directory / "private"
    try:
        private.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise NodeError(f"{private} cannot be made: {error.strerror}") from None
    return private


def sync_directory(directory: Path) -> None:
    """Return when the names in `directory` survive a crash."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
