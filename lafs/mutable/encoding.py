"""From contents to the shares of one version: encrypt, code, hash, sign, assemble. Spec: 03 §2, §7.

Pure but for the salts, which are passed in; run in the worker threads by the publisher.
"""
from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from lafs.crypto.aes import ctr
from lafs.crypto.derivations import data_key
from lafs.crypto.hashes import block_hash, salted_block_hash
from lafs.crypto.merkle import MerkleTree
from lafs.erasure import Coder
from lafs.interfaces import Bytes
from lafs.mutable.geometry import Geometry
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


def code_segment(coder: Coder, geometry: Geometry, number: int, plaintext: Bytes, salt: bytes, read_key: bytes) -> CodedSegment:
    """Encrypt and code segment `number`; padding goes behind the ciphertext, never behind the plaintext. Spec: 03 §2.3."""
    ciphertext = ctr(data_key(salt, read_key), plaintext)
    padding = geometry.block_size_of(number) * geometry.needed - len(plaintext)
    blocks = coder.encode(ciphertext + bytes(padding) if padding else ciphertext)
    if geometry.format == "MDMF":
        hashes = [salted_block_hash(salt, block) for block in blocks]
    else:
        hashes = [block_hash(block) for block in blocks]
    return CodedSegment(salt, blocks, hashes)


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

    def block(self, segment: int, coded: CodedSegment, share_number: int) -> tuple[int, bytes]:
        """(offset, bytes) of one block in one share, with its salt where the format keeps it."""
        salt = coded.salt if self.prefix.format == "MDMF" else b""
        offset = self.sections.data.start + self.prefix.geometry.block_offset(segment)
        return offset, b"".join((salt, coded.blocks[share_number]))

    def share(self, share_number: int, coded: Sequence[CodedSegment]) -> bytes:
        """One whole share."""
        whole = bytearray(self.sections.end)
        blocks = [self.block(number, segment, share_number) for number, segment in enumerate(coded)]
        for offset, part in [*self.parts(share_number), *blocks]:
            whole[offset : offset + len(part)] = part
        return bytes(whole)
