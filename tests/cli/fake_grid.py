"""A gateway with directories, in memory: what the commands for directories are tested against.

Speaks the part of the web API that they use, as the peer does. Notes every request, and the most that were under way at once.
"""
from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit


class Said(NamedTuple):
    status: int
    body: bytes = b""


class FakeGrid:
    """`with FakeGrid() as grid:` has `files` {cap: bytes} and `directories` {write cap: {name: (kind, rw, ro)}}."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.directories: dict[str, dict[str, tuple[str, str, str]]] = {}
        self.requests: list[str] = []
        self.connections: set[int] = set()
        self.failures: dict[str, Said] = {}
        """By the start of "METHOD /path?query"."""
        self.arriving: Callable[[str], object] = lambda request: None
        """Called with each request before it is looked at: may wait for others."""
        self._numbers = count(1)
        self._lock = threading.RLock()
        grid = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = f"{self.command} {unquote(self.path)}"
                grid.arriving(request)
                with grid._lock:
                    grid.requests.append(request)
                    grid.connections.add(self.client_address[1])
                    failure = next((said for start, said in grid.failures.items() if request.startswith(start)), None)
                    said = failure or grid.answer(self.command, self.path, body)
                self.send_response(said.status)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body)

            do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeGrid:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # --- what is stored -------------------------------------------------------------------------------------------------------

    def directory(self, **children: str) -> str:
        """A new directory of these caps: its write cap."""
        cap = f"URI:DIR2:key{next(self._numbers)}:print"
        self.directories[cap] = {name: self.entry(child) for name, child in children.items()}
        return cap

    def file(self, content: bytes, mutable: bool = False) -> str:
        known = next((cap for cap, each in self.files.items() if each == content and "CHK" in cap), None)
        if known and not mutable:
            return known
        number = next(self._numbers)
        cap = f"URI:SSK:key{number}:print" if mutable else f"URI:CHK:key{number}:hash:3:10:{len(content)}"
        self.files[cap] = content
        return cap

    def entry(self, cap: str) -> tuple[str, str, str]:
        if cap.startswith("URI:DIR2-RO:"):
            return ("dirnode", "", cap)
        if cap.startswith("URI:DIR2:"):
            return ("dirnode", cap, reader(cap))
        return ("filenode", cap, reader(cap)) if cap.startswith("URI:SSK:") else ("filenode", "", cap)

    def tree(self, cap: str) -> dict[str, Any]:
        """All below a directory, as names to bytes or to the same."""
        return {
            name: self.tree(writer(ro)) if kind == "dirnode" else self.files[writer(ro)]
            for name, (kind, _, ro) in self.directories[cap].items()
        }

    # --- the web API ----------------------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, body: bytes) -> Said:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        words = [unquote(word) for word in parts.path.split("/")[2:]]
        operation = query.get("t", "")
        if not words:
            if method == "PUT":
                return Said(200, self.file(body, "mutable" in query).encode())
            children = json.loads(body) if operation == "mkdir-with-children" else {}
            return Said(200, self.directory(**{name: cap_in(child) for name, child in children.items()}).encode())
        *on_the_way, name = words
        if "" in words:
            return Said(400, b"The webapi does not allow empty pathname components")
        if method in ("PUT", "POST") and operation != "set_children" and on_the_way:
            return self.put(on_the_way, name, operation, body)
        found = self.find(words)
        if found is None:
            return Said(404, f"No such child: {name}".encode())
        kind, rw, ro = found
        if method == "DELETE":
            parent = self.find(on_the_way)
            assert parent is not None
            del self.directories[parent[1]][name]
            return Said(200, ro.encode())
        if method == "PUT":
            self.files[rw] = body
            return Said(200, rw.encode())
        if method == "POST":
            self.directories[rw].update({name: self.entry(cap_in(child)) for name, child in json.loads(body).items()})
            return Said(200, b"ok")
        if operation == "json":
            return Said(200, json.dumps(self.described(kind, rw, ro, deep=True)).encode())
        if operation == "readonly-uri":
            return Said(200, ro.encode())
        return Said(200, self.files[writer(ro)]) if kind == "filenode" else Said(400, b"directory")

    def put(self, on_the_way: list[str], name: str, operation: str, body: bytes) -> Said:
        parent = on_the_way[0]
        for word in on_the_way[1:]:
            if word not in self.directories[parent]:
                self.directories[parent][word] = self.entry(self.directory())
            parent = self.directories[parent][word][1]
        there = self.directories[parent].get(name)
        if operation == "mkdir":
            if there is None:
                self.directories[parent][name] = there = self.entry(self.directory())
            return Said(200, there[1].encode())
        if there is not None and there[0] == "dirnode":
            return Said(409, b"There was already a child by that name")
        if there is not None and there[1] and operation != "uri":
            self.files[there[1]] = body
            return Said(200, there[1].encode())
        cap = body.decode() if operation == "uri" else self.file(body)
        self.directories[parent][name] = self.entry(cap)
        return Said(200 if there else 201, cap.encode())

    def find(self, words: list[str]) -> tuple[str, str, str] | None:
        kind, rw, ro = self.entry(words[0])
        if writer(ro) not in (self.directories if kind == "dirnode" else self.files):
            return None
        for word in words[1:]:
            child = self.directories[writer(ro)].get(word) if kind == "dirnode" else None
            if child is None:
                return None
            kind, rw, ro = child
        return kind, rw, ro

    def described(self, kind: str, rw: str, ro: str, deep: bool = False) -> list[Any]:
        facts: dict[str, Any] = {"ro_uri": ro, "mutable": kind == "dirnode" or "SSK" in ro}
        if rw:
            facts["rw_uri"] = rw
        if kind == "filenode":
            facts["size"] = len(self.files[writer(ro)]) if "CHK" in ro else "?"
        if kind == "dirnode" and deep:
            facts["children"] = {name: self.described(*child) for name, child in self.directories[writer(ro)].items()}
        return [kind, facts]


def reader(cap: str) -> str:
    return re.sub("^URI:(DIR2|SSK):", r"URI:\1-RO:", cap)


def writer(cap: str) -> str:
    return re.sub("^URI:(DIR2|SSK)-RO:", r"URI:\1:", cap)


def cap_in(child: list[Any]) -> str:
    cap = child[1].get("rw_uri") or child[1]["ro_uri"]
    assert isinstance(cap, str)
    return cap
