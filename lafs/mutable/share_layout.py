"""The bytes of a mutable share, SDMF and MDMF: a signed prefix, an unsigned table of offsets, and the sections they lead to.

Pure. The prefix is what a version is: two shares belong together if and only if their prefixes are equal, to the byte. The
offsets are whatever the server likes: they are checked against the prefix before anything is read through them. Spec: 03 §3.
"""
from __future__ import annotations

import struct
from collections.abc import Mapping

from attrs import field, frozen

from lafs.crypto import merkle
from lafs.errors import CorruptShare
from lafs.mutable.geometry import Format, Geometry

HASH_SIZE = 32
SIGNATURE_SIZE = 256
MDMF_PRIVATE_KEY = 123
MDMF_DATA = 2167
"""Fixed, so that segments can be rewritten in place: the sections before it have 2,044 bytes to share."""

MOST_SHARES = 255
CHAIN_ENTRY = struct.Struct(">H32s")

_SDMF_PREFIX = struct.Struct(">BQ32s16sBBQQ")
_MDMF_PREFIX = struct.Struct(">BQ32sBBQQ")
_SDMF_OFFSETS = struct.Struct(">LLLLQQ")
_MDMF_OFFSETS = struct.Struct(">QQQQQQQQ")

CHECKSTRING_SIZE: Mapping[Format, int] = {"SDMF": 57, "MDMF": 41}
HEADER_SIZE: Mapping[Format, int] = {
    "SDMF": _SDMF_PREFIX.size + _SDMF_OFFSETS.size,
    "MDMF": _MDMF_PREFIX.size + _MDMF_OFFSETS.size,
}
_FORMATS: Mapping[int, Format] = {0: "SDMF", 1: "MDMF"}


@frozen
class Prefix:
    """What is signed of a version; its packed bytes are its identity. `salt` is empty for MDMF."""

    format: Format
    sequence_number: int
    root_hash: bytes
    salt: bytes = field(repr=False)
    needed: int
    total: int
    segment_size: int
    size: int

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.format, self.size, self.segment_size, self.needed)

    def pack(self) -> bytes:
        """The bytes that are signed."""
        if self.format == "SDMF":
            return _SDMF_PREFIX.pack(
                0, self.sequence_number, self.root_hash, self.salt, self.needed, self.total, self.segment_size, self.size
            )
        return _MDMF_PREFIX.pack(
            1, self.sequence_number, self.root_hash, self.needed, self.total, self.segment_size, self.size
        )

    @property
    def checkstring(self) -> bytes:
        """The start of the prefix that writers test a share against."""
        return self.pack()[: CHECKSTRING_SIZE[self.format]]


