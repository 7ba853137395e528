"""Lines about files and directories: LIST for people, MLSD and MLST for programs. Pure. Spec: 09 §5, §18; RFC 3659 §7.

Times are UTC in all of them: a client has no other way to know the zone.
"""
from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Protocol

from lafs.interfaces import ChildKind

FACTS = ("type", "size", "modify", "perm", "UNIX.mode")
"""All that MLSD can tell, in the order in which it does."""

_TYPES: Mapping[ChildKind, str] = {"file": "file", "directory": "dir", "unknown": "OS.lafs=unknown"}
_MODES: Mapping[tuple[ChildKind, bool], int] = {
    ("file", True): 0o644,
    ("file", False): 0o444,
    ("directory", True): 0o755,
    ("directory", False): 0o555,
}
_PERMISSIONS: Mapping[tuple[ChildKind, bool], str] = {
    ("file", True): "adfrw",
    ("file", False): "r",
    ("directory", True): "cdeflmp",
    ("directory", False): "el",
}
"""RFC 3659 §7.5.5: append, create, delete, enter, rename from, list, make directory, purge, retrieve, write."""

_LETTERS: Mapping[int, str] = {0: "---------", 0o644: "rw-r--r--", 0o444: "r--r--r--", 0o755: "rwxr-xr-x", 0o555: "r-xr-xr-x"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HALF_A_YEAR = 182 * 86_400
_A_DAY = 86_400
_LAST_SECOND = 253_402_300_799
"""Of the year 9999: metadata is written by others, and may say anything."""


class Described(Protocol):
    """What is known of an object. `size` in bytes, `modified` in seconds since the epoch; None: not known."""

    @property
    def kind(self) -> ChildKind: ...

    @property
    def size(self) -> int | None: ...

    @property
    def writable(self) -> bool: ...

    @property
    def modified(self) -> int | None: ...


def long_line(name: str, described: Described, now: float) -> str:
    """As `ls -l` writes it: the one form of LIST that clients can parse."""
    letter = "d" if described.kind == "directory" else "-"
    mode = _LETTERS[_mode(described)]
    return f"{letter}{mode}   1 lafs     lafs     {described.size or 0:>12} {_date(described.modified or 0, now)} {name}"


def facts_line(name: str, described: Described, wanted: Collection[str] = FACTS) -> str:
    """As MLSD and MLST write it: `fact=value;...; name`."""
    return "".join(f"{fact}={value};" for fact, value in _facts(described).items() if fact in wanted) + f" {name}"


def timestamp(seconds: int) -> str:
    """`YYYYMMDDHHMMSS`, UTC. RFC 3659 §2.3."""
    return time.strftime("%Y%m%d%H%M%S", _utc(seconds))


def _facts(described: Described) -> Mapping[str, str]:
    key = (described.kind, described.writable)
    facts = {"type": _TYPES[described.kind]}
    if described.kind == "file" and described.size is not None:
        facts["size"] = str(described.size)
    if described.modified is not None:
        facts["modify"] = timestamp(described.modified)
    facts["perm"] = _PERMISSIONS.get(key, "")
    facts["UNIX.mode"] = f"{_mode(described):04o}"
    return facts


def _mode(described: Described) -> int:
    return _MODES.get((described.kind, described.writable), 0)


def _date(seconds: int, now: float) -> str:
    """The time of day for what is younger than half a year, else the year."""
    then = _utc(seconds)
    end = f"{then.tm_hour:02}:{then.tm_min:02}" if now - _HALF_A_YEAR < seconds < now + _A_DAY else f"{then.tm_year:5}"
    return f"{_MONTHS[then.tm_mon - 1]} {then.tm_mday:02} {end}"


def _utc(seconds: int) -> time.struct_time:
    return time.gmtime(min(max(seconds, 0), _LAST_SECOND))
