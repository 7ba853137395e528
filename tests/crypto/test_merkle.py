"""Merkle trees: complete ones as the peer builds them; partial ones that believe nothing."""
from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.hashes import Tag, tagged_hash
from lafs.crypto.merkle import (
    BadHash,
    MerkleTree,
    NotEnoughHashes,
    PartialTree,
    empty_leaf,
    leaf_slots,
    needed_for,
    node_count,
    parent_hash,
)
from tests.crypto.vector_groups import group


def leaves(count: int) -> list[bytes]:
    return [tagged_hash(Tag.BLOCK, b"%d" % number) for number in range(count)]


def numbered(hashes: dict[str, str]) -> dict[int, bytes]:
    return {int(number): bytes.fromhex(value) for number, value in hashes.items()}


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_padding_leaves(self) -> None:
        for case in group("merkle_empty_leaf"):
            self.assertEqual(empty_leaf(case["in"]["index"]).hex(), case["out"]["hash_hex"])

    def test_parents(self) -> None:
        for case in group("merkle_pair"):
            left, right = bytes.fromhex(case["in"]["left_hex"]), bytes.fromhex(case["in"]["right_hex"])
            self.assertEqual(parent_hash(left, right).hex(), case["out"]["hash_hex"])

    def test_complete_trees(self) -> None:
        for case in group("merkle_tree"):
            expected = case["out"]
            hashes = [bytes.fromhex(leaf) for leaf in case["in"]["leaves_hex"]]
            tree = MerkleTree(hashes)
            self.assertEqual([node.hex() for node in tree.nodes], expected["nodes_hex"])
            self.assertEqual(tree.pack().hex(), "".join(expected["nodes_hex"]))
            self.assertEqual(tree.first_leaf, expected["first_leaf"])
            self.assertEqual(tree.root, tree.nodes[0])
            for leaf in range(len(hashes)):
                self.assertEqual(sorted(needed_for(leaf, len(hashes))), expected["needed"][leaf])
                self.assertEqual(sorted(needed_for(leaf, len(hashes), with_leaf=True)), expected["needed_with_leaf"][leaf])

    def test_large_trees(self) -> None:
        for case in group("merkle_tree_large"):
            seed, count, expected = bytes.fromhex(case["in"]["seed_hex"]), case["in"]["count"], case["out"]
            tree = MerkleTree(tagged_hash(Tag.BLOCK, seed + b"%d" % number) for number in range(count))
            self.assertEqual((tree.root.hex(), tree.first_leaf), (expected["root_hex"], expected["first_leaf"]))
            self.assertEqual((len(tree.nodes), node_count(count)), (expected["size"], expected["size"]))
            self.assertEqual(sorted(needed_for(count - 1, count)), expected["needed_for_last"])

    def test_validation(self) -> None:
        for case in group("merkle_validate"):
            with self.subTest(case["id"]):
                tree = PartialTree(case["in"]["num_leaves"])
                for step, expected in zip(case["in"]["steps"], case["out"]["steps"], strict=True):
                    nodes, hashes = numbered(step["hashes_hex"]), numbered(step["leaves_hex"])
                    if case["in"]["label"] == "no-root":
                        # The peer accepts a chain that brings its own root. Here nothing is believed before the root is set.
                        self.assertRaises(NotEnoughHashes, tree.add, nodes, hashes)
                        continue
                    # The vectors hand over the trusted root as if it were any node.
                    if tree.get(0) is None:
                        tree.set_root(nodes.pop(0))
                    self.assertEqual(self.outcome(tree, nodes, hashes), expected["result"])
                    known = [node for node in range(tree.node_count) if tree.get(node) is not None]
                    self.assertEqual(known, expected["known"])

    def outcome(self, tree: PartialTree, nodes: dict[int, bytes], hashes: dict[int, bytes]) -> str:
        try:
            tree.add(nodes, hashes)
        except BadHash:
            return "bad-hash"
        except NotEnoughHashes:
            return "not-enough"
        return "ok"


class Shapes(SynchronousTestCase):
    """Numbers of nodes and leaves."""

    def test_leaves_are_rounded_up_to_a_power_of_two(self) -> None:
        self.assertEqual([leaf_slots(count) for count in range(10)], [1, 1, 2, 4, 4, 8, 8, 8, 8, 16])

    def test_a_leaf_outside_the_tree_has_no_proof(self) -> None:
        for leaf in (-1, 8):
            self.assertRaises(IndexError, needed_for, leaf, 5)

    def test_a_leaf_that_is_no_hash_is_refused(self) -> None:
        self.assertRaises(ValueError, MerkleTree, [bytes(32), bytes(31)])

    def test_a_tree_as_large_as_a_cap_may_claim_costs_nothing(self) -> None:
        tree = PartialTree(2**70, bytes(32))
        self.assertEqual(len(tree.missing_for(0)), 70)


