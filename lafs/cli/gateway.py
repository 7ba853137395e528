"""The way from a command to a node: finds the gateway, and speaks HTTP with it. The one place that does.

Works with a lafs and with a Tahoe-LAFS gateway. Only the standard library: a command must start in a tenth of a second.
Nothing printed from here holds a path of a request, which is where the caps are. Spec: 08 §2, §5; 07 §17.
"""
from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

import click

from lafs import __version__
from lafs.cli.answer import Answer, CutOff
from lafs.cli.invocation import Invocation
from lafs.errors import ConfigurationError, LafsError

Piece = bytes | bytearray | memoryview

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 600.0
"""How long a gateway may be silent: while it looks for shares, and between pieces of a file."""

NODE_URL_LIMIT = 4096

HEADERS = {"User-Agent": f"lafs/{__version__}", "Accept": "text/plain, application/octet-stream"}
"""With this Accept, a Tahoe gateway sends errors as text and not as a page."""

node_url_option = click.option(
    "-u", "--node-url", metavar="URL", help="The gateway to use, http://HOST:PORT. Default: node.url in the node directory."
)


class Unreachable(LafsError):
    """No gateway answers. The message says where it was sought, and how to start one."""


@dataclass(frozen=True)
class Address:
    """Where a gateway listens. `remedy` ends the message when nobody answers there."""

    scheme: str
    host: str
    port: int | None
    prefix: str
    remedy: str

    @property
    def place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port else ''}"

    @property
    def url(self) -> str:
        return self.place + self.prefix


