"""Merkle trees: one hash that stands for many, and proofs that one of the many belongs to it.

`MerkleTree` is what an uploader builds; `PartialTree` is what a reader fills from shares it does not trust. Nodes are
numbered in level order: the root is 0, the children of i are 2i+1 and 2i+2. The number of leaves is rounded up to a
power of two P with padding leaves, so leaf j is node P-1+j. Spec: 01 §10.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from lafs.crypto.hashes import HASH_SIZE, Tag, tagged_hash

_PAIR_START = Tag.MERKLE_NODE.prefix + b"32:"
_PAIR_MIDDLE = b",32:"
_NOTHING: Mapping[int, bytes] = {}


class BadHash(ValueError):
    """A hash that contradicts the root, or is none."""


class NotEnoughHashes(ValueError):
    """A node that cannot be checked, because its sibling or the root is not known."""


def leaf_slots(leaf_count: int) -> int:
    """P: leaves of the tree with its padding, a power of two, at least 1."""
    return 1 << max(leaf_count - 1, 0).bit_length()


def node_count(leaf_count: int) -> int:
    """Nodes of the tree, padding included: 2P-1."""
    return 2 * leaf_slots(leaf_count) - 1


def needed_for(leaf: int, leaf_count: int, with_leaf: bool = False) -> frozenset[int]:
    """The nodes that prove leaf number `leaf`: the sibling of every node on its way to the root, but never the root.

    The chain in an immutable share holds the leaf too (the root, if it is the only leaf), the one in a mutable share does not.
    """
    return frozenset(_proof(leaf, leaf_count, with_leaf))


def empty_leaf(leaf: int) -> bytes:
    """The padding in place of leaf number `leaf`."""
    return tagged_hash(Tag.MERKLE_EMPTY_LEAF, b"%d" % leaf)


def parent_hash(left: bytes, right: bytes) -> bytes:
    """The node above two nodes of 32 bytes each."""
    # A pair hash with its netstrings written out: this runs once for each block of each share.
    inner = sha256(b"%b%b%b%b," % (_PAIR_START, left, _PAIR_MIDDLE, right))
    return sha256(inner.digest()).digest()


def _proof(leaf: int, leaf_count: int, with_leaf: bool) -> Iterator[int]:
    slots = leaf_slots(leaf_count)
    if not 0 <= leaf < slots:
        raise IndexError(f"leaf {leaf} of a tree of {leaf_count}")
    node = slots - 1 + leaf
    if with_leaf:
        yield node
    while node:
        yield _sibling(node)
        node = (node - 1) // 2


def _sibling(node: int) -> int:
    return node + 1 if node % 2 else node - 1


class MerkleTree:
    """A complete tree over `leaves`, each 32 bytes."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        row = list(leaves)
        if any(len(leaf) != HASH_SIZE for leaf in row):
            raise ValueError("a leaf that is not a hash")
        self.leaf_count = len(row)
        row += map(empty_leaf, range(len(row), leaf_slots(len(row))))
        rows = [row]
        while len(row) > 1:
            row = list(map(parent_hash, row[::2], row[1::2]))
            rows.append(row)
        self.nodes: list[bytes] = [node for row in reversed(rows) for node in row]

    @property
    def root(self) -> bytes:
        return self.nodes[0]

    @property
    def first_leaf(self) -> int:
        """The node that is leaf 0."""
        return len(self.nodes) // 2

    def pack(self) -> bytes:
        """All nodes joined, padding and root included, as they are stored in shares."""
        return b"".join(self.nodes)


class PartialTree:
    """The part of a tree that is known to be true, because it leads to a root learned from a trusted source.

    Nothing is believed before the root is set: a chain of lies proves itself if it may bring its own root. Memory is in
    proportion to what was added, not to `leaf_count`, which a cap may state as it likes.
    """

    def __init__(self, leaf_count: int, root: bytes | None = None) -> None:
        self.leaf_count = leaf_count
        self.node_count = node_count(leaf_count)
        self.first_leaf = self.node_count // 2
        self._known: dict[int, bytes] = {}
        if root is not None:
            self.set_root(root)

    def set_root(self, root: bytes) -> None:
        """Anchor the tree at a root from a trusted source. Raises BadHash if it has another one already."""
        _check_size(root)
        if self._known.setdefault(0, root) != root:
            raise BadHash("the tree has another root")

    def get(self, node: int) -> bytes | None:
        """The hash of `node`, if it is known to be true."""
        return self._known.get(node)

    def leaf(self, leaf: int) -> bytes | None:
        """The hash of leaf number `leaf`, if it is known to be true."""
        return self._known.get(self.first_leaf + leaf)

    def missing_for(self, leaf: int, with_leaf: bool = False) -> frozenset[int]:
        """The nodes still to be fetched before leaf number `leaf` can be checked; the leaf too if `with_leaf`."""
        return frozenset(node for node in _proof(leaf, self.leaf_count, with_leaf) if node not in self._known)

    def add(self, nodes: Mapping[int, bytes], leaves: Mapping[int, bytes] = _NOTHING) -> None:
        """Check hashes by node number, and by leaf number, and keep them and what follows from them: all, or none.

        Raises BadHash if one contradicts the root, another of them or what is known, is no hash, or lies outside the
        tree; NotEnoughHashes if one does not lead to the root. After either, the tree is as it was.
        """
        if 0 not in self._known:
            raise NotEnoughHashes("the root of the tree is not known yet")
        found: dict[int, bytes] = {}
        for node, value in nodes.items():
            self._take(found, node, value)
        for leaf, value in leaves.items():
            if not 0 <= leaf <= self.first_leaf:
                raise BadHash(f"leaf {leaf} is outside a tree of {self.leaf_count} leaves")
            self._take(found, self.first_leaf + leaf, value)
        self._climb(found)
        self._known.update(found)

    def _take(self, found: dict[int, bytes], node: int, value: bytes) -> None:
        """Note a claimed hash in `found`, unless it is known already."""
        if not 0 <= node < self.node_count:
            raise BadHash(f"node {node} is outside a tree of {self.node_count} nodes")
        _check_size(value)
        known = self._known.get(node)
        if known is None:
            known = found.setdefault(node, value)
        if known != value:
            raise BadHash(f"node {node} contradicts what is known of it")

    def _climb(self, found: dict[int, bytes]) -> None:
        """Compute parents in `found`, deepest level first, until all of it meets what is known.

        In a valid tree a known node has a known sibling, so a found one either has its sibling among the found, or the
        sibling is missing.
        """
        by_level: dict[int, set[int]] = {}
        for node in found:
            by_level.setdefault((node + 1).bit_length(), set()).add(node)
        for level in range(max(by_level, default=0), 1, -1):
            for left in {node - 1 + node % 2 for node in by_level.get(level, ())}:
                left_hash, right_hash = found.get(left), found.get(left + 1)
                if left_hash is None or right_hash is None:
                    raise NotEnoughHashes(f"node {left + (left_hash is not None)} is needed and not known")
                parent = (left - 1) // 2
                self._take(found, parent, parent_hash(left_hash, right_hash))
                if parent in found:
                    by_level.setdefault(level - 1, set()).add(parent)


def _check_size(value: bytes) -> None:
    if len(value) != HASH_SIZE:
        raise BadHash(f"a hash of {len(value)} bytes")
