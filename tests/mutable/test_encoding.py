"""Equal versions have equal shares: bit for bit those of the peer."""
from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.aes import ctr
from lafs.crypto.rsa import PublicKey
from lafs.erasure import Coder
from lafs.errors import CorruptShare
from lafs.interfaces import Bytes
from lafs.mutable.encoding import CodedSegment, HashTrees, Keys, SignedVersion, code_segment
from lafs.mutable.geometry import Geometry, segment_size_of
from lafs.mutable.share_layout import Prefix, Section, parse_prefix, parse_sections, unpack_chain
from tests.mutable.vector_contents import FILES, contents_of


def code(vector: dict[str, Any], contents: bytes) -> tuple[list[CodedSegment], SignedVersion]:
    """Encode a file with the salts and the signature of the vector."""
    cut = Geometry(vector["format"], len(contents), vector["segment_size"], vector["k"])
    salts = [bytes.fromhex(salt) for salt in vector["salts_hex"]]
    read_key = bytes.fromhex(vector["readkey_hex"])
    coder = Coder(vector["k"], vector["n"])
    coded = []
    for number in range(cut.count):
        start = number * cut.segment_size
        plaintext = contents[start : start + cut.size_of(number)]
        coded.append(code_segment(coder, vector["format"], plaintext, salts[number], read_key))
    trees = HashTrees.over([[each.block_hashes[share] for each in coded] for share in range(vector["n"])])
    salt = salts[0] if vector["format"] == "SDMF" else b""
    prefix = Prefix(
        vector["format"], vector["seqnum"], trees.shares.root, salt, vector["k"], vector["n"], cut.segment_size, cut.size
    )
    private_key = ctr(bytes.fromhex(vector["writekey_hex"]), bytes.fromhex(vector["privkey_der_hex"]))
    keys = Keys(read_key, bytes.fromhex(vector["pubkey_der_hex"]), private_key)
    return coded, SignedVersion(prefix, bytes.fromhex(vector["signature_hex"]), trees, keys)


def joined(pieces: Sequence[tuple[int, Bytes]]) -> bytes:
    """The share that is made of `pieces`, which lie one behind the other."""
    share = b""
    for offset, piece in pieces:
        assert offset == len(share)
        share += piece
    return share


class Shares(SynchronousTestCase):
    def test_are_those_of_the_peer(self) -> None:
        for name, vector in FILES.items():
            coded, version = code(vector, contents_of(vector))
            self.assertEqual(version.prefix.root_hash.hex(), vector["root_hash_hex"], name)
            self.assertEqual(version.prefix.pack().hex(), vector["signed_prefix_hex"], name)
            self.assertEqual(version.prefix.checkstring.hex(), vector["checkstring_hex"], name)
            self.assertEqual([tree.root.hex() for tree in version.trees.blocks], vector["share_roots_hex"], name)
            self.assertTrue(PublicKey.parse(version.keys.verification_key).verify(version.signature, version.prefix.pack()))
            for number, known in vector["shares"].items():
                share = joined(version.share(int(number), coded))
                if "data_b64" in known:
                    stored = b64decode(known["data_b64"])[: known["eof"]]
                    self.assertEqual(without_gap(version, share), without_gap(version, stored), (name, number))
                elif vector["format"] == "SDMF":
                    self.assertEqual(sha256(share).hexdigest(), known["sha256_to_eof"], (name, number))

    def test_segment_sizes_are_those_of_the_peer(self) -> None:
        for needed, size in {1: 131072, 3: 131073, 5: 131075, 7: 131075, 10: 131080}.items():
            self.assertEqual(segment_size_of("MDMF", 5, needed), size)


def without_gap(version: SignedVersion, share: bytes) -> bytes:
    """A share without the bytes in front of MDMF data that belong to nothing and may hold anything."""
    gap = Section(version.sections.verification_key.end, version.sections.data.start)
    return share if version.prefix.format == "SDMF" else share[: gap.start] + share[gap.end :]


class Headers(SynchronousTestCase):
    def test_what_is_written_is_read(self) -> None:
        for vector in FILES.values():
            _, version = code(vector, contents_of(vector))
            self.assertEqual(parse_prefix(version.header()), version.prefix)
            self.assertEqual(parse_sections(version.prefix, version.header()), version.sections)
            self.assertEqual(version.sections.signature.start, vector["offsets"]["signature"])

    @given(st.one_of(st.binary(max_size=140), st.builds(bytes.__add__, st.sampled_from([b"\0", b"\1"]), st.binary(max_size=140))))
    def test_any_bytes_are_an_answer_or_a_corrupt_share(self, start: bytes) -> None:
        try:
            prefix = parse_prefix(start)
            sections = parse_sections(prefix, start)
        except CorruptShare:
            return
        self.assertLessEqual(sections.data.start, sections.data.end)

    @given(st.binary(max_size=340), st.integers(1, 255))
    def test_any_bytes_as_a_chain_stay_inside_the_tree(self, packed: bytes, total: int) -> None:
        try:
            chain = unpack_chain(packed, total)
        except CorruptShare:
            return
        self.assertTrue(all(0 <= node < 511 for node in chain))
