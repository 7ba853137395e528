"""The name under which the shares of one file are kept on servers: 16 bytes that reveal nothing of its contents.

Spec: 01 §6.2, §6.5.
"""
from __future__ import annotations

from attrs import field, frozen

from lafs.crypto import base32


@frozen(order=True)
class StorageIndex:
    """A storage index. Not secret: servers see it; holding it grants no reading."""

    raw: bytes = field()

    @raw.validator
    def _check(self, _: object, value: bytes) -> None:
        if len(value) != 16:
            raise ValueError(f"a storage index has 16 bytes, not {len(value)}")

    @classmethod
    def parse(cls, text: str) -> StorageIndex:
        """From its 26 base32 characters. Raises ValueError."""
        return cls(base32.decode(text))

    @property
    def text(self) -> str:
        """Its 26 base32 characters."""
        return base32.encode(self.raw)

    @property
    def abbreviated(self) -> str:
        """The first five characters, for people and logs."""
        return self.text[:5]

    def __str__(self) -> str:
        return self.text
