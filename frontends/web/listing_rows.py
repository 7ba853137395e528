"""The rows of a directory page: what a person wants to know of each child, in the order they ask for; and the same for its script.

Pure. A row holds no cap: rows are what a page is made of, and a page shows a cap only to those who ask for one.
Made in a worker where there are many. Spec: 07 §16.4.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from attrs import frozen

from frontends.web.content_types import type_of
from lafs.capability import Cap, DirectoryCap, ImmutableReadCap, LiteralCap
from lafs.interfaces import Child, Listing

Column = Literal["name", "size", "kind", "modified"]
COLUMNS: tuple[Column, ...] = get_args(Column)

PAGE_ROWS = 100
"""Rows on one page where no script runs; also what a page with a script shows before that has fetched the others."""

_DIGITS = re.compile(r"(\d+)")

_LATEST = 253_402_300_799
"""The last second of the year 9999, the last that dates can say."""


@frozen
class Row:
    """One child."""

    name: str
    type: str
    """As the peer names it: FILE, SSK, DIR, DIR-RO, DIR-IMM, ?, ?-RO, ?-IMM."""
    kind: str
    """What it is to a person, and the name of the picture beside it: a key of `pages.KIND_NAMES`."""
    size: int | None
    created: int | None
    """Seconds since the epoch; when it was linked."""
    modified: int | None

    @property
    def is_directory(self) -> bool:
        return self.kind == "folder"

    @property
    def can_be_opened(self) -> bool:
        return self.kind != "unknown"


@frozen
class Order:
    """By which column, and whether the largest comes first. Folders always stand before files."""

    column: Column = "name"
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Order:
        """From `sort=`: a column, with "-" before it for descending. What is no column is the usual order."""
        column = text.removeprefix("-")
        return cls(column, text.startswith("-")) if column in COLUMNS else cls()

    def __str__(self) -> str:
        return ("-" if self.descending else "") + self.column

    def by(self, column: Column) -> Order:
        """The order after a click on `column`."""
        return Order(column, not self.descending if column == self.column else False)

    def of(self, rows: Iterable[Row]) -> list[Row]:
        """`rows` in this order."""
        by_name = sorted(rows, key=lambda row: natural(row.name))
        by_column = sorted(by_name, key=_KEYS[self.column], reverse=self.descending)
        return sorted(by_column, key=lambda row: not row.is_directory)


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """The key that sorts "file 9" before "file 10", and "a" beside "A"."""
    pieces = _DIGITS.split(name.casefold())
    return [(int(piece[:300]), "") if index % 2 else (-1, piece) for index, piece in enumerate(pieces)], name


_KEYS: Mapping[str, Callable[[Row], Any]] = {
    "name": lambda row: natural(row.name),
    "size": lambda row: -1 if row.size is None else row.size,
    "kind": lambda row: row.kind,
    "modified": lambda row: 0 if row.modified is None else row.modified,
}


def rows_of(listing: Listing) -> list[Row]:
    """A row for each child that may be shown."""
    return [row_of(child) for child in listing.children.values()]


def row_of(child: Child) -> Row:
    times = child.metadata.get("tahoe")
    times = times if isinstance(times, dict) else {}
    return Row(
        child.name,
        type_of_child(child),
        _kind(child),
        size_of(child.cap),
        _moment(times.get("linkcrtime", child.metadata.get("ctime"))),
        _moment(times.get("linkmotime", child.metadata.get("mtime"))),
    )


def size_of(cap: Cap | None) -> int | None:
    """Bytes of contents, if the cap says so."""
    if isinstance(cap, ImmutableReadCap):
        return cap.size
    return len(cap.content) if isinstance(cap, LiteralCap) else None


def type_of_child(child: Child) -> str:
    """The peer's name for what it is."""
    cap = child.cap
    if cap is None:
        caps = child.caps
        return "?" if caps.writable else "?-IMM" if (caps.readonly or "").startswith("imm.") else "?-RO"
    if isinstance(cap, DirectoryCap):
        return "DIR-IMM" if not cap.is_mutable else "DIR-RO" if cap.is_readonly else "DIR"
    return "SSK" if cap.is_mutable else "FILE"


def _kind(child: Child) -> str:
    return {"directory": "folder", "unknown": "unknown"}.get(child.kind) or kind_of_name(child.name)


_PLAIN = {f"application/{subtype}" for subtype in ("json", "xml", "x-sh", "javascript", "x-yaml", "yaml", "toml")}

_ARCHIVES = ("zip", "tar", "gzip", "bzip2", "x-xz", "zstd", "x-7z", "rar", "brotli", "compress")


def kind_of_name(name: str) -> str:
    """What a file of this name most likely is."""
    content_type = type_of(name)
    family, _, subtype = content_type.partition("/")
    if family in ("image", "video", "audio"):
        return family
    if content_type == "text/plain" and "." not in name.strip("."):
        return "file"  # nothing is known of it
    if family == "text" or content_type in _PLAIN:
        return "text"
    if any(part in subtype for part in _ARCHIVES):
        return "archive"
    return "document" if re.search(r"pdf|word|document|spreadsheet|excel|presentation|powerpoint|epub", subtype) else "file"


def _moment(value: object) -> int | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LATEST:
        return None  # not a number, too
    return int(value)


def rows_json(listing: Listing) -> bytes:
    """All rows for the script of the page, each [name, type, kind, size, created, modified]: short, because there may be many."""
    rows: Sequence[object] = [
        (row.name, row.type, row.kind, row.size, row.created, row.modified) for row in rows_of(listing)
    ]
    return json.dumps({"rows": rows}, separators=(",", ":")).encode("ascii")
