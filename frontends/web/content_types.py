"""The type and the download name of a stored file, from the name it is asked for under.

Nothing is guessed from the contents. Types come from Python's table and the system's, with the additions of the peer; where
the name says that a file is compressed, the type is that of the compression, because the bytes are sent as they are.
Spec: 07 §6.2.
"""
from __future__ import annotations

import mimetypes
import os
from functools import cache
from urllib.parse import quote

DEFAULT_TYPE = "text/plain"

_ADDED = {
    ".conf": "text/plain",
    ".diff": "text/x-diff",
    ".flac": "audio/x-flac",
    ".java": "text/x-java",
    ".oz": "text/x-oz",
    ".patch": "text/x-diff",
    ".swf": "application/x-shockwave-flash",
    ".wml": "text/vnd.wap.wml",
    ".xul": "application/vnd.mozilla.xul+xml",
}

_COMPRESSIONS = {
    ".br": "application/x-brotli",
    ".bz2": "application/x-bzip2",
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".xz": "application/x-xz",
    ".z": "application/x-compress",
    ".zst": "application/zstd",
}


@cache
def _table() -> dict[str, str]:
    """Extension, in lower case and with its dot, to type. Read once: the system's files are on disk."""
    known = mimetypes.MimeTypes([path for path in mimetypes.knownfiles if os.path.isfile(path)])
    return {**known.types_map[0], **known.types_map[1], **_ADDED, **_COMPRESSIONS}


def type_of(name: str) -> str:
    """The Content-Type for a file asked for as `name` ("" if it has none). Never with a charset."""
    stem, dot, extension = name.rpartition(".")
    if not stem or not dot:
        return DEFAULT_TYPE
    return _table().get("." + extension.lower(), DEFAULT_TYPE)


def attachment(name: str) -> bytes:
    """The Content-Disposition that makes a browser save a file as `name`."""
    if not name:
        return b"attachment"
    plain = name.replace("\r", " ").replace("\n", " ")
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    value = b'attachment; filename="' + escaped.encode("utf-8", "replace") + b'"'
    if not plain.isascii():
        value += b"; filename*=UTF-8''" + quote(plain, safe="", errors="replace").encode("ascii")
    return value
