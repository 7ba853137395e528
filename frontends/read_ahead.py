"""A file that is open for reading only: fetched in one stream ahead of whoever reads on and on, and piece by piece otherwise.

Clients ask for 32 KiB at a time, many at once, and not always quite in order. A `_Stream` is one read of the grid, which goes on to
the end of the file as long as it is not far ahead; what was read lately stays for those who come late. Spec: 09 §7, §15 S5.
"""
from __future__ import annotations

from collections import deque

from twisted.internet.defer import CancelledError, Deferred

from frontends.open_files import AttributeChange, Attributes
from frontends.refusals import Refused
from lafs.errors import LafsError
from lafs.interfaces import Bytes, FileNode, MutableFileNode
from lafs.tasks import spawn

AHEAD = 6 * 1024 * 1024
"""Bytes fetched and not yet asked for, of one file."""

ALL_AHEAD = 96 * 1024 * 1024
"""The same, of all files together; but each may have LEAST_AHEAD."""

LEAST_AHEAD = 512 * 1024
BEHIND = 1024 * 1024
"""Bytes kept although they were asked for: requests overtake each other."""

LARGEST_READ = 1024 * 1024
PIECE = 256 * 1024
"""Bytes fetched at least, where nobody is known to read on."""

_NEAR = 2 * 1024 * 1024
"""A read so little past what is fetched waits for the stream to come along."""


class Streams:
    """How many streams there are in a node, and so how much each may fetch ahead."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def ahead(self) -> int:
        return max(LEAST_AHEAD, min(AHEAD, ALL_AHEAD // max(1, self.count)))


class ReadFile:
    """`size` bytes that `node` reads, as `attributes` describes them. Implements `OpenFile`."""

    def __init__(self, node: FileNode | MutableFileNode, size: int, attributes: Attributes, streams: Streams) -> None:
        self._node = node
        self._size = size
        self._attributes = attributes
        self._streams = streams
        self._stream: _Stream | None = None
        self._piece = _Piece()
        self._expected = 0
        """Where the next read begins, if the reader goes on."""

    async def read_chunk(self, offset: int, size: int) -> bytes:
        end = min(offset + min(size, LARGEST_READ), self._size)
        if end <= offset:
            return b""
        goes_on = offset == self._expected
        self._expected = end
        if self._stream is not None and self._stream.will_have(offset):
            return await self._stream.read(offset, end)
        if goes_on:
            if self._stream is not None:
                self._stream.retire()
            self._stream = _Stream(self._node, offset, self._size, self._streams)
            return await self._stream.read(offset, end)
        found = self._piece.cut(offset, end)
        if found is None:
            self._piece = piece = _Piece(offset)
            await self._node.read(piece, offset, min(max(PIECE, end - offset), self._size - offset))
            found = piece.cut(offset, end)
        if found is None:
            raise LafsError("the file has become shorter while it was read")
        return found

    async def write_chunk(self, offset: int, data: Bytes) -> None:
        raise Refused("permission", "file handle was not opened for writing")

    async def attributes(self) -> Attributes:
        return self._attributes

    async def set_attributes(self, change: AttributeChange) -> None:
        raise Refused("permission", "file handle was not opened for writing")

    async def sync(self) -> None:
        pass

    async def close(self) -> None:
        self._end_stream()

    def abandon(self) -> None:
        self._end_stream()

    def _end_stream(self) -> None:
        if self._stream is not None:
            self._stream.end()
            self._stream = None


class _Piece:
    """A sink in memory: a few bytes from `start`."""

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._data = bytearray()

    async def write(self, data: Bytes) -> None:
        self._data += data

    def cut(self, offset: int, end: int) -> bytes | None:
        """Bytes [offset, end), if all of them are here."""
        if self._start <= offset and end <= self._start + len(self._data):
            return bytes(self._data[offset - self._start : end - self._start])
        return None


class _Stream:
    """One read of `node` from `start` to the end. It is a sink, and slow to return when it is far ahead of its readers."""

    def __init__(self, node: FileNode | MutableFileNode, start: int, end: int, streams: Streams) -> None:
        self._streams = streams
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._low = self._high = self._wanted = start
        self._end = end
        self._failure: Exception | None = None
        self._retired = False
        self._readers: list[tuple[int, int, Deferred[None]]] = []
        self._held: Deferred[None] | None = None
        streams.count += 1
        self._reading = spawn(self._run(node, start))

    def will_have(self, offset: int) -> bool:
        """Whether the byte at `offset` is here or will soon be."""
        return self._low <= offset <= max(self._high, self._wanted) + _NEAR and self._failure is None

    async def read(self, offset: int, end: int) -> bytes:
        """Bytes [offset, end)."""
        self._wanted = max(self._wanted, end)
        self._let_on()
        if self._high < end:
            self._raise_failure()
            arrived: Deferred[None] = Deferred(lambda _: None)
            reader = (offset, end, arrived)
            self._readers.append(reader)
            try:
                await arrived
            finally:
                # Not earlier: whoever is woken before may ask for more, and what this one waits for must not be dropped then.
                self._readers.remove(reader)
                if self._retired and not self._readers:
                    self.end()
            if self._high < end:
                self._raise_failure()
        return self._cut(offset, end)

    def retire(self) -> None:
        """Stop fetching when those who wait have got what they wait for."""
        self._retired = True
        if not self._readers:
            self.end()

    def end(self) -> None:
        """Stop fetching. Whoever still waits gets an error."""
        self._reading.cancel()

    async def write(self, data: Bytes) -> None:
        self._chunks.append((self._high, bytes(data)))
        self._high += len(data)
        self._wake(self._high)
        while self._high - self._wanted >= self._streams.ahead:
            held = self._held = Deferred(lambda _: None)
            await held

    async def _run(self, node: FileNode | MutableFileNode, start: int) -> None:
        try:
            await node.read(self, start, self._end - start)
            if self._high < self._end:
                raise LafsError("the file has become shorter while it was read")
        except CancelledError:
            self._fail(LafsError("reading was stopped"))
        except Exception as error:
            self._fail(error)
        finally:
            self._streams.count -= 1

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self._wake(self._end)

    def _wake(self, up_to: int) -> None:
        """Let those go on who wait for bytes before `up_to`."""
        for _, end, arrived in list(self._readers):
            if end <= up_to and not arrived.called:
                arrived.callback(None)

    def _let_on(self) -> None:
        needed = min([offset for offset, _, _ in self._readers], default=self._wanted) - BEHIND
        while self._chunks and self._low + len(self._chunks[0][1]) < needed:
            self._low += len(self._chunks.popleft()[1])
        if self._held is not None and self._high - self._wanted < self._streams.ahead:
            held, self._held = self._held, None
            if not held.called:
                held.callback(None)

    def _cut(self, offset: int, end: int) -> bytes:
        if offset < self._low:
            raise LafsError("what was to be read is no longer kept")
        parts = []
        for start, chunk in self._chunks:
            if start + len(chunk) > offset:
                if start >= end:
                    break
                parts.append(chunk[max(0, offset - start) : end - start])
        return parts[0] if len(parts) == 1 else b"".join(parts)
