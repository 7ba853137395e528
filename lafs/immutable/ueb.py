"""The URI extension block: what a share says of the whole file, authenticated by its hash in the cap.

Pure. The uploader packs one; readers hash the bytes as received against the cap first and parse after. Spec: 02 §7, 01 §11.
"""
from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from lafs.crypto.netstring import netstring
from lafs.errors import CorruptShare
from lafs.immutable.segmentation import Segmentation

MAX_SIZE = 2000
"""A UEB of this many bytes or more is not read. Those ever written have about 310 to 400."""

HASH_SIZE = 32
_ITEM = re.compile(rb"([a-zA-Z_-]+):([0-9]{1,10}):")


@frozen
class UriExtension:
    """What a reader needs of a UEB, already checked against the needed shares of the cap. Hashes are 32 bytes."""

    segment_size: int
    ciphertext_root: bytes
    share_root: bytes
    fields: Mapping[str, bytes] = field(repr=False)
    """Every field as received, for the verifier."""


def pack(fields: Mapping[str, bytes | int | str]) -> bytes:
    """The canonical bytes of a UEB: fields sorted by name."""
    return b"".join(name.encode("ascii") + b":" + netstring(_as_bytes(fields[name])) for name in sorted(fields))


def pack_for_upload(
    segmentation: Segmentation, total: int, *, ciphertext_hash: bytes, ciphertext_root: bytes, share_root: bytes
) -> bytes:
    """The UEB that this file's shares carry; the eleven fields and no other, so that equal files have equal UEBs."""
    needed = segmentation.needed
    return pack(
        {
            "codec_name": "crs",
            "codec_params": f"{segmentation.segment_size}-{needed}-{total}",
            "crypttext_hash": ciphertext_hash,
            "crypttext_root_hash": ciphertext_root,
            "needed_shares": needed,
            "num_segments": segmentation.count,
            "segment_size": segmentation.segment_size,
            "share_root_hash": share_root,
            "size": segmentation.file_size,
            "tail_codec_params": f"{segmentation.padded_tail_size}-{needed}-{total}",
            "total_shares": total,
        }
    )


def packed_size(segmentation: Segmentation, total: int) -> int:
    """Bytes of the UEB of a file, known before anything is encoded since every hash has the same size."""
    blank = bytes(HASH_SIZE)
    return len(pack_for_upload(segmentation, total, ciphertext_hash=blank, ciphertext_root=blank, share_root=blank))


def parse_fields(packed: bytes) -> dict[str, bytes]:
    """All fields, in any order. Raises CorruptShare when the bytes are not a UEB; a repeated field keeps its last value."""
    fields: dict[str, bytes] = {}
    position = 0
    while position < len(packed):
        item = _ITEM.match(packed, position)
        if item is None:
            raise CorruptShare("the UEB cannot be read")
        start, end = item.end(), item.end() + int(item[2])
        if packed[end : end + 1] != b",":
            raise CorruptShare("the UEB cannot be read")
        fields[item[1].decode("ascii")] = packed[start:end]
        position = end + 1
    return fields


def parse(packed: bytes, needed: int) -> UriExtension:
    """Read a UEB whose hash has been checked already.

    Raises CorruptShare when a field that reading depends on is missing or makes no sense: only a broken or dishonest
    uploader writes such a UEB. Fields that the cap makes redundant are not looked at. Spec: 02 §7.1.
    """
    fields = parse_fields(packed)
    segment_size = _number(fields.get("segment_size", b""))
    if segment_size is None or segment_size < 1 or segment_size % needed:
        raise CorruptShare("the UEB has no usable segment size")
    roots = [fields.get(name, b"") for name in ("crypttext_root_hash", "share_root_hash")]
    if any(len(root) != HASH_SIZE for root in roots):
        raise CorruptShare("the UEB lacks a root hash")
    return UriExtension(segment_size=segment_size, ciphertext_root=roots[0], share_root=roots[1], fields=fields)


def _number(text: bytes) -> int | None:
    return int(text) if re.fullmatch(rb"[0-9]{1,20}", text) else None


def _as_bytes(value: bytes | int | str) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")
