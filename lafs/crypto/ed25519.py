"""Ed25519: the keys by which nodes, introducers and grid managers are known and sign what they say. Spec: 01 §9.

Keys are read from text whose base32 may have a stray spare bit, as old files do, and are written without.
"""
from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lafs.crypto import base32

KEY_SIZE = 32
SIGNATURE_SIZE = 64

_PRIVATE = "priv-v0-"
_PUBLIC = "pub-v0-"
_SERVER = "v0-"


def _check_size(_: object, __: object, value: bytes) -> None:
    if len(value) != KEY_SIZE:
        raise ValueError(f"an Ed25519 key has {KEY_SIZE} bytes, not {len(value)}")


def _read(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise ValueError(f"a key that does not begin with {prefix}")
    return base32.decode_lax(text.removeprefix(prefix))


@frozen
class VerifyingKey:
    """The public half: tells whether its owner signed something."""

    raw: bytes = field(validator=_check_size, repr=False)

    @classmethod
    def parse(cls, text: str) -> VerifyingKey:
        """From "pub-v0-" and 52 base32 characters. Raises ValueError."""
        return cls(_read(text, _PUBLIC))

    @classmethod
    def of_server(cls, server_id: str) -> VerifyingKey:
        """From a server id or the key field of an announcement: "v0-" and the same 52 characters. Raises ValueError."""
        return cls(_read(server_id, _SERVER))

    @property
    def text(self) -> str:
        return _PUBLIC + base32.encode(self.raw)

    @property
    def server_id(self) -> str:
        return _SERVER + base32.encode(self.raw)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` was made with the other half over exactly these bytes. False for anything else."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@frozen
class SigningKey:
    """The private half. The same message always gets the same signature."""

    seed: bytes = field(validator=_check_size, repr=False)

    @classmethod
    def generate(cls, random: Callable[[int], bytes]) -> SigningKey:
        """A new key from `random(32)`, which must be unpredictable bytes."""
        return cls(random(KEY_SIZE))

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """From "priv-v0-" and 52 base32 characters. Raises ValueError."""
        return cls(_read(text, _PRIVATE))

    @property
    def text(self) -> str:
        """What is kept in the file of the private key."""
        return _PRIVATE + base32.encode(self.seed)

    @property
    def verifying_key(self) -> VerifyingKey:
        return VerifyingKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes over `message` exactly as it will be sent."""
        return self._key.sign(message)

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)
