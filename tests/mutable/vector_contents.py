"""The files of mutable_shares.json."""
from __future__ import annotations

from hashlib import sha256
from typing import Any

from tests import vectors_loader

VECTORS: dict[str, Any] = vectors_loader.load("mutable_shares")
FILES: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in VECTORS["files"]}


def stream(seed: str, size: int) -> bytes:
    """The first `size` bytes of the vectors' pseudo-random stream of that name."""
    blocks = (sha256(f"lafs mutable vector {seed} {counter}".encode()).digest() for counter in range(-(-size // 32)))
    return b"".join(blocks)[:size]


def contents_of(vector: dict[str, Any]) -> bytes:
    """The plaintext of a file."""
    contents = bytearray()
    for step in vector["content_recipe"]:
        if step[0] == "stream":
            contents = bytearray(stream(step[1], step[2]))
        else:
            _, offset, seed, size = step
            contents[offset : offset + size] = stream(seed, size)
    assert sha256(contents).hexdigest() == vector["content_sha256"]
    return bytes(contents)
