"""From a request to the function that answers it.

The first segment of the path is looked up in `MOUNTS`. Below /uri and /cap a path begins with a cap, whose kind, with the method
and the argument `t`, is looked up in `OBJECTS`: a new kind of object, or a new thing to do with one, is a new row there.
Spec: 07 §2, §3.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

from frontends.web import (
    batches,
    checking,
    content_origin,
    directory_pages,
    directory_posts,
    entrance,
    file_pages,
    links,
    node_pages,
    objects,
    operation_pages,
    static_files,
    status_pages,
    streams,
    unlinked,
    zip_downloads,
)
from frontends.web.answers import Reply, redirect
from frontends.web.errors import Refusal
from frontends.web.forgery import require_token
from frontends.web.forms import form_kind, read_form
from frontends.web.gateway import Gateway
from frontends.web.request import Request
from frontends.web.safety import SAFE_METHODS
from frontends.web.targets import Target, find, name_in_path
from frontends.web.uploads import destination
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
from lafs.errors import NoSuchChild

Handler = Callable[[Gateway, Request], Awaitable[Reply]]
ObjectHandler = Callable[[Gateway, Request, Target], Awaitable[Reply]]


class Kind(Enum):
    """What a cap in a path names, as far as requests differ."""

    FILE = auto()
    MUTABLE_FILE = auto()
    DIRECTORY = auto()
    UNKNOWN = auto()
    MISSING = auto()
    """A name that is not in its directory."""


KINDS: Mapping[type, Kind] = {
    ImmutableReadCap: Kind.FILE,
    LiteralCap: Kind.FILE,
    MutableReadCap: Kind.MUTABLE_FILE,
    MutableWriteCap: Kind.MUTABLE_FILE,
    DirectoryCap: Kind.DIRECTORY,
}

VERIFIERS = (ImmutableVerifyCap, MutableVerifyCap)


def kind_of(cap: Cap | None) -> Kind:
    """What `cap` names. What only verifies, a directory for example, is as unknown as what is not invented yet."""
    if cap is None:
        return Kind.MISSING
    if isinstance(cap, DirectoryCap) and isinstance(cap.content, VERIFIERS):
        return Kind.UNKNOWN
    return KINDS.get(type(cap), Kind.UNKNOWN)


OBJECTS: Mapping[tuple[Kind, str, str], ObjectHandler] = {
    **{
        (kind, method, t): handler
        for kind in (Kind.FILE, Kind.MUTABLE_FILE)
        for (method, t), handler in {
            ("GET", ""): objects.contents,
            ("HEAD", ""): objects.contents,
            ("GET", "json"): objects.describe,
            ("GET", "uri"): objects.cap_text,
            ("GET", "readonly-uri"): objects.read_cap_text,
            ("GET", "info"): file_pages.info,
            ("GET", "view"): file_pages.view,
            ("GET", "share"): file_pages.share,
            ("GET", "content"): content_origin.lead_to,
            ("GET", "enter"): content_origin.enter,
            ("PUT", "uri"): links.put_cap,
            ("POST", "upload"): directory_posts.upload_here,
        }.items()
    },
    (Kind.FILE, "PUT", ""): links.put_child,
    (Kind.MUTABLE_FILE, "PUT", ""): links.put_mutable,
    **{
        (Kind.DIRECTORY, method, t): handler
        for method in ("GET", "HEAD")
        for t, handler in {
            "": directory_pages.listing,
            "json": objects.describe,
            "uri": objects.cap_text,
            "readonly-uri": objects.read_cap_text,
            "info": file_pages.info,
            "rows": directory_pages.rows,
            "share": file_pages.share,
            **directory_pages.FORMS,
        }.items()
    },
    (Kind.DIRECTORY, "GET", "enter"): content_origin.enter,
    **{(kind, "POST", "check"): checking.check for kind in (Kind.FILE, Kind.MUTABLE_FILE, Kind.DIRECTORY, Kind.UNKNOWN)},
    **{(Kind.DIRECTORY, "POST", t): handler for t, handler in {**operation_pages.STARTS, **streams.STREAMS}.items()},
    (Kind.DIRECTORY, "PUT", "mkdir"): links.mkdir_here,
    (Kind.DIRECTORY, "PUT", "uri"): links.put_cap,
    **{(Kind.DIRECTORY, "POST", t): handler for t, handler in directory_posts.POSTS.items()},
    (Kind.DIRECTORY, "POST", "upload-batch"): batches.upload_batch,
    (Kind.DIRECTORY, "GET", "zip"): zip_downloads.download,
    (Kind.DIRECTORY, "POST", "zip"): zip_downloads.download,
    (Kind.UNKNOWN, "GET", "json"): objects.describe_unknown,
    (Kind.UNKNOWN, "GET", "info"): file_pages.info,
    (Kind.UNKNOWN, "PUT", ""): links.put_child,
    (Kind.UNKNOWN, "PUT", "uri"): links.put_cap,
    (Kind.MISSING, "PUT", ""): links.put_child,
    (Kind.MISSING, "PUT", "uri"): links.put_cap,
    (Kind.MISSING, "PUT", "mkdir"): links.mkdir_here,
    (Kind.MISSING, "POST", "mkdir"): links.mkdir_here,
    (Kind.MISSING, "POST", "mkdir-with-children"): links.mkdir_with_children_here,
    (Kind.MISSING, "POST", "mkdir-immutable"): links.mkdir_immutable_here,
    (Kind.MISSING, "POST", "upload"): directory_posts.upload_here,
    (Kind.MISSING, "POST", "uri"): directory_posts.link_cap,
    (Kind.MISSING, "POST", "set_children"): directory_posts.set_children,
    (Kind.MISSING, "POST", "set-children"): directory_posts.set_children,
    **{(kind, "DELETE", ""): links.delete for kind in Kind if kind is not Kind.MISSING},
}

OTHERWISE: Mapping[tuple[Kind, str], tuple[int, str]] = {
    **{
        (kind, method): (400, explanation)
        for kind in (Kind.FILE, Kind.MUTABLE_FILE)
        for method, explanation in {
            "GET": "GET file: bad t={t}",
            "HEAD": "HEAD file: bad t={t}",
            "PUT": "PUT to a file: bad t={t}",
            "POST": "POST to file: bad t={t}",
        }.items()
    },
    (Kind.DIRECTORY, "GET"): (400, "GET directory: bad t={t}"),
    (Kind.DIRECTORY, "HEAD"): (400, "GET directory: bad t={t}"),
    (Kind.DIRECTORY, "PUT"): (400, "PUT to a directory"),
    (Kind.DIRECTORY, "POST"): (400, "POST to a directory with bad t={t}"),
    (Kind.UNKNOWN, "GET"): (400, objects.UNKNOWN_KIND),
    (Kind.UNKNOWN, "HEAD"): (400, objects.UNKNOWN_KIND),
    (Kind.UNKNOWN, "PUT"): (400, "PUT to an object of unknown kind"),
    (Kind.UNKNOWN, "POST"): (400, "POST to an object of unknown kind"),
}
"""Status and text when `OBJECTS` has no row for the argument `t`."""

CREATING = frozenset(
    {("PUT", ""), ("PUT", "uri"), ("PUT", "mkdir"), ("POST", "upload"), ("POST", "uri")}
    | {("POST", t) for t in ("mkdir", "mkdir-with-children", "mkdir-immutable", "set_children", "set-children")}
)
"""What makes the directories on its way."""

BLIND = frozenset({("PUT", "uri")})
"""What does the same whatever there is under the name."""

CHANGES = frozenset(
    {("PUT", ""), ("PUT", "uri"), ("PUT", "mkdir"), ("DELETE", ""), ("POST", "upload-batch")}
    | {("POST", t) for t in directory_posts.POSTS}
)
"""What changes a directory or a file."""

JSON_BODIES = frozenset({"set_children", "set-children", "mkdir-with-children", "mkdir-immutable"})
"""Their body is JSON, whatever its sender calls it."""

UNLINKED: Mapping[tuple[str, str], Handler] = {
    ("GET", ""): unlinked.redirect_to_cap,
    ("HEAD", ""): unlinked.redirect_to_cap,
    ("PUT", ""): unlinked.put,
    ("PUT", "mkdir"): unlinked.mkdir,
    ("POST", "mkdir"): unlinked.mkdir,
    ("POST", "mkdir-with-children"): unlinked.mkdir_with_children,
    ("POST", "mkdir-immutable"): unlinked.mkdir_immutable,
    ("POST", ""): unlinked.post_form,
    ("POST", "upload"): unlinked.post_form,
    ("POST", "open"): unlinked.open_pasted,
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
    """/uri and /cap, alone or followed by a cap; and /h, where `handles` has put a cap in place of a handle."""
    request = await _with_form(request)
    if request.handle is not None and request.session is not None and request.method not in SAFE_METHODS:
        require_token(request, request.session)
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
    wish = request.method, request.arguments.t
    target = await find(gateway.files, request.segments, wish in CREATING, wish in BLIND)
    kind = kind_of(target.cap)
    if target.slash and kind in (Kind.FILE, Kind.MUTABLE_FILE):
        raise Refusal(400, "Files have no children named ''")
    if len(target.missing) > 1 and (request.method, request.arguments.t) not in CREATING:
        raise NoSuchChild(target.missing[0])
    return await _object(gateway, request, kind, target)


async def named(gateway: Gateway, request: Request) -> Reply:
    """/file/CAP/.../NAME and /named/...: a file under a chosen name. Spec: 07 §7."""
    if request.method not in ("GET", "HEAD"):
        raise Refusal(400, "/file can only be used with GET or HEAD")
    if not request.segments:
        raise Refusal(404, "/file must be followed by a file-cap and a name")
    cap = parse(request.segments[0])
    kind = kind_of(cap)
    if kind not in (Kind.FILE, Kind.MUTABLE_FILE):
        raise Refusal(400, "what follows /file is not a file-cap")
    name = name_in_path(request.segments[-1]) if len(request.segments) > 1 else ""
    return await _object(gateway, request, kind, Target(cap, name))


async def _object(gateway: Gateway, request: Request, kind: Kind, target: Target) -> Reply:
    t = "" if request.method == "DELETE" else request.arguments.t
    handler = OBJECTS.get((kind, request.method, t))
    if handler is None:
        if kind is Kind.MISSING:
            raise NoSuchChild(target.missing[0])
        status, explanation = OTHERWISE[kind, request.method]
        raise Refusal(status, explanation.format(t=t))
    if request.method != "POST" or t in streams.STREAMS:
        return await _on_record(gateway, request, t, target, handler)
    when_done = destination(request, request.arguments)
    reply = await _on_record(gateway, request, t, target, handler)
    if request.form is not None:
        when_done = destination(request, request.arguments.over(await request.form.late_fields()))
    return redirect(when_done) if when_done else reply


async def _on_record(gateway: Gateway, request: Request, t: str, target: Target, handler: ObjectHandler) -> Reply:
    """What `handler` answers; while it changes a directory or a mutable file, that is among the gateway's operations."""
    if (request.method, t) not in CHANGES:
        return await handler(gateway, request, target)
    changed = target.cap if target.parent is None or (target.cap is not None and target.cap.is_mutable) else target.parent.cap
    index = None if changed is None or request.method == "DELETE" else changed.storage_index
    with gateway.history.operation("publish", None, None if index is None else index.text):
        return await handler(gateway, request, target)


async def _with_form(request: Request) -> Request:
    """The request with its form read as far as it must be, if it has one."""
    content_type = request.header(b"Content-Type")
    if request.method != "POST" or content_type is None or form_kind(content_type) is None:
        return request
    if request.arguments.t in JSON_BODIES:
        return request
    return request.with_form(await read_form(request.exchange.body, content_type))


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
    "content": content_origin.under_path,
    "open": entrance.open_session,
    "session": entrance.session,
    "": node_pages.welcome,
    "status": status_pages.status,
    "storage": status_pages.storage,
    "report_incident": status_pages.report_incident,
    "static": static_files.serve,
    "statistics": node_pages.statistics,
    "operations": operation_pages.operation,
    "helper_status": node_pages.helper,
    "css": node_pages.asset,
    "img": node_pages.asset,
    "js": node_pages.asset,
}
"""By the first segment of the path."""
