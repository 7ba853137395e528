"""The groups of crypto_and_caps.json, for the tests that check them."""
from __future__ import annotations

from typing import Any

from tests.vectors_loader import load

Case = dict[str, Any]


def group(name: str) -> list[Case]:
    """The cases of one group; never none. Name it literally: test_vector_groups.py looks for the names in the tests."""
    cases: list[Case] = load("crypto_and_caps")["groups"][name]
    assert cases
    return cases


def content(described: Case) -> bytes:
    """The bytes that a vector describes: a seed repeated and cut to a length."""
    seed, length = bytes.fromhex(described["seed_hex"]), int(described["length"])
    if not length:
        return b""
    return (seed * (length // len(seed) + 1))[:length]


def unhex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
