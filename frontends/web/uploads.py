"""Storing what comes in a request, and where to go afterwards. Spec: 07 §4, §5."""
from __future__ import annotations

from urllib.parse import urlsplit

from frontends.web.body import Body, StreamSource
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.history import Operation
from frontends.web.request import Arguments, Request
from lafs.interfaces import Source, UploadResult
from lafs.sources import BytesSource

SMALL_BODY = 1024 * 1024
"""A body up to this size is collected, so that it can be read twice without being recorded."""


async def upload(gateway: Gateway, source: Source) -> UploadResult:
    """Store `source`, on the record."""
    with gateway.history.operation("upload", source.size) as operation:
        result = await gateway.files.upload(_Counted(source, operation))
        operation.size = result.size
        index = result.cap.storage_index
        operation.storage_index = None if index is None else index.text
        return result


async def source_of(body: Body) -> Source:
    """The body as a source: collected if it is small, else streaming."""
    if body.length is not None and body.length > SMALL_BODY:
        return StreamSource(body)
    start = await body.read(SMALL_BODY + 1)
    if len(start) <= SMALL_BODY:
        return BytesSource(start)
    body.unread(start)
    return StreamSource(body)


def destination(request: Request, arguments: Arguments) -> str:
    """Where to send the browser when all is done; "" for nowhere special. Raises Refusal for any place but this gateway."""
    return own_place(request, arguments, "when_done")


def own_place(request: Request, arguments: Arguments, name: str) -> str:
    """The place that the argument `name` names; "" if none. Raises Refusal for any but on this gateway."""
    place = arguments.get(name)
    try:
        parts = urlsplit(place)
    except ValueError:
        parts = None
    own = parts is not None and (
        (not parts.scheme and not parts.netloc)
        or (parts.scheme in ("http", "https") and parts.netloc == request.header(b"Host"))
    )
    # Browsers drop control characters and take a backslash for a slash, so "/\\host" and "/<tab>/host" lead away.
    if not own or "\\" in place or place.startswith("//") or any(character <= " " for character in place):
        raise Refusal(400, f"{name}= must be a place on this gateway.")
    return place


class _Counted:
    """A source whose reads show as progress. Implements `Source`."""

    def __init__(self, source: Source, operation: Operation) -> None:
        self._source = source
        self._operation = operation

    @property
    def size(self) -> int | None:
        return self._source.size

    @property
    def rewindable(self) -> bool:
        return self._source.rewindable

    async def read(self, size: int) -> bytes:
        data = await self._source.read(size)
        self._operation.done += len(data)
        return data

    async def rewind(self) -> None:
        self._operation.done, self._operation.hashed = 0, True
        await self._source.rewind()

    async def close(self) -> None:
        await self._source.close()
