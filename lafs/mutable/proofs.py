"""What has been proven of the shares of one version: the hashes of their blocks, up to the root that was signed. Spec: 03 §15.

Filled by whoever reads the version, or has written it; kept with the slot, so that the next read fetches no hash tree again.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from lafs.crypto.merkle import PartialTree
from lafs.mutable.decoding import check_chain
from lafs.mutable.encoding import HashTrees
from lafs.mutable.share_layout import Prefix


class Proofs:
    """The true block hashes of the shares of the version with `prefix`, as far as they are known."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix
        self._roots = PartialTree(prefix.total, prefix.root_hash)
        self._leaves: dict[int, Sequence[bytes]] = {}

    @classmethod
    def of(cls, prefix: Prefix, trees: HashTrees) -> Proofs:
        """Of a version that was made here."""
        proofs = cls(prefix)
        count = prefix.geometry.count
        for number, tree in enumerate(trees.blocks):
            proofs._leaves[number] = tree.nodes[tree.first_leaf : tree.first_leaf + count]
        return proofs

    @property
    def all_leaves(self) -> Mapping[int, Sequence[bytes]] | None:
        """The block hashes of every share of the version, if all are known."""
        return self._leaves if len(self._leaves) == self.prefix.total else None

    def leaves(self, share_number: int) -> Sequence[bytes] | None:
        """The block hashes of this share."""
        return self._leaves.get(share_number)

    def add(self, share_number: int, root: bytes, leaves: Sequence[bytes], packed_chain: bytes) -> None:
        """Believe `leaves`, with that root. Raises CorruptShare unless the chain leads from it to the root that was signed."""
        check_chain(self.prefix, self._roots, share_number, root, packed_chain)
        self._leaves[share_number] = leaves
