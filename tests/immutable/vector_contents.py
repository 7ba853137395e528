"""The contents of the files in immutable_shares.json."""
from __future__ import annotations

from hashlib import sha256
from typing import Any


def contents_of(vector: dict[str, Any]) -> bytes:
    """The plaintext of an encode vector."""
    content = vector["content"]
    if "hex" in content:
        return bytes.fromhex(content["hex"])
    length, label = content["length"], content["stream"].encode()
    blocks = (sha256(label + b":" + str(counter).encode()).digest() for counter in range(-(-length // 32)))
    contents = b"".join(blocks)[:length]
    assert sha256(contents).hexdigest() == content["sha256"]
    return contents
