"""What goes out: an answer is a value until it is sent, so that handlers are plain functions from requests to answers.

Spec: 07 §6.2, §15.2.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from attrs import field, frozen

from frontends.web.channel import Exchange
from frontends.web.safety import PLAIN_POLICY
from lafs.errors import LafsError
from lafs.interfaces import Bytes, FileNode

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"

Headers = tuple[tuple[bytes, bytes], ...]

NOT_MODIFIED = 304

_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
"""What may stand in a Location as it is."""

OWN_PAGES_ONLY = (b"Cross-Origin-Resource-Policy", b"same-origin")
"""Pages of other sites may not embed what this node says of itself, not even to see that it is there. Stored files they may."""


class Reply(Protocol):
    """Something that can be sent as the answer of an exchange."""

    async def send(self, exchange: Exchange) -> None:
        """Send all of it. If this raises before `exchange.started`, an error can still be sent instead."""
        ...


@frozen
class Answer:
    """An answer that is small and known as a whole. Not to be kept by caches unless `cache` says so."""

    body: bytes = field(default=b"", repr=False)
    status: int = 200
    content_type: bytes = TEXT
    headers: Headers = field(default=(), repr=False)
    policy: bytes | None = PLAIN_POLICY
    """None: that of our own pages, as seen from where this one was asked for."""
    cache: bytes = b"no-store"

    async def send(self, exchange: Exchange) -> None:
        policy = exchange.page_policy if self.policy is None else self.policy
        head = [(b"Cache-Control", self.cache), (b"Content-Security-Policy", policy), *self.headers]
        if self.status != NOT_MODIFIED:  # else the browser goes by what it has kept; of stored files that may be embedded
            head += [OWN_PAGES_ONLY, (b"Content-Type", self.content_type), (b"Content-Length", b"%d" % len(self.body))]
        exchange.start(self.status, head, b"" if exchange.method == b"HEAD" else self.body)
        exchange.finish()


@frozen
class Contents:
    """`size` bytes from `offset` of a file. The head goes out with the first bytes, when it is known that there are some."""

    node: FileNode
    offset: int
    size: int
    status: int
    headers: Headers = field(repr=False)

    async def send(self, exchange: Exchange) -> None:
        head = (*self.headers, (b"Content-Length", b"%d" % self.size))
        if exchange.method == b"HEAD" or not self.size:
            exchange.start(self.status, head)
            exchange.finish()
            return
        sink = _ContentsSink(exchange, self.status, head)
        await self.node.read(sink, self.offset, self.size)
        if exchange.sent != self.size:
            raise ShortContents(f"a download ended after {exchange.sent} of {self.size} bytes")
        exchange.finish()


class ShortContents(LafsError):
    """A file gave fewer (or more) bytes than its cap says it has."""


class _ContentsSink:
    """Where a file is read to: the body of the answer. Implements `lafs.interfaces.Sink`."""

    def __init__(self, exchange: Exchange, status: int, head: Sequence[tuple[bytes, bytes]]) -> None:
        self._exchange = exchange
        self._status = status
        self._head = head

    async def write(self, data: Bytes) -> None:
        if not len(data):
            return
        if self._exchange.started:
            self._exchange.write(data)
        else:
            self._exchange.start(self._status, self._head, data)
        await self._exchange.drained()


def text(content: str, status: int = 200, headers: Headers = ()) -> Answer:
    """Plain text, a cap for example."""
    return Answer(content.encode("utf-8", "replace"), status, TEXT, headers)


def structure(value: object, headers: Headers = (), content_type: bytes = JSON, status: int = 200) -> Answer:
    """JSON, in pure ASCII, as clients of the peer know it. Spec: 07 §9."""
    return encoded((json_text(value) + "\n").encode("ascii"), headers, content_type, status)


def encoded(body: bytes, headers: Headers = (), content_type: bytes = JSON, status: int = 200) -> Answer:
    """JSON that is text already."""
    return Answer(body, status, content_type, headers)


json_text = json.JSONEncoder(separators=(",\n", ": ")).encode
"""A value in JSON, every item on a line of its own. Not indented: the standard library is five times slower at that."""


def page(markup: str, status: int = 200, headers: Headers = ()) -> Answer:
    """HTML made by a template."""
    return Answer(markup.encode("utf-8", "replace"), status, HTML, headers, policy=None)


def redirect(location: str, status: int = 302) -> Answer:
    """To a place on this gateway: `location` is a path, or relative; what a URL cannot hold is percent-encoded."""
    return Answer(b"", status, TEXT, ((b"Location", quote(location, safe=_URL_CHARACTERS).encode("ascii")),))


def quoted(cap_text: str) -> str:
    """A cap as one segment of a path, fully percent-encoded. Spec: 07 §20.13."""
    return quote(cap_text, safe="")
