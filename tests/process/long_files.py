"""Files too long to be held: made while they are sent, known by their hash."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from tests.process.gateway import Gateway, path_of
from tests.process.harness import ProcessFailed

PIECE = 1024 * 1024


class LongFile:
    """`size` bytes, a multiple of PIECE. Each piece differs, so that nothing is stored twice; `hash` is known after iterating."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hash = hashlib.sha256()
        self._noise = os.urandom(PIECE)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.size // PIECE):
            piece = number.to_bytes(8, "big") + self._noise[8:]
            self.hash.update(piece)
            yield piece


def put(gateway: Gateway, file: LongFile, where: str = "/uri") -> str:
    """Store it, and return its cap. Raises ProcessFailed."""
    answer = gateway.ask("PUT", where, iter(file), {"Content-Length": str(file.size)})
    if answer.status not in (200, 201):
        raise ProcessFailed(answer.text[:2000])
    return answer.body.decode()


def fetched(gateway: Gateway, cap: str) -> bytes:
    """The hash of what comes back. Raises ProcessFailed."""
    connection = gateway.connect()
    connection.request("GET", path_of(cap))
    response, found = connection.getresponse(), hashlib.sha256()
    if response.status != 200:
        raise ProcessFailed(f"GET: {response.status}: {response.read(2000)!r}")
    while piece := response.read(PIECE):
        found.update(piece)
    connection.close()
    return found.digest()
