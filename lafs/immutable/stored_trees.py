"""A hash tree as it is stored in a share, read whole and verified whole, in pieces of bounded size.

A reader of contents needs the leaves alone (lafs/immutable/leaf_hashes.py); a verifier must look at every node, since any of them
may be what some other reader goes by. Pure. Used by the verifier for block hash trees and ciphertext hash trees. Spec: 02 §13.2.
"""
from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from lafs.crypto import merkle
from lafs.errors import CorruptShare
from lafs.immutable.leaf_hashes import HASH_SIZE, Row, TreeShape
from lafs.interfaces import ByteRange, Bytes

Rows = Mapping[Row, Bytes]
"""Rows of a tree as they were read, each of the right size."""


@frozen
class StoredTree:
    """The tree that begins at `offset` of a share, and whose root must be `root` (32 bytes)."""

    offset: int
    shape: TreeShape
    root: bytes

    def place(self, row: Row) -> ByteRange:
        """Where in the share `row` is."""
        return ByteRange(self.offset + row.offset, row.size)

    def crown(self) -> list[Row]:
        """The rows from the root down to the one whose nodes each prove a group of leaves."""
        return [Row((1 << level) - 1, 1 << level) for level in range(self.shape.group_count.bit_length())]

    def below(self, group: int) -> list[Row]:
        """The rows of group number `group` that are below its own node, down to its leaves; none if that is a leaf itself."""
        levels = range(1, self.shape.group_size.bit_length())
        return [Row(((self.shape.group_count + group) << level) - 1, 1 << level) for level in levels]

    def verified_crown(self, rows: Rows) -> list[bytes]:
        """The hashes that prove the groups, in order. Raises CorruptShare unless every node is right."""
        return self._verified(self.crown(), rows, self.root)

    def verified_leaves(self, group: int, proof: bytes, rows: Rows) -> list[bytes]:
        """The leaves of a group whose own node is `proof`. Raises CorruptShare unless every node is right."""
        below = self.below(group)
        return self._verified(below, rows, proof) if below else [proof]

    def _verified(self, levels: list[Row], rows: Rows, top: bytes) -> list[bytes]:
        lowest = computed = _hashes(rows[levels[-1]])
        for row in reversed(levels):
            if _hashes(rows[row]) != computed:
                raise self._bad(row)
            if len(computed) > 1:
                computed = list(map(merkle.parent_hash, computed[::2], computed[1::2]))
        if computed != [top]:
            raise self._bad(levels[-1])
        return lowest

    def _bad(self, row: Row) -> CorruptShare:
        place = self.place(row)
        return CorruptShare(
            f"nodes {row.first} to {row.first + row.count - 1} of a hash tree are wrong", place.offset, place.offset + place.length
        )


def _hashes(row: Bytes) -> list[bytes]:
    packed = bytes(row)
    return [packed[start : start + HASH_SIZE] for start in range(0, len(packed), HASH_SIZE)]
