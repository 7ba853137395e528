"""Paths as clients write them. Pure. Spec: 09 §4."""
from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from frontends.refusals import Refused

Names = tuple[str, ...]
"""The names a path leads along from the root of the account; `("uri", CAP, ...)` starts from CAP instead."""

LONGEST_PATH = 64 * 1024


def names_of(path: bytes | str) -> Names:
    """`path` as names. Relative ones start from the root too, and nothing is above it. Raises Refused."""
    if len(path) > LONGEST_PATH:
        raise Refused("bad", "the path is too long")
    try:
        text = path.decode("utf-8") if isinstance(path, bytes) else path.encode("utf-8").decode("utf-8")
    except UnicodeError:
        raise Refused("missing", "path could not be decoded as UTF-8") from None
    names: list[str] = []
    for name in text.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(unicodedata.normalize("NFC", name))
    return tuple(names)


def path_of(names: Iterable[str]) -> str:
    return "/" + "/".join(names)


def can_be_shown(name: str) -> bool:
    """Whether a client that writes files under names it is shown stays inside its folder, and finds them again by them.

    Directories may hold any name; "..", "a/b" and halves of surrogate pairs are no names of files.
    """
    return bool(name) and name not in (".", "..") and "/" not in name and "\0" not in name and _is_text(name)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
