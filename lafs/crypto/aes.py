"""AES in counter mode: the one cipher of all contents. Spec: 01 §7.

Nothing is authenticated here; hashes and signatures do that. The counter starts at 0 and counts 16-byte blocks of the
whole stream, so any range can be processed by itself.
"""
from __future__ import annotations

from typing import Final

from Crypto.Cipher import AES

from lafs.crypto.hashes import Bytes

BLOCK_SIZE = 16


class CtrStream:
    """En- or decrypts (the same thing) consecutive bytes of one stream, from byte `offset` on.

    `key` is 16 bytes (32 work). One thread at a time; large calls let other threads run.
    """

    def __init__(self, key: bytes, offset: int = 0) -> None:
        blocks, rest = divmod(offset, BLOCK_SIZE)
        self._cipher = AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=blocks)
        if rest:
            self._cipher.encrypt(bytes(rest))

    def process(self, data: Bytes) -> bytes:
        """`data` XORed with the next bytes of key stream."""
        return self._cipher.encrypt(data)


def ctr(key: bytes, data: Bytes, offset: int = 0) -> bytes:
    """En- or decrypt `data`, which lies at byte `offset` of its stream."""
    if not offset and len(data) <= len(_COUNTERS):
        return _short(key, data)
    return CtrStream(key, offset).process(data)


_COUNTERS: Final = b"".join(number.to_bytes(BLOCK_SIZE, "big") for number in range(32))
"""The beginning of what every key stream is the encryption of."""


def _short(key: bytes, data: Bytes) -> bytes:
    # A directory has a key for every entry, and setting up a counter takes pycryptodome longer than all the rest.
    size = len(data)
    stream = AES.new(key, AES.MODE_ECB).encrypt(_COUNTERS[: size + -size % BLOCK_SIZE])
    return (int.from_bytes(stream[:size], "big") ^ int.from_bytes(data, "big")).to_bytes(size, "big")
