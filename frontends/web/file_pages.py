"""The pages about one object: a file to look at, what its caps are, and what to give to others. Spec: 07 §16.5.

Caps stand on the pages of `info` and `share` only, which are for just that.
"""
from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from frontends.web.answers import Reply, page
from frontends.web.content_types import type_of
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.listing_rows import kind_of_name
from frontends.web.places import Place
from frontends.web.qr_code import qr_code
from frontends.web.request import Request
from frontends.web.targets import Target
from frontends.web.versions import opened_version
from lafs.capability import Cap, DirectoryCap, ImmutableVerifyCap, MutableVerifyCap, UnknownCap
from lafs.errors import LafsError
from lafs.interfaces import Bytes, FileNode

TEXT_SHOWN = 64 * 1024
"""Bytes of a text that its page shows."""

VERIFIERS = (ImmutableVerifyCap, MutableVerifyCap)


async def view(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=view`: a file with a page around it. Pictures, sound and film come from the origin of contents."""
    cap, place, at = target.known, Place.of(request), request.addresses
    name = request.arguments.get("filename") or target.name
    kind, trouble, text, size = kind_of_name(name), "", None, None
    try:
        node = gateway.files.open(cap) if not cap.is_mutable else await opened_version(gateway.files.open_mutable(cap), False)
        size = node.size
        if kind == "text" or (kind == "file" and size <= TEXT_SHOWN):
            text = await _text_of(node)
    except LafsError as error:
        trouble = gateway.explained(error)
    return page(
        gateway.pages.render(
            "view",
            at=at,
            place=place,
            name=name,
            kind=kind,
            size=size,
            content_type=type_of(name),
            mutable=cap.is_mutable,
            content=at.content(cap, name or "file"),
            save=at.content(cap, name or "file", save=True),
            text=text,
            cut=text is not None and size is not None and size > TEXT_SHOWN,
            trouble=trouble,
        )
    )


async def _text_of(node: FileNode) -> str | None:
    """The beginning of a file, if it is text."""
    sink = _Collector()
    await node.read(sink, 0, min(node.size, TEXT_SHOWN))
    start = b"".join(sink.pieces)
    if b"\x00" in start:
        return None
    try:
        return start.decode("utf-8")
    except UnicodeDecodeError as error:
        whole = error.start >= len(start) - 3 and len(start) < node.size  # cut in the middle of a character
        return start[: error.start].decode("utf-8") if whole else None


class _Collector:
    """A sink that keeps what it is given. Implements `Sink`."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, data: Bytes) -> None:
        self.pieces.append(bytes(data))


# --- giving ----------------------------------------------------------------------------------------------------------------


@frozen
class Grant:
    """One cap of an object, and what it is good for."""

    key: str
    title: str
    cap: str = field(repr=False)


def grants_of(cap: Cap) -> Sequence[Grant]:
    """The caps that may be made of `cap`, the one to give away by default first."""
    found = []
    read_cap, verifier = cap.readonly(), cap.verifier()
    if read_cap is not None:
        found.append(Grant("read", "May read", read_cap.text))
    if not cap.is_readonly:
        found.append(Grant("write", "May change", cap.text))
    if verifier is not None and verifier.text != cap.text:
        found.append(Grant("verify", "May check", verifier.text))
    return found or [Grant("read", "As it is", cap.text)]


async def share(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=share`: a cap to give to somebody, `grant=` read, write or verify, as text and as a QR code."""
    cap, place = target.known, Place.of(request)
    grants = grants_of(cap)
    wanted = request.arguments.get("grant", grants[0].key)
    chosen = next((grant for grant in grants if grant.key == wanted), None)
    if chosen is None:
        raise Refusal(400, "grant= must be one of: " + ", ".join(grant.key for grant in grants))
    is_directory = isinstance(cap, DirectoryCap)
    return page(
        gateway.pages.render(
            "share",
            at=request.addresses,
            here=_object_url(place, is_directory),
            name=target.name or place.name,
            what="folder" if is_directory else "file",
            mutable=cap.is_mutable,
            grants=grants,
            chosen=chosen,
            picture=await gateway.workers.run(qr_code, chosen.cap),
        )
    )


def _object_url(place: Place, is_directory: bool) -> str:
    return place.directory_url if is_directory else place.url


# --- knowing ---------------------------------------------------------------------------------------------------------------


async def info(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=info`: a page about the object. Asks the grid nothing but the size of a mutable file."""
    cap = target.known
    unknown = isinstance(cap, UnknownCap) or cap.readonly() is None or type(cap).__name__.endswith("VerifyCap")
    is_directory = isinstance(cap, DirectoryCap)
    verifier, read_cap = cap.verifier(), cap.readonly()
    return page(
        gateway.pages.render(
            "info",
            at=request.addresses,
            here=_object_url(Place.of(request), is_directory),
            name=target.name,
            kind="unknown" if unknown else "directory" if is_directory else "file",
            mutable=cap.is_mutable and not unknown,
            literal=cap.storage_index is None,
            size=None if unknown or is_directory else await _size(gateway, cap),
            storage_index=None if cap.storage_index is None else cap.storage_index.text,
            cap=cap.text,
            writable=not cap.is_readonly and not unknown,
            read_cap=None if read_cap is None or read_cap.text == cap.text else read_cap.text,
            verify_cap=None if verifier is None else verifier.text,
            handles=[gateway.random(16).hex() for _ in range(4)],
            backing=_caps_of_contents(cap) if isinstance(cap, DirectoryCap) else [],
        )
    )


def _caps_of_contents(cap: DirectoryCap) -> Sequence[tuple[str, str]]:
    """The caps of the file that holds a directory."""
    content = cap.content
    if isinstance(content, VERIFIERS):
        return [("Verify cap", content.text)]
    read_cap, verifier = content.readonly(), content.verifier()
    shown = [("Write cap" if not content.is_readonly else "Read cap", content.text)]
    if read_cap is not None and read_cap.text != content.text:
        shown.append(("Read cap", read_cap.text))
    return [*shown, *([("Verify cap", verifier.text)] if verifier is not None else [])]


async def _size(gateway: Gateway, cap: Cap) -> int | None:
    if not cap.is_mutable:
        return gateway.files.open(cap).size
    try:
        return (await gateway.files.open_mutable(cap).version()).size
    except LafsError:
        return None
