"""Bytes of a file from the gateway to a stream or a local file, all of them or an error; broken downloads are continued.

Used by `lafs get`. Spec: 08 §9.3, §24 C7; 07 §6.2 (ranges and ETags).
"""
from __future__ import annotations

import re
from collections.abc import Callable
from errno import EISDIR
from pathlib import Path
from typing import IO

from lafs.cli.answer import Answer, CutOff
from lafs.cli.gateway import Gateway
from lafs.cli.invocation import Invocation
from lafs.cli.partial import Origin, PartialFile, Places, fingerprint, left_over
from lafs.cli.progress import Progress, progress_for
from lafs.cli.quantities import size_text
from lafs.errors import BadCapability

OVERLAP = 64 * 1024
"""How many bytes at the end of a partial file are fetched again, and compared, before it is continued."""


def to_stream(invocation: Invocation, gateway: Gateway, target: str, stream: IO[bytes]) -> None:
    """Write the file to `stream`. Raises Refused, CutOff, Unreachable, BadCapability; OSError of the stream."""

    def write(piece: memoryview) -> None:
        while piece:  # an unbuffered device may take less
            piece = piece[stream.write(piece) :]

    answer = expect_file(gateway.get(target))
    # A terminal that shows the file has no room for a line about it.
    with Progress(answer.length, stream=None) if stream.isatty() else progress_for(invocation, answer.length) as progress:
        copy(answer, write, progress)
    stream.flush()


def to_file(invocation: Invocation, gateway: Gateway, target: str, path: Path) -> None:
    """Write the file to `path`, continuing what an earlier attempt left. Raises as `to_stream`, and InTheWay."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, "is a directory; give the name of a file in it", str(path))
    places = Places(path.resolve())  # a symbolic link stays one, and what it points to is replaced
    answer, partial = resume(gateway, target, places) or start(gateway, target, places)
    if partial.size:
        invocation.say(f"continuing after {size_text(partial.size)}")
    total = None if answer.length is None else partial.size + answer.length
    try:
        with progress_for(invocation, total, partial.size) as progress:
            copy(answer, partial.append, progress)
    except CutOff as error:
        if partial.leave():
            raise CutOff(f"{error}; the same command will continue") from None
        raise
    except OSError as error:  # a full disk
        advice = "; the same command will continue" if partial.leave() else ""
        raise OSError(error.errno, f"{error.strerror}{advice}", str(path)) from None
    except KeyboardInterrupt:
        if partial.leave():
            invocation.say("stopped; the same command will continue")
        raise
    except BaseException:
        partial.leave()
        raise
    partial.finish()


def copy(answer: Answer, write: Callable[[memoryview], None], progress: Progress) -> None:
    """Move the whole body. Raises CutOff saying how far it came."""
    try:
        for piece in answer.pieces():
            write(piece)
            progress.advance(len(piece))
    except CutOff as error:
        total = "" if progress.total is None else f" of {progress.total}"
        raise CutOff(f"{error} after {progress.done}{total} bytes") from None


def start(gateway: Gateway, target: str, places: Places) -> tuple[Answer, PartialFile]:
    """Ask for the whole file. Nothing local is touched unless there is one."""
    answer = expect_file(gateway.get(target))
    return answer, PartialFile(places, Origin(fingerprint(target), answer.header("ETag"), answer.length))


def resume(gateway: Gateway, target: str, places: Places) -> tuple[Answer, PartialFile] | None:
    """Ask for the rest of a file that is partly there. None if nothing there can be continued."""
    found = left_over(places, fingerprint(target))
    if found is None:
        return None
    origin, size = found
    offset = max(0, size - OVERLAP)
    answer = gateway.get(target, {"Range": f"bytes={offset}-", "If-Range": origin.etag})
    if answer.status != 206 or not continues(answer, origin, offset):
        gateway.close()
        return None
    partial = PartialFile(places, origin, keep=size)
    try:
        if partial.mend(offset, answer.start(size - offset)):
            return answer, partial
    except CutOff:
        partial.leave()
        raise
    partial.close()
    gateway.close()
    return None


def continues(answer: Answer, origin: Origin, offset: int) -> bool:
    """Whether a 206 is of the same version and starts where it should. (A Tahoe gateway ignores If-Range.)"""
    match = re.fullmatch(r"bytes (\d{1,20})-(\d{1,20})/(\d{1,20})", answer.header("Content-Range"))
    if match is None or opaque(answer.header("ETag")) != opaque(origin.etag):
        return False
    first, last, total = map(int, match.groups())
    return (first, last, total) == (offset, total - 1, origin.size) and answer.length == total - offset


def opaque(etag: str) -> str:
    """An ETag without the marks around it: a Tahoe gateway sends it bare."""
    return etag.removeprefix("W/").strip('"')


def expect_file(answer: Answer) -> Answer:
    """The answer, if it is a file's contents. A directory's page is refused: it has no `Accept-Ranges`. Spec: 07 §6.2, §8.1."""
    answer.expect(200, 302, 303)
    if answer.status != 200 or ("html" in answer.header("Content-Type") and not answer.header("Accept-Ranges")):
        raise BadCapability("this is a directory; name a file in it: CAP/PATH")
    return answer
