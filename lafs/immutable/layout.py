"""The bytes of an immutable share: header, blocks, hash trees, chain, UEB.

Pure. The uploader lays a share out with `ShareLayout`; readers take `ShareOffsets` from a header, trusting none of it: an offset
only says where to look, and whatever is found there is verified against the cap.

    header | blocks | (unused area) | ciphertext hash tree | block hash tree | share hash chain | UEB length | UEB

Spec: 02 §3, §6.1, §8.
"""
from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache

from attrs import frozen

from lafs.crypto import merkle
from lafs.errors import CorruptShare
from lafs.immutable import ueb
from lafs.immutable.segmentation import Segmentation

HASH_SIZE = 32
CHAIN_ENTRY = struct.Struct(">H32s")


@frozen
class _Version:
    header: struct.Struct
    length: struct.Struct

    @property
    def offset_size(self) -> int:
        return self.length.size


VERSIONS: Mapping[int, _Version] = {
    1: _Version(header=struct.Struct(">LLLLLLLLL"), length=struct.Struct(">L")),
    2: _Version(header=struct.Struct(">LQQQQQQQQ"), length=struct.Struct(">Q")),
}
"""Header: version, block size, data size, then the six offsets. Version 2 is for shares beyond 4 GiB."""

LARGEST_HEADER = max(version.header.size for version in VERSIONS.values())


class UnknownShareVersion(CorruptShare):
    """A share of a version that does not exist yet: incompatible, not corrupt."""


@frozen
class ShareOffsets:
    """Where a share says that its parts are. Anything up to 2^64; check every range against what can be there."""

    version: int
    data: int
    ciphertext_tree: int
    block_tree: int
    chain: int
    ueb: int

    @property
    def ueb_length_size(self) -> int:
        """Bytes of the length field in front of the UEB."""
        return VERSIONS[self.version].length.size

    @property
    def chain_size(self) -> int:
        return self.ueb - self.chain

    def ueb_size(self, length_field: bytes) -> int:
        """The length of the UEB. Raises CorruptShare when it is cut short or is more than a UEB can have."""
        length = VERSIONS[self.version].length
        if len(length_field) < length.size:
            raise CorruptShare("the share ends before its UEB", self.ueb, self.ueb + length.size)
        (size,) = length.unpack_from(length_field)
        if not 0 < size < ueb.MAX_SIZE:
            raise CorruptShare("the length of the UEB makes no sense", self.ueb, self.ueb + length.size)
        return int(size)


def parse_header(start: bytes) -> ShareOffsets:
    """Read the first bytes of a share (`LARGEST_HEADER` of them, or all there are).

    Raises UnknownShareVersion, or CorruptShare when the header is cut short or its sections cannot be. Spec: 02 §8.
    """
    if len(start) < 4:
        raise CorruptShare("the share ends inside its header", 0, 4)
    (number,) = struct.unpack_from(">L", start)
    version = VERSIONS.get(number)
    if version is None:
        raise UnknownShareVersion(f"unknown share version {number}", 0, 4)
    if len(start) < version.header.size:
        raise CorruptShare("the share ends inside its header", 0, version.header.size)
    _, _, _, data, _, ciphertext_tree, block_tree, chain, extension = version.header.unpack_from(start)
    offsets = ShareOffsets(number, data, ciphertext_tree, block_tree, chain, extension)
    if offsets.chain_size < 0 or offsets.chain_size % CHAIN_ENTRY.size:
        raise CorruptShare("the share hash chain has an impossible size", 0, version.header.size)
    if chain < block_tree or (chain - block_tree) % HASH_SIZE:
        raise CorruptShare("the block hash tree has an impossible size", 0, version.header.size)
    return offsets


