"""From contents to cap with the primitives alone: every value on the way is the peer's."""
from __future__ import annotations

from hashlib import sha256
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import ImmutableReadCap
from lafs.cli.remote_paths import parse as parse_argument
from lafs.crypto.aes import ctr
from lafs.crypto.derivations import ConvergenceHasher
from lafs.crypto.hashes import Tag, block_hash, ciphertext_segment_hash, tagged_hash, ueb_hash
from lafs.crypto.merkle import MerkleTree, PartialTree, needed_for
from lafs.erasure import Coder
from lafs.immutable.parameters import EncodingParameters
from lafs.immutable.segmentation import Segmentation
from lafs.immutable.ueb import pack, pack_for_upload, parse_fields
from tests.crypto.vector_groups import content, group
from tests.vectors_loader import available, load


class Coded:
    """A file coded by the straight way, without a window or a grid."""

    def __init__(self, data: bytes, secret: bytes, parameters: EncodingParameters) -> None:
        self.total, needed = parameters.total, parameters.needed
        self.segmentation = Segmentation(len(data), parameters.segment_size_for(len(data)), needed)
        hasher = ConvergenceHasher(secret, needed, self.total, self.segmentation.segment_size)
        hasher.update(data)
        self.key = hasher.digest()
        ciphertext = ctr(self.key, data)
        coder = Coder(needed, self.total)
        size = self.segmentation.segment_size
        segments = [ciphertext[start : start + size] for start in range(0, len(ciphertext), size)]
        padded = [segment + bytes(-len(segment) % needed) for segment in segments]
        coded = [coder.encode(segment) for segment in padded]
        self.shares = [[bytes(blocks[number]) for blocks in coded] for number in range(self.total)]
        self.share_tree = MerkleTree(MerkleTree(map(block_hash, share)).root for share in self.shares)
        self.ciphertext_hash = tagged_hash(Tag.CIPHERTEXT, ciphertext)
        self.ciphertext_root = MerkleTree(map(ciphertext_segment_hash, segments)).root
        self.ueb = pack_for_upload(
            self.segmentation,
            self.total,
            ciphertext_hash=self.ciphertext_hash,
            ciphertext_root=self.ciphertext_root,
            share_root=self.share_tree.root,
        )
        self.cap = ImmutableReadCap(self.key, ueb_hash(self.ueb), needed, self.total, len(data))


class Pipeline(SynchronousTestCase):
    """Known answers for whole files."""

    def test_every_value_on_the_way(self) -> None:
        for case in group("chk_pipeline"):
            with self.subTest(case["id"]):
                asked, expected = case["in"], case["out"]
                parameters = EncodingParameters(asked["k"], 1, asked["n"], asked["max_segment_size"])
                coded = Coded(content(asked["content"]), bytes.fromhex(asked["secret_hex"]), parameters)
                self.check(coded, expected)

    def check(self, coded: Coded, expected: dict[str, Any]) -> None:
        last = coded.total - 1
        self.assertEqual(
            {
                "segment_size": coded.segmentation.segment_size,
                "num_segments": coded.segmentation.count,
                "key_hex": coded.key.hex(),
                "storage_index_b32": coded.cap.storage_index.text,
                "crypttext_hash_hex": coded.ciphertext_hash.hex(),
                "crypttext_root_hash_hex": coded.ciphertext_root.hex(),
                "share_root_hash_hex": coded.share_tree.root.hex(),
                "ueb_hex": coded.ueb.hex(),
                "ueb_hash_hex": coded.cap.ueb_hash.hex(),
                "cap": coded.cap.text,
                "verifier": coded.cap.verifier().text,
                "last_share_sha256_hex": sha256(b"".join(coded.shares[last])).hexdigest(),
                "last_share_chain": sorted(needed_for(last, coded.total, with_leaf=True)),
            },
            {name: value for name, value in expected.items() if name != "share_leaves_hex"},
        )
        leaves = coded.share_tree.nodes[coded.share_tree.first_leaf :][: coded.total]
        if "share_leaves_hex" in expected:
            self.assertEqual([leaf.hex() for leaf in leaves], expected["share_leaves_hex"])
        proven = PartialTree(coded.total, coded.share_tree.root)
        proven.add({node: coded.share_tree.nodes[node] for node in expected["last_share_chain"]})
        self.assertEqual(proven.leaf(last), leaves[last])

    def test_published_caps_of_whole_files(self) -> None:
        if not available("caps_end_to_end"):
            self.skipTest("no folder of vectors has caps_end_to_end.json")
        cases = [case for case in load("caps_end_to_end")["cases"] if case["format"] == "chk"]
        self.assertTrue(cases)
        for case in cases:
            with self.subTest(case["id"]):
                parameters = EncodingParameters(case["k"], 1, case["n"], case["max_segment_size"])
                coded = Coded(content(case["content"]), bytes.fromhex(case["convergence_secret_hex"]), parameters)
                self.assertEqual(coded.cap.text, case["expected"]["cap"])
                self.assertEqual(coded.segmentation.segment_size, case["expected"]["segment_size"])
                self.assertEqual(coded.segmentation.count, case["expected"]["num_segments"])

    def test_ueb(self) -> None:
        for case in group("ueb"):
            fields = {
                name: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
                for name, value in case["in"]["fields"].items()
            }
            packed = pack(fields)
            self.assertEqual(packed.hex(), case["out"]["packed_hex"])
            self.assertEqual(ueb_hash(packed).hex(), case["out"]["hash_hex"])
            read = {name: value if isinstance(value, bytes) else str(value).encode() for name, value in fields.items()}
            self.assertEqual(parse_fields(packed), read)


class Arguments(SynchronousTestCase):
    """Caps and paths on a command line."""

    def test_a_cap_is_cut_from_the_path_behind_it(self) -> None:
        for case in group("cli_cap_path"):
            read = parse_argument(case["in"]["text"])
            self.assertEqual((read.cap, read.path.encode("utf-8").hex()), (case["out"]["cap"], case["out"]["path_hex"]))
