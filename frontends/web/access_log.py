"""One line for each request, from which nobody learns what they could not open before.

Caps, handles, tickets and labels give authority to whoever reads them, and names tell what people keep; so a line has a kind and
a few letters instead, the same for the same thing as long as the process lives: enough to follow what one user did, and no more.
Of arguments only those with harmless values are shown. Lines go to the node's log, or to a file of their own. Called by `site`.
Spec: 07 §1.
"""
from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from urllib.parse import unquote

from twisted.logger import Logger

from lafs.crypto import base32

CENSORED = "[CENSORED]"

PUBLIC = frozenset({"status", "statistics", "storage", "static", "report_incident", "helper_status", "css", "img", "js", "session"})
"""Mounts below which a path holds no secret."""

OBJECTS = frozenset({"uri", "cap", "file", "named", "h"})
"""Mounts below which a path begins with a cap or a handle, and goes on with names."""

OTHER = frozenset({"", "open", "content", "operations"})
"""Mounts that are told, and nothing below them."""

HARMLESS = frozenset(
    {
        "add-lease", "format", "mutable", "offset", "output", "overwrite-type", "page", "readonly", "redirect_to_result", "repair",
        "replace", "save", "sort", "t", "verify",
    }
)  # fmt: skip
"""Arguments whose values are shown."""

_HARMLESS_VALUE = re.compile(r"[A-Za-z0-9-]{0,24}")
_CAP_KIND = re.compile(r"(?:ro\.|imm\.)?URI:([A-Z0-9-]{1,20}):")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]{1,24}")

_log = Logger(namespace="lafs.web")

Write = Callable[[str], object]
"""Takes a line without its end."""


def to_node_log(line: str) -> None:
    _log.info("web: {line}", line=line)


class AccessLog:
    """Makes the lines, and has them written."""

    def __init__(self, random: Callable[[int], bytes], write: Write = to_node_log) -> None:
        self._secret = random(32)
        self._write = write

    def note(self, client: str, method: str, target: str, status: int, sent: int, contents_host: bool = False) -> None:
        """Log one exchange; `sent` is the number of bytes of the body. `contents_host`: it was for the origin of contents."""
        shown = f"content:/{CENSORED}" if contents_host else self.target(target)
        method = method if re.fullmatch("[A-Z]{1,20}", method) else "?"
        self._write(f"{client} {method} {shown} {status} {sent}")

    def target(self, target: str) -> str:
        """The target of a request as it is logged."""
        path, question, query = target.partition("?")
        mount, *rest = path.removeprefix("/").split("/")
        shown = "/" + self._path(mount, rest) if path.startswith("/") else CENSORED
        arguments = "&".join(filter(None, map(_argument, query.split("&"))))
        return shown + (question + arguments if arguments else "")

    def _path(self, mount: str, rest: list[str]) -> str:
        if mount in OBJECTS:
            return "/".join([mount, *self._object(rest)])
        if mount not in PUBLIC | OTHER:
            return CENSORED
        if not any(rest) or (mount in PUBLIC and all(_PLAIN_NAME.fullmatch(each) for each in rest if each)):
            return "/".join([mount, *rest])
        return f"{mount}/{CENSORED}" if mount else CENSORED

    def _object(self, rest: list[str]) -> list[str]:
        if not rest or not rest[0]:
            return rest[:1]
        below = [each for each in rest[1:] if each]
        end = [""] if rest[-1] == "" else []
        return [self.alias(unquote(rest[0], "latin-1")), *([f"+{len(below)}"] if below else []), *end]

    def alias(self, secret: str) -> str:
        """A cap or handle as it is logged: `[DIR2~k3x9]`, `[~k3x9]`."""
        kind = _CAP_KIND.match(secret)
        digest = hmac.digest(self._secret, secret.encode("utf-8", "surrogateescape"), "sha256")
        return f"[{kind[1] if kind else ''}~{base32.encode(digest[:5])}]"


def _argument(text: str) -> str:
    name, equals, value = text.partition("=")
    if name not in HARMLESS:
        return f"{name}={CENSORED}" if re.fullmatch("[a-z_-]{1,20}", name) else ""
    return name + equals + (value if _HARMLESS_VALUE.fullmatch(value) else CENSORED)
