"""New files that are in no directory: `PUT /uri`, the upload form, and the way from a pasted cap to its page. Spec: 07 §5, §18."""
from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from frontends.web.answers import Reply, page, quoted, redirect, text
from frontends.web.body import Body, StreamSource
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.history import Operation
from frontends.web.request import Arguments, Request
from lafs.capability import from_user
from lafs.errors import BadCapability
from lafs.interfaces import Source, UploadResult
from lafs.sources import BytesSource

SMALL_BODY = 1024 * 1024
"""A body up to this size is collected, so that it can be read twice without being recorded."""


async def redirect_to_cap(gateway: Gateway, request: Request) -> Reply:
    """`GET /uri?uri=CAP`: what the form on the welcome page sends. Kind to caps with blanks around them."""
    if "uri" not in request.arguments:
        raise Refusal(400, "GET /uri requires uri=")
    try:
        cap = from_user(request.arguments.get("uri"))
    except BadCapability:
        raise Refusal(400, "Invalid capability") from None
    query = urlencode(request.arguments.items_without("uri"))
    return redirect(f"/{request.mount}/{quoted(cap.text)}" + (f"?{query}" if query else ""))


async def put(gateway: Gateway, request: Request) -> Reply:
    """`PUT /uri`: the body becomes a file, the answer is its cap."""
    _choices(request.arguments)
    result = await upload(gateway, await _source_of(request.exchange.body))
    return text(result.cap.text)


async def post_form(gateway: Gateway, request: Request) -> Reply:
    """`POST /uri`: the upload form. Answers with a page about what was stored, or goes to `when_done=`."""
    form = request.form
    if form is None or form.file is None:
        raise Refusal(400, "An upload needs a multipart form with the file in its field 'file'.")
    chosen = _choices(request.arguments)
    _destination(request, request.arguments)
    result = await upload(gateway, form.file.source)
    arguments = request.arguments.over(await form.late_fields())
    if _choices(arguments) != chosen:
        raise Refusal(400, "In a form with a large file, t=, format= and mutable= must stand before the file.")
    when_done = _destination(request, arguments)
    if when_done:
        return redirect(when_done.replace("%(uri)s", quoted(result.cap.text)))
    return page(
        gateway.pages.render(
            "uploaded",
            base="",
            mount=request.mount,
            cap=result.cap.text,
            name=form.file.name,
            result=result,
            sharemap=sorted(result.sharemap.items()),
            nicknames={server.server_id: server.nickname for server in gateway.status.servers()},
        )
    )


async def upload(gateway: Gateway, source: Source) -> UploadResult:
    """Store `source`, on the record."""
    with gateway.history.operation("upload", source.size) as operation:
        result = await gateway.files.upload(_Counted(source, operation))
        operation.size = result.size
        index = result.cap.storage_index
        operation.storage_index = None if index is None else index.text
        return result


async def _source_of(body: Body) -> Source:
    """The body as a source: collected if it is small, else streaming."""
    if body.length is not None and body.length > SMALL_BODY:
        return StreamSource(body)
    start = await body.read(SMALL_BODY + 1)
    if len(start) <= SMALL_BODY:
        return BytesSource(start)
    body.unread(start)
    return StreamSource(body)


def _choices(arguments: Arguments) -> tuple[str, str]:
    """What must be known before an upload starts: what to do, and the format. Raises Refusal for what this node cannot do."""
    file_format = arguments.file_format()
    if file_format != "CHK":
        raise Refusal(501, f"This node does not make mutable files (format {file_format}).")
    return arguments.t or "upload", file_format


def _destination(request: Request, arguments: Arguments) -> str:
    """Where to send the browser when all is done; "" for nowhere special. Raises Refusal for any place but this gateway."""
    place = arguments.get("when_done")
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
        raise Refusal(400, "when_done= must be a place on this gateway.")
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
