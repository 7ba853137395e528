"""Equal files have equal shares: bit for bit those of the peer."""
from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import ImmutableReadCap
from lafs.crypto.derivations import ConvergenceHasher
from lafs.errors import SourceFailed
from lafs.immutable.encoder import Encoder
from lafs.immutable.keying import ConvergentKeys
from lafs.immutable.layout import ShareLayout, chain_order, parse_header, unpack_chain
from lafs.immutable.parameters import EncodingParameters
from lafs.immutable.segmentation import Segmentation
from lafs.sources import BytesSource
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from tests import vectors_loader
from tests.immutable.vector_contents import contents_of

VECTORS: list[dict[str, Any]] = vectors_loader.load("immutable_shares")["encode_vectors"]


def key_of(vector: dict[str, Any], contents: bytes) -> bytes:
    encoding = EncodingParameters(vector["k"], 1, vector["n"], vector["max_segment_size"])
    hasher = ConvergenceHasher(
        bytes.fromhex(vector["convergence_hex"]), vector["k"], vector["n"], encoding.segment_size_for(len(contents))
    )
    hasher.update(contents)
    return hasher.digest()


async def encode_whole(contents: bytes, key: bytes, layout: ShareLayout) -> tuple[list[bytes], bytes]:
    """All shares of a file, and its UEB hash."""
    encoder = Encoder(BytesSource(contents), key, layout, InlineWorkers())
    shares = [[layout.header()] for _ in range(layout.total)]
    while (segment := await encoder.next()) is not None:
        for share, block in zip(shares, segment.blocks, strict=True):
            share.append(bytes(block))
    trailers = await encoder.finish()
    for share, trailer in zip(shares, trailers.trailers, strict=True):
        share.append(trailer)
    return [b"".join(share) for share in shares], trailers.ueb_hash


class Shares(SynchronousTestCase):
    def test_are_those_of_the_peer(self) -> None:
        for vector in VECTORS:
            contents = contents_of(vector)
            key = key_of(vector, contents)
            self.assertEqual(key.hex(), vector["key_hex"], vector["name"])
            encoding = EncodingParameters(vector["k"], 1, vector["n"], vector["max_segment_size"])
            cut = Segmentation(len(contents), encoding.segment_size_for(len(contents)), vector["k"])
            layout = ShareLayout.of(cut, vector["n"], version=vector["layout_version"])
            shares, ueb_hash = self.successResultOf(spawn(encode_whole(contents, key, layout)))

            self.assertEqual(layout.share_size, vector["sizes"]["allocated_size"], vector["name"])
            self.assertEqual(ueb_hash.hex(), vector["ueb_hash_hex"], vector["name"])
            cap = ImmutableReadCap(key, ueb_hash, vector["k"], vector["n"], len(contents))
            self.assertEqual(cap.text, vector["read_cap"])
            for known in vector["shares"]:
                share = shares[known["shnum"]]
                self.assertEqual(len(share), known["length"], vector["name"])
                self.assertEqual(sha256(share).hexdigest(), known["sha256"], f"{vector['name']} share {known['shnum']}")
                if "data_base64" in known:
                    self.assertEqual(share, b64decode(known["data_base64"]))

    def test_a_source_that_ends_early_is_an_error_not_a_short_file(self) -> None:
        layout = ShareLayout.of(Segmentation(100, 102, 3), 10)
        self.failureResultOf(spawn(encode_whole(b"x" * 99, bytes(16), layout)), SourceFailed)


class Layout(SynchronousTestCase):
    def test_sizes_and_offsets_are_those_of_the_peer(self) -> None:
        for vector in VECTORS:
            sizes, offsets = vector["sizes"], vector["offsets"]
            cut = Segmentation(vector["content"]["length"], sizes["segment_size"], vector["k"])
            layout = ShareLayout.of(cut, vector["n"], version=vector["layout_version"])
            self.assertEqual(cut.count, sizes["num_segments"])
            self.assertEqual(cut.block_size, sizes["block_size"])
            self.assertEqual((cut.tail_size, cut.padded_tail_size), (sizes["tail_segment_size"], sizes["tail_segment_padded"]))
            self.assertEqual((cut.tail_block_size, cut.share_data_size), (sizes["tail_block_size"], sizes["share_data_size"]))
            self.assertEqual(layout.offsets.ueb, offsets["uri_extension"])
            self.assertEqual(parse_header(layout.header()), layout.offsets)

    def test_chains_are_in_the_order_the_peer_writes(self) -> None:
        for vector in VECTORS:
            for share in vector["shares"]:
                order = chain_order(share["shnum"], vector["n"])
                self.assertEqual(list(order), share["share_hash_chain_indices"], (vector["name"], share["shnum"]))

    def test_files_beyond_four_gigabytes_a_share_get_wide_offsets(self) -> None:
        small, large = (ShareLayout.of(Segmentation(size, 1 << 20, 1), 1) for size in (1 << 20, 1 << 32))
        self.assertEqual((small.version, large.version), (1, 2))

    @given(st.binary(max_size=80))
    def test_any_bytes_as_a_header_are_an_answer_or_a_corrupt_share(self, start: bytes) -> None:
        from lafs.errors import CorruptShare

        try:
            offsets = parse_header(start)
        except CorruptShare:
            return
        self.assertGreaterEqual(offsets.chain_size, 0)

    @given(st.binary(max_size=340), st.integers(1, 20))
    def test_any_bytes_as_a_chain_stay_inside_the_tree(self, packed: bytes, total: int) -> None:
        from lafs.errors import CorruptShare

        try:
            chain = unpack_chain(packed[: len(packed) // 34 * 34], total)
        except CorruptShare:
            return
        self.assertTrue(all(node < 63 for node in chain))


class Segments(SynchronousTestCase):
    @given(st.integers(1, 400), st.integers(1, 12), st.integers(1, 8), st.integers(0, 500), st.integers(0, 500))
    def test_slices_cover_a_range_exactly(self, file_size: int, blocks: int, needed: int, offset: int, size: int) -> None:
        cut = Segmentation(file_size, blocks * needed, needed)
        covered = [
            number * cut.segment_size + position
            for number, start, end in ((each.number, each.start, each.end) for each in cut.covering(offset, size))
            for position in range(start, end)
        ]
        self.assertEqual(covered, list(range(offset, min(offset + size, file_size))))
        self.assertEqual(sum(map(cut.size_of, range(cut.count))), file_size)


class ConvergentKeyOfAStream(SynchronousTestCase):
    """A stream of unknown size gets the key that the same contents in a file get."""

    @given(st.binary(min_size=1, max_size=300), st.integers(1, 40))
    def test_is_the_key_of_the_contents(self, contents: bytes, max_segment_size: int) -> None:
        encoding = EncodingParameters(3, 7, 10, max_segment_size)
        keys = ConvergentKeys(b"secret", InlineWorkers(), None)
        from_file = self.successResultOf(spawn(keys.key_for(BytesSource(contents), encoding)))
        from_stream = self.successResultOf(spawn(keys.key_for(Stream(contents), encoding)))
        self.assertEqual(from_stream.key, from_file.key)
        self.assertEqual(from_stream.size, len(contents))
        self.assertEqual(self.successResultOf(spawn(from_stream.source.read(1000))), contents)


class Stream(BytesSource):
    """Bytes that come once, from who knows how far."""

    rewindable = False
    size = None  # type: ignore[assignment]
