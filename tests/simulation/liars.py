"""Storage servers that lie, in every way a server can.

A `Liar` stands before an honest share store and falsifies what it answers. Whatever it says, a client must end in
bounded time, with the right bytes or with an error. Used by `world.py` and the fault tests.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any, Final, cast

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError
from lafs.interfaces import (
    Allocation,
    ByteRange,
    Bytes,
    LeaseSecrets,
    ShareReader,
    ShareWriter,
    StorageServer,
    StoredShares,
    WholeShareServer,
)

LIES: Final = (
    "flip",  # one bit of an answer to a read
    "short",  # fewer bytes than there are
    "long",  # more bytes than asked for
    "empty",  # no bytes at all
    "noise",  # bytes of nothing
    "swap",  # the bytes of another share
    "claim",  # shares it does not have, up to absurd numbers
    "forget",  # shares it does have
    "discard",  # takes shares and drops them
    "fail",  # errors
)


class Liar:
    """Tells the `lies` it is made of, each now and then, or `always`. Otherwise does what the honest store does."""

    def __init__(self, honest: StorageServer, random: Random, lies: Collection[str], always: bool = False) -> None:
        self._honest = honest
        self._random = random
        self._lies = sorted(lies)
        self._always = always

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._honest, verb)

    def tells(self, lie: str) -> bool:
        """Whether to tell `lie` now."""
        return lie in self._lies and (self._always or self._random.random() < 0.5)

    def trouble(self) -> None:
        """Raises ServerError, if that is one of the lies."""
        if self.tells("fail"):
            raise ServerError("the server failed")

    def claims(self) -> list[int]:
        """Share numbers to invent."""
        return self._random.sample([0, 1, 2, 3, 7, 10, 100, 255, 256, 2**31, -1], 3) if self.tells("claim") else []

    def falsify(self, data: bytes, length: int) -> bytes:
        """What to answer instead of `data` to a read of `length` bytes."""
        if self.tells("empty"):
            return b""
        if self.tells("short"):
            data = data[: self._random.randrange(len(data) + 1)]
        if self.tells("noise"):
            data = self._random.randbytes(min(length, 10_000))
        if self.tells("flip") and data:
            position = self._random.randrange(len(data))
            data = data[:position] + bytes([data[position] ^ (1 << self._random.randrange(8))]) + data[position + 1 :]
        if self.tells("long"):
            data += self._random.randbytes(1000)
        return data

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
        self.trouble()
        honest = await self._honest.list_shares(storage_index)
        if self.tells("forget"):
            return {}
        readers = dict(honest)
        others = [honest[number] for number in sorted(honest)]
        if len(others) > 1 and self.tells("swap"):
            readers = dict(zip(sorted(honest), [*others[1:], others[0]], strict=True))
        for number in self.claims():
            readers.setdefault(number, others[0] if others else Nothing())
        return {number: FalseReader(self, reader) for number, reader in readers.items()}

    async def allocate_shares(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], size: int, secrets: LeaseSecrets
    ) -> Allocation:
        self.trouble()
        honest = await self._honest.allocate_shares(storage_index, share_numbers, size, secrets)
        existing = frozenset() if self.tells("forget") else honest.existing
        writers: dict[int, ShareWriter] = {
            number: FalseWriter(self, writer) for number, writer in honest.writers.items()
        }
        claimed = self.claims()
        for number in claimed:
            writers.setdefault(number, Nothing())
        return Allocation(existing.union(self.claims()), writers)

    async def read_shares(self, storage_index: StorageIndex, ranges: Sequence[ByteRange]) -> Mapping[int, Sequence[bytes]]:
        self.trouble()
        honest = await cast("WholeShareServer", self._honest).read_shares(storage_index, ranges)
        if self.tells("forget"):
            return {}
        shares = dict(honest)
        if len(shares) > 1 and self.tells("swap"):
            first, *others = shares.values()
            shares = dict(zip(shares, [*others, first], strict=True))
        told = {
            number: [self.falsify(piece, asked.length) for piece, asked in zip(pieces, ranges, strict=True)]
            for number, pieces in shares.items()
        }
        return {number: [b""] * len(ranges) for number in self.claims()} | told

    async def store_shares(
        self, storage_index: StorageIndex, secrets: LeaseSecrets, shares: Mapping[int, Bytes]
    ) -> StoredShares:
        self.trouble()
        if self.tells("discard"):
            return StoredShares(stored=frozenset(shares))
        honest = await cast("WholeShareServer", self._honest).store_shares(storage_index, secrets, shares)
        already = frozenset() if self.tells("forget") else honest.already
        return StoredShares(already.union(self.claims()), honest.stored, honest.refused)


class FalseReader:
    def __init__(self, liar: Liar, reader: ShareReader) -> None:
        self._liar = liar
        self._reader = reader

    async def read(self, offset: int, length: int) -> bytes:
        self._liar.trouble()
        return self._liar.falsify(await self._reader.read(offset, length), length)

    async def report_corruption(self, reason: str) -> None:
        self._liar.trouble()
        await self._reader.report_corruption(reason)


class FalseWriter:
    def __init__(self, liar: Liar, writer: ShareWriter) -> None:
        self._liar = liar
        self._writer = writer
        self._discarding = liar.tells("discard")

    async def write(self, offset: int, data: Bytes) -> None:
        self._liar.trouble()
        if not self._discarding:
            await self._writer.write(offset, data)

    async def close(self) -> None:
        self._liar.trouble()
        await (self._writer.abort() if self._discarding else self._writer.close())

    async def abort(self) -> None:
        await self._writer.abort()


class Nothing:
    """The reader or writer of a share that is not there."""

    async def read(self, offset: int, length: int) -> bytes:
        return b""

    async def report_corruption(self, reason: str) -> None:
        pass

    async def write(self, offset: int, data: Bytes) -> None:
        pass

    async def close(self) -> None:
        pass

    async def abort(self) -> None:
        pass