class Partial(SynchronousTestCase):
    """A reader's tree takes what leads to the root, and nothing else."""

    @given(st.integers(1, 40), st.data())
    def test_leaves_are_proven_in_any_order(self, count: int, data: st.DataObject) -> None:
        full = MerkleTree(leaves(count))
        tree = PartialTree(count, full.root)
        for leaf in data.draw(st.permutations(range(count))):
            missing = tree.missing_for(leaf)
            self.assertLessEqual(missing, needed_for(leaf, count))
            tree.add({node: full.nodes[node] for node in missing}, {leaf: full.nodes[full.first_leaf + leaf]})
            self.assertEqual(tree.leaf(leaf), full.nodes[full.first_leaf + leaf])
            self.assertEqual(tree.missing_for(leaf, with_leaf=True), frozenset())
        self.assertLessEqual({tree.get(node) for node in range(tree.node_count)} - {None}, set(full.nodes))

    @given(st.integers(2, 40), st.data())
    def test_one_false_hash_is_found_and_changes_nothing(self, count: int, data: st.DataObject) -> None:
        full = MerkleTree(leaves(count))
        tree = PartialTree(count, full.root)
        first, leaf = (data.draw(st.integers(0, count - 1)) for _ in range(2))
        tree.add({node: full.nodes[node] for node in needed_for(first, count, with_leaf=True)})
        before = [tree.get(node) for node in range(tree.node_count)]

        chain = {node: full.nodes[node] for node in needed_for(leaf, count, with_leaf=True)}
        false = data.draw(st.sampled_from(sorted(chain)))
        chain[false] = bytes([chain[false][0] ^ 1]) + chain[false][1:]

        self.assertRaises(BadHash, tree.add, chain)
        self.assertEqual([tree.get(node) for node in range(tree.node_count)], before)

    @given(st.integers(2, 40), st.data())
    def test_one_missing_hash_is_found_and_changes_nothing(self, count: int, data: st.DataObject) -> None:
        full = MerkleTree(leaves(count))
        tree = PartialTree(count, full.root)
        chain = {node: full.nodes[node] for node in needed_for(data.draw(st.integers(0, count - 1)), count, with_leaf=True)}
        del chain[data.draw(st.sampled_from(sorted(chain)))]
        if chain:
            self.assertRaises(NotEnoughHashes, tree.add, chain)
        self.assertEqual([node for node in range(tree.node_count) if tree.get(node)], [0])

    @given(
        st.integers(0, 9),
        st.dictionaries(st.integers(-3, 40), st.binary(max_size=3) | st.sampled_from(MerkleTree(leaves(5)).nodes)),
        st.dictionaries(st.integers(-3, 40), st.sampled_from(leaves(5))),
    )
    def test_any_claims_add_truth_or_are_refused(self, count: int, nodes: dict[int, Any], hashes: dict[int, bytes]) -> None:
        full = MerkleTree(leaves(count))
        tree = PartialTree(count, full.root)
        try:
            tree.add(nodes, hashes)
        except (BadHash, NotEnoughHashes):
            self.assertEqual([node for node in range(tree.node_count) if tree.get(node)], [0])
        for node in range(tree.node_count):
            self.assertIn(tree.get(node), (None, full.nodes[node]))

    def test_the_whole_tree_can_be_added_at_once(self) -> None:
        full = MerkleTree(leaves(300))
        tree = PartialTree(300, full.root)
        tree.add(dict(enumerate(full.nodes)))
        tree.add({}, dict(enumerate(leaves(300))))
        self.assertEqual([tree.get(node) for node in range(tree.node_count)], full.nodes)

    def test_nothing_is_believed_before_the_root_is_set(self) -> None:
        full = MerkleTree(leaves(2))
        for claims in ({}, {0: full.root}, dict(enumerate(full.nodes))):
            tree = PartialTree(2)
            self.assertRaises(NotEnoughHashes, tree.add, claims)
            self.assertIsNone(tree.get(0))

    def test_a_second_root_is_refused(self) -> None:
        tree = PartialTree(1, bytes(32))
        tree.set_root(bytes(32))
        self.assertRaises(BadHash, tree.set_root, b"x" * 32)
        self.assertRaises(BadHash, tree.add, {0: b"x" * 32})
        self.assertEqual(tree.leaf(0), bytes(32))

    def test_a_root_that_is_no_hash_is_refused(self) -> None:
        self.assertRaises(BadHash, PartialTree, 4, b"short")

    def test_numbers_outside_the_tree_are_refused(self) -> None:
        tree = PartialTree(4, bytes(32))
        for node in (-1, 7, 2**80):
            self.assertRaises(BadHash, tree.add, {node: bytes(32)})
        for leaf in (-1, 4, 2**80):
            self.assertRaises(BadHash, tree.add, {}, {leaf: bytes(32)})
