"""The body of a request while it arrives: a short queue between a socket and an upload, with back-pressure.

The channel feeds it; one reader takes from it. When more than `HIGH_WATER` bytes wait for the reader the socket is held, and let
flow again below `LOW_WATER`, so a slow grid slows the client down and nothing piles up in memory. Spec: 07 §1 "Bodies"
(the peer receives the whole body before it starts; this gateway starts with the headers).
"""
from __future__ import annotations

from collections import deque
from typing import Protocol

from twisted.internet.defer import Deferred

from lafs.errors import SourceFailed

HIGH_WATER = 512 * 1024
"""Bytes waiting at which the client is asked, by TCP, to stop sending."""

LOW_WATER = 128 * 1024
"""Bytes waiting at which it may go on."""


class Tap(Protocol):
    """The valve on the connection that a body comes from."""

    def body_wanted(self) -> None:
        """Somebody reads the body for the first time: a client that asked before sending it may be told to go on."""
        ...

    def hold_body(self) -> None:
        """Stop reading from the client."""
        ...

    def let_body_flow(self) -> None:
        """Read from the client again."""
        ...


class Body:
    """Bytes of one request body, in order, read once."""

    def __init__(self, length: int | None, tap: Tap) -> None:
        self.length = length
        """Bytes announced by the client; None if it did not say."""
        self.complete = False
        """All of it has arrived (perhaps it still waits to be read)."""
        self.most_waiting = 0
        """The most bytes that ever waited at once."""
        self._received = 0
        self._tap = tap
        self._chunks: deque[bytes] = deque()
        self._offset = 0  # what has been read of the first chunk
        self._waiting = 0
        self._held = False
        self._wanted = False
        self._discarding = False
        self._failure: SourceFailed | None = None
        self._reader: Deferred[None] | None = None
        self._reader_needs = 0

    # --- the channel's side

    @property
    def all_here(self) -> bool:
        """All of it has arrived, even if its end has not been noticed yet."""
        return self.complete or self._received == self.length

    def feed(self, data: bytes) -> None:
        """Append what has arrived. Only the channel calls this, and `end` and `fail`."""
        self._received += len(data)
        if self._discarding or not data:
            return
        self._chunks.append(data)
        self._waiting += len(data)
        if self._waiting > self.most_waiting:
            self.most_waiting = self._waiting
        if self._waiting >= HIGH_WATER and not self._held:
            self._held = True
            self._tap.hold_body()
        if self._reader is not None and self._waiting >= self._reader_needs:
            self._wake()

    def end(self) -> None:
        """All of the body has been fed."""
        self.complete = True
        self._wake()

    def fail(self, reason: str) -> None:
        """The rest will never come: readers get SourceFailed."""
        if not self.complete and self._failure is None:
            self._failure = SourceFailed(reason)
            self._drop()
            self._wake()

    # --- the reader's side

    async def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end of the body. Raises SourceFailed if the client goes away."""
        pieces: list[bytes] = []
        missing = size
        while missing and await self._arrived(missing):
            piece = self._take(missing)
            missing -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def read_some(self) -> bytes:
        """The next bytes, as they came; b"" at the end of the body. Raises SourceFailed if the client goes away."""
        return self._take(HIGH_WATER) if await self._arrived(1) else b""

    def unread(self, data: bytes) -> None:
        """Put back bytes that were read, to be read again first."""
        if self._offset:
            self._chunks[0] = self._chunks[0][self._offset :]
            self._offset = 0
        if data:
            self._chunks.appendleft(data)
            self._waiting += len(data)
            self.most_waiting = max(self.most_waiting, self._waiting)

    def discard(self) -> None:
        """Nobody will read the rest. It is dropped as it comes."""
        self._discarding = True
        self._drop()

    async def _arrived(self, needed: int) -> bool:
        """Wait until there is something to take (a fair part of `needed` bytes, not a dribble). False at the end."""
        while not self._chunks or (self._waiting < min(needed, LOW_WATER) and not self.complete):
            if self._failure is not None:
                raise self._failure
            if self.complete:
                return False
            if not self._wanted:
                self._wanted = True
                self._tap.body_wanted()
            self._reader_needs = min(needed, LOW_WATER)
            self._reader = Deferred(self._forget_reader)
            await self._reader
        return True

    def _take(self, limit: int) -> bytes:
        chunk = self._chunks[0]
        left = len(chunk) - self._offset
        if left > limit:
            piece = chunk[self._offset : self._offset + limit]
            self._offset += limit
        else:
            piece = chunk[self._offset :] if self._offset else chunk
            self._offset = 0
            self._chunks.popleft()
        self._waiting -= len(piece)
        if self._held and self._waiting <= LOW_WATER:
            self._release()
        return piece

    def _drop(self) -> None:
        self._chunks.clear()
        self._offset = self._waiting = 0
        self._release()

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._tap.let_body_flow()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)

    def _forget_reader(self, _: object) -> None:
        self._reader = None


class StreamSource:
    """A request body as the source of an upload: read once, while it arrives. Implements `lafs.interfaces.Source`."""

    def __init__(self, body: Body) -> None:
        self._body = body

    @property
    def size(self) -> int | None:
        return self._body.length

    @property
    def rewindable(self) -> bool:
        return False

    async def read(self, size: int) -> bytes:
        return await self._body.read(size)

    async def rewind(self) -> None:
        raise SourceFailed("a request body can be read only once")

    async def close(self) -> None:
        self._body.discard()
