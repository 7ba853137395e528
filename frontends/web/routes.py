"""From a request to the function that answers it.

The first segment of the path is looked up in `MOUNTS`. Below /uri and /cap a path begins with a cap, whose kind, with the method
and the argument `t`, is looked up in `OBJECTS`: a new kind of object, or a new thing to do with one, is a new row there.
Spec: 07 §2, §3.
"""
from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

from frontends.web import node_pages, objects, uploads
from frontends.web.answers import Reply, redirect
from frontends.web.errors import Refusal
from frontends.web.forms import form_kind, read_form
from frontends.web.gateway import Gateway
from frontends.web.objects import Target
from frontends.web.request import Request
from lafs.capability import (
    Cap,
    DirectoryCap,
    ImmutableReadCap,
    ImmutableVerifyCap,
    LiteralCap,
    MutableReadCap,
    MutableVerifyCap,
    MutableWriteCap,
    parse,
)

Handler = Callable[[Gateway, Request], Awaitable[Reply]]
ObjectHandler = Callable[[Gateway, Request, Target], Awaitable[Reply]]


class Kind(Enum):
    """What a cap in a path names, as far as requests differ."""

    FILE = auto()
    MUTABLE_FILE = auto()
    DIRECTORY = auto()
    UNKNOWN = auto()


KINDS: Mapping[type, Kind] = {
    ImmutableReadCap: Kind.FILE,
    LiteralCap: Kind.FILE,
    MutableReadCap: Kind.MUTABLE_FILE,
    MutableWriteCap: Kind.MUTABLE_FILE,
    DirectoryCap: Kind.DIRECTORY,
}

VERIFIERS = (ImmutableVerifyCap, MutableVerifyCap)


def kind_of(cap: Cap) -> Kind:
    """What `cap` names. What only verifies, a directory for example, is as unknown as what is not invented yet."""
    if isinstance(cap, DirectoryCap) and isinstance(cap.content, VERIFIERS):
        return Kind.UNKNOWN
    return KINDS.get(type(cap), Kind.UNKNOWN)


OBJECTS: Mapping[tuple[Kind, str, str], ObjectHandler] = {
    (Kind.FILE, "GET", ""): objects.contents,
    (Kind.FILE, "HEAD", ""): objects.contents,
    (Kind.FILE, "GET", "json"): objects.describe,
    (Kind.FILE, "GET", "uri"): objects.cap_text,
    (Kind.FILE, "GET", "readonly-uri"): objects.read_cap_text,
    (Kind.FILE, "GET", "info"): objects.info,
    (Kind.MUTABLE_FILE, "GET", "uri"): objects.cap_text,
    (Kind.MUTABLE_FILE, "GET", "readonly-uri"): objects.read_cap_text,
    (Kind.DIRECTORY, "GET", "uri"): objects.cap_text,
    (Kind.DIRECTORY, "GET", "readonly-uri"): objects.read_cap_text,
    (Kind.UNKNOWN, "GET", "json"): objects.describe_unknown,
    (Kind.UNKNOWN, "GET", "info"): objects.info,
}

OTHERWISE: Mapping[tuple[Kind, str], tuple[int, str]] = {
    (Kind.FILE, "GET"): (400, "GET file: bad t={t}"),
    (Kind.FILE, "HEAD"): (400, "HEAD file: bad t={t}"),
    (Kind.FILE, "PUT"): (400, "PUT to a file: this cap names a file that never changes; PUT /uri makes a new one"),
    (Kind.FILE, "POST"): (400, "POST to file: bad t={t}"),
    (Kind.FILE, "DELETE"): (400, "DELETE needs a name in a directory; a cap by itself cannot be deleted"),
    (Kind.UNKNOWN, "GET"): (400, objects.UNKNOWN_KIND),
    (Kind.UNKNOWN, "HEAD"): (400, objects.UNKNOWN_KIND),
    (Kind.UNKNOWN, "PUT"): (400, "PUT to an object of unknown kind"),
    (Kind.UNKNOWN, "POST"): (400, "POST to an object of unknown kind"),
    (Kind.UNKNOWN, "DELETE"): (400, "DELETE needs a name in a directory; a cap by itself cannot be deleted"),
}
"""Status and text when `OBJECTS` has no row for the argument `t`."""

UNLINKED: Mapping[tuple[str, str], Handler] = {
    ("GET", ""): uploads.redirect_to_cap,
    ("HEAD", ""): uploads.redirect_to_cap,
    ("PUT", ""): uploads.put,
    ("POST", ""): uploads.post_form,
    ("POST", "upload"): uploads.post_form,
}
"""What can be asked of /uri itself."""

