"""A gateway of a few lines, on loopback, that serves what a test gives it and can misbehave on request."""
from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple
from urllib.parse import unquote

from click.testing import CliRunner, Result

from lafs.cli.main import main


class Stored(NamedTuple):
    """What is at one address, and how it is sent."""

    content: bytes
    etag: str = ""
    content_type: str = "text/plain"
    status: int = 200
    is_file: bool = True
    cut_at: int | None = None
    """Close the connection after so many bytes of the body."""
    chunked: bool = False
    ranges: bool = True


class Seen(NamedTuple):
    """A request that was made."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


class FakeGateway:
    """`with FakeGateway() as gateway:` serves `gateway.stored[path]` (percent-decoded, with query) and notes what it `seen`."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.put_answer = Stored(b"URI:CHK:key:hash:3:10:5")
        self.reads_uploads = True
        self.seen: list[Seen] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def note(self, body: bytes) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                gateway.seen.append(Seen(self.command, unquote(self.path), headers, body, self.client_address[1]))

            def do_GET(self) -> None:
                self.note(b"")
                answer(self, gateway.stored.get(unquote(self.path)) or NOT_FOUND)

            def do_POST(self) -> None:
                self.note(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                answer(self, gateway.stored.get(unquote(self.path)) or NOT_FOUND)

            def do_PUT(self) -> None:
                if not gateway.reads_uploads:
                    answer(self, gateway.put_answer)
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                self.note(body)
                answer(self, gateway.put_answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeGateway:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


NOT_FOUND = Stored(b"No such child: nosuch", status=404, is_file=False)


def answer(handler: BaseHTTPRequestHandler, stored: Stored) -> None:
    """Send `stored`, or the range of it that was asked for."""
    body, status = stored.content, stored.status
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
    if asked and stored.ranges and int(asked[1]) < len(body):
        status = 206
        body = body[int(asked[1]) :]
    handler.send_response(status)
    handler.send_header("Content-Type", stored.content_type)
    if stored.is_file:
        handler.send_header("Accept-Ranges", "bytes")
    if stored.etag:
        handler.send_header("ETag", stored.etag)
    if status == 206:
        first, total = len(stored.content) - len(body), len(stored.content)
        handler.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
    if stored.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    sent = body if stored.cut_at is None else body[: stored.cut_at]
    if stored.chunked:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(body), sent))
        handler.wfile.write(b"0\r\n\r\n" if stored.cut_at is None else b"")
    else:
        handler.wfile.write(sent)
    if stored.cut_at is not None:
        handler.close_connection = True


def lafs(*arguments: str) -> Result:
    """Run the command in this process: `.exit_code`, `.stdout`, `.stdout_bytes`, `.stderr`."""
    return CliRunner().invoke(main, list(arguments))
