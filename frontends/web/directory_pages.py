"""The pages about directories and files: the listing, the rename form, and what a cap is. Spec: 07 §16.4 to §16.6."""
from __future__ import annotations

from datetime import UTC, datetime

from frontends.web.answers import Reply, page, quoted
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.request import Request
from frontends.web.targets import Target
from lafs.capability import Cap, DirectoryCap, ImmutableReadCap, LiteralCap, UnknownCap
from lafs.errors import LafsError
from lafs.interfaces import Child, Listing, Metadata


async def listing(gateway: Gateway, request: Request, target: Target) -> Reply:
    """The page of a directory. One that cannot be read has a page too, which says why."""
    cap = target.known
    found: Listing | None = None
    trouble = ""
    try:
        found = await gateway.files.open_directory(cap).list()
    except LafsError as error:
        trouble = gateway.explained(error)
    index = cap.storage_index
    read_cap = cap.readonly()
    return page(
        gateway.pages.render(
            "directory",
            base=base_of(request),
            here=f"{base_of(request)}uri/{quoted(cap.text)}/",
            storage_index=None if index is None else index.abbreviated,
            nature=nature(cap),
            writable=not cap.is_readonly,
            read_cap="" if read_cap is None else read_cap.text,
            rows=[] if found is None else [_row(child) for child in found.children.values()],
            left_out=0 if found is None else len(found.left_out),
            trouble=trouble,
            results=request.arguments.get("results"),
        )
    )


def base_of(request: Request) -> str:
    """From the page that was asked for to the root of the gateway."""
    return "../" * len(request.segments)


def nature(cap: Cap) -> str:
    """What may be done with a directory, in a word."""
    if not cap.is_mutable:
        return "immutable"
    return "read-only" if cap.is_readonly else "modifiable"


def _row(child: Child) -> dict[str, object]:
    cap = child.cap
    times = child.metadata.get("tahoe")
    times = times if isinstance(times, dict) else {}
    size: int | None = None
    if isinstance(cap, ImmutableReadCap):
        size = cap.size
    elif isinstance(cap, LiteralCap):
        size = len(cap.content)
    return {
        "name": child.name,
        "type": _type(child),
        "cap": "" if cap is None else cap.text,
        "size": size,
        "created": _time(times.get("linkcrtime"), child.metadata, "ctime"),
        "modified": _time(times.get("linkmotime"), child.metadata, "mtime"),
    }


def _type(child: Child) -> str:
    cap = child.cap
    if cap is None:
        caps = child.caps
        return "?" if caps.writable else "?-IMM" if (caps.readonly or "").startswith("imm.") else "?-RO"
    if isinstance(cap, DirectoryCap):
        return {"immutable": "DIR-IMM", "read-only": "DIR-RO"}.get(nature(cap), "DIR")
    return "SSK" if cap.is_mutable else "FILE"


def _time(link_time: object, metadata: Metadata, key: str) -> str:
    moment = metadata.get(key) if link_time is None else link_time
    if not isinstance(moment, int | float):
        return ""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


async def rename_form(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=rename-form`: a form to give a child another name."""
    name = request.arguments.get("name")
    if not name:
        raise Refusal(400, "The form to rename something needs its name=.")
    here = f"{base_of(request)}uri/{quoted(target.known.text)}/"
    return page(gateway.pages.render("rename", base=base_of(request), here=here, name=name))


async def info(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=info`: a page about the object. Asks the grid nothing but the size of a mutable file."""
    cap = target.known
    unknown = isinstance(cap, UnknownCap) or cap.readonly() is None or type(cap).__name__.endswith("VerifyCap")
    verifier, read_cap = cap.verifier(), cap.readonly()
    return page(
        gateway.pages.render(
            "info",
            base=base_of(request),
            kind="unknown" if unknown else "directory" if isinstance(cap, DirectoryCap) else "file",
            mutable=cap.is_mutable and not unknown,
            size=None if unknown or isinstance(cap, DirectoryCap) else await _size(gateway, cap),
            storage_index=None if cap.storage_index is None else cap.storage_index.text,
            cap=cap.text,
            writable=not cap.is_readonly and not unknown,
            read_cap=None if read_cap is None or read_cap.text == cap.text else read_cap.text,
            verify_cap=None if verifier is None else verifier.text,
            content_cap=cap.content.text if isinstance(cap, DirectoryCap) else None,
        )
    )


async def _size(gateway: Gateway, cap: Cap) -> int | None:
    if not cap.is_mutable:
        return gateway.files.open(cap).size
    try:
        return (await gateway.files.open_mutable(cap).version()).size
    except LafsError:
        return None
