"""The host names, and the labels in them, under which stored files are shown: `http://LABEL.localhost:PORT/NAME`.

A label is a secret as good as a read cap, but only on this gateway, and until it is forgotten. It is the same each time for the
same file in the same session, so a browser may keep what it has seen. Pure; `content_origin` answers under these names,
`addresses` gives them out, and `safety` tells them from the gateway's own.
"""
from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from lafs.capability import Cap
from lafs.crypto import base32
from lafs.tasks import Clock

MOST_LABELS = 20_000
"""The file that nobody asked for longest makes room."""

LABEL_SECONDS = 86_400

LOCAL_SUFFIX = "localhost"
"""Browsers know by themselves that every name below it is this machine."""

_LABEL = re.compile(r"[a-z2-7]{32}")


@frozen
class Shown:
    """What a label stands for."""

    cap: Cap = field(repr=False)
    name: str = field(repr=False)
    save: bool
    session_key: bytes = field(repr=False)
    page_origin: str
    """Of the page that shows it, and may hold it in a frame."""
    until: float


class ContentLabels:
    """All labels of one gateway. They end with the process: whoever still wants to see a file asks its page for it again."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._secret = random(32)
        self._shown: dict[str, Shown] = {}

    def label_for(self, cap: Cap, name: str, save: bool, session_key: bytes, page_origin: str) -> str:
        """The label of a file: 32 characters that can be part of a host name."""
        about = b"".join(b"%d:%b," % (len(each), each) for each in (
            session_key, cap.text.encode("utf-8", "surrogateescape"), name.encode("utf-8", "surrogateescape"), b"%d" % save,
        ))  # fmt: skip
        label = base32.encode(hmac.digest(self._secret, about, "sha256")[:20])
        self._shown.pop(label, None)
        while len(self._shown) >= MOST_LABELS:
            del self._shown[next(iter(self._shown))]
        self._shown[label] = Shown(cap, name, save, session_key, page_origin, self._clock.seconds() + LABEL_SECONDS)
        return label

    def find(self, label: str) -> Shown | None:
        """What `label` stands for, unless it is no label, or one of yesterday."""
        shown = self._shown.get(label)
        if shown is None or shown.until <= self._clock.seconds():
            self._shown.pop(label, None)
            return None
        return shown

    def forget(self, session_key: bytes) -> None:
        """End all labels of a session."""
        self._shown = {label: shown for label, shown in self._shown.items() if shown.session_key != session_key}


@frozen
class ContentHost:
    """Where the contents of files are, as seen from one page. `authority` is what follows "LABEL."; "" if there is none."""

    scheme: str = ""
    authority: str = ""

    @property
    def source(self) -> str:
        """All of it, for a Content-Security-Policy: "http://*.localhost:3456"."""
        return f"{self.scheme}://*.{self.authority}" if self.authority else ""

    def address(self, label: str, name: str, base: str) -> str:
        """The URL of a file; relative to a page that `base` leads away from, if there is no host for it."""
        path = f"{label}/{quote(name, safe='')}"
        return f"{base}content/{path}" if not self.authority else f"{self.scheme}://{label}.{self.authority}/{quote(name, safe='')}"


NOWHERE = ContentHost()


class ContentHosts:
    """Which host names are for contents. `setting` is `web.content_host`: `[https://]NAME[:PORT]`, "none", or "" (the default)."""

    def __init__(self, setting: str = "") -> None:
        self._off = setting.strip().lower() == "none"
        parts = urlsplit(setting if "//" in setting else f"//{setting}")
        self._scheme = "" if self._off else parts.scheme
        self._authority = "" if self._off else parts.netloc.lower().removeprefix("*.")
        self._suffixes = [] if self._off else [LOCAL_SUFFIX]
        if self._authority and parts.hostname:
            self._suffixes.append(parts.hostname.removeprefix("*."))

    def label_in(self, name: str) -> str | None:
        """The label in the host name of a request, "" in one that should hold one; None if the name is not for contents."""
        for suffix in self._suffixes:
            if name.endswith("." + suffix):
                label = name[: -len(suffix) - 1]
                return label if _LABEL.fullmatch(label) else ""
        return None

    def for_page(self, host: str, secure: bool, is_local: bool, user_agent: str) -> ContentHost:
        """Where a page that was asked for at `host` (a name with its port) finds contents."""
        if self._authority:
            return ContentHost(self._scheme or ("https" if secure else "http"), self._authority)
        # A certificate for *.localhost is rare, and Safari asks a name server that does not know such names.
        if self._off or secure or not is_local or ("Safari/" in user_agent and "Chrom" not in user_agent):
            return NOWHERE
        port = re.search(r":\d+\Z", host)
        return ContentHost("http", LOCAL_SUFFIX + (port[0] if port else ""))
