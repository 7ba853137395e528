"""Which bytes of a file a request asks for, and whether the client has them already.

Pure: header texts in, values out. Spec: 07 §6.2 (with the answers it gives for LAFS where the peer's are wrong).
"""
from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

MOST_DIGITS = 18
"""A number longer than this is no place in any file; the header is ignored."""

_RANGE = re.compile(r"(\d*)\s*-\s*(\d*)", re.ASCII)
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"|([^\s,"]+)')


@frozen
class Span:
    """`size` bytes from `offset`: a part of a file that exists, and is not empty."""

    offset: int
    size: int

    def content_range(self, file_size: int) -> str:
        """The Content-Range of an answer that holds this span."""
        return f"bytes {self.offset}-{self.offset + self.size - 1}/{file_size}"


class Unsatisfiable(Exception):
    """The range asked for holds no byte of the file."""


def requested_span(header: str | None, file_size: int) -> Span | None:
    """The span that a Range header asks for; None if it asks for the whole file, or makes no sense and is ignored.

    Of several ranges the first is served. Raises Unsatisfiable.
    """
    if header is None or not header.startswith("bytes="):
        return None
    limits = [_limits(text) for text in header.removeprefix("bytes=").split(",")]
    if None in limits or limits[0] is None:
        return None
    first, last = limits[0]
    if first is None:
        size = min(last or 0, file_size)
        first = file_size - size
    else:
        size = min(file_size, file_size if last is None else last + 1) - first
    if size <= 0:
        raise Unsatisfiable
    return Span(first, size)


def _limits(text: str) -> tuple[int | None, int | None] | None:
    """(first, last) of one range: (None, n) means the last n bytes, (n, None) to the end. None if it is no range."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or max(map(len, match.groups())) > MOST_DIGITS:
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return first, last


def already_has(if_none_match: Iterable[str], tag: str) -> bool:
    """Whether the client's If-None-Match headers name `tag` (unquoted): quoted, bare (as the peer sends it) or weak; or "*"."""
    return any(match[3] == "*" or _unquoted(match) == tag for header in if_none_match for match in _TAG.finditer(header))


def range_still_valid(if_range: str | None, tag: str | None) -> bool:
    """Whether a Range may be served: there is no If-Range, or it names exactly this version of the file."""
    if if_range is None:
        return True
    match = _TAG.fullmatch(if_range.strip())
    return match is not None and match[1] is None and _unquoted(match) == tag


def _unquoted(match: re.Match[str]) -> str:
    return match[3] if match[2] is None else match[2]
