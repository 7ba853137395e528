"""The convergent key of a file, found while it is being written, so that nothing need be read again when it is closed.

Used by `written_file`, in the worker threads. A file that is not written from start to end has to be hashed when it is stored.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from frontends.scratch import Scratch
from lafs.interfaces import Bytes

PIECE = 1024 * 1024
_MOST_AHEAD = 64


class KeyHasher(Protocol):
    """As lafs/immutable/keying.py has it."""

    def update(self, chunk: Bytes) -> None: ...

    def digest(self) -> bytes: ...


class EarlyKey:
    """Follows the writes of one file. `begin` makes a hasher; files up to `small` bytes are hashed when they are stored."""

    def __init__(self, begin: Callable[[], KeyHasher], small: int) -> None:
        self._begin = begin
        self._small = small
        self._hasher: KeyHasher | None = None
        self._hashed = 0
        self._written = 0
        """From the start to here everything was written, without gap."""
        self._ahead: dict[int, int] = {}
        self._useless = False

    def wrote(self, offset: int, data: Bytes, scratch: Scratch) -> None:
        """`data` was put into `scratch` at `offset`."""
        if self._useless:
            return
        if offset < self._hashed:
            self._give_up()
            return
        end = offset + len(data)
        if offset > self._written:
            self._ahead[offset] = end
            if len(self._ahead) > _MOST_AHEAD:
                self._give_up()
            return
        direct = offset == self._hashed and self._hasher is not None
        self._written = max(self._written, end)
        while (further := self._ahead.pop(self._written, None)) is not None:
            self._written = further
        if direct and self._written == end:
            self._update(data)
        elif self._written > self._small:
            self._catch_up(scratch, self._written)

    def cut(self, size: int) -> None:
        """The file was given another size."""
        self._ahead.clear()
        if size < self._hashed:
            self._give_up()
        self._written = min(self._written, size)

    def finish(self, scratch: Scratch) -> bytes | None:
        """The key of all that is in `scratch`; None if it has to be found in the usual way. More may be written afterwards."""
        if self._useless or self._hasher is None:
            return None
        self._catch_up(scratch, scratch.size)
        return self._hasher.digest()

    def _catch_up(self, scratch: Scratch, end: int) -> None:
        if self._hasher is None:
            self._hasher = self._begin()
        while self._hashed < end:
            self._update(scratch.read(self._hashed, min(PIECE, end - self._hashed)))

    def _update(self, data: Bytes) -> None:
        assert self._hasher is not None
        self._hasher.update(data)
        self._hashed += len(data)

    def _give_up(self) -> None:
        self._useless = True
        self._hasher = None
        self._ahead.clear()
