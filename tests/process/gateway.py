"""A web gateway as a program sees it: one connection for each request unless told otherwise, nothing but the standard library."""
from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from attrs import frozen

from tests.process.harness import ProcessFailed

SECONDS = 300.0
"""A request that takes longer has hung."""


@frozen
class Answer:
    """What a gateway answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class Gateway:
    """The gateway at a port of loopback."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def connect(self) -> http.client.HTTPConnection:
        """A connection, for those who stop halfway. To be closed by the caller."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def ask(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, whatever its answer."""
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def put(self, content: bytes) -> str:
        """Store a file. Returns its cap; raises ProcessFailed when it was not stored."""
        answer = self.ask("PUT", "/uri", content)
        if answer.status not in (200, 201):
            raise ProcessFailed(f"PUT /uri: {answer.status}: {answer.text[:2000]}")
        return answer.body.decode()

    def get(self, cap: str) -> bytes:
        """The content of a file. Raises ProcessFailed when it cannot be had."""
        answer = self.ask("GET", path_of(cap))
        if answer.status != 200:
            raise ProcessFailed(f"GET: {answer.status}: {answer.text[:2000]}")
        return answer.body

    def get_range(self, cap: str, first: int, size: int) -> bytes:
        """Bytes [first, first + size). Raises ProcessFailed."""
        answer = self.ask("GET", path_of(cap), headers={"Range": f"bytes={first}-{first + size - 1}"})
        if answer.status != 206:
            raise ProcessFailed(f"GET of a range: {answer.status}: {answer.text[:2000]}")
        return answer.body

    def check(self, cap: str, *, verify: bool) -> Any:
        """What a checker says of a file (`POST t=check`, as JSON)."""
        query = urlencode({"t": "check", "output": "json", "verify": str(verify).lower()})
        answer = self.ask("POST", f"{path_of(cap)}?{query}")
        if answer.status != 200:
            raise ProcessFailed(f"check: {answer.status}: {answer.text[:2000]}")
        return json.loads(answer.body)

    def servers(self) -> list[dict[str, Any]]:
        """What it says of the servers it knows; nothing while it does not answer yet."""
        try:
            answer = self.ask("GET", "/?t=json")
        except (OSError, http.client.HTTPException):
            return []
        return list(json.loads(answer.body)["servers"]) if answer.status == 200 else []

    def connected(self) -> int:
        """How many servers it is connected to. The peer says "connected" of those it speaks HTTPS with."""
        return sum(server["connection_status"].lower().startswith("connected") for server in self.servers())

    def server_ids(self) -> list[str]:
        """Of the servers it knows."""
        return [server["nodeid"] for server in self.servers()]


def path_of(cap: str) -> str:
    """Where a gateway shows a cap."""
    return f"/uri/{quote(cap, safe='')}"
