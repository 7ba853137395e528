"""`/static`: files of a folder of the node's operator. Spec: 07 §13.7.

They are shown like stored files: beautiful, but without the authority of the gateway's own pages. Nothing outside the folder is
served, whatever links lead to it, and no name that begins with a dot.
"""
from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from attrs import field, frozen
from twisted.web.http import datetimeToString, stringToDatetime

from frontends.web.answers import Answer, Contents, Headers, Reply, page, redirect
from frontends.web.content_types import type_of
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.ranges import Unsatisfiable, requested_span
from frontends.web.request import Request
from frontends.web.safety import policy_for
from lafs.errors import LafsError
from lafs.interfaces import Sink
from lafs.workers import Workers

T = TypeVar("T")

PIECE = 256 * 1024
MOST_NAMES = 5000
"""Names of a folder that are listed."""

INDEX = "index.html"


async def serve(gateway: Gateway, request: Request) -> Reply:
    """A file, the index of a folder, or a list of what is in it."""
    if request.method not in ("GET", "HEAD"):
        raise Refusal(405, "Files can only be read here.", ((b"Allow", b"GET, HEAD"),))
    if gateway.static is None:
        raise Refusal(404, "No Such Resource")
    names = [_name(segment) for segment in request.segments]
    slash = bool(names) and names[-1] == ""
    if slash:
        names.pop()
    if "" in names:
        raise Refusal(404, "No Such Resource")
    found = await gateway.workers.run(_look, gateway.static, names)
    if found is None or (slash and found.names is None):
        raise Refusal(404, "No Such Resource")
    if found.names is None:
        return _file(gateway, request, found)
    if not slash:
        return redirect(f"{request.mount if not names else names[-1]}/")
    if INDEX in found.names:
        index = await gateway.workers.run(_look, gateway.static, [*names, INDEX])
        if index is not None and index.names is None:
            return _file(gateway, request, index)
    return page(gateway.pages.render("folder", at=request.addresses, names=found.names))


@frozen
class _Found:
    """A file, or a folder with its `names`; those of folders end in a slash."""

    path: Path = field(repr=False)
    size: int
    modified: int
    names: list[str] | None = None


def _name(segment: bytes) -> str:
    try:
        name = segment.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(404, "No Such Resource") from None
    if name.startswith(".") or "/" in name or "\0" in name:
        raise Refusal(404, "No Such Resource")
    return name


def _look(root: Path, names: list[str]) -> _Found | None:
    """What is at `names` below `root`; None if nothing that may be served."""
    try:
        root = root.resolve(strict=True)
        path = root.joinpath(*names).resolve(strict=True)
        if not path.is_relative_to(root):
            return None
        facts = path.stat()
        if stat.S_ISREG(facts.st_mode):
            return _Found(path, facts.st_size, int(facts.st_mtime))
        if not stat.S_ISDIR(facts.st_mode):
            return None
        entries = [entry for entry in os.scandir(path) if not entry.name.startswith(".")]
        listed = sorted(entry.name + "/" * entry.is_dir() for entry in entries)
        return _Found(path, 0, int(facts.st_mtime), listed[:MOST_NAMES])
    except (OSError, ValueError, RuntimeError):
        return None


def _file(gateway: Gateway, request: Request, found: _Found) -> Reply:
    content_type = type_of(found.path.name)
    headers: Headers = (
        (b"Content-Type", content_type.encode("ascii")),
        (b"Content-Security-Policy", policy_for(content_type)),
        (b"Accept-Ranges", b"bytes"),
        (b"Last-Modified", datetimeToString(found.modified)),  # type: ignore[no-untyped-call]
        (b"Cache-Control", b"private, no-cache"),
    )
    if _unchanged(request.header(b"If-Modified-Since"), found.modified):
        return Answer(status=304, headers=headers[3:4])
    try:
        span = requested_span(request.header(b"Range"), found.size)
    except Unsatisfiable:
        raise Refusal(416, "First beyond end of file", ((b"Content-Range", b"bytes */%d" % found.size),)) from None
    node = _LocalFile(found, gateway.workers)
    if span is None:
        return Contents(node, 0, found.size, 200, headers)  # type: ignore[arg-type]
    headers += ((b"Content-Range", span.content_range(found.size).encode("ascii")),)
    return Contents(node, span.offset, span.size, 206, headers)  # type: ignore[arg-type]


def _unchanged(since: str | None, modified: int) -> bool:
    try:
        return since is not None and modified <= stringToDatetime(since.encode("latin-1"))  # type: ignore[no-untyped-call]
    except ValueError:
        return False


class FileGone(LafsError):
    """A file of the folder that changed while it was sent."""


class _LocalFile:
    """Implements what `Contents` uses of a `FileNode`."""

    def __init__(self, found: _Found, workers: Workers) -> None:
        self._found = found
        self._workers = workers

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        left = self._found.size - offset if size is None else size
        file: BinaryIO = await self._done(lambda: self._found.path.open("rb"))
        try:
            while left:
                piece = await self._done(partial(_read_at, file, offset, min(PIECE, left)))
                if not piece:
                    raise FileGone("a file became shorter while it was sent")
                offset += len(piece)
                left -= len(piece)
                await sink.write(piece)
        finally:
            file.close()

    async def _done(self, work: Callable[[], T]) -> T:
        try:
            return await self._workers.run(work)
        except OSError as error:
            raise FileGone(f"a file cannot be read: {error.strerror}") from None


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
