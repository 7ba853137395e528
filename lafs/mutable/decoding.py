"""From shares to contents: check hash trees and blocks, decode, decrypt. Spec: 03 §11, §15.

Pure; run in the worker threads. Nothing of a share is used before it was checked here, up to the signed root hash.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from lafs.crypto.aes import ctr
from lafs.crypto.derivations import data_key
from lafs.crypto.hashes import block_hash, salted_block_hash
from lafs.crypto.merkle import BadHash, MerkleTree, NotEnoughHashes, PartialTree
from lafs.erasure import Coder
from lafs.errors import CorruptShare
from lafs.interfaces import Bytes
from lafs.mutable.geometry import SALT_SIZE
from lafs.mutable.share_layout import HASH_SIZE, Prefix, unpack_chain


@frozen
class Block:
    """One block of a share that was found to be what the owner of the file made, and the salt of its segment."""

    salt: bytes = field(repr=False)
    data: Bytes = field(repr=False)


def check_tree(prefix: Prefix, packed_tree: bytes) -> tuple[bytes, Sequence[bytes]]:
    """The root of the block hash tree of one share, and the hashes of its blocks. Nothing yet tells whether they are true.

    Raises CorruptShare if the tree is not consistent in all its nodes.
    """
    count = prefix.geometry.count
    nodes = [packed_tree[at : at + HASH_SIZE] for at in range(0, len(packed_tree), HASH_SIZE)]
    leaves = nodes[len(nodes) // 2 :][:count]
    if len(packed_tree) % HASH_SIZE or len(leaves) != count or MerkleTree(leaves).nodes != nodes:
        raise CorruptShare("the block hash tree is wrong")
    return nodes[0], leaves


def check_chain(prefix: Prefix, roots: PartialTree, share_number: int, root: bytes, packed_chain: bytes) -> None:
    """Raises CorruptShare unless `root`, as that of this share, leads to the signed root hash. `roots` learns what is true."""
    try:
        roots.add(unpack_chain(packed_chain, prefix.total), {share_number: root})
    except (BadHash, NotEnoughHashes):
        raise CorruptShare("the share hash chain is wrong") from None


def check_blocks(prefix: Prefix, leaves: Sequence[bytes], segments: range, data: Bytes) -> list[Block]:
    """The blocks of `segments`, of which `data` are the bytes in one share. Raises CorruptShare if one has another hash."""
    cut = prefix.geometry
    view = memoryview(data)
    origin = cut.block_offset(segments.start)
    blocks = []
    for segment in segments:
        start = cut.block_offset(segment) - origin + cut.salt_in_block
        end = start + cut.block_size_of(segment)
        if end > len(view):
            raise CorruptShare("the share ends inside a block")
        block = view[start:end]
        if prefix.format == "MDMF":
            salt = bytes(view[start - SALT_SIZE : start])
            found = salted_block_hash(salt, block)
        else:
            salt, found = prefix.salt, block_hash(block)
        if found != leaves[segment]:
            raise CorruptShare("a block is wrong")
        blocks.append(Block(salt, block))
    return blocks


def recover(prefix: Prefix, segments: range, blocks: Mapping[int, Sequence[Block]], read_key: bytes) -> list[bytes]:
    """The plaintexts of `segments` from checked blocks, by share number, of `needed` shares."""
    cut = prefix.geometry
    coder = Coder(prefix.needed, prefix.total)
    plaintexts = []
    for position, segment in enumerate(segments):
        padded = coder.decode({number: of_share[position].data for number, of_share in blocks.items()})
        ciphertext = memoryview(padded)[: cut.size_of(segment)]
        # The salts of all shares are those of the owner, so they are equal.
        salt = next(iter(blocks.values()))[position].salt
        plaintexts.append(ctr(data_key(salt, read_key), ciphertext))
    return plaintexts