UNLINKED_OTHERWISE = "/uri accepts only PUT, PUT?t=mkdir, POST?t=upload, and POST?t=mkdir"

KNOWN_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


async def answer(gateway: Gateway, request: Request) -> Reply:
    """The answer to any request. Raises Refusal, and what the rooms below raise."""
    if request.method not in KNOWN_METHODS:
        raise _method_refused(request, KNOWN_METHODS)
    handler = MOUNTS.get(request.mount)
    if handler is None:
        raise Refusal(404, "No Such Resource")
    return await handler(gateway, request)


async def uri(gateway: Gateway, request: Request) -> Reply:
    """/uri and /cap, alone or followed by a cap."""
    request = await _with_form(request)
    if request.segments == (b"",):
        query = request.exchange.target.partition(b"?")[2].decode("latin-1")
        return redirect(f"/{request.mount}" + (f"?{query}" if query else ""))
    if not request.segments:
        handler = UNLINKED.get((request.method, request.arguments.t))
        if handler is not None:
            return await handler(gateway, request)
        if request.method in ("PUT", "POST"):
            raise Refusal(400, UNLINKED_OTHERWISE)
        raise _method_refused(request, ("GET", "HEAD", "PUT", "POST"))
    cap = _cap_of(request.segments[0])
    kind = kind_of(cap)
    if b"" in request.segments[1:-1]:
        raise Refusal(400, "The webapi does not allow empty pathname components, i.e. a double slash")
    if len(request.segments) > 1:
        raise _no_children(request, kind)
    return await _object(gateway, request, kind, Target(cap))


async def named(gateway: Gateway, request: Request) -> Reply:
    """/file/CAP/.../NAME and /named/...: a file under a chosen name. Spec: 07 §7."""
    if request.method not in ("GET", "HEAD"):
        raise Refusal(400, "/file can only be used with GET or HEAD")
    if not request.segments:
        raise Refusal(404, "/file must be followed by a file-cap and a name")
    cap = _cap_of(request.segments[0])
    kind = kind_of(cap)
    if kind not in (Kind.FILE, Kind.MUTABLE_FILE):
        raise Refusal(400, "what follows /file is not a file-cap")
    name = _name_of(request.segments[-1]) if len(request.segments) > 1 else ""
    return await _object(gateway, request, kind, Target(cap, name))


async def _object(gateway: Gateway, request: Request, kind: Kind, target: Target) -> Reply:
    t = request.arguments.t
    handler = OBJECTS.get((kind, request.method, t))
    if handler is None:
        status, explanation = OTHERWISE.get(
            (kind, request.method), (501, "This version of lafs does not serve mutable files and directories.")
        )
        raise Refusal(status, explanation.format(t=t))
    return await handler(gateway, request, target)


async def _with_form(request: Request) -> Request:
    """The request with its form read as far as it must be, if it has one."""
    content_type = request.header(b"Content-Type")
    if request.method != "POST" or content_type is None or form_kind(content_type) is None:
        return request
    return request.with_form(await read_form(request.exchange.body, content_type))


def _cap_of(segment: bytes) -> Cap:
    return parse(segment)


def _name_of(segment: bytes) -> str:
    """A name in a path. Raises Refusal unless it is UTF-8."""
    try:
        return unicodedata.normalize("NFC", segment.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refusal(400, "A name in a path must be UTF-8.") from None


def _no_children(request: Request, kind: Kind) -> Refusal:
    """Why there is nothing below this object."""
    name = _name_of(request.segments[1])
    if kind is Kind.UNKNOWN:
        return Refusal(404, "No Such Resource")
    if kind is Kind.DIRECTORY:
        return Refusal(501, "This version of lafs does not serve mutable files and directories.")
    if request.method == "PUT":
        return Refusal(409, f"Cannot create directory '{name}', because its parent is a file, not a directory")
    return Refusal(400, f"Files have no children named '{name}'")


def _method_refused(request: Request, allowed: tuple[str, ...]) -> Refusal:
    return Refusal(
        405,
        f"I don't know how to treat a {request.method} request here.",
        ((b"Allow", ", ".join(allowed).encode("ascii")),),
    )


MOUNTS: Mapping[str, Handler] = {
    "uri": uri,
    "cap": uri,
    "file": named,
    "named": named,
    "": node_pages.welcome,
    "status": node_pages.operations,
    "statistics": node_pages.statistics,
    "helper_status": node_pages.helper,
    "css": node_pages.asset,
    "img": node_pages.asset,
}
"""By the first segment of the path."""

PUBLIC_PATHS = frozenset({"status", "statistics", "helper_status", "css", "img"})
"""Mounts below which a path holds no secret and may be logged."""
