"""The short way for small files: whole shares, one call to each server, one round trip to store a file and one to read it.

It is taken when every server that would get a share, or is asked for one, is a `WholeShareServer`; and it is only an attempt. What
it did not achieve is left to the conversation that all servers understand, which finds what was stored here like anything else
that is there. Called by the uploader and the share search.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, MutableSet, Sequence
from typing import Final

from attrs import frozen
from twisted.python.failure import Failure

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError, TimedOut
from lafs.grid.placement import plan
from lafs.immutable.encoder import EncodedSegment, Encoder, Trailers
from lafs.immutable.layout import ShareLayout
from lafs.interfaces import ByteRange, GridServer, LeaseSecrets, ShareReader, StoredShares, WholeShareServer
from lafs.tasks import Clock, settle, within

SMALL_SHARE: Final = 64 * 1024
"""Bytes of a share up to which it may travel alone: sent for nothing, or read for nothing, it costs less than a round trip."""

PATIENCE_SECONDS: Final = 1.0
SLOWEST_LINE: Final = 100_000
"""Bytes a second that a client is expected to have at least, before servers are thought slow that are not."""

SLACK: Final = 512
"""Bytes of a share beyond what is expected, should another program have written it with other trees."""


class CodedFile:
    """A small file, coded: each of its shares whole; and its segments once more, in the manner of `Encoder`."""

    def __init__(self, layout: ShareLayout, segments: Sequence[EncodedSegment], trailers: Trailers) -> None:
        self._layout = layout
        self._segments = deque(segments)
        self._trailers = trailers
        self.shares = {
            number: b"".join([layout.header(), *(each.blocks[number] for each in segments), trailers.trailers[number]])
            for number in range(layout.total)
        }

    @classmethod
    async def of(cls, encoder: Encoder, layout: ShareLayout) -> CodedFile:
        """Everything that `encoder` has to give. Raises SourceFailed."""
        segments = []
        while (segment := await encoder.next()) is not None:
            segments.append(segment)
        return cls(layout, segments, await encoder.finish())

    @property
    def ueb_hash(self) -> bytes:
        return self._trailers.ueb_hash

    async def next(self) -> EncodedSegment | None:
        """The next segment; None after the last."""
        return self._segments.popleft() if self._segments else None

    async def finish(self) -> Trailers:
        """What follows the segments."""
        return self._trailers


@frozen
class StoredAtOnce:
    """What an attempt achieved: who has which share, as far as that is known; and which of them are new."""

    sharemap: Mapping[int, Sequence[GridServer]]
    new: frozenset[int]
    complete: bool
    """Whether every share went where it was to go, and nobody had others."""


NOTHING: Final = StoredAtOnce({}, frozenset(), complete=False)


async def store_at_once(
    shares: Mapping[int, bytes],
    storage_index: StorageIndex,
    servers: Sequence[GridServer],
    happy: int,
    secrets_for: Callable[[GridServer], LeaseSecrets],
    suspects: MutableSet[GridServer],
    clock: Clock,
) -> StoredAtOnce:
    """Send every share to its server, if there are enough and all of them take whole shares. Never raises but when cancelled.

    A server that does not answer within about a second is one of the `suspects` from then on, and is not waited for.
    """
    size = max(map(len, shares.values()))
    able = [
        server
        for server in servers
        if server not in suspects and server.version.maximum_immutable_share_size >= size
    ]
    homes: dict[GridServer, dict[int, bytes]] = {}
    for share, server in plan(len(shares), {}, able).items():
        homes.setdefault(server, {})[share] = shares[share]
    doors = [server.whole_shares for server in homes]
    if len(homes) < happy or sum(map(len, homes.values())) < len(shares):
        return NOTHING
    ready: list[WholeShareServer] = [door for door in doors if door is not None]
    if len(ready) < len(doors):
        return NOTHING
    patience = PATIENCE_SECONDS + len(shares) * size / SLOWEST_LINE
    answers = await settle(
        within(patience, clock, door.store_shares(storage_index, secrets_for(server), sent))
        for door, (server, sent) in zip(ready, homes.items(), strict=True)
    )
    return _summary(homes, answers, suspects)


def _summary(
    homes: Mapping[GridServer, Mapping[int, bytes]],
    answers: Sequence[StoredShares | Failure],
    suspects: MutableSet[GridServer],
) -> StoredAtOnce:
    sharemap: dict[int, list[GridServer]] = {}
    new: set[int] = set()
    complete = True
    for (server, sent), answer in zip(homes.items(), answers, strict=True):
        if isinstance(answer, Failure):
            if isinstance(answer.value, TimedOut):
                suspects.add(server)
            complete = False
            continue
        has = answer.already | answer.stored
        complete = complete and has == sent.keys()
        new |= answer.stored
        for share in sorted(has):
            sharemap.setdefault(share, []).append(server)
    return StoredAtOnce(dict(sorted(sharemap.items())), frozenset(new), complete)


# --- reading ---------------------------------------------------------------------------------------------------------------


async def find_shares(server: GridServer, storage_index: StorageIndex, likely_size: int) -> Mapping[int, ShareReader]:
    """The shares of a file that `server` has, to be read; small ones have been read already. Raises ServerError."""
    door = server.whole_shares
    if door is None or likely_size > SMALL_SHARE:
        return await server.storage.list_shares(storage_index)
    asked = ByteRange(0, likely_size + SLACK)
    found = await door.read_shares(storage_index, [asked])
    return {number: SmallShare(server, storage_index, number, pieces[0], asked.length) for number, pieces in found.items()}


@frozen(eq=False)
class SmallShare:
    """Implements `lafs.interfaces.ShareReader` on the first bytes of a share, which are all unless it is larger than expected."""

    _server: GridServer
    _storage_index: StorageIndex
    _number: int
    _start: bytes
    _asked: int

    async def read(self, offset: int, length: int) -> bytes:
        if offset + length <= len(self._start) or len(self._start) < self._asked:
            return self._start[offset : offset + length]
        readers = await self._server.storage.list_shares(self._storage_index)
        if self._number not in readers:
            raise ServerError("the share is gone")
        return await readers[self._number].read(offset, length)

    async def report_corruption(self, reason: str) -> None:
        await self._server.storage.report_corruption("immutable", self._storage_index, self._number, reason)

    @property
    def weight(self) -> int:
        """Bytes held."""
        return len(self._start)
