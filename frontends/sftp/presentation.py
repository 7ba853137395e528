"""What the tree says, in the terms of SFTP: attributes, lines of listings, status codes. Pure. Spec: 09 §5, §11, §13."""
from __future__ import annotations

import struct
import time
from collections.abc import Mapping

from frontends.open_files import AttributeChange, Attributes
from frontends.refusals import Reason, Refused
from frontends.sftp import wire
from frontends.sftp.wire import FileAttributes
from frontends.virtual_tree import OpenFlags, Space
from lafs.errors import (
    BadCapability,
    ChildExists,
    ChildOfWrongKind,
    CircularMove,
    LafsError,
    NoSuchChild,
    NotADirectory,
    NotWriteable,
)

_TYPE_AND_MODE = {"directory": 0o040777, "file": 0o100666, "unknown": 0}
_TYPE_LETTERS = {"directory": "d", "file": "-", "unknown": "?"}
_WRITING = 0o222
_OWNER_MAY_WRITE = 0o200

_HALF_A_YEAR = 182 * 86400
_DAY = 86400

_OF_REASON: Mapping[Reason, int] = {
    "missing": wire.NO_SUCH_FILE,
    "permission": wire.PERMISSION_DENIED,
    "exists": wire.FAILURE,
    "failure": wire.FAILURE,
    "bad": wire.BAD_MESSAGE,
}

_OF_ERROR: Mapping[type[Exception], int] = {
    NoSuchChild: wire.NO_SUCH_FILE,
    NotADirectory: wire.NO_SUCH_FILE,
    NotWriteable: wire.PERMISSION_DENIED,
    ChildOfWrongKind: wire.PERMISSION_DENIED,
    BadCapability: wire.PERMISSION_DENIED,
    ChildExists: wire.FAILURE,
    CircularMove: wire.FAILURE,
    wire.BadPacket: wire.BAD_MESSAGE,
}
"""All others are FAILURE. Version 3 has no code for "exists": clients expect FAILURE."""


def status_of(error: Exception) -> tuple[int, str]:
    """The code and text that tell a client of `error`. Nothing is said of errors that nobody foresaw: they may hold secrets."""
    if isinstance(error, Refused):
        return _OF_REASON[error.reason], str(error)
    if isinstance(error, NoSuchChild):
        return wire.NO_SUCH_FILE, error.name
    code = _OF_ERROR.get(type(error), wire.FAILURE)
    if isinstance(error, LafsError | wire.BadPacket):
        return code, str(error)
    return code, "internal error"


def shown(attributes: Attributes) -> FileAttributes:
    mode = _TYPE_AND_MODE[attributes.kind]
    if not attributes.writable:
        mode &= ~_WRITING
    return FileAttributes(attributes.size, mode, attributes.modified, attributes.modified)


def change_of(attributes: FileAttributes) -> AttributeChange:
    """What a client wants to be different. Of permissions only the owner's right to write counts."""
    writable = None if attributes.permissions is None else bool(attributes.permissions & _OWNER_MAY_WRITE)
    extended = {f"ext_{_text(name)}": _text(value) for name, value in attributes.extended.items()}
    return AttributeChange(attributes.size, writable, attributes.modified, extended)


def may_make_directory(attributes: FileAttributes) -> None:
    """Raises Refused."""
    if attributes.permissions is not None and not attributes.permissions & _OWNER_MAY_WRITE:
        raise Refused("permission", "cannot create a directory that is initially read-only")


def flags_of(bits: int) -> OpenFlags:
    """To truncate what is only read, and not created either, means nothing."""
    return OpenFlags(
        read=bool(bits & wire.FLAG_READ),
        write=bool(bits & wire.FLAG_WRITE),
        append=bool(bits & wire.FLAG_APPEND),
        create=bool(bits & wire.FLAG_CREATE),
        truncate=bool(bits & wire.FLAG_TRUNCATE) and bool(bits & wire.FLAG_WRITE),
        exclusive=bool(bits & wire.FLAG_EXCLUSIVE),
    )


def long_name(name: str, attributes: Attributes, now: float) -> str:
    """A line of `ls -l`."""
    mode = shown(attributes).permissions or 0
    bits = "".join("rwx"[2 - shift % 3] if mode >> shift & 1 else "-" for shift in range(8, -1, -1))
    modified = attributes.modified or 0
    recent = now - _HALF_A_YEAR <= modified <= now + _DAY
    date = time.strftime("%b %d %H:%M " if recent else "%b %d  %Y ", time.localtime(modified))
    return f"{_TYPE_LETTERS[attributes.kind]}{bits}{1:5} {'lafs':9}{'lafs':9}{attributes.size or 0:8} {date}{name}"


def packed_space(space: Space) -> bytes:
    """The reply to statvfs@openssh.com. Flag 2: set-user-id bits mean nothing here."""
    return struct.pack(
        ">11Q",
        space.block_size,
        space.block_size,
        space.blocks,
        space.free_blocks,
        space.free_blocks,
        space.files,
        space.free_files,
        space.free_files,
        0x1AF5,
        2,
        space.longest_name,
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
