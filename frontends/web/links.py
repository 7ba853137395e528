"""Requests that change what is linked under a path: PUT, DELETE and the mkdir family. Spec: 07 §3.2, §6.3, §6.5, §8.2."""
from __future__ import annotations

from frontends.web.answers import Reply, text
from frontends.web.children_json import new_child, read_children
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.new_objects import NewFile, directory_format, new_directory
from frontends.web.request import Request
from frontends.web.targets import Target
from frontends.web.uploads import source_of
from lafs.capability import Cap, MutableFormat
from lafs.directory.directory import Directory
from lafs.errors import ChildExists
from lafs.interfaces import NewChild, Replace, Source

LONGEST_CAP = 1024 * 1024
"""Bytes of a cap in a request body. A literal cap may be long, and so may one of a later version."""

_EXISTS = "There was already a child by that name, and you asked me to not replace it."


# --- PUT and DELETE ------------------------------------------------------------------------------------------------------


async def put_child(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`PUT .../NAME`: the body becomes a file, linked there. 201 if the name is new."""
    replace = request.arguments.replace()
    offset = request.arguments.offset()
    target.require_writable()
    if target.cap is not None:
        if replace == "never":
            raise ChildExists(_EXISTS)
        if offset is not None:
            raise Refusal(400, "PUT to a file: append operation invoked on an immutable cap")
    elif request.header(b"Content-Range") is not None:
        raise Refusal(501, "Content-Range in PUT not yet supported")
    elif target.slash:
        raise Refusal(400, "PUT to a directory: the name of a file does not end in a slash")
    cap = await NewFile.asked_for(request.arguments).store(gateway, await source_of(request.exchange.body))
    await link(gateway, target, new_child(target.name, cap.text), replace)
    return text(cap.text, 201 if target.cap is None else 200)


async def link(gateway: Gateway, target: Target, child: NewChild, replace: Replace) -> None:
    """Link `child` where `target` is, and make the directories that are missing on the way."""
    parent = target.writable_parent
    if len(target.missing) > 1:
        parent = await gateway.files.make_directories(parent.cap, target.missing[:-1], gateway.default_format)
    await parent.add([child], replace)


async def put_mutable(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`PUT` of a mutable file: its contents, or the part at offset=, are replaced in place."""
    if request.arguments.replace() == "never":
        raise ChildExists(_EXISTS)
    offset = request.arguments.offset()
    if target.known.is_readonly:
        raise Refusal(400, "PUT to a mutable file: replace or update requested with read-only cap")
    await overwrite(gateway, target.known, await source_of(request.exchange.body), offset)
    return text(target.known.text)


async def overwrite(gateway: Gateway, cap: Cap, source: Source, offset: int | None = None) -> None:
    """Replace the contents of the mutable file of `cap`, or what is at `offset`. Raises Refusal for one beyond its end."""
    file = gateway.files.open_mutable(cap)
    if offset is None:
        await file.overwrite(source)
        return
    try:
        await file.update(offset, source)
    except ValueError:
        raise Refusal(400, "PUT to a mutable file: Invalid offset, it is beyond the end of the file") from None


async def put_cap(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`PUT .../NAME?t=uri`: the cap in the body is linked there."""
    replace = request.arguments.replace()
    target.require_writable()
    body = await request.exchange.body.read(LONGEST_CAP + 1)
    if len(body) > LONGEST_CAP:
        raise Refusal(413, "The cap in the body is too long to be one.")
    cap_text = body.decode("utf-8", "surrogateescape").strip()
    await link(gateway, target, new_child(target.name, cap_text), replace)
    return text(cap_text)


async def delete(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`DELETE .../NAME`: unlinks it. The answer is the cap of what was there."""
    if target.parent is None:
        raise Refusal(400, "DELETE needs a name in a directory; a cap by itself cannot be deleted")
    child = await target.writable_parent.remove(target.name)
    if child is None:
        return text("")
    return text(child.caps.writable or child.caps.readonly or "")


# --- new directories -----------------------------------------------------------------------------------------------------


async def mkdir_here(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=mkdir` of a path: makes what is missing of it. The answer is the cap of the directory."""
    file_format = directory_format(gateway, request.arguments)
    if target.cap is not None:
        return text(target.cap.text)
    return text((await _made_on_path(gateway, target, file_format)).cap.text)


async def _made_on_path(gateway: Gateway, target: Target, file_format: MutableFormat) -> Directory:
    parent = target.writable_parent
    if len(target.missing) > 1:
        parent = await gateway.files.make_directories(parent.cap, target.missing[:-1], gateway.default_format)
    return await gateway.files.make_directories(parent.cap, target.missing[-1:], file_format)


async def mkdir_with_children_here(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`POST .../NAME?t=mkdir-with-children`: the directory, with these children, if it is not there yet."""
    return await _filled_here(gateway, request, target, immutable=False)


async def mkdir_immutable_here(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`POST .../NAME?t=mkdir-immutable`: an immutable directory with these children, if it is not there yet."""
    return await _filled_here(gateway, request, target, immutable=True)


async def _filled_here(gateway: Gateway, request: Request, target: Target, immutable: bool) -> Reply:
    if target.cap is not None:
        return text(target.cap.text)
    target.require_writable()
    cap = await new_directory(gateway, request, await read_children(request.exchange.body), immutable)
    await link(gateway, target, new_child(target.name, cap.text), "never")
    return text(cap.text)
