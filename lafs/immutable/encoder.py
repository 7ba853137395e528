"""From plaintext to blocks: the coding pipeline of an upload.

Segments are read and encrypted strictly in order, since the cipher and the flat hash run over the whole file; erasure coding
and block hashes of several segments then go on side by side in the worker threads. The uploader takes finished segments in
order, and what it has not taken bounds what is coded ahead. Spec: 01 §11, 02 §§4-7.
"""
from __future__ import annotations

from collections import deque

from attrs import field, frozen
from twisted.internet.defer import Deferred

from lafs.crypto.aes import CtrStream
from lafs.crypto.hashes import Tag, TaggedHasher, block_hash, ciphertext_segment_hash, ueb_hash
from lafs.crypto.merkle import MerkleTree
from lafs.erasure import Coder
from lafs.errors import BadCiphertext, SourceFailed
from lafs.immutable import ueb
from lafs.immutable.layout import ShareLayout, pack_chain
from lafs.immutable.segmentation import Segmentation
from lafs.interfaces import Bytes, Source
from lafs.tasks import Lane, spawn
from lafs.workers import Workers

SEGMENTS_AHEAD = 3
"""Segments being coded, or coded and not yet taken: enough to keep two cores busy while the network takes the one before."""


@frozen
class EncodedSegment:
    """One segment, coded: block and block hash of every share, by share number; and the hash of its ciphertext."""

    blocks: list[Bytes] = field(repr=False)
    block_hashes: list[bytes] = field(repr=False)
    ciphertext_hash: bytes = field(repr=False)


@frozen
class CiphertextHashes:
    """What a UEB says of the whole ciphertext: its flat hash, and the root of its hash tree."""

    flat: bytes
    root: bytes


@frozen
class Trailers:
    """What follows the blocks in every share, by share number, and the hash that goes into the cap."""

    trailers: list[bytes] = field(repr=False)
    ueb_hash: bytes = field(repr=False)


class Encoder:
    """Codes one file. `next()` until it returns None, then `finish()`; or `close()` at any time.

    Without `key` the source is ciphertext already. `extension` is the UEB with which the file was stored, if it is being repaired:
    its shares get that very UEB, once it has been found to be true of them.
    """

    def __init__(
        self, source: Source, key: bytes | None, layout: ShareLayout, workers: Workers, extension: bytes | None = None
    ) -> None:
        self._source = source
        self._layout = layout
        self._cut: Segmentation = layout.segmentation
        self._workers = workers
        self._cipher = None if key is None else CtrStream(key)
        self._extension = extension
        self._coder = Coder(self._cut.needed, layout.total)
        self._flat_hash = TaggedHasher(Tag.CIPHERTEXT)
        self._in_order = Lane()
        self._coming: deque[Deferred[EncodedSegment]] = deque()
        self._begun = 0
        self._hash_only = False
        self._ciphertext_hashes: list[bytes] = []
        self._block_hashes: list[list[bytes]] = [[] for _ in range(layout.total)]

    def start(self) -> None:
        """Begin with the first segments, as far as the pipeline reaches."""
        while self._begun < self._cut.count and len(self._coming) < SEGMENTS_AHEAD:
            self._coming.append(spawn(self._code(self._begun)))
            self._begun += 1

    async def next(self) -> EncodedSegment | None:
        """The next segment in order; None after the last. Raises SourceFailed when the source has not the bytes it promised."""
        segment = await self._take()
        if segment is not None:
            for hashes, block in zip(self._block_hashes, segment.block_hashes, strict=True):
                hashes.append(block)
        return segment

    async def ciphertext_hashes(self) -> CiphertextHashes:
        """Instead of coding: hash the whole ciphertext, which is much less work."""
        self._hash_only = True
        while await self._take() is not None:
            pass
        return CiphertextHashes(self._flat_hash.digest(), MerkleTree(self._ciphertext_hashes).root)

    async def finish(self) -> Trailers:
        """Hash trees, chains and UEB, once all segments are taken. Raises BadCiphertext if the given UEB is not true of them."""
        hash_count = (len(self._block_hashes) + 1) * self._cut.count
        return await self._workers.run_sized(hash_count * 512, self._make_trailers)

    def close(self) -> None:
        """Stop; segments that are still coming are dropped."""
        self._begun = self._cut.count
        for coming in self._coming:
            coming.addErrback(lambda _: None)
            coming.cancel()
        self._coming.clear()

    async def _take(self) -> EncodedSegment | None:
        self.start()
        if not self._coming:
            return None
        segment = await self._coming.popleft()
        self.start()
        self._ciphertext_hashes.append(segment.ciphertext_hash)
        return segment

    async def _code(self, number: int) -> EncodedSegment:
        size = self._cut.size_of(number)
        ciphertext = await self._in_order.submit(lambda: self._read_and_encrypt(size))
        if self._hash_only:
            return EncodedSegment([], [], await self._workers.run_sized(size, ciphertext_segment_hash, ciphertext))
        padding = self._cut.block_size_of(number) * self._cut.needed - size
        work = size * self._layout.total // self._cut.needed
        return await self._workers.run_sized(work, code_segment, self._coder, ciphertext, padding)

    async def _read_and_encrypt(self, size: int) -> bytes:
        plaintext = await self._source.read(size)
        if len(plaintext) != size:
            raise SourceFailed("what is being uploaded became shorter while it was read")
        return await self._workers.run_sized(size, self._encrypt, plaintext)

    def _encrypt(self, plaintext: bytes) -> bytes:
        ciphertext = plaintext if self._cipher is None else self._cipher.process(plaintext)
        self._flat_hash.update(ciphertext)
        return ciphertext

    def _make_trailers(self) -> Trailers:
        layout = self._layout
        ciphertext_tree = MerkleTree(self._ciphertext_hashes)
        block_trees = [MerkleTree(hashes) for hashes in self._block_hashes]
        share_tree = MerkleTree([tree.root for tree in block_trees])
        extension = self._extension_of(ciphertext_tree.root, share_tree.root)
        packed = ciphertext_tree.pack()
        trailers = [
            layout.trailer(packed, tree.pack(), pack_chain(number, share_tree.nodes, layout.total), extension)
            for number, tree in enumerate(block_trees)
        ]
        return Trailers(trailers, ueb_hash(extension))

    def _extension_of(self, ciphertext_root: bytes, share_root: bytes) -> bytes:
        if self._extension is not None:
            told = ueb.parse(self._extension, self._cut.needed)
            if (told.ciphertext_root, told.share_root) != (ciphertext_root, share_root):
                raise BadCiphertext("what was put together from the shares is not the file that its cap names")
            return self._extension
        return ueb.pack_for_upload(
            self._cut,
            self._layout.total,
            ciphertext_hash=self._flat_hash.digest(),
            ciphertext_root=ciphertext_root,
            share_root=share_root,
        )


def code_segment(coder: Coder, ciphertext: bytes, padding: int) -> EncodedSegment:
    """Erasure-code one segment and hash its parts. Padding is coded, but is no part of the ciphertext. Spec: 02 §3."""
    blocks = coder.encode(ciphertext + bytes(padding) if padding else ciphertext)
    return EncodedSegment(
        blocks=blocks,
        block_hashes=[block_hash(block) for block in blocks],
        ciphertext_hash=ciphertext_segment_hash(ciphertext),
    )
