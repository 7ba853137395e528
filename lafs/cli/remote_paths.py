"""How people write the name of something on the grid: a cap, a path below one, an alias. Pure text, no I/O.

Used by the file commands. Nothing here judges a cap: that is the gateway's business, and reading caps needs cryptography that a
command should not pay for. Spec: 08 §3.2; 07 §3 (what a pasted URL of a gateway means).
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit

from lafs.errors import BadCapability

CAP_PREFIXES = ("URI:", "ro.URI:", "imm.URI:")

CAP_IN_TEXT = re.compile(r"(?:\b(?:ro|imm)\.)?\bURI(?::|%3A)(?=\w)[^\s\"'<>\\]+", re.IGNORECASE)

OBJECT_ROOTS = frozenset({"uri", "cap"})
FILE_ROOTS = frozenset({"file", "named"})


def conceal(text: str) -> str:
    """`text` with every cap in it hidden, fit for a screen or a log."""
    return CAP_IN_TEXT.sub("URI:[hidden]", text)


@dataclass(frozen=True)
class RemotePath:
    """Where something is: `path` below a cap, or below an alias, or (neither given) a bare path.

    A bare path lies below the default alias for every command but `cp`, for which it is a local one.
    """

    cap: str | None = field(default=None, repr=False)
    alias: str | None = None
    path: str = ""

    @property
    def is_directory_cap(self) -> bool:
        """Whether this is a directory's cap itself, as far as its prefix tells."""
        bare = (self.cap or "").removeprefix("ro.").removeprefix("imm.")
        return not self.path and bare.startswith("URI:DIR2")

    def web_path(self) -> str:
        """The path of the object in the web API: "uri/CAP/NAME/NAME". Only for caps. Spec: 08 §5."""
        assert self.cap is not None
        text = f"{self.cap}/{self.path}" if self.path else self.cap
        return "uri/" + quote(text.encode("utf-8", "surrogateescape"), safe="/")


def parse(text: str) -> RemotePath:
    """Read what a person wrote. Raises BadCapability for a URL that is not one of a gateway's objects."""
    text = text.strip(" ")
    if text.startswith(("http://", "https://")):
        return parse_url(text)
    if text.startswith(CAP_PREFIXES):
        for separator in (":./", "/"):
            if separator in text:
                cap, _, path = text.partition(separator)
                return RemotePath(cap=cap, path=path)
        return RemotePath(cap=text)
    before, colon, after = text.partition(":")
    if not colon or "/" in before:
        return RemotePath(path=text)
    return RemotePath(alias=before, path=after)


def parse_url(url: str) -> RemotePath:
    """The object that a pasted address of any gateway's page shows. (The peer takes "http" for an alias.)"""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadCapability("this web address cannot be read") from None
    segments = parts.path.split("/")[1:]
    for position, segment in enumerate(segments[:-1]):
        cap = unquote(segments[position + 1])
        if segment in OBJECT_ROOTS | FILE_ROOTS and cap.startswith(CAP_PREFIXES):
            names = [unquote(name) for name in segments[position + 2 :]] if segment in OBJECT_ROOTS else []
            if any("/" in name for name in names):
                raise BadCapability("a name with a slash in it cannot be reached from the command line")
            return RemotePath(cap=cap, path="/".join(names))
    asked = parse_qs(parts.query).get("uri", [""])[0]
    if asked.startswith(CAP_PREFIXES):
        return RemotePath(cap=asked)
    raise BadCapability("there is no capability in this web address")