@frozen
class Section:
    """Bytes [start, end) of a share."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def of(self, share: bytes) -> bytes:
        """Its bytes. Raises CorruptShare if `share` ends before it does."""
        if len(share) < self.end:
            raise CorruptShare("the share ends too early", self.start, self.end)
        return share[self.start : self.end]


@frozen
class Sections:
    """Where the parts of a share are; all checked to have the sizes that the prefix gives them."""

    verification_key: Section
    signature: Section
    chain: Section
    block_tree: Section
    data: Section
    private_key: Section
    end: int

    @classmethod
    def laid_out(cls, prefix: Prefix, verification_key_size: int, private_key_size: int) -> Sections:
        """Where a writer puts them. Raises ValueError for keys that do not fit in front of MDMF data."""
        chain_size = chain_size_of(prefix.total)
        cut = prefix.geometry
        if prefix.format == "SDMF":
            key = _row(HEADER_SIZE["SDMF"], verification_key_size)
            signature = _row(key.end, SIGNATURE_SIZE)
            chain = _row(signature.end, chain_size)
            tree = _row(chain.end, cut.block_tree_size)
            data = _row(tree.end, cut.share_data_size)
            private_key = _row(data.end, private_key_size)
            return cls(key, signature, chain, tree, data, private_key, private_key.end)
        private_key = _row(MDMF_PRIVATE_KEY, private_key_size)
        chain = _row(private_key.end, chain_size)
        signature = _row(chain.end, SIGNATURE_SIZE)
        key = _row(signature.end, verification_key_size)
        if key.end > MDMF_DATA:
            raise ValueError("the keys are too long for an MDMF file")
        data = _row(MDMF_DATA, cut.share_data_size)
        tree = _row(data.end, cut.block_tree_size)
        return cls(key, signature, chain, tree, data, private_key, tree.end)

    def are_usual(self, prefix: Prefix) -> bool:
        """Whether everything is where a writer puts it."""
        try:
            return self == Sections.laid_out(prefix, self.verification_key.size, self.private_key.size)
        except ValueError:
            return False

    def pack(self, format: Format) -> bytes:
        """The offset table."""
        if format == "SDMF":
            return _SDMF_OFFSETS.pack(
                self.signature.start,
                self.chain.start,
                self.block_tree.start,
                self.data.start,
                self.private_key.start,
                self.end,
            )
        return _MDMF_OFFSETS.pack(
            self.private_key.start,
            self.chain.start,
            self.signature.start,
            self.verification_key.start,
            self.verification_key.end,
            self.data.start,
            self.block_tree.start,
            self.end,
        )


def chain_size_of(total: int) -> int:
    """Bytes of the share hash chain of one share."""
    return CHAIN_ENTRY.size * len(merkle.needed_for(0, total))


def parse_prefix(start: bytes) -> Prefix:
    """Read the first bytes of a share: 107 for SDMF, 123 for MDMF, or more.

    Raises CorruptShare when it is of no known format, cut short, or has numbers that no version can have.
    """
    format = _FORMATS.get(start[0]) if start else None
    if format is None:
        raise CorruptShare("no known kind of mutable share", 0, 1)
    if len(start) < HEADER_SIZE[format]:
        raise CorruptShare("the share ends inside its header", 0, HEADER_SIZE[format])
    salt = b""
    if format == "SDMF":
        _, number, root, salt, needed, total, segment_size, size = _SDMF_PREFIX.unpack_from(start)
    else:
        _, number, root, needed, total, segment_size, size = _MDMF_PREFIX.unpack_from(start)
    if not 1 <= needed <= total <= MOST_SHARES:
        raise CorruptShare("impossible coding parameters", 0, HEADER_SIZE[format])
    prefix = Prefix(format, number, root, salt, needed, total, segment_size, size)
    try:
        prefix.geometry  # noqa: B018 - its invariants are the check
    except ValueError as problem:
        raise CorruptShare(str(problem), 0, HEADER_SIZE[format]) from None
    return prefix


def parse_sections(prefix: Prefix, start: bytes) -> Sections:
    """Read the offset table behind `prefix` in the first bytes of its share.

    Raises CorruptShare when sections overlap, are out of order or have sizes that this version cannot have. Spec: 03 §3.6.
    """
    sections = _sdmf_sections(start) if prefix.format == "SDMF" else _mdmf_sections(start)
    cut = prefix.geometry
    expected = (
        (sections.chain, chain_size_of(prefix.total)),
        (sections.block_tree, cut.block_tree_size),
        (sections.data, cut.share_data_size),
    )
    if any(section.size != size for section, size in expected):
        raise CorruptShare("a section of an impossible size", 0, HEADER_SIZE[prefix.format])
    keys = (sections.verification_key, sections.signature, sections.private_key)
    if any(not 0 < section.size <= MDMF_DATA for section in keys):
        raise CorruptShare("a key or signature of an impossible size", 0, HEADER_SIZE[prefix.format])
    return sections


def _sdmf_sections(start: bytes) -> Sections:
    signature, chain, tree, data, private_key, end = _SDMF_OFFSETS.unpack_from(start, _SDMF_PREFIX.size)
    return Sections(
        verification_key=Section(HEADER_SIZE["SDMF"], signature),
        signature=Section(signature, chain),
        chain=Section(chain, tree),
        block_tree=Section(tree, data),
        data=Section(data, private_key),
        private_key=Section(private_key, end),
        end=end,
    )


def _mdmf_sections(start: bytes) -> Sections:
    private_key, chain, signature, key, key_end, data, tree, end = _MDMF_OFFSETS.unpack_from(start, _MDMF_PREFIX.size)
    if private_key < HEADER_SIZE["MDMF"] or key_end > data:
        raise CorruptShare("sections that overlap", 0, HEADER_SIZE["MDMF"])
    return Sections(
        verification_key=Section(key, key_end),
        signature=Section(signature, key),
        chain=Section(chain, signature),
        block_tree=Section(tree, end),
        data=Section(data, tree),
        private_key=Section(private_key, chain),
        end=end,
    )


def _row(start: int, size: int) -> Section:
    return Section(start, start + size)


def pack_chain(share_number: int, nodes: list[bytes], total: int) -> bytes:
    """The share hash chain of one share: the siblings on its way to the root, in ascending order."""
    return b"".join(CHAIN_ENTRY.pack(node, nodes[node]) for node in sorted(merkle.needed_for(share_number, total)))


def unpack_chain(packed: bytes, total: int) -> dict[int, bytes]:
    """Node number -> hash. Raises CorruptShare for a node outside the tree, or two hashes for one node."""
    if len(packed) % CHAIN_ENTRY.size:
        raise CorruptShare("the share hash chain has an impossible size")
    chain: dict[int, bytes] = {}
    for node, value in CHAIN_ENTRY.iter_unpack(packed):
        if node >= merkle.node_count(total) or chain.setdefault(node, value) != value:
            raise CorruptShare("the share hash chain makes no sense")
    return chain
