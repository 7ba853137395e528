"""Conch's packet encryption with the same bytes and less work: one call for a MAC, and padding from a store of random bytes."""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Sequence
from typing import Any

from twisted.conch.ssh.transport import SSHCiphers

from lafs.interfaces import Bytes

_STORE = 4096


class Ciphers(SSHCiphers):
    """The algorithms of one connection after a key exchange."""

    @classmethod
    def of(cls, agreed: SSHCiphers) -> Ciphers:
        """The same keys and states."""
        made = cls(agreed.outCipType, agreed.inCipType, agreed.outMACType, agreed.inMACType)
        vars(made).update(vars(agreed))
        return made

    def makeMAC(self, seqid: int, data: bytes) -> bytes:
        return _mac(self.outMAC, seqid, data)

    def verify(self, seqid: int, data: bytes, mac: bytes) -> bool:
        return hmac.compare_digest(mac, _mac(self.inMAC, seqid, data))


def _mac(parameters: Any, number: int, data: bytes) -> bytes:
    return hmac.digest(parameters.key, struct.pack(">L", number) + data, parameters[0])


class Padding:
    """Random bytes, a few at a time."""

    def __init__(self) -> None:
        self._store = b""
        self._used = 0

    def take(self, size: int) -> bytes:
        if self._used + size > len(self._store):
            self._store, self._used = os.urandom(_STORE), 0
        self._used += size
        return self._store[self._used - size : self._used]


def packed(kind: int, parts: Sequence[Bytes], block_size: int, padding: Padding) -> bytes:
    """A packet before it is encrypted; `parts` are its payload. RFC 4253 §6."""
    size = 6 + sum(map(len, parts))
    pad = block_size - size % block_size
    if pad < 4:
        pad += block_size
    return b"".join((struct.pack(">LBB", size + pad - 4, pad, kind), *parts, padding.take(pad)))
