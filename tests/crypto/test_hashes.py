"""Tagged hashes: every tag, every form."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.hashes import (
    Tag,
    TaggedHasher,
    block_hash,
    ciphertext_segment_hash,
    salted_block_hash,
    tagged_hash,
    tagged_pair_hash,
    ueb_hash,
)
from lafs.crypto.netstring import netstring
from tests.crypto.vector_groups import content, group


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_tagged_hashes(self) -> None:
        for case in group("tagged_hash"):
            asked = case["in"]
            hashed = tagged_hash(bytes.fromhex(asked["tag_hex"]), bytes.fromhex(asked["value_hex"]), asked["truncate"])
            self.assertEqual(hashed.hex(), case["out"]["hash_hex"])

    def test_tagged_pair_hashes(self) -> None:
        for case in group("tagged_pair_hash"):
            asked = case["in"]
            tag, first, second = (bytes.fromhex(asked[name]) for name in ("tag_hex", "value1_hex", "value2_hex"))
            self.assertEqual(tagged_pair_hash(tag, first, second, asked["truncate"]).hex(), case["out"]["hash_hex"])

    def test_hashes_of_data(self) -> None:
        tags = {
            "block_hex": Tag.BLOCK,
            "uri_extension_hex": Tag.UEB,
            "plaintext_hex": Tag.PLAINTEXT,
            "crypttext_hex": Tag.CIPHERTEXT,
            "plaintext_segment_hex": Tag.PLAINTEXT_SEGMENT,
            "crypttext_segment_hex": Tag.CIPHERTEXT_SEGMENT,
        }
        for case in group("data_hashes"):
            data = content(case["in"]["content"])
            self.assertEqual({name: tagged_hash(tag, data).hex() for name, tag in tags.items()}, case["out"])
            self.assertEqual(block_hash(data).hex(), case["out"]["block_hex"])
            self.assertEqual(ciphertext_segment_hash(memoryview(data)).hex(), case["out"]["crypttext_segment_hex"])
            self.assertEqual(ueb_hash(bytearray(data)).hex(), case["out"]["uri_extension_hex"])

    def test_block_hashes_of_both_mutable_formats(self) -> None:
        for case in group("mutable_block_hash"):
            salt, block = bytes.fromhex(case["in"]["salt_hex"]), bytes.fromhex(case["in"]["block_hex"])
            self.assertEqual(block_hash(block).hex(), case["out"]["sdmf_hex"])
            self.assertEqual(salted_block_hash(salt, block).hex(), case["out"]["mdmf_hex"])


class Hashing(SynchronousTestCase):
    """What holds for all values."""

    @given(st.sampled_from(list(Tag)), st.lists(st.binary(max_size=50), max_size=5))
    def test_pieces_hash_like_the_whole(self, tag: Tag, pieces: list[bytes]) -> None:
        hasher = TaggedHasher(tag)
        for piece in pieces:
            hasher.digest()
            hasher.update(piece)
        self.assertEqual(hasher.digest(), tagged_hash(tag, b"".join(pieces)))
        self.assertEqual(len(hasher.digest()), tag.size)

    def test_the_table_holds_each_tag_once(self) -> None:
        # Enum would quietly make two equal members one.
        self.assertEqual(len(Tag), 27)
        self.assertEqual(len({tag.text for tag in Tag}), 27)
        for tag in Tag:
            self.assertEqual(tag.prefix, netstring(tag.text))
