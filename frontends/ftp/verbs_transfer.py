"""The verbs that use a data connection, and those that prepare one. Spec: 09 §18, §20; RFC 959 §4.1.2, RFC 2428, RFC 3659.

An upload is stored when three things have happened: its data connection ended in order, all bytes are on the grid, and the
directory has its name. 226 is said after that. Whatever goes wrong before leaves what was there.
"""
from __future__ import annotations

import fnmatch
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from frontends.ftp.ascii_type import AsIs, Conversion, FromWire, ToWire
from frontends.ftp.commands import Command
from frontends.ftp.listings import facts_line, long_line
from frontends.ftp.passive import epsv_text, pasv_text
from frontends.ftp.paths import entry, is_sayable, resolve
from frontends.ftp.replies import Refusal, Reply
from frontends.ftp.session import Session
from frontends.open_files import AttributeChange, Attributes, OpenFile
from frontends.paths import Names
from frontends.virtual_tree import OpenFlags
from lafs.errors import LafsError, NoSuchChild
from lafs.tasks import sleep

PIECE = 512 * 1024
"""Bytes read from a file at a time."""

ENTRIES_TOGETHER = 200
"""Entries of a directory made into lines before other clients get their turn."""

_OPTION_WORDS = re.compile(r"(-\S*(\s+|$))+")
"""`-la` and such, which clients put before the path."""

_PATTERN = re.compile(r"[*?[]")

LineMaker = Callable[[str, Attributes], str]


# --- preparing ---


async def representation(session: Session, command: Command) -> Reply:
    kind = command.text.upper().split()
    if kind in (["A"], ["A", "N"]):
        session.is_text = True
    elif kind in (["I"], ["L", "8"]):
        session.is_text = False
    else:
        raise Refusal(504, "Only TYPE A, I and L 8 are known.")
    return Reply(200, f"TYPE {' '.join(kind)}.")


def only(*allowed: str) -> Callable[[Session, Command], Awaitable[Reply]]:
    """A verb that knows one way (MODE, STRU), and takes no other."""

    async def verb(session: Session, command: Command) -> Reply:
        if command.text.upper() not in allowed:
            raise Refusal(504, f"Only {command.verb} {allowed[0]} is known.")
        return Reply(200, f"{command.verb} {allowed[0]}.")

    return verb


async def restart(session: Session, command: Command) -> Reply:
    if not re.fullmatch(r"[0-9]{1,18}", command.text):
        raise Refusal(501, "REST needs a number of bytes.")
    session.restart = int(command.text)
    return Reply(350, f"The next transfer begins at byte {session.restart}.")


async def passive(session: Session, command: Command) -> Reply:
    if session.only_epsv:
        raise Refusal(501, "You said EPSV ALL.")
    if session.ends.is_ipv6:
        raise Refusal(522, "PASV knows no IPv6; say EPSV.")
    number = session.expect_data()
    return Reply(227, pasv_text(session.tools.passive_address or session.ends.own, number))


async def extended_passive(session: Session, command: Command) -> Reply:
    family = "2" if session.ends.is_ipv6 else "1"
    wanted = command.text.upper()
    if wanted == "ALL":
        session.only_epsv = True
        return Reply(200, "Only EPSV from now on.")
    if wanted not in ("", family):
        raise Refusal(522, f"Data connections use the same protocol as this one ({family})")
    return Reply(229, epsv_text(session.expect_data()))


async def active(session: Session, command: Command) -> Reply:
    raise Refusal(502, "This server opens no connections; use passive mode.")



async def abort(session: Session, command: Command) -> Reply:
    """When a transfer is under way, `control` has ended it before it comes to this."""
    session.forget_data()
    return Reply(226, "Nothing is being transferred.")


# --- files ---


async def retrieve(session: Session, command: Command) -> Reply:
    path = entry(session.current, command.text)
    offset = _offset(session)
    session.check_data()
    file = await session.tree.open(path, OpenFlags(read=True))
    try:
        size = (await file.attributes()).size or 0
        if offset > size:
            raise Refusal(554, "The file is shorter than that.")
        await _send(session, file, offset, size)
    finally:
        file.abandon()
    return Reply(226, "All of it was sent.")


