"""Files that a cap names: contents, descriptions, and the answers for caps that this node cannot judge. Spec: 07 §6, §7, §10."""
from __future__ import annotations

from contextlib import suppress

from frontends.web.answers import NOT_MODIFIED, Answer, Contents, Headers, Reply, encoded, json_text, structure, text
from frontends.web.content_types import attachment, type_of
from frontends.web.errors import JsonWanted, Refusal
from frontends.web.gateway import Gateway
from frontends.web.history import History, Kind, Operation
from frontends.web.ranges import Span, Unsatisfiable, already_has, range_still_valid, requested_span
from frontends.web.request import Request
from frontends.web.safety import policy_for, refuse_as_code
from frontends.web.targets import Target
from frontends.web.versions import opened_version
from lafs.capability import (
    IMMUTABLE_PREFIX,
    Cap,
    DirectoryCap,
    ImmutableReadCap,
    LiteralCap,
    MutableReadCap,
    MutableWriteCap,
    UnknownCap,
)
from lafs.errors import LafsError, UnrecoverableFile
from lafs.interfaces import Bytes, Child, FileNode, Listing, Sink

REVALIDATE = b"private, no-cache"
"""Browsers may keep contents, but ask each time whether they are still good: that costs the grid nothing, and a cap taken out of
use, or a safety header that a later version adds, is heeded at once."""


UNKNOWN_KIND = (
    "GET unknown URI type: can only do t=info and t=json, not t={t}.\n"
    "Using a webapi server that supports a later version of Tahoe may help."
)


# --- contents ------------------------------------------------------------------------------------------------------------


async def contents(gateway: Gateway, request: Request, target: Target) -> Reply:
    """GET and HEAD of a file: all of it, or the part that a Range header asks for."""
    refuse_as_code(request.headers(b"Sec-Fetch-Dest"))
    node = await _readable(gateway, target.known, request.method == "HEAD")
    tag = entity_tag(target.known)
    name = request.arguments.get("filename") or target.name
    content_type = type_of(name)
    headers: Headers = ((b"Cache-Control", REVALIDATE),)
    if tag is not None:
        headers += ((b"ETag", b'"%s"' % tag.encode("ascii")),)
        if already_has(request.headers(b"If-None-Match"), tag):
            # With the policy again: a browser puts these headers over those that it has kept.
            return Answer(status=NOT_MODIFIED, headers=headers[1:], cache=REVALIDATE, policy=policy_for(content_type))
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


async def _readable(gateway: Gateway, cap: Cap, head_only: bool) -> FileNode:
    if not cap.is_mutable:
        return gateway.files.open(cap)
    return await opened_version(gateway.files.open_mutable(cap), head_only)


def entity_tag(cap: Cap, form: str = "") -> str | None:
    """The ETag of the contents of `cap` (or of one of its other forms), unquoted. Only files that never change and have a name."""
    if isinstance(cap, ImmutableReadCap):
        return f"{cap.storage_index.text}-{form}"
    if isinstance(cap, DirectoryCap) and isinstance(cap.content, ImmutableReadCap):
        return f"DIR:{cap.content.storage_index.text}-{form}"
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
        kind: Kind = "retrieve" if self.cap.is_mutable else "download"
        with self._history.operation(kind, size, None if index is None else index.text) as operation:
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
    """`t=json` of a file or directory. Spec: 07 §9.1, §9.2."""
    cap = target.known
    facts = cap_facts(cap)
    if isinstance(cap, DirectoryCap):
        return _tagged(request, cap, "json", encoded(_directory_json(facts, await _children(gateway, cap))))
    if cap.is_mutable:
        with suppress(UnrecoverableFile):  # The caps are worth having all the same.
            facts["size"] = (await gateway.files.open_mutable(cap).version()).size
    else:
        facts["size"] = gateway.files.open(cap).size
    if target.metadata is not None:
        facts["metadata"] = target.metadata
        return structure(["filenode", facts])
    return _tagged(request, cap, "json", structure(["filenode", facts]))


async def _children(gateway: Gateway, cap: Cap) -> bytes:
    """The JSON of the children of `cap`, or a Refusal in JSON: who asks for JSON, parses the error too."""
    try:
        return await gateway.files.open_directory(cap).rendered(children_json)
    except LafsError as error:
        raise JsonWanted(error) from error


def _directory_json(facts: dict[str, object], children: bytes) -> bytes:
    """All of a directory. Its children are text already, so they are put into the text of the rest."""
    head = json_text(["dirnode", {**facts, "children": None}]).encode("ascii")
    return b"%s%s}]\n" % (head.removesuffix(b"null}]"), children)


def cap_facts(cap: Cap) -> dict[str, object]:
    """What a cap says by itself."""
    return _facts(cap, None if cap.is_readonly else cap.text, cap.readonly_text)


def _facts(cap: Cap, writable: str | None, readonly: str | None) -> dict[str, object]:
    """The same, of a cap whose texts are at hand."""
    facts: dict[str, object] = {"mutable": cap.is_mutable}
    if not isinstance(cap, DirectoryCap):
        facts["format"] = cap.format if isinstance(cap, MutableReadCap | MutableWriteCap) else "CHK"
    if writable is not None:
        facts["rw_uri"] = writable
    if readonly is not None:
        facts["ro_uri"] = readonly
    verifier = cap.verifier_text
    if verifier is not None:
        facts["verify_uri"] = verifier
    return facts


def children_json(listing: Listing) -> bytes:
    """The entries of a directory in JSON."""
    return json_text({name: _entry(child) for name, child in listing.children.items()}).encode("ascii")


def _entry(child: Child) -> list[object]:
    cap = child.cap
    if cap is None:
        return ["unknown", {**slot_facts(child), "metadata": child.metadata}]
    facts = _facts(cap, child.caps.writable, child.caps.readonly)
    if isinstance(cap, ImmutableReadCap):
        facts["size"] = cap.size
    elif isinstance(cap, LiteralCap):
        facts["size"] = len(cap.content)
    facts["metadata"] = child.metadata
    return ["dirnode" if child.kind == "directory" else "filenode", facts]


def slot_facts(child: Child) -> dict[str, object]:
    """What an entry of unknown kind alleges."""
    facts: dict[str, object] = {}
    writable, readonly = child.caps.writable, child.caps.readonly
    if writable:
        facts["rw_uri"] = writable
    if readonly:
        facts["ro_uri"] = readonly
    if writable:
        facts["mutable"] = True
    elif readonly is None or readonly.startswith(IMMUTABLE_PREFIX):
        facts["mutable"] = False
    return facts


async def cap_text(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=uri`: the cap itself, in its canonical spelling."""
    return _tagged(request, target.known, "uri", text(target.known.text))


async def read_cap_text(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=readonly-uri`: what may be given to those who should only read."""
    read_cap = target.known.readonly()
    assert read_cap is not None, "every cap of a known kind can be read with"
    return _tagged(request, target.known, "readonly-uri", text(read_cap.text))


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
    if target.child is not None:
        return structure(["unknown", {**slot_facts(target.child), "metadata": target.metadata}])
    facts: dict[str, object] = {}
    if isinstance(target.cap, UnknownCap) and target.cap.error is None:
        if target.cap.text.startswith(("ro.", "imm.")):
            facts["ro_uri"] = target.cap.text
        if target.cap.text.startswith("imm."):
            facts["mutable"] = False
    return structure(["unknown", facts])
