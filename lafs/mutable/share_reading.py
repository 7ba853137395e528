"""Reading one share of a version: what is at hand is not fetched again, and the rest comes in one call. Spec: 03 §11.

Every answer brings the prefix along: a share that was overwritten while we read is no corrupt share.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import CorruptShare, ServerError
from lafs.interfaces import ByteRange, GridServer
from lafs.mutable.decoding import Block, check_blocks, check_tree
from lafs.mutable.patience import answer_seconds
from lafs.mutable.proofs import Proofs
from lafs.mutable.share_layout import Section
from lafs.mutable.share_map import FoundShare, Version
from lafs.mutable.tools import Tools
from lafs.tasks import within

LARGEST_READ: Final = 256 * 1024 * 1024
"""Bytes in one range of a call; longer sections are asked for in several."""


class ShareChanged(ServerError):
    """What was read belongs to another version than before: somebody has written meanwhile."""


class ShareReader:
    """Reads the shares of `version` from wherever they are. What is learned from one read, in `proofs`, serves the next."""

    def __init__(
        self, tools: Tools, storage_index: StorageIndex, version: Version, proofs: Proofs | None = None
    ) -> None:
        self._tools = tools
        self._storage_index = storage_index
        self._prefix = version.prefix
        self._packed_prefix = version.prefix.pack()
        self.proofs = proofs or Proofs(version.prefix)

    def knows(self, share_number: int) -> bool:
        """Whether the block hashes of this share are known to be true."""
        return self.proofs.leaves(share_number) is not None

    def is_at_hand(self, share: FoundShare, segments: range) -> bool:
        """Whether reading `segments` of `share` needs no server."""
        return all(share.at_hand(section) for section in self._sections(share, segments))

    def data_section(self, share: FoundShare, segments: range) -> Section:
        """Where the blocks of `segments` are in `share`."""
        start = share.sections.data.start
        if not segments:
            return Section(start, start)
        cut = self._prefix.geometry
        last = segments[-1]
        end = cut.block_offset(last) + cut.salt_in_block + cut.block_size_of(last)
        return Section(start + cut.block_offset(segments.start), start + end)

    async def leaves(self, share: FoundShare) -> Sequence[bytes]:
        """The true hashes of all blocks of `share`. Raises as `blocks` does."""
        number = share.place.number
        if not self.knows(number):
            await self.blocks(share, range(0))
        return self._leaves(number)

    def _leaves(self, share_number: int) -> Sequence[bytes]:
        leaves = self.proofs.leaves(share_number)
        assert leaves is not None, "blocks are checked after the tree of their share"
        return leaves

    async def blocks(self, share: FoundShare, segments: range) -> list[Block]:
        """The blocks of `segments` in `share`, checked. Raises CorruptShare, ServerError."""
        number = share.place.number
        *trees, data = await self._bytes_of(share, self._sections(share, segments))
        workers = self._tools.workers
        if trees and not self.knows(number):
            chain, tree = trees
            root, leaves = await workers.run_sized(len(tree), check_tree, self._prefix, tree)
            self.proofs.add(number, root, leaves, chain)
        if not segments:
            return []
        return await workers.run_sized(len(data), check_blocks, self._prefix, self._leaves(number), segments, data)

    def _sections(self, share: FoundShare, segments: range) -> list[Section]:
        """What has to be read for `segments`: chain and tree first, unless what they prove is known."""
        data = self.data_section(share, segments)
        if self.knows(share.place.number):
            return [data]
        return [share.sections.chain, share.sections.block_tree, data]

    async def _bytes_of(self, share: FoundShare, sections: Sequence[Section]) -> list[bytes]:
        remote = [section for section in sections if section.size and not share.at_hand(section)]
        fetched: dict[Section, bytes] = {}
        if remote:
            pieces = await read_sections(self._tools, self._storage_index, share, self._packed_prefix, remote)
            fetched = dict(zip(remote, pieces, strict=True))
        return [fetched[section] if section in fetched else section.of(share.start) for section in sections]


async def read_sections(
    tools: Tools, storage_index: StorageIndex, share: FoundShare, packed_prefix: bytes, sections: Sequence[Section]
) -> list[bytes]:
    """The bytes of `sections` of one share, in one call. Raises CorruptShare if it ends too early, ShareChanged, ServerError."""
    size = sum(section.size for section in sections)
    ranges = [ByteRange(0, len(packed_prefix))]
    for section in sections:
        ranges += [
            ByteRange(start, min(LARGEST_READ, section.end - start))
            for start in range(section.start, section.end, LARGEST_READ)
        ]
    answer = await within(
        answer_seconds(size),
        tools.clock,
        _read(share.place.server, storage_index, share.place.number, ranges),
    )
    pieces = iter(answer)
    if next(pieces) != packed_prefix:
        raise ShareChanged("the share has changed")
    found = []
    for section in sections:
        parts = [next(pieces) for _ in range(section.start, section.end, LARGEST_READ)]
        found.append(parts[0] if len(parts) == 1 else b"".join(parts))
        if len(found[-1]) != section.size:
            raise CorruptShare("the share ends too early", section.start, section.end)
    return found


async def _read(
    server: GridServer, storage_index: StorageIndex, number: int, ranges: Sequence[ByteRange]
) -> Sequence[bytes]:
    answer = await server.storage.read_slot(storage_index, frozenset([number]), ranges)
    pieces = answer.get(number)
    if pieces is None:
        raise ShareChanged("the share is gone")
    if len(pieces) != len(ranges):
        raise ServerError("the server answered something else than was asked for")
    return pieces
