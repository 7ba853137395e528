"""The leaf hashes of one hash tree over segments, verified against its root, fetched in few pieces.

A tree is stored in a share as all its nodes in level order, so every level is one run of bytes. Rather than one node
at a time, a reader takes two kinds of rows: the level half-way down (the *middle*, proved by the root), and below
each of its nodes the *group* of leaves that it proves. Trees of up to `GROUP` leaves are one group right under the
root. So a tree costs one or two reads, its inner nodes are not fetched at all, and what is kept is 32 bytes for a
segment, of the groups in use only.

Pure. Used by the share state machine for block hash trees and for the ciphertext hash tree. Spec: 02 §6, 01 §10.
"""
from __future__ import annotations

from collections import OrderedDict
from typing import Final

from attrs import frozen

from lafs.crypto import merkle
from lafs.crypto.merkle import BadHash
from lafs.interfaces import Bytes

HASH_SIZE: Final = 32

GROUP_BITS: Final = 9
"""A group has at least 2^9 leaves (16 KiB), unless the whole tree has fewer."""

LARGEST_ROW_BITS: Final = 14
"""No row has more than 2^14 nodes (512 KiB): a file may have 2^28 segments."""

GROUPS_KEPT: Final = 16


@frozen
class Row:
    """`count` nodes of one level of a tree, from node number `first` on."""

    first: int
    count: int

    @property
    def offset(self) -> int:
        """Where the row begins, in bytes from the start of the tree."""
        return self.first * HASH_SIZE

    @property
    def size(self) -> int:
        """Bytes of the row."""
        return self.count * HASH_SIZE


@frozen
class TreeShape:
    """How a tree of so many leaves is divided into rows. Sizes are powers of two."""

    slots: int
    group_size: int

    @classmethod
    def of(cls, leaf_count: int) -> TreeShape:
        """Raises ValueError for more leaves than any honest file has."""
        slots = merkle.leaf_slots(leaf_count)
        bits = slots.bit_length() - 1
        if bits > 2 * LARGEST_ROW_BITS:
            raise ValueError(f"a tree of {leaf_count} leaves is too large")
        return cls(slots, 1 << min(bits, max(GROUP_BITS, (bits + 1) // 2)))

    @property
    def group_count(self) -> int:
        return self.slots // self.group_size

    @property
    def middle(self) -> Row:
        """The nodes that each prove one group; the root alone in a small tree."""
        return Row(self.group_count - 1, self.group_count)

    def group(self, number: int) -> Row:
        """The leaves of group `number`."""
        return Row(self.slots - 1 + number * self.group_size, self.group_size)

    def groups_of(self, leaves: range) -> range:
        """The groups that hold `leaves` (which are not none)."""
        return range(leaves[0] // self.group_size, leaves[-1] // self.group_size + 1)

    def rows_for(self, leaves: range) -> list[Row]:
        """All rows that prove `leaves`, when nothing but the root is known."""
        groups = [self.group(number) for number in self.groups_of(leaves)]
        return groups if self.group_count == 1 else [self.middle, *groups]


class LeafHashes:
    """The part of a tree's leaves that is known to be true, because it leads to `root`."""

    def __init__(self, shape: TreeShape, root: bytes) -> None:
        self.shape = shape
        self.root = root
        self._middle: bytes | None = root if shape.group_count == 1 else None
        self._groups: OrderedDict[int, bytes] = OrderedDict()

    def missing_for(self, leaves: range) -> list[Row]:
        """The rows still to be added before all of `leaves` are known; the middle, if missing, comes first."""
        missing = [] if self._middle is not None else [self.shape.middle]
        for number in self.shape.groups_of(leaves):
            if number in self._groups:
                self._groups.move_to_end(number)
            else:
                missing.append(self.shape.group(number))
        return missing

    def ready_for(self, row: Row) -> bool:
        """Whether what proves `row` is known."""
        return self._middle is not None or row == self.shape.middle

    def add(self, row: Row, content: Bytes) -> None:
        """Check and keep one row of `shape`. Raises BadHash, and keeps nothing, if it does not lead to the root.

        The middle must be added before the first group.
        """
        content = bytes(content)
        if len(content) != row.size:
            raise BadHash(f"{len(content)} bytes for {row.count} hashes")
        if row == self.shape.middle and self._middle is None:
            self._prove(row, content, self.root)
            self._middle = content
            return
        number, rest = divmod(row.first - (self.shape.slots - 1), self.shape.group_size)
        if rest or row != self.shape.group(number) or self._middle is None:
            raise ValueError("not a row that is missing")
        self._prove(row, content, _hash_at(self._middle, number))
        self._groups[number] = content
        while len(self._groups) > GROUPS_KEPT:
            self._groups.popitem(last=False)

    def get(self, leaf: int) -> bytes | None:
        """The hash of leaf number `leaf`, if it is known to be true."""
        number, place = divmod(leaf, self.shape.group_size)
        group = self._groups.get(number)
        return None if group is None else _hash_at(group, place)

    @property
    def weight(self) -> int:
        """Bytes held."""
        return sum(map(len, self._groups.values())) + len(self._middle or b"")

    @staticmethod
    def _prove(row: Row, content: bytes, root: bytes) -> None:
        level = [content[start : start + HASH_SIZE] for start in range(0, len(content), HASH_SIZE)]
        while len(level) > 1:
            level = list(map(merkle.parent_hash, level[::2], level[1::2]))
        if level[0] != root:
            raise BadHash(f"nodes {row.first} to {row.first + row.count - 1} do not lead to the root")


def _hash_at(row: bytes, place: int) -> bytes:
    return row[place * HASH_SIZE : (place + 1) * HASH_SIZE]
