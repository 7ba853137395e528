"""A small file that follows something in memory: rewritten whole, some moments after each change, and read at start.

Used for what an introducer has been told and for what its clients have heard. Whoever reads it after a crash finds
what was there before a change or after it, never a part.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lafs.tasks import Clock, Lane, Timer
from lafs.workers import Workers

DELAY: Final = 1.0
"""Seconds between a change and its being written: many changes come together, at start above all."""

LARGEST: Final = 256 * 1024 * 1024
"""Bytes. A larger file is not ours, and not read."""

log = Logger()


class SavedFile:
    """`contents()` is called, on the reactor thread, when the file is about to be written."""

    def __init__(self, path: Path, contents: Callable[[], bytes], *, workers: Workers, clock: Clock) -> None:
        self._path = path
        self._contents = contents
        self._workers = workers
        self._clock = clock
        self._lane = Lane()
        self._timer: Timer | None = None

    async def load(self) -> bytes | None:
        """What the file holds; None if there is none, or none that can be read."""
        try:
            return await self._workers.run(_read, self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warn("{name} cannot be read: {reason}", name=self._path.name, reason=error.strerror)
            return None

    def changed(self) -> None:
        """See to it that the file is written soon."""
        if self._timer is None:
            self._timer = self._clock.callLater(DELAY, self._save)

    async def flush(self) -> None:
        """Write now what was to be written soon, and wait until it is on disk."""
        if self._timer is not None:
            self._timer.cancel()
            await self._save()
        await self._lane.submit(_nothing)

    def _save(self) -> Deferred[None]:
        self._timer = None
        return self._lane.submit(self._write)

    async def _write(self) -> None:
        try:
            await self._workers.run(_replace, self._path, self._contents())
        except OSError as error:
            log.error("{name} cannot be written: {reason}", name=self._path.name, reason=error.strerror)


async def _nothing() -> None:
    pass


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(0, "it is absurdly large")
    return data


def _replace(path: Path, data: bytes) -> None:
    """Put `data` in place of the file: readable by its owner only, as it may hold FURLs; synced, then renamed."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