async def _send(session: Session, file: OpenFile, offset: int, size: int) -> None:
    conversion: Conversion = ToWire() if session.is_text else AsIs()
    # Clients read the number of bytes in the parentheses.
    told = "Here it comes as text." if session.is_text else f"Here it comes ({size - offset} bytes)."
    async with session.data(told) as connection:
        while offset < size:
            piece = await file.read_chunk(offset, min(PIECE, size - offset))
            if not piece:
                raise LafsError("The file has become shorter.")
            offset += len(piece)
            await connection.write(conversion.convert(piece))
        await connection.finish()


async def store(session: Session, command: Command) -> Reply:
    """With REST, the file keeps what is before that byte, and gets what is sent in place of the rest."""
    offset = _offset(session)
    path = entry(session.current, command.text)
    return await _receive(session, path, OpenFlags(write=True, create=True, truncate=not offset), offset)


async def append(session: Session, command: Command) -> Reply:
    if session.restart:
        raise Refusal(504, "APPE begins at the end.")
    path = entry(session.current, command.text)
    return await _receive(session, path, OpenFlags(write=True, create=True), None)


async def _receive(session: Session, path: Names, flags: OpenFlags, offset: int | None) -> Reply:
    """Store what comes at `offset` of the file, or at its end."""
    session.check_data()
    if not is_sayable(path[-1]):
        raise Refusal(553, "No file can have this name.")
    file = await session.tree.open(path, flags)
    try:
        size = 0 if flags.truncate else (await file.attributes()).size or 0
        if offset is None:
            offset = size
        if offset > size:
            raise Refusal(554, "The file is shorter than that.")
        if offset < size:
            await file.set_attributes(AttributeChange(size=offset))
        await _take(session, file, offset)
        await file.close()
    except BaseException:
        # Also when it is given up while it is being stored: then it is not linked, unless that has just been done.
        file.abandon()
        raise
    return Reply(226, "It is stored.")


async def _take(session: Session, file: OpenFile, offset: int) -> None:
    conversion: Conversion = FromWire() if session.is_text else AsIs()
    async with session.data("Send it.") as connection:
        while data := await connection.read():
            piece = conversion.convert(data)
            await file.write_chunk(offset, piece)
            offset += len(piece)
        if rest := conversion.end():
            await file.write_chunk(offset, rest)


def _offset(session: Session) -> int:
    """Where REST said the transfer begins."""
    if session.restart and session.is_text:
        raise Refusal(504, "REST counts bytes; say TYPE I first.")
    return session.restart


# --- directories ---


async def list_long(session: Session, command: Command) -> Reply:
    now = session.tools.clock.seconds()
    path = resolve(session.current, _OPTION_WORDS.sub("", command.text, count=1))
    return await _list(session, path, lambda name, attributes: long_line(name, attributes, now))


async def list_names(session: Session, command: Command) -> Reply:
    path = resolve(session.current, _OPTION_WORDS.sub("", command.text, count=1))
    return await _list(session, path, lambda name, attributes: name)


async def list_facts(session: Session, command: Command) -> Reply:
    path = resolve(session.current, command.text)
    if (await session.tree.attributes(path)).kind != "directory":
        raise Refusal(501, "This is not a directory; MLST tells of files.")
    return await _list(session, path, lambda name, attributes: facts_line(name, attributes, session.facts))


async def _list(session: Session, path: Names, line: LineMaker) -> Reply:
    session.check_data()
    entries = await _entries(session, path)
    async with session.data("Here comes the list.") as connection:
        for batch in _batches(entries):
            lines = "".join(f"{line(name, attributes)}\r\n" for name, attributes in batch)
            await connection.write(lines.encode())
            await sleep(0, session.tools.clock)
        await connection.finish()
    return Reply(226, "That was all.")


async def _entries(session: Session, path: Names) -> Mapping[str, Attributes]:
    """What is in the directory at `path`; or the file at `path`, alone; or, old clients rely on it, what a pattern matches."""
    try:
        attributes = await session.tree.attributes(path)
    except NoSuchChild:
        if not path or not _PATTERN.search(path[-1]):
            raise
        entries = await session.tree.list(path[:-1])
        return {name: entries[name] for name in fnmatch.filter(entries, path[-1])}
    if attributes.kind == "directory":
        return await session.tree.list(path)
    return {path[-1] if path else "file": attributes}


def _batches(entries: Mapping[str, Attributes]) -> Iterator[Sequence[tuple[str, Attributes]]]:
    """Those of `entries` that can be told, in the order of their names, a few at a time."""
    names = sorted(filter(is_sayable, entries))
    for start in range(0, len(names), ENTRIES_TOGETHER):
        yield [(name, entries[name]) for name in names[start : start + ENTRIES_TOGETHER]]
