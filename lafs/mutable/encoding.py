"""From contents to the shares of one version: encrypt, code, hash, sign, assemble. Spec: 03 §2, §7.

Pure but for the salts, which are passed in; run in the worker threads by the publisher.
"""
from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from lafs.crypto.aes import ctr
from lafs.crypto.derivations import data_key
from lafs.crypto.hashes import salted_block_hash
from lafs.crypto.merkle import MerkleTree
from lafs.erasure import Coder
from lafs.interfaces import Bytes
from lafs.mutable.geometry import Format
from lafs.mutable.share_layout import Prefix, Sections, pack_chain


@frozen
class Keys:
    """What writing a version takes, besides the right to sign it: keys as they lie in shares, and the key of the contents."""

    read_key: bytes = field(repr=False)
    verification_key: bytes = field(repr=False)
    encrypted_private_key: bytes = field(repr=False)


@frozen
class CodedSegment:
    """Block and block hash of every share for one segment, by share number; and the segment's salt."""

    salt: bytes = field(repr=False)
    blocks: Sequence[Bytes] = field(repr=False)
    block_hashes: Sequence[bytes] = field(repr=False)


def code_segment(coder: Coder, format: Format, plaintext: Bytes, salt: bytes, read_key: bytes) -> CodedSegment:
    """Encrypt and code one segment; padding goes behind the ciphertext, never behind the plaintext. Spec: 03 §2.3."""
    ciphertext = ctr(data_key(salt, read_key), plaintext)
    padding = -len(plaintext) % coder.needed
    blocks = coder.encode(ciphertext + bytes(padding) if padding else ciphertext)
    salted = salt if format == "MDMF" else b""
    return CodedSegment(salt, blocks, [salted_block_hash(salted, block) for block in blocks])


def code_segments(
    coder: Coder, format: Format, plaintexts: Sequence[Bytes], salts: Sequence[bytes], read_key: bytes
) -> list[CodedSegment]:
    """`code_segment` of several, with a fresh salt for each."""
    return [
        code_segment(coder, format, plaintext, salt, read_key)
        for plaintext, salt in zip(plaintexts, salts, strict=True)
    ]


@frozen
class HashTrees:
    """The block hash tree of every share, by share number, and the share hash tree over their roots."""

    blocks: Sequence[MerkleTree] = field(repr=False)
    shares: MerkleTree = field(repr=False)

    @classmethod
    def over(cls, block_hashes: Sequence[Sequence[bytes]]) -> HashTrees:
        """From the block hashes of every share, each in segment order; a file without segments has none."""
        blocks = [MerkleTree(hashes) for hashes in block_hashes]
        return cls(blocks, MerkleTree([tree.root for tree in blocks]))


@frozen
class SignedVersion:
    """A version ready to be written: its prefix, the signature of that, the hash trees, and where everything goes."""

    prefix: Prefix
    signature: bytes = field(repr=False)
    trees: HashTrees = field(repr=False)
    keys: Keys
    sections: Sections = field(init=False)

    def __attrs_post_init__(self) -> None:
        sections = Sections.laid_out(
            self.prefix, len(self.keys.verification_key), len(self.keys.encrypted_private_key)
        )
        object.__setattr__(self, "sections", sections)

    def header(self) -> bytes:
        """Prefix and offset table: the same in all shares."""
        return self.prefix.pack() + self.sections.pack(self.prefix.format)

    def parts(self, share_number: int) -> list[tuple[int, bytes]]:
        """(offset, bytes) of everything in one share but its blocks."""
        sections = self.sections
        return [
            (0, self.header()),
            (sections.verification_key.start, self.keys.verification_key),
            (sections.signature.start, self.signature),
            (sections.chain.start, pack_chain(share_number, self.trees.shares.nodes, self.prefix.total)),
            (sections.block_tree.start, self.trees.blocks[share_number].pack()),
            (sections.private_key.start, self.keys.encrypted_private_key),
        ]

    def head(self, share_number: int) -> bytes:
        """Everything of one share in front of its blocks: what of that belongs to nothing is zeros."""
        sections = self.sections
        head = bytearray(sections.data.start)
        for offset, part in self.parts(share_number):
            if offset < sections.data.start:
                head[offset : offset + len(part)] = part
        return bytes(head)

    def tail(self, share_number: int) -> bytes:
        """Everything of one share behind its blocks."""
        if self.prefix.format == "SDMF":
            return self.keys.encrypted_private_key
        return self.trees.blocks[share_number].pack()

    def share(self, share_number: int, coded: Sequence[CodedSegment]) -> list[tuple[int, Bytes]]:
        """(offset, bytes) of the pieces of one whole share. Nothing large is copied for SDMF, where it is one block."""
        blocks = blocks_of(share_number, coded, self.prefix.format)
        data = self.sections.data
        if self.prefix.format == "SDMF" and len(blocks) == 1:
            return [(0, self.head(share_number)), (data.start, blocks[0]), (data.end, self.tail(share_number))]
        return [(0, b"".join([self.head(share_number), *blocks, self.tail(share_number)]))]


def blocks_of(share_number: int, coded: Sequence[CodedSegment], format: Format) -> list[Bytes]:
    """The blocks of one share, in order, each behind its salt where the format keeps it there."""
    if format == "SDMF":
        return [segment.blocks[share_number] for segment in coded]
    return [piece for segment in coded for piece in (segment.salt, segment.blocks[share_number])]
