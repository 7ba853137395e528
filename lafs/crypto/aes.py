"""AES in counter mode: the one cipher of all contents. Spec: 01 §7.

Nothing is authenticated here; hashes and signatures do that. The counter starts at 0 and counts 16-byte blocks of the
whole stream, so any range can be processed by itself.

OpenSSL's, which makes several GB a second and is set up in 3 microseconds: a directory has a key for every entry.
"""
from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from lafs.crypto.hashes import Bytes

BLOCK_SIZE = 16

_FROM_THE_START = CTR(bytes(BLOCK_SIZE))


class CtrStream:
    """En- or decrypts (the same thing) consecutive bytes of one stream, from byte `offset` on.

    `key` is 16 bytes (32 work). One thread at a time.
    """

    def __init__(self, key: bytes, offset: int = 0) -> None:
        blocks, rest = divmod(offset, BLOCK_SIZE)
        counter = CTR(blocks.to_bytes(BLOCK_SIZE, "big")) if blocks else _FROM_THE_START
        self._cipher = Cipher(AES(key), counter).encryptor()
        if rest:
            self._cipher.update(bytes(rest))

    def process(self, data: Bytes) -> bytes:
        """`data` XORed with the next bytes of key stream."""
        return self._cipher.update(data)


def ctr(key: bytes, data: Bytes, offset: int = 0) -> bytes:
    """En- or decrypt `data`, which lies at byte `offset` of its stream."""
    return CtrStream(key, offset).process(data)