def read_url(url: str, remedy: str) -> Address | None:
    """The address in `url`, or None if it is none: http(s)://HOST[:PORT][/PREFIX]."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        return None
    prefix = parts.path if parts.path.endswith("/") else parts.path + "/"
    if not prefix.isascii() or not prefix.isprintable() or " " in prefix:
        return None
    return Address(parts.scheme, parts.hostname, port, prefix, remedy)


def find(invocation: Invocation, node_url: str | None) -> Gateway:
    """The gateway named by --node-url, or else by node.url in the node directory. Does not connect yet.

    Raises ConfigurationError for an address that is none, Unreachable when there is no node.url.
    """
    if node_url is not None:
        address = read_url(node_url, "is its node running?")
        if address is None:
            raise ConfigurationError('--node-url must look like "http://HOSTNAMEORADDR:PORT"')
        return Gateway(address)
    directory = invocation.directory()
    start = f"start it with `lafs run {directory}`"
    if invocation.node_directory is None and directory.name == ".lafs":
        start = f"start it with `lafs up` (or `lafs run {directory}` if you made it with create-node)"
    if not directory.is_dir():
        raise Unreachable(f"no node is running: there is no {directory}; make and start one with `lafs up`, "
                          "or name another with -d DIR or --node-url URL")
    path = directory / "node.url"
    try:
        with path.open("rb") as file:
            url = file.read(NODE_URL_LIMIT).decode("ascii", "replace")
    except FileNotFoundError:
        raise Unreachable(f"no node is running: there is no {path}; {start}") from None
    address = read_url(url, start)
    if address is None:
        raise ConfigurationError(f"{path} does not hold an address like http://127.0.0.1:3456/; {start}")
    return Gateway(address)


class Gateway:
    """One gateway, over one connection that is kept open between requests. One request at a time."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: HTTPConnection | None = None
        self._last: HTTPResponse | None = None
        self.patience = ANSWER_SECONDS
        """Seconds until an answer must have begun."""
        self._answered = False
        """Whether the open connection has carried a request before, so that the gateway may have closed it since."""

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for `target` ("uri/CAP", already percent-encoded)."""
        reused = self._answered
        try:
            return self._ask("GET", target, headers or {}, patience=self.patience)
        except (OSError, HTTPException) as error:
            self.close()
            if not reused:
                raise self._silent(error) from None
        return self.get(target, headers)

    def put(self, target: str, body: Iterable[Piece], length: int | None) -> Answer:
        """Send `body`: `length` bytes in all, or chunked if that is not known. Waits for the answer as long as it takes.

        A gateway may spread a large file over the grid for hours after the last byte has come.
        """
        self.close()  # a body may not be there to be sent twice, so it never goes down a connection grown stale
        framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        try:
            return self._ask("PUT", target, framing, body, patience=None)
        except (OSError, HTTPException) as error:
            raise self._silent(error) from None

    def upload(self, target: str, body: Callable[[], Iterable[Piece]], length: int) -> Answer:
        """Send `length` bytes down the connection that is open, one of many files. `body` may be called a second time."""
        return self._send_again("PUT", target, body, length, patience=None)

    def send(self, method: str, target: str, content: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """A small request that changes something. It is sent once, unless sending it twice does no harm."""
        body = (content,) if content else ()
        return self._send_again(method, target, lambda: body, len(content), self.patience, headers)

    def _send_again(
        self, method: str, target: str, body: Callable[[], Iterable[Piece]], length: int, patience: float | None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        self._renew_if_stale()
        harmless = self._answered and (method == "PUT" or "t=set_children" in target)
        try:
            return self._ask(method, target, {"Content-Length": str(length), **(headers or {})}, body(), patience)
        except (OSError, HTTPException) as error:
            self.close()
            if not harmless:
                raise self._silent(error) from None
        return self._send_again(method, target, body, length, patience, headers)

    def another(self) -> Gateway:
        """The same gateway over a connection of its own."""
        return Gateway(self.address)

    def _renew_if_stale(self) -> None:
        """Close a connection that the gateway has closed, or that an answer nobody read is still on."""
        connection = self._connection
        if connection is None or connection.sock is None:
            return
        half_read = self._last is not None and not self._last.isclosed()
        if half_read or select.select([connection.sock], [], [], 0)[0]:
            self.close()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._answered = None, False

    def _ask(
        self, method: str, target: str, headers: Mapping[str, str], body: Iterable[Piece] = (),
        patience: float | None = ANSWER_SECONDS,
    ) -> Answer:
        connection = self._connect(patience)
        connection.putrequest(method, self.address.prefix + target)
        for name, value in {**HEADERS, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        complete = self._send(connection, body, chunked="Transfer-Encoding" in headers)
        response = connection.getresponse()
        self._answered, self._last = True, response
        if not complete:  # nothing can follow half a body; the answer keeps the socket for itself
            self._connection, self._answered = None, False
            if response.status < 300:
                raise CutOff("the gateway answered before it had everything: what it stored is not what was sent")
        return Answer(method, response)

    def _connect(self, patience: float | None) -> HTTPConnection:
        """The open connection, or a new one. Raises Unreachable."""
        if self._connection is None or self._connection.sock is None:  # closed, as the last answer announced
            kind = HTTPSConnection if self.address.scheme == "https" else HTTPConnection
            self._connection = kind(self.address.host, self.address.port, timeout=min(CONNECT_SECONDS, self.patience))
            try:
                self._connection.connect()
            except OSError as error:
                self.close()
                raise self._silent(error) from None
            # With no limit on waiting, this is how a gateway's machine that vanished is noticed.
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        self._connection.sock.settimeout(patience)
        return self._connection

    def _send(self, connection: HTTPConnection, body: Iterable[Piece], chunked: bool) -> bool:
        """Send the body, until its end (True) or until the gateway answers early: it has refused."""
        plain = self.address.scheme == "http"  # a TLS socket also becomes readable for reasons of its own
        try:
            for piece in body:
                if plain and select.select([connection.sock], [], [], 0)[0]:
                    return False
                if chunked and piece:
                    connection.send(b"%x\r\n" % len(piece))
                    connection.send(piece)
                    connection.send(b"\r\n")
                elif piece:
                    connection.send(piece)
            if chunked:
                connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return False  # the gateway closed: it may have said why before
        return True

    def _silent(self, error: Exception) -> Unreachable:
        """Why there is no answer. The text of `error` may hold a request's path, so only an OSError's reason is used."""
        if isinstance(error, ConnectionRefusedError):
            return Unreachable(f"no node is running at {self.address.place}; {self.address.remedy}")
        if isinstance(error, TimeoutError):
            reason = "no answer in time"
        elif isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        else:
            reason = "the connection was closed without an answer"
        return Unreachable(f"the gateway at {self.address.place} cannot be used: {reason}; {self.address.remedy}")
