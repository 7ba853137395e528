"""Many small files for one directory in one request: what the page sends of a folder that was dropped on it.

One file a request would change the directory once for every few files, as many as a browser has connections. Here all of a batch
are linked with one change. The body is a line of JSON, `[[NAME, SIZE], ...]`, and then the contents of all of them, one after the
other; each is on its way to the grid while the next arrives. Not in the peer's API.
"""
from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from frontends.web.answers import Reply, structure
from frontends.web.body import Body
from frontends.web.children_json import new_child
from frontends.web.directory_posts import writable
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.links import overwrite
from frontends.web.request import Request
from frontends.web.targets import Target
from frontends.web.uploads import upload
from lafs.errors import ChildExists, SourceFailed
from lafs.interfaces import Child, NewChild
from lafs.sources import BytesSource
from lafs.tasks import Window, settle, spawn

LARGEST_FILE = 1024 * 1024
MOST_FILES = 500
LONGEST_LIST = 1024 * 1024
"""Bytes of the line that says what comes."""

IN_FLIGHT = 4 * 1024 * 1024
"""Bytes of files that are held at once."""

_SYNTAX = "A batch begins with a line of JSON: [[NAME, SIZE], ...]"


@frozen
class Announced:
    """One file of a batch."""

    name: str
    size: int


async def upload_batch(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`POST DIRECTORY?t=upload-batch`: stores the files, and links all at once those that could be stored.

    The answer is JSON: `{"refused": {NAME: REASON}}`. A file of a mutable kind that is there already is overwritten in place.
    """
    directory = writable(gateway, target)
    body = request.exchange.body
    announced = await _announced(body)
    present = (await directory.list()).children
    window = Window(IN_FLIGHT)
    running: list[Deferred[NewChild | None]] = []
    try:
        for file in announced:
            await window.take(file.size)
            contents = await body.read(file.size)
            if len(contents) != file.size:
                raise SourceFailed("the batch ended before its last file")
            running.append(spawn(_store(gateway, file.name, contents, present.get(file.name), window)))
        outcomes = await settle(running)
    except BaseException:
        for each in running:
            each.addErrback(lambda _: None)
            each.cancel()
        raise
    refused = {
        file.name: gateway.explained(outcome.value)
        for file, outcome in zip(announced, outcomes, strict=True)
        if isinstance(outcome, Failure) and outcome.value is not None
    }
    children = [outcome for outcome in outcomes if isinstance(outcome, NewChild)]
    if children:
        await directory.add(children, "only-files")
    return structure({"refused": refused})


async def _store(
    gateway: Gateway, name: str, contents: bytes, present: Child | None, window: Window
) -> NewChild | None:
    """Store one file. Returns what is to be linked; None if it took the place of what was there."""
    try:
        if present is not None and present.kind == "directory":
            raise ChildExists(f"a directory is there under the name {name!r}")
        if present is not None and present.cap is not None and present.cap.is_mutable and not present.cap.is_readonly:
            await overwrite(gateway, present.cap, BytesSource(contents))
            return None
        return new_child(name, (await upload(gateway, BytesSource(contents))).cap.text)
    finally:
        window.give_back(len(contents))


async def _announced(body: Body) -> Sequence[Announced]:
    """The first line. Raises Refusal."""
    line = b""
    while b"\n" not in line:
        some = await body.read_some()
        line += some
        if not some or len(line) > LONGEST_LIST + LARGEST_FILE:
            raise Refusal(400, _SYNTAX)
    line, _, rest = line.partition(b"\n")
    body.unread(rest)
    try:
        listed = json.loads(line)
        if not isinstance(listed, list):
            raise ValueError
        found = {unicodedata.normalize("NFC", name): Announced(unicodedata.normalize("NFC", name), size) for name, size in listed}
    except (ValueError, TypeError, RecursionError):
        raise Refusal(400, _SYNTAX) from None
    if len(found) != len(listed) or len(found) > MOST_FILES:
        raise Refusal(400, f"A batch has at most {MOST_FILES} files, each with a name of its own.")
    _require_good(found)
    return list(found.values())


def _require_good(files: Mapping[str, Announced]) -> None:
    for name, file in files.items():
        if not name or "/" in name:
            raise Refusal(400, "The name of a file may not be empty, or have a slash in it.")
        if type(file.size) is not int or not 0 <= file.size <= LARGEST_FILE:
            raise Refusal(413, f"A file in a batch has at most {LARGEST_FILE} bytes.")
