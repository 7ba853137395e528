"""The bytes of a directory: entries side by side, each kept as it was found until somebody changes it.

Pure. What an entry means is for lafs/directory/children.py; here it is its name and its bytes. Spec: 04 §2.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from unicodedata import normalize

from attrs import field, frozen

from lafs.crypto.netstring import LONGEST_LENGTH, netstring
from lafs.errors import BadDirectory

LARGEST_DIRECTORY = 256 * 1024 * 1024
"""Bytes. Contents are held in memory several times over, so more than this is refused before it is fetched."""


@frozen
class Entry:
    """One entry. `raw` is all that its outer netstring holds: four fields, and what a later version may have put behind them."""

    name: str
    raw: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, readonly: bytes, write_field: bytes, metadata: Mapping[str, Any]) -> Entry:
        """A new entry; `name` is in NFC. Raises ValueError for names and metadata that have no bytes."""
        fields = (name.encode("utf-8"), readonly, write_field, pack_metadata(metadata))
        return cls(name, b"".join(map(netstring, fields)))

    @property
    def fields(self) -> Fields:
        found, end = [], -1
        for _ in range(4):  # Without the doubts of `parse`: whoever made this entry had them, or wrote it.
            length = end + 1
            start = self.raw.index(b":", length) + 1
            end = start + int(self.raw[length : start - 1])
            found.append(self.raw[start:end])
        return Fields(*found[1:])


@frozen
class Fields:
    """What follows the name of an entry."""

    readonly: bytes = field(repr=False)
    write_field: bytes = field(repr=False)
    """Encrypted, see lafs/crypto/directory_entries.py."""
    metadata: bytes


@frozen(eq=False)
class Entries:
    """All entries of a directory by name, in the order of their names; `contents` is the packed form they were read from."""

    by_name: Mapping[str, Entry] = field(repr=False)
    contents: bytes = field(repr=False)

    def changed(self, changes: Mapping[str, Entry | None]) -> Entries:
        """With these entries put in, and those that are None taken out."""
        by_name = dict(self.by_name)
        for name, entry in changes.items():
            if entry is not None:
                by_name[name] = entry
            else:
                by_name.pop(name, None)
        return packed(by_name.values())


def name_in_directory(name: str) -> str:
    """The form in which names are stored and looked up: NFC, and nothing else. Spec: 04 §2.3."""
    return name if name.isascii() else normalize("NFC", name)


def packed(entries: Iterable[Entry]) -> Entries:
    """The directory of these entries; of several with one name, the last."""
    by_name = _in_order({entry.name: entry for entry in entries})
    return Entries(by_name, b"".join([netstring(entry.raw) for entry in by_name.values()]))


def parse(contents: bytes, immutable: bool = False) -> Entries:
    """Read a packed directory. Raises BadDirectory.

    Of several entries with one name the last counts. Only the outer form is judged: an entry whose caps make no sense is no
    reason to refuse the others. Spec: 04 §2.8.
    """
    by_name: dict[str, Entry] = {}
    position, size = 0, len(contents)
    try:
        while position < size:
            start, end = _netstring(contents, position)
            position = end + 1
            entry = _read_entry(contents[start:end], immutable)
            by_name[entry.name] = entry
    except ValueError as error:
        raise BadDirectory(f"the directory is damaged at byte {position} of {size}: {error}") from None
    return Entries(_in_order(by_name), contents)


def _in_order(by_name: dict[str, Entry]) -> dict[str, Entry]:
    names = list(by_name)
    ordered = sorted(names)
    return by_name if ordered == names else {name: by_name[name] for name in ordered}


def _read_entry(raw: bytes, immutable: bool) -> Entry:
    start, end = _netstring(raw, 0)
    try:
        name = name_in_directory(raw[start:end].decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("a name that is not UTF-8") from None
    _, end = _netstring(raw, end + 1)
    start, end = _netstring(raw, end + 1)
    if immutable and start != end:
        raise ValueError("an immutable directory with a write cap in it")
    start, end = _netstring(raw, end + 1)
    read_metadata(raw[start:end])
    return Entry(name, raw)


def _netstring(data: bytes, position: int) -> tuple[int, int]:
    """Where the payload of the netstring at `position` starts and ends. Leading zeros in lengths are accepted here."""
    colon = data.find(b":", position, position + LONGEST_LENGTH + 1)
    digits = data[position:colon] if colon > 0 else b""
    if not digits.isdigit():
        raise ValueError("no length where one is expected")
    start = colon + 1
    end = start + int(digits)
    if data[end : end + 1] != b",":
        raise ValueError("a field that is cut short or has no end")
    return start, end


# --- metadata: §2.6 ------------------------------------------------------------------------------------------------------

_BLANKS = " \t\n\r"
_read_json = json.JSONDecoder().raw_decode
_write_json = json.JSONEncoder().encode


def read_metadata(text: bytes) -> dict[str, Any]:
    """Raises ValueError for anything but a JSON object in UTF-8."""
    try:
        bare = text.decode("utf-8").strip(_BLANKS)
        metadata, end = _read_json(bare)
    except (ValueError, RecursionError):
        raise ValueError("metadata that is not JSON") from None
    if end != len(bare):
        raise ValueError("metadata that goes on after its JSON")
    if not isinstance(metadata, dict):
        raise ValueError("metadata that is not a JSON object")
    return metadata


def pack_metadata(metadata: Mapping[str, Any]) -> bytes:
    """In the one dialect that all writers use. Raises ValueError for what JSON cannot say, or says too deeply nested."""
    try:
        return _write_json(dict(metadata)).encode("ascii")
    except (TypeError, RecursionError):
        raise ValueError("metadata that JSON cannot express") from None
