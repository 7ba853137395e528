"""The bytes of SFTP version 3: requests read into values, replies made from values. Pure.

Every packet is a length (4 bytes), a type (1), a request id (4) and fields. Nothing of it is believed before it is measured.
Source: draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL for the extensions. Spec: 09 §12, §13.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from lafs.interfaces import Bytes

LARGEST_PACKET = 256 * 1024
"""Bytes of a packet after its length; as in OpenSSH."""

LARGEST_DATA = LARGEST_PACKET - 1024
"""Bytes of file contents in one request or reply."""

# Packet types.
INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR = range(3, 13)
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(13, 21)
STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
EXTENDED, EXTENDED_REPLY = 200, 201

# Status codes.
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST, OP_UNSUPPORTED = range(9)

# Flags of OPEN.
FLAG_READ, FLAG_WRITE, FLAG_APPEND, FLAG_CREATE, FLAG_TRUNCATE, FLAG_EXCLUSIVE = 1, 2, 4, 8, 16, 32

_HAS_SIZE, _HAS_OWNER, _HAS_PERMISSIONS, _HAS_TIMES, _HAS_EXTENDED = 1, 2, 4, 8, 0x80000000
_MOST_EXTENDED = 64

_LENGTH = struct.Struct(">L")
_LONG = struct.Struct(">Q")
_HEAD = struct.Struct(">LBL")
_DATA_HEAD = struct.Struct(">LBLL")


class BadPacket(Exception):
    """A packet that cannot be read."""


@frozen
class FileAttributes:
    """What a packet says of a file; None: nothing. Times in seconds since the epoch."""

    size: int | None = None
    permissions: int | None = None
    accessed: int | None = None
    modified: int | None = None
    extended: Mapping[bytes, bytes] = field(factory=dict)


class Fields:
    """The fields of one request, taken from the front one by one. All raise BadPacket when there is nothing more to take."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self._data = data
        self._position = position

    def number(self) -> int:
        return self._unpack(_LENGTH)

    def long(self) -> int:
        return self._unpack(_LONG)

    def string(self) -> bytes:
        return bytes(self.view())

    def view(self) -> memoryview:
        """A string, not copied: for contents of files."""
        size = self._unpack(_LENGTH)
        start, self._position = self._position, self._position + size
        if self._position > len(self._data):
            raise BadPacket("a string is longer than its packet")
        return memoryview(self._data)[start : self._position]

    def attributes(self) -> FileAttributes:
        has = self.number()
        size = self.long() if has & _HAS_SIZE else None
        if has & _HAS_OWNER:
            self.number(), self.number()
        permissions = self.number() if has & _HAS_PERMISSIONS else None
        accessed, modified = (self.number(), self.number()) if has & _HAS_TIMES else (None, None)
        extended: dict[bytes, bytes] = {}
        count = self.number() if has & _HAS_EXTENDED else 0
        if count > _MOST_EXTENDED:
            raise BadPacket("too many extended attributes")
        for _ in range(count):
            name = self.string()
            extended[name] = self.string()
        return FileAttributes(size, permissions, accessed, modified, extended)

    def end(self) -> None:
        """Raises BadPacket unless everything was taken."""
        if self._position != len(self._data):
            raise BadPacket("a packet goes on after its last field")

    def _unpack(self, form: struct.Struct) -> int:
        try:
            (number,) = form.unpack_from(self._data, self._position)
        except struct.error:
            raise BadPacket("a packet ends within a field") from None
        self._position += form.size
        return int(number)


class Splitter:
    """Cuts a stream into packets (type, id and fields, without the length). Raises BadPacket when one is too large."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: Bytes) -> None:
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next(self) -> bytes | None:
        """The next packet, if all of it is here."""
        if len(self._buffer) - self._start < 4:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer, self._start)
        if not 1 <= size <= LARGEST_PACKET:
            raise BadPacket("a packet is too large, or empty")
        end = self._start + 4 + size
        if end > len(self._buffer):
            return None
        packet = bytes(memoryview(self._buffer)[self._start + 4 : end])
        self._start = end
        return packet


# --- replies -------------------------------------------------------------------------------------------------------------


def packed_string(text: bytes) -> bytes:
    return _LENGTH.pack(len(text)) + text


def packed_attributes(attributes: FileAttributes) -> bytes:
    """Times are sent only together; owners and extended attributes never."""
    has, parts = 0, []
    if attributes.size is not None:
        has |= _HAS_SIZE
        parts.append(_LONG.pack(attributes.size))
    if attributes.permissions is not None:
        has |= _HAS_PERMISSIONS
        parts.append(_LENGTH.pack(attributes.permissions))
    if attributes.accessed is not None and attributes.modified is not None:
        has |= _HAS_TIMES
        parts.append(struct.pack(">LL", attributes.accessed, attributes.modified))
    return _LENGTH.pack(has) + b"".join(parts)


def version_reply(extensions: Mapping[bytes, bytes]) -> bytes:
    fields = b"".join(packed_string(name) + packed_string(value) for name, value in extensions.items())
    return struct.pack(">LBL", 5 + len(fields), VERSION, 3) + fields


def status_reply(request: int, code: int, message: str = "") -> bytes:
    fields = _LENGTH.pack(code) + packed_string(message.encode("utf-8", "replace")) + packed_string(b"en")
    return _reply(request, STATUS, fields)


def handle_reply(request: int, handle: bytes) -> bytes:
    return _reply(request, HANDLE, packed_string(handle))


def data_reply(request: int, data: bytes) -> bytes:
    return _DATA_HEAD.pack(9 + len(data), DATA, request, len(data)) + data


def attributes_reply(request: int, attributes: FileAttributes) -> bytes:
    return _reply(request, ATTRS, packed_attributes(attributes))


def name_entry(name: bytes, long_name: bytes, attributes: FileAttributes) -> bytes:
    return packed_string(name) + packed_string(long_name) + packed_attributes(attributes)


def name_reply(request: int, entries: Iterable[bytes]) -> bytes:
    """`entries` are from `name_entry`."""
    packed = list(entries)
    return _reply(request, NAME, _LENGTH.pack(len(packed)) + b"".join(packed))


def extended_reply(request: int, fields: bytes) -> bytes:
    return _reply(request, EXTENDED_REPLY, fields)


def _reply(request: int, kind: int, fields: bytes) -> bytes:
    return _HEAD.pack(5 + len(fields), kind, request) + fields