@frozen
class ShareLayout:
    """Where everything goes in the shares of one file. All shares of a file have the same layout."""

    segmentation: Segmentation
    total: int
    version: int
    tree_size: int
    """Bytes of a complete hash tree over the segments."""
    chain_size: int
    ueb_size: int

    @classmethod
    def of(cls, segmentation: Segmentation, total: int, version: int | None = None) -> ShareLayout:
        """The layout that a writer uses; `version` is chosen by size unless given."""
        tree_size = HASH_SIZE * merkle.node_count(segmentation.count)
        chain_size = CHAIN_ENTRY.size * len(chain_order(0, total))
        if version is None:
            end = VERSIONS[1].header.size + segmentation.share_data_size + 3 * tree_size + chain_size
            version = 1 if end < 2**32 else 2
        return cls(segmentation, total, version, tree_size, chain_size, ueb.packed_size(segmentation, total))

    @property
    def offsets(self) -> ShareOffsets:
        data = VERSIONS[self.version].header.size
        trees = data + self.segmentation.share_data_size
        chain = trees + 3 * self.tree_size
        return ShareOffsets(
            version=self.version,
            data=data,
            ciphertext_tree=trees + self.tree_size,
            block_tree=trees + 2 * self.tree_size,
            chain=chain,
            ueb=chain + self.chain_size,
        )

    @property
    def share_size(self) -> int:
        """Bytes of a whole share: what is allocated and what is written, to the byte."""
        offsets = self.offsets
        return offsets.ueb + offsets.ueb_length_size + self.ueb_size

    def header(self) -> bytes:
        """The first bytes of every share of the file."""
        offsets, cut = self.offsets, self.segmentation
        unused_area = offsets.data + cut.share_data_size
        return VERSIONS[self.version].header.pack(
            self.version,
            cut.block_size,
            cut.share_data_size,
            offsets.data,
            unused_area,
            offsets.ciphertext_tree,
            offsets.block_tree,
            offsets.chain,
            offsets.ueb,
        )

    def trailer(self, ciphertext_tree: bytes, block_tree: bytes, chain: bytes, extension: bytes) -> bytes:
        """Everything after the blocks of one share. Each part must have exactly the size laid out for it."""
        length = VERSIONS[self.version].length.pack(len(extension))
        whole = b"".join((bytes(self.tree_size), ciphertext_tree, block_tree, chain, length, extension))
        assert len(whole) == self.share_size - self.offsets.data - self.segmentation.share_data_size
        return whole


def pack_chain(share_number: int, nodes: Sequence[bytes], total: int) -> bytes:
    """The share hash chain of one share, from all `nodes` of the share hash tree."""
    return b"".join(CHAIN_ENTRY.pack(node, nodes[node]) for node in chain_order(share_number, total))


def unpack_chain(packed: bytes, total: int) -> dict[int, bytes]:
    """Node number -> hash. Raises CorruptShare for a number outside the tree, or two different hashes for one node."""
    chain: dict[int, bytes] = {}
    limit = merkle.node_count(total)
    for node, value in CHAIN_ENTRY.iter_unpack(packed):
        if node >= limit:
            raise CorruptShare(f"hashnum {node} doesn't fit in hashtree({limit})")
        if chain.setdefault(node, value) != value:
            raise CorruptShare(f"two hashes for node {node} of the share hash tree")
    return chain


@cache
def chain_order(share_number: int, total: int) -> tuple[int, ...]:
    """The node numbers of a share's chain, in the order in which the peer writes them.

    Readers do not care, but equal files must have equal shares, bit for bit. The order is that of an open-addressed hash table
    into which the siblings were put from the bottom up, and then the leaf. Spec: 02 §6.1.
    """
    leaf = merkle.leaf_slots(total) - 1 + share_number
    siblings = sorted(merkle.needed_for(share_number, total), reverse=True)
    slots: list[int | None] = [None] * 8
    for count, node in enumerate([*siblings, leaf], start=1):
        slots[_free_slot(slots, node)] = node
        if 5 * count >= 3 * (len(slots) - 1):
            kept = [entry for entry in slots if entry is not None]
            size = 8
            while size <= 4 * count:
                size *= 2
            slots = [None] * size
            for entry in kept:
                slots[_free_slot(slots, entry)] = entry
    return tuple(entry for entry in slots if entry is not None)


def _free_slot(slots: Sequence[int | None], node: int) -> int:
    size = len(slots)
    slot, perturbation = node % size, node
    while True:
        run = range(slot, slot + 10) if slot + 9 < size else range(slot, slot + 1)
        for candidate in run:
            if slots[candidate] is None:
                return candidate
        perturbation >>= 5
        slot = (5 * slot + 1 + perturbation) % size
