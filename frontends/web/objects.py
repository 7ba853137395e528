"""Files that a cap names: contents, descriptions, and the answers for caps that this node cannot judge. Spec: 07 §6, §7, §10."""
from __future__ import annotations

from attrs import frozen

from frontends.web.answers import NOT_MODIFIED, Answer, Contents, Headers, Reply, page, structure, text
from frontends.web.content_types import attachment, type_of
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.history import History, Operation
from frontends.web.ranges import Span, Unsatisfiable, already_has, range_still_valid, requested_span
from frontends.web.request import Request
from frontends.web.safety import policy_for
from lafs.capability import Cap, ImmutableReadCap, LiteralCap, UnknownCap
from lafs.interfaces import Bytes, FileNode, Sink

REVALIDATE = b"private, no-cache"
"""Browsers may keep contents, but ask each time whether they are still good: that costs the grid nothing, and a cap taken out of
use, or a safety header that a later version adds, is heeded at once."""


UNKNOWN_KIND = (
    "GET unknown URI type: can only do t=info and t=json, not t={t}.\n"
    "Using a webapi server that supports a later version of Tahoe may help."
)


@frozen
class Target:
    """An object that a request is about, and the name it is asked for under ("" if it has none)."""

    cap: Cap
    name: str = ""


# --- contents ------------------------------------------------------------------------------------------------------------


async def contents(gateway: Gateway, request: Request, target: Target) -> Reply:
    """GET and HEAD of a file: all of it, or the part that a Range header asks for."""
    node = gateway.files.open(target.cap)
    tag = entity_tag(target.cap)
    headers: Headers = ((b"Cache-Control", REVALIDATE),)
    if tag is not None:
        headers += ((b"ETag", b'"%s"' % tag.encode("ascii")),)
        if already_has(request.headers(b"If-None-Match"), tag):
            return Answer(status=NOT_MODIFIED, headers=headers[1:], cache=REVALIDATE)
    name = request.arguments.get("filename") or target.name
    content_type = type_of(name)
    headers += (
        (b"Content-Type", content_type.encode("ascii")),
        (b"Content-Security-Policy", policy_for(content_type)),
        (b"Accept-Ranges", b"bytes"),
    )
    if request.arguments.flag("save"):
        headers += ((b"Content-Disposition", attachment(name)),)
    span = _span(request, node.size, tag)
    if span is None:
        return Contents(_Watched(node, gateway.history), 0, node.size, 200, headers)
    headers += ((b"Content-Range", span.content_range(node.size).encode("ascii")),)
    return Contents(_Watched(node, gateway.history), span.offset, span.size, 206, headers)


def entity_tag(cap: Cap, form: str = "") -> str | None:
    """The ETag of the contents of `cap` (or of one of its other forms), unquoted. Only files that never change and have a name."""
    if isinstance(cap, ImmutableReadCap) and cap.storage_index is not None:
        return f"{cap.storage_index.text}-{form}"
    return None


def _span(request: Request, size: int, tag: str | None) -> Span | None:
    if not range_still_valid(request.header(b"If-Range"), tag):
        return None
    try:
        return requested_span(request.header(b"Range"), size)
    except Unsatisfiable:
        raise Refusal(416, "First beyond end of file", ((b"Content-Range", b"bytes */%d" % size),)) from None


class _Watched:
    """A file whose reads are in the history. Implements the part of `FileNode` that an answer uses."""

    def __init__(self, node: FileNode, history: History) -> None:
        self.cap = node.cap
        self.size = node.size
        self._node = node
        self._history = history

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        index = self.cap.storage_index
        with self._history.operation("download", size, None if index is None else index.text) as operation:
            await self._node.read(_CountingSink(sink, operation), offset, size)


class _CountingSink:
    """A sink that shows as progress. Implements `Sink`."""

    def __init__(self, sink: Sink, operation: Operation) -> None:
        self._sink = sink
        self._operation = operation

    async def write(self, data: Bytes) -> None:
        self._operation.done += len(data)
        await self._sink.write(data)


# --- descriptions --------------------------------------------------------------------------------------------------------


async def describe(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=json` of an immutable file. Spec: 07 §9.1."""
    facts: dict[str, object] = {
        "mutable": False,
        "format": "CHK",
        "size": gateway.files.open(target.cap).size,
        "ro_uri": target.cap.text,
    }
    verifier = target.cap.verifier()
    if verifier is not None:
        facts["verify_uri"] = verifier.text
    return _tagged(request, target.cap, "json", structure(["filenode", facts]))


async def cap_text(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=uri`: the cap itself, in its canonical spelling."""
    return _tagged(request, target.cap, "uri", text(target.cap.text))


async def read_cap_text(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=readonly-uri`: what may be given to those who should only read."""
    read_cap = target.cap.readonly()
    assert read_cap is not None, "every cap of a known kind can be read with"
    return _tagged(request, target.cap, "readonly-uri", text(read_cap.text))


async def info(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=info`: a page about the object. Spec: 07 §16.5."""
    cap = target.cap
    verifier = cap.verifier()
    markup = gateway.pages.render(
        "info",
        base="../" * (1 + len(request.segments)),
        kind="file" if isinstance(cap, (ImmutableReadCap, LiteralCap)) else "unknown",
        size=gateway.files.open(cap).size if isinstance(cap, (ImmutableReadCap, LiteralCap)) else None,
        storage_index=None if cap.storage_index is None else cap.storage_index.text,
        cap=cap.text,
        verify_cap=None if verifier is None else verifier.text,
    )
    return page(markup)


def _tagged(request: Request, cap: Cap, form: str, answer: Answer) -> Answer:
    """`answer` with an ETag, or Not Modified, if what the cap names can never change."""
    tag = entity_tag(cap, form)
    if tag is None:
        return answer
    headers = ((b"ETag", b'"%s"' % tag.encode("ascii")),)
    if already_has(request.headers(b"If-None-Match"), tag):
        return Answer(status=NOT_MODIFIED, headers=headers, cache=REVALIDATE)
    return Answer(answer.body, answer.status, answer.content_type, headers, answer.policy, REVALIDATE)


# --- what this node cannot judge -----------------------------------------------------------------------------------------


async def describe_unknown(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=json` of a cap of no known kind: only what its prefix alleges. Spec: 07 §9.3, §10."""
    facts: dict[str, object] = {}
    if isinstance(target.cap, UnknownCap) and target.cap.error is None:
        if target.cap.text.startswith(("ro.", "imm.")):
            facts["ro_uri"] = target.cap.text
        if target.cap.text.startswith("imm."):
            facts["mutable"] = False
    return structure(["unknown", facts])
