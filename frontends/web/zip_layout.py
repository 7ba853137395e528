"""The bytes of a zip archive that is sent while it is made: pure, one entry after the other, nothing sought back to.

Contents are stored as they are (most of what people keep is compressed already), with their size and checksum behind them, and with
the 64-bit forms everywhere, since nobody knows before whether they will be needed. Read by every unzip program since 2001.
Source: PKWARE's APPNOTE.TXT 6.3.3, §4.3 and §4.5.3.
"""
from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator

from attrs import define, field

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_DESCRIPTOR = struct.Struct("<IIQQ")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_EXTRA_SIZES = struct.Struct("<HHQQ")
_EXTRA_CENTRAL = struct.Struct("<HHQQQ")
_END_64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_END = struct.Struct("<IHHHHIIH")

_VERSION = 45
"""4.5: the first with 64-bit sizes."""

_MADE_ON_UNIX = 3 << 8 | _VERSION

_FLAGS = 0x0808
"""Size and checksum stand behind the contents; names are UTF-8."""

_LATER = 0xFFFFFFFF
_MANY = 0xFFFF

_EARLIEST = (1980, 1, 1, 0, 0, 0)

_FILE_MODE, _DIRECTORY_MODE = 0o100644 << 16, 0o040755 << 16


@define
class _Entry:
    name: bytes
    moment: int
    offset: int
    is_directory: bool
    size: int = 0
    checksum: int = 0


@define
class Archive:
    """An archive on its way: each method returns the bytes that come next."""

    _entries: list[_Entry] = field(factory=list, init=False)
    _offset: int = field(default=0, init=False)

    def begin(self, name: str, modified: float | None = None, is_directory: bool = False) -> bytes:
        """The head of an entry. `name` has slashes between its parts; `modified` in seconds since the epoch."""
        encoded = name.encode("utf-8", "replace") + (b"/" if is_directory else b"")
        entry = _Entry(encoded[:_MANY], _moment(modified), self._offset, is_directory)
        self._entries.append(entry)
        extra = _EXTRA_SIZES.pack(1, 16, 0, 0)
        head = _LOCAL.pack(
            0x04034B50, _VERSION, _FLAGS, 0, entry.moment & 0xFFFF, entry.moment >> 16, 0, _LATER, _LATER,
            len(entry.name), len(extra),
        )  # fmt: skip
        return self._sent(head + entry.name + extra)

    def add(self, data: bytes) -> bytes:
        """More of the contents of the entry."""
        entry = self._entries[-1]
        entry.size += len(data)
        entry.checksum = zlib.crc32(data, entry.checksum)
        return self._sent(data)

    def end(self) -> bytes:
        """What stands behind the contents of the entry."""
        entry = self._entries[-1]
        return self._sent(_DESCRIPTOR.pack(0x08074B50, entry.checksum, entry.size, entry.size))

    def close(self) -> Iterator[bytes]:
        """The list of all entries, and the end of the archive."""
        start = self._offset
        for entry in self._entries:
            yield self._sent(_listed(entry))
        size, count, end = self._offset - start, len(self._entries), self._offset
        yield _END_64.pack(0x06064B50, 44, _MADE_ON_UNIX, _VERSION, 0, 0, count, count, size, start)
        yield _LOCATOR.pack(0x07064B50, 0, end, 1)
        yield _END.pack(0x06054B50, 0, 0, _MANY, _MANY, _LATER, _LATER, 0)

    def _sent(self, data: bytes) -> bytes:
        self._offset += len(data)
        return data


def _listed(entry: _Entry) -> bytes:
    extra = _EXTRA_CENTRAL.pack(1, 24, entry.size, entry.size, entry.offset)
    mode = _DIRECTORY_MODE | 0x10 if entry.is_directory else _FILE_MODE
    head = _CENTRAL.pack(
        0x02014B50, _MADE_ON_UNIX, _VERSION, _FLAGS, 0, entry.moment & 0xFFFF, entry.moment >> 16, entry.checksum,
        _LATER, _LATER, len(entry.name), len(extra), 0, 0, 0, mode, _LATER,
    )  # fmt: skip
    return head + entry.name + extra


def _moment(seconds: float | None) -> int:
    """As MS-DOS counts it: two seconds fine, from 1980 to 2107. In UTC."""
    parts = _EARLIEST
    if seconds is not None and 0 <= seconds < 4_000_000_000:
        parts = max(time.gmtime(seconds)[:6], _EARLIEST)
    year, month, day, hour, minute, second = parts
    return ((year - 1980) << 9 | month << 5 | day) << 16 | hour << 11 | minute << 5 | second // 2
