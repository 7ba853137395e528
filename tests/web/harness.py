"""A gateway on a transport in memory, and a client that speaks raw HTTP to it: deterministic, and without sockets."""
from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from http.client import HTTPResponse
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from frontends.web.access_log import Write, to_node_log
from frontends.web.handles import cookie_name
from frontends.web.sessions import Session, Sessions
from frontends.web.site import make_site
from lafs.capability import Cap
from lafs.statistics import Counters
from tests.web.memory_files import MemoryFiles, Overview

HOST = "127.0.0.1:3456"

TOKEN = "t" * 52
"""What the token file of the gateway would hold."""


@frozen
class Response:
    """One answer, parsed by the standard library."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())


class _Bytes:
    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> io.BytesIO:
        return self._stream


def parse_responses(data: bytes, methods: Iterable[str]) -> list[Response]:
    """All answers in `data`, which were asked for with `methods`. Interim answers are skipped. Fails if one is not whole."""
    stream = io.BufferedReader(io.BytesIO(data))
    responses = []
    for method in methods:
        parsed = HTTPResponse(_Bytes(stream), method=method)
        stream.close = lambda: None
        parsed.begin()
        responses.append(Response(parsed.status, dict(parsed.getheaders()), parsed.read()))
    rest = stream.read()
    assert not rest, f"more than was asked for: {rest[:100]!r}"
    return responses


class Wire(StringTransport):
    """A transport that remembers how its connection ended, and tells the protocol."""

    aborted = False

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True


class Connection:
    """One connection of a client to the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.wire = Wire(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 3456), peerAddress=IPv4Address("TCP", "127.0.0.1", 40000)
        )
        self.channel: Any = gateway.site.buildProtocol(self.wire.getPeer())
        self.channel.makeConnection(self.wire)

    def send(self, data: bytes) -> None:
        """What arrives at the gateway in one piece."""
        self.channel.dataReceived(data)

    @property
    def received(self) -> bytes:
        """All that the client has been sent."""
        return self.wire.value()

    def responses(self, *methods: str) -> list[Response]:
        return parse_responses(self.received, methods)

    @property
    def held(self) -> bool:
        """Whether the gateway has stopped reading."""
        return self.wire.producerState == "paused"

    @property
    def closed(self) -> bool:
        return self.wire.disconnecting

    def lose(self) -> None:
        """The client goes away."""
        self.channel.connectionLost(Failure(ConnectionDone()))


class Gateway:
    """A gateway over `MemoryFiles`, which do what they are asked at once; or over other `files`, and then on their clock."""

    files: Any

    def __init__(
        self, allowed_hosts: Iterable[str] = (), files: Any = None, clock: Any = None, content_host: str = "",
        access_log: Write = to_node_log,
    ) -> None:  # fmt: skip
        self.files = MemoryFiles() if files is None else files
        self.overview = Overview(counts=self.files.counters)
        self.clock = Clock() if clock is None else clock
        self.counters = Counters()
        random = Random(7).randbytes
        self.sessions = Sessions(self.clock, random, TOKEN)
        self.site = make_site(
            self.files, self.overview, clock=self.clock, counters=self.counters, allowed_hosts=allowed_hosts,
            content_host=content_host, sessions=self.sessions, random=random, access_log=access_log,
        )  # fmt: skip

    def open_session(self, home: Cap | None = None, host: str = HOST) -> Browser:
        """A browser that was let in, and begins at `home`."""
        session, cookie = self.sessions.open()
        self.sessions.settle(session, home)
        return Browser(self, session, {"Host": host, "Cookie": f"{cookie_name(host, secure=False)}={cookie}"})

    def wait_for(self, connection: Connection) -> None:
        """Let the gateway work until it has answered; here it has."""

    def connect(self) -> Connection:
        return Connection(self)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        chunked: bool = False,
    ) -> Response:
        """Ask on a connection of its own, and return the answer."""
        connection = self.connect()
        connection.send(request_bytes(method, path, body, headers, chunked))
        self.wait_for(connection)
        (response,) = connection.responses(method)
        return response

    def get(self, path: str, **headers: str) -> Response:
        """GET; `if_range="x"` sends a header "if-range: x"."""
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@frozen
class Browser:
    """A browser within a session. Its requests say what Chromium's do when the user clicks on one of the gateway's own pages."""

    gateway: Gateway
    session: Session
    headers: dict[str, str]

    def handle(self, cap: Cap) -> str:
        """The path of `cap` for this browser."""
        return f"/h/{self.gateway.sessions.handle_for(self.session, cap)}"

    def get(self, path: str, **headers: str) -> Response:
        visit = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
        return self.ask("GET", path, None, **{**{name.replace("-", "_"): value for name, value in visit.items()}, **headers})

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Response:
        """Send an urlencoded form with the session's token in it."""
        body = urlencode({"form_token": self.session.form_token, **fields}).encode()
        form = {"Content_Type": "application/x-www-form-urlencoded", "Sec_Fetch_Site": "same-origin"}
        return self.ask("POST", path, body, **{**form, **headers})

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
        """Ask with the cookie and `headers` only; an empty one is left out."""
        given = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.gateway.request(method, path, body, {name: value for name, value in given.items() if value})


def request_bytes(
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    chunked: bool = False,
) -> bytes:
    """One request as a client would send it."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("Host", HOST))
    if chunked:
        pairs.append(("Transfer-Encoding", "chunked"))
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    elif body is not None:
        pairs.append(("Content-Length", str(len(body))))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in pairs) + "\r\n"
    return head.encode("latin-1") + (body or b"")


def multipart(*parts: tuple[str, str | None, bytes], boundary: str = "frontier") -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a form with (name, filename or None, value) in this order."""
    pieces = []
    for name, filename, value in parts:
        disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
        pieces.append(f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n")
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def q(text: str) -> str:
    """Percent-encoded as one segment of a path."""
    return quote(text, safe="")
