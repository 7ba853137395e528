"""Every verdict on a share is the one that the recorded cases ask for, and every node of a stored tree is looked at."""
from __future__ import annotations

from base64 import b64decode
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import ImmutableReadCap, ImmutableVerifyCap, parse
from lafs.crypto.merkle import MerkleTree, leaf_slots
from lafs.errors import CorruptShare, ServerError
from lafs.immutable.layout import UnknownShareVersion
from lafs.immutable.leaf_hashes import HASH_SIZE, TreeShape
from lafs.immutable.stored_trees import StoredTree
from lafs.immutable.verify import READ_AT_ONCE, ShareVerifier
from lafs.tasks import Window, spawn
from lafs.workers import InlineWorkers
from tests.immutable.fake_servers import coded, some_bytes
from tests.vectors_loader import load


@define
class Shelf:
    """A share in memory. Implements `ShareReader`."""

    share: bytes
    longest_read: int = 0
    failure: Exception | None = None
    reports: list[str] = field(factory=list)

    async def read(self, offset: int, length: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        self.longest_read = max(self.longest_read, length)
        return self.share[offset : offset + length]

    async def report_corruption(self, reason: str) -> None:
        self.reports.append(reason)


def verifying(cap: ImmutableVerifyCap, number: int, share: Shelf, clock: Clock | None = None) -> Deferred[None]:
    verifier = ShareVerifier(cap, number, share, Window(1 << 25), InlineWorkers(), clock or Clock())
    return spawn(verifier.verify())


def verdict(cap: ImmutableVerifyCap, number: int, share: bytes) -> str:
    outcome: list[Any] = []
    verifying(cap, number, Shelf(share)).addBoth(outcome.append)
    if outcome[0] is None:
        return "good"
    error = outcome[0].value
    if isinstance(error, UnknownShareVersion):
        return "incompatible"
    return "corrupt" if isinstance(error, CorruptShare) else repr(error)


def verifier_of(cap_text: str) -> ImmutableVerifyCap:
    cap = parse(cap_text)
    assert isinstance(cap, ImmutableReadCap)
    return cap.verifier()


class RecordedVerdicts(SynchronousTestCase):
    """What the real peer's verifier says of a share, and what it should have said where it broke down."""

    def test_shares_of_the_peer_are_good(self) -> None:
        for vector in load("immutable_shares")["encode_vectors"]:
            for share in vector["shares"]:
                if "data_base64" in share:
                    found = verdict(verifier_of(vector["read_cap"]), share["shnum"], b64decode(share["data_base64"]))
                    self.assertEqual(found, "good", (vector["name"], share["shnum"]))

    def test_damaged_shares_get_their_verdict(self) -> None:
        vectors = load("immutable_shares")
        files = {vector["name"]: vector for vector in vectors["encode_vectors"]}
        tried = 0
        for vector in vectors["verify_vectors"]:
            file, number = files[vector["encode_vector"]], vector["shnum"]
            (whole,) = [b64decode(share["data_base64"]) for share in file["shares"] if share["shnum"] == number]
            for case in vector["cases"]:
                share = bytearray(whole)
                if "truncate_to" in case:
                    del share[case["truncate_to"] :]
                else:
                    share[case["offset"]] ^= case["xor"]
                self.assertEqual(verdict(verifier_of(file["read_cap"]), number, bytes(share)), case["verdict"], case)
                tried += 1
        self.assertGreater(tried, 30)

    def test_unusual_shares_get_their_verdict(self) -> None:
        for vector in load("immutable_shares")["reader_vectors"]:
            wanted = "good" if vector["tahoe_verify"] == "healthy" else "corrupt"
            verdicts = {
                verdict(verifier_of(vector["read_cap"]), share["shnum"], b64decode(share["data_base64"]))
                for share in vector["shares"]
            }
            self.assertEqual(verdicts, {wanted}, vector["name"])


class Verifying(SynchronousTestCase):
    """A share is read to its last byte, in pieces, and judged for itself."""

    def test_large_blocks_are_read_in_pieces(self) -> None:
        file = coded(some_bytes(5_000_000), needed=1, total=2, max_segment_size=50_000)
        shelf = Shelf(file.shares[1])
        self.successResultOf(verifying(file.cap.verifier(), 1, shelf))
        self.assertLessEqual(shelf.longest_read, READ_AT_ONCE)

    def test_a_flip_in_the_last_block_is_found(self) -> None:
        file = coded(some_bytes(5_000_000), needed=1, total=2, max_segment_size=50_000)
        share = bytearray(file.shares[1])
        share[file.layout.offsets.data + file.segmentation.share_data_size - 1] ^= 1
        self.assertEqual(verdict(file.cap.verifier(), 1, bytes(share)), "corrupt")

    def test_a_share_under_another_number_is_corrupt(self) -> None:
        file = coded(some_bytes(400), needed=2, total=4, max_segment_size=128)
        self.assertEqual(verdict(file.cap.verifier(), 2, file.shares[1]), "corrupt")

    def test_an_error_of_the_server_is_no_verdict(self) -> None:
        file = coded(some_bytes(400), needed=2, total=4, max_segment_size=128)
        failing = verifying(file.cap.verifier(), 1, Shelf(file.shares[1], failure=ServerError("gone")))
        self.failureResultOf(failing, ServerError)

    def test_every_truncation_is_corrupt(self) -> None:
        file = coded(some_bytes(400), needed=2, total=4, max_segment_size=128)
        share = file.shares[0]
        for length in range(len(share)):
            self.assertEqual(verdict(file.cap.verifier(), 0, share[:length]), "corrupt", length)


class StoredTrees(SynchronousTestCase):
    """All nodes of a stored tree are compared, in groups of any size."""

    @given(st.integers(1, 40), st.data())
    def test_any_wrong_node_is_found_and_a_right_tree_passes(self, leaves: int, data: st.DataObject) -> None:
        slots = leaf_slots(leaves)
        shape = TreeShape(slots, 1 << data.draw(st.integers(0, slots.bit_length() - 1)))
        tree = MerkleTree([bytes([number]) * HASH_SIZE for number in range(leaves)])
        self.assertEqual(self.read(tree.pack(), shape, tree.root)[:leaves], tree.nodes[tree.first_leaf :][:leaves])
        node = data.draw(st.integers(0, len(tree.nodes) - 1))
        spoilt = bytearray(tree.pack())
        spoilt[node * HASH_SIZE + data.draw(st.integers(0, HASH_SIZE - 1))] ^= data.draw(st.integers(1, 255))
        with self.assertRaises(CorruptShare):
            self.read(bytes(spoilt), shape, tree.root)

    def read(self, packed: bytes, shape: TreeShape, root: bytes) -> list[bytes]:
        tree = StoredTree(7, shape, root)
        share = bytes(7) + packed
        seen: set[int] = set()

        def rows(wanted: Any) -> dict[Any, bytes]:
            found = {}
            for row in wanted:
                place = tree.place(row)
                seen.update(range(row.first, row.first + row.count))
                found[row] = share[place.offset : place.offset + place.length]
            return found

        crown = tree.verified_crown(rows(tree.crown()))
        leaves = [
            leaf for group, proof in enumerate(crown) for leaf in tree.verified_leaves(group, proof, rows(tree.below(group)))
        ]
        self.assertEqual(seen, set(range(len(packed) // HASH_SIZE)), "every node was read")
        return leaves
