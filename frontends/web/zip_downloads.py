"""A folder, or some of what is in one, as a zip archive: how a browser saves more than one file. Not in the peer's API.

The archive is made while it is sent, and nothing of it is kept. Whatever cannot be read ends it: the connection is cut, so that
nobody takes a part for the whole.
"""
from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from attrs import field, frozen

from frontends.web.answers import Headers, Reply
from frontends.web.channel import Exchange
from frontends.web.content_types import attachment
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.history import Operation
from frontends.web.listing_rows import row_of
from frontends.web.request import Request
from frontends.web.safety import PLAIN_POLICY
from frontends.web.targets import Target
from frontends.web.versions import opened_version
from frontends.web.zip_layout import Archive
from lafs.capability import Cap, DirectoryCap
from lafs.interfaces import Bytes, Child, FileNode

DEEPEST = 200
"""Directories within each other."""


async def download(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=zip` of a directory: all that is in it, or the children named in `names=`, a list in JSON."""
    cap = target.known
    listing = await gateway.files.open_directory(cap).list()
    names = _names(request.arguments.get("names")) if "names" in request.arguments else list(listing.children)
    missing = [name for name in names if name not in listing.children]
    if missing:
        raise Refusal(404, f"No such child: {missing[0]}")
    title = (target.name or "Files") + ".zip"
    headers = (
        (b"Cache-Control", b"no-store"),
        (b"Content-Security-Policy", PLAIN_POLICY),
        (b"Content-Type", b"application/zip"),
        (b"Content-Disposition", attachment(title)),
    )
    return Zip(gateway, cap, [listing.children[name] for name in names], headers)


def _names(text: str) -> Sequence[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refusal(400, "names= must be a list of names, in JSON.")
    return names


@frozen
class Zip:
    """Children of a directory, and what is below them, as an archive. A `Reply`."""

    gateway: Gateway
    cap: Cap = field(repr=False)
    children: Sequence[Child] = field(repr=False)
    headers: Headers = field(repr=False)

    async def send(self, exchange: Exchange) -> None:
        archive = Archive()
        exchange.start_unmeasured(200, self.headers)
        with self.gateway.history.operation("download") as operation:
            async for path, child in self._below((), self.children, (self.cap,)):
                modified = row_of(child).modified
                if child.kind == "directory":
                    exchange.write_piece(archive.begin("/".join(path), modified, is_directory=True))
                else:
                    exchange.write_piece(archive.begin("/".join(path), modified))
                    await (await self._opened(child)).read(_EntrySink(self.gateway, archive, exchange, operation))
                exchange.write_piece(archive.end())
                await exchange.drained()
            for piece in archive.close():
                exchange.write_piece(piece)
                await exchange.drained()
        exchange.finish_unmeasured()

    async def _below(
        self, above: tuple[str, ...], children: Sequence[Child], passed: tuple[Cap, ...]
    ) -> AsyncIterator[tuple[tuple[str, ...], Child]]:
        """Everything, each directory before what is in it. One that is in itself is not entered again."""
        for child in children:
            cap, path = child.cap, (*above, _in_archive(child.name))
            if cap is None:
                continue  # of a kind that nobody here can read
            yield path, child
            if isinstance(cap, DirectoryCap) and cap not in passed and len(passed) < DEEPEST:
                listing = await self.gateway.files.open_directory(cap).list()
                async for each in self._below(path, list(listing.children.values()), (*passed, cap)):
                    yield each

    async def _opened(self, child: Child) -> FileNode:
        assert child.cap is not None, "children of unknown kinds are left out"
        if not child.cap.is_mutable:
            return self.gateway.files.open(child.cap)
        return await opened_version(self.gateway.files.open_mutable(child.cap), False)


def _in_archive(name: str) -> str:
    """`name`, so that unpacking it cannot lead out of the folder that it is unpacked in."""
    safe = name.replace("/", "_").replace("\\", "_").replace("\0", "_")
    return f"_{safe}" if safe.strip(". ") == "" else safe


@frozen
class _EntrySink:
    """Where the contents of one entry go. Implements `lafs.interfaces.Sink`."""

    gateway: Gateway
    archive: Archive
    exchange: Exchange
    operation: Operation

    async def write(self, data: Bytes) -> None:
        self.operation.done += len(data)
        self.exchange.write_piece(await self.gateway.workers.run_sized(len(data), self.archive.add, bytes(data)))
        await self.exchange.drained()
