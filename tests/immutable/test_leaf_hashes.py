"""Leaf hashes in rows: what leads to the root is kept, nothing else is."""
from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.merkle import BadHash, MerkleTree
from lafs.immutable.leaf_hashes import GROUPS_KEPT, LeafHashes, Row, TreeShape


def leaves(count: int) -> list[bytes]:
    return [sha256(b"%d" % number).digest() for number in range(count)]


class Trees(SynchronousTestCase):
    """Rows cut from a packed tree prove its leaves."""

    def read(self, packed: bytes, row: Row) -> bytes:
        return packed[row.offset : row.offset + row.size]

    def test_every_leaf_of_trees_of_all_sizes_is_proved_by_the_rows_asked_for(self) -> None:
        for count in (1, 2, 3, 4, 5, 511, 512, 513, 1025, 5_000):
            tree = MerkleTree(leaves(count))
            hashes = LeafHashes(TreeShape.of(count), tree.root)
            for leaf in sorted({0, count // 2, count - 1}):
                for row in hashes.missing_for(range(leaf, leaf + 1)):
                    self.assertTrue(hashes.ready_for(row))
                    hashes.add(row, memoryview(self.read(tree.pack(), row)))
                self.assertEqual(hashes.missing_for(range(leaf, leaf + 1)), [])
                self.assertEqual(hashes.get(leaf), leaves(count)[leaf])

    def test_rows_stay_inside_the_stored_tree(self) -> None:
        for count in (1, 2, 3, 512, 513, 70_000, 2**20 + 1, 2**28):
            shape = TreeShape.of(count)
            for row in shape.rows_for(range(count - 1, count)):
                self.assertGreaterEqual(row.first, 0)
                self.assertLessEqual(row.first + row.count, 2 * shape.slots - 1)
                self.assertLessEqual(row.size, 512 * 1024)

    def test_a_tree_larger_than_any_honest_one_is_refused(self) -> None:
        self.assertRaises(ValueError, TreeShape.of, 2**28 + 1)

    def test_any_flipped_bit_in_a_row_is_found(self) -> None:
        tree = MerkleTree(leaves(700))
        for leaf in (0, 699):
            rows = TreeShape.of(700).rows_for(range(leaf, leaf + 1))
            for place, row in enumerate(rows):
                for position in range(0, row.size, 37):
                    hashes = LeafHashes(TreeShape.of(700), tree.root)
                    for good in rows[:place]:
                        hashes.add(good, self.read(tree.pack(), good))
                    content = bytearray(self.read(tree.pack(), row))
                    content[position] ^= 1
                    self.assertRaises(BadHash, hashes.add, row, content)
                    self.assertIn(row, hashes.missing_for(range(leaf, leaf + 1)))

    def test_a_row_of_the_wrong_length_is_refused(self) -> None:
        tree = MerkleTree(leaves(4))
        hashes = LeafHashes(TreeShape.of(4), tree.root)
        (row,) = hashes.missing_for(range(1))
        for content in (b"", tree.pack()[3 * 32 : -1], tree.pack()):
            self.assertRaises(BadHash, hashes.add, row, content)

    def test_a_group_before_the_middle_is_refused(self) -> None:
        tree = MerkleTree(leaves(700))
        hashes = LeafHashes(TreeShape.of(700), tree.root)
        middle, group = hashes.missing_for(range(1))
        self.assertFalse(hashes.ready_for(group))
        self.assertRaises(ValueError, hashes.add, group, self.read(tree.pack(), group))
        self.assertTrue(hashes.ready_for(middle))

    def test_only_some_groups_are_kept(self) -> None:
        count = 512 * (GROUPS_KEPT + 4)
        tree = MerkleTree(leaves(count))
        packed, hashes = tree.pack(), LeafHashes(TreeShape.of(count), tree.root)
        for leaf in range(0, count, 512):
            for row in hashes.missing_for(range(leaf, leaf + 1)):
                hashes.add(row, self.read(packed, row))
        self.assertIsNone(hashes.get(0))
        self.assertEqual(hashes.get(count - 1), leaves(count)[-1])
        self.assertLessEqual(hashes.weight, (GROUPS_KEPT + 1) * 512 * 32)

    @given(st.integers(1, 2**28), st.data())
    def test_the_rows_for_a_run_cover_it(self, count: int, data: st.DataObject) -> None:
        shape = TreeShape.of(count)
        first = data.draw(st.integers(0, count - 1))
        last = data.draw(st.integers(first, min(first + 300, count - 1)))
        rows = shape.rows_for(range(first, last + 1))
        nodes = {node for row in rows for node in (row.first, row.first + row.count)}
        self.assertLessEqual(min(row.first for row in rows if row != shape.middle or shape.group_count == 1),
                             shape.slots - 1 + first)
        self.assertGreater(max(nodes), shape.slots - 1 + last)
