"""Changing a part of an MDMF file where it lies: only the segments touched are read, coded and written again. Spec: 03 §12.

Everything that is kept is kept because it was verified: the block hashes of all shares against the signed root, the segments at
the edges like those of any read. Sizes and coding are those of the version that is changed, never of a memory or a configuration.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from lafs.crypto.rsa import PrivateKey
from lafs.errors import NotEnoughShares
from lafs.mutable.coding import ContentsCoder, prefix_over
from lafs.mutable.encoding import CodedSegment, HashTrees, Keys, SignedVersion, blocks_of
from lafs.mutable.geometry import Geometry
from lafs.mutable.goal import ShareBody
from lafs.mutable.retrieval import Retrieval
from lafs.mutable.share_map import ShareMap
from lafs.mutable.tools import Tools
from lafs.tasks import gather, spawn


@frozen
class Patch:
    """New segments from number `first` on, and the hash trees of the file that they make."""

    geometry: Geometry
    total: int
    first: int
    segments: Sequence[CodedSegment] = field(repr=False)
    trees: HashTrees = field(repr=False)

    def signed(self, sequence_number: int, private_key: PrivateKey, keys: Keys) -> SignedVersion:
        """The version with that number."""
        prefix = prefix_over(self.trees, self.geometry, self.total, b"", sequence_number)
        return SignedVersion(prefix, private_key.sign(prefix.pack()), self.trees, keys)

    def body_size(self, version: SignedVersion) -> int:
        """Bytes that are written of one share."""
        blocks = self.geometry.block_offset(len(self.segments))
        return version.sections.data.start + blocks + version.sections.block_tree.size

    def body(self, version: SignedVersion, share_number: int) -> ShareBody:
        """What changes in one share."""
        data = version.sections.data
        blocks = b"".join(blocks_of(share_number, self.segments, "MDMF"))
        pieces = [
            (0, version.head(share_number)),
            (data.start + self.geometry.block_offset(self.first), blocks),
            (data.end, version.tail(share_number)),
        ]
        return ShareBody(pieces, version.sections.end)


async def patch_in_place(
    tools: Tools, retrieval: Retrieval, shares: ShareMap, coder: ContentsCoder, offset: int, piece: bytes
) -> Patch | None:
    """What to write to have `piece` (not empty) at `offset` (at most the size) of the version that `retrieval` reads.

    None if that cannot be done in place: unless all shares are there, of this version and whole, all must be written anyway.
    """
    version = retrieval.version
    prefix = version.prefix
    others = any(share.prefix != prefix for share in shares.found.values())
    if shares.bad or others or len(version.shares) < prefix.total or not prefix.segment_size:
        return None
    cut = Geometry(prefix.format, max(prefix.size, offset + len(piece)), prefix.segment_size, prefix.needed)
    touched = cut.covering(offset, len(piece))
    # Both questions leave at once: the answers are needed together.
    asking = spawn(retrieval.all_leaves())
    try:
        plaintexts = await _merged(retrieval, cut, touched, offset, piece)
        leaves = await asking
    except NotEnoughShares:
        return None
    finally:
        asking.cancel()
        asking.addErrback(lambda _: None)
    segments = await coder.code_plaintexts(plaintexts)
    trees = await tools.workers.run_sized(64 * cut.count * prefix.total, spliced_trees, leaves, touched.start, segments)
    return Patch(cut, prefix.total, touched.start, segments, trees)


async def _merged(
    retrieval: Retrieval, cut: Geometry, touched: range, offset: int, piece: bytes
) -> list[bytes]:
    """The plaintexts of `touched` with `piece` in them. Raises NotEnoughShares."""
    first, last, end = touched[0], touched[-1], offset + len(piece)
    begin_inside = offset - first * cut.segment_size
    end_inside = end - last * cut.segment_size
    edges = set[int]()
    if begin_inside:
        edges.add(first)
    if end_inside < cut.size_of(last):
        edges.add(last)
    read = await gather(retrieval.segments(range(edge, edge + 1)) for edge in sorted(edges))
    plain = {edge: plaintexts[0] for edge, plaintexts in zip(sorted(edges), read, strict=True)}
    before = plain[first][:begin_inside] if first in plain else b""
    after = plain[last][end_inside:] if last in plain else b""
    merged = before + piece + after
    return [merged[at : at + cut.segment_size] for at in range(0, len(merged), cut.segment_size)]


def spliced_trees(leaves: Mapping[int, Sequence[bytes]], first: int, segments: Sequence[CodedSegment]) -> HashTrees:
    """The hash trees of a file whose shares had these block hashes, by share number, once `segments` are there from `first` on."""
    hashes = []
    for number in sorted(leaves):
        old, new = leaves[number], [segment.block_hashes[number] for segment in segments]
        hashes.append([*old[:first], *new, *old[first + len(new) :]])
    return HashTrees.over(hashes)
