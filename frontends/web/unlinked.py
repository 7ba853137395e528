"""New files and directories that nothing leads to yet: PUT and POST of /uri; from a pasted cap to its page. Spec: 07 §5."""
from __future__ import annotations

from urllib.parse import urlencode

from frontends.web.answers import Reply, page, quoted, redirect, text
from frontends.web.children_json import read_children
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.new_objects import NewFile, new_directory
from frontends.web.request import Arguments, Request
from frontends.web.uploads import destination, source_of, upload
from lafs.capability import ImmutableReadCap, LiteralCap, MutableReadCap, MutableWriteCap, from_user
from lafs.errors import BadCapability
from lafs.interfaces import UploadResult

FILE_CAPS = (ImmutableReadCap, LiteralCap, MutableReadCap, MutableWriteCap)
"""What has a page to be looked at."""


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


async def open_pasted(gateway: Gateway, request: Request) -> Reply:
    """`t=open` with `uri=CAP` in a form: to the page of a pasted cap, which does not get into any address on the way."""
    try:
        cap = from_user(request.arguments.get("uri"))
    except BadCapability:
        raise Refusal(400, "Invalid capability") from None
    page_of_file = "?t=view" if isinstance(cap, FILE_CAPS) else ""
    return redirect(request.addresses.of(cap) + page_of_file, 303)


async def put(gateway: Gateway, request: Request) -> Reply:
    """`PUT /uri`: the body becomes a file, the answer is its cap."""
    new = NewFile.asked_for(request.arguments)
    return text((await new.store(gateway, await source_of(request.exchange.body))).text)


async def post_form(gateway: Gateway, request: Request) -> Reply:
    """`POST /uri`: the upload form. Answers with a page about what was stored, or goes to `when_done=`; with a cap if mutable."""
    form = request.form
    if form is None or form.file is None:
        raise Refusal(400, "An upload needs a multipart form with the file in its field 'file'.")
    chosen = _choices(request.arguments)
    destination(request, request.arguments)
    new = NewFile.asked_for(request.arguments)
    result: UploadResult | None = None
    if new.format == "CHK":
        result = await upload(gateway, form.file.source)
        cap = result.cap
    else:
        cap = await new.store(gateway, form.file.source)
    arguments = request.arguments.over(await form.late_fields())
    if _choices(arguments) != chosen:
        raise Refusal(400, "In a form with a large file, t=, format= and mutable= must stand before the file.")
    if result is None and request.handle is None:
        return text(cap.text)
    when_done = destination(request, arguments)
    if request.handle is not None:
        return redirect(when_done or f"{request.addresses.of(cap)}?t=info", 303)
    assert result is not None
    if when_done:
        return redirect(when_done.replace("%(uri)s", quoted(cap.text)))
    return page(
        gateway.pages.render(
            "uploaded",
            at=request.addresses,
            cap=cap.text,
            name=form.file.name,
            result=result,
            sharemap=sorted(result.sharemap.items()),
            nicknames={server.server_id: server.nickname for server in gateway.status.servers()},
        )
    )


def _choices(arguments: Arguments) -> tuple[str, str]:
    """What must be known before an upload starts: what to do, and the format."""
    return arguments.t or "upload", arguments.file_format()


# --- directories ----------------------------------------------------------------------------------------------------------


async def mkdir(gateway: Gateway, request: Request) -> Reply:
    """`t=mkdir`: a new directory without children."""
    what = "accepted for PUT" if request.method == "PUT" else "currently accepted for POST"
    if "format" in request.arguments and request.arguments.file_format() == "CHK":
        raise Refusal(400, f"format=CHK not {what} /uri?t=mkdir")
    if request.method == "POST" and request.form is None and await request.exchange.body.read(1):
        raise Refusal(400, "t=mkdir does not accept children=, try t=mkdir-with-children instead")
    return await _made(gateway, request, with_children=False)


async def mkdir_with_children(gateway: Gateway, request: Request) -> Reply:
    """`t=mkdir-with-children`: a new directory with the children in the body."""
    return await _made(gateway, request)


async def mkdir_immutable(gateway: Gateway, request: Request) -> Reply:
    """`t=mkdir-immutable`: a directory that keeps the children in the body for ever."""
    return await _made(gateway, request, immutable=True)


async def _made(gateway: Gateway, request: Request, with_children: bool = True, immutable: bool = False) -> Reply:
    show = request.arguments.flag("redirect_to_result")
    key = None if immutable else request.arguments.private_key()
    children = await read_children(request.exchange.body) if with_children else []
    cap = await new_directory(gateway, request, children, immutable, key)
    if show and request.handle is not None:
        return redirect(request.addresses.of(cap), 303)
    return redirect(f"uri/{quoted(cap.text)}", 303) if show else text(cap.text)
