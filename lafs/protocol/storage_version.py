"""What a storage server says of itself, as a dictionary on the wire. Both ends of a Foolscap connection use this.

Spec: 05 §11.3. What is missing, of another type or absurd becomes a harmless value: a server that says nothing sensible
about its space is one that takes no new shares, and may still be read from.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lafs.interfaces import ServerVersion
from lafs.protocol.remote_interfaces import LAFS, STORAGE_V1, WHOLE_SHARES

LARGEST_SIZE = 2**64
"""What servers say when they do not know how much space they have. Anything beyond is taken for this."""

LARGEST_MUTABLE = 69_105_000_000_000_000
LONGEST_APPLICATION = 100
UNKNOWN_APPLICATION = "unknown"


def parse(answer: object) -> ServerVersion:
    """The version that `answer`, whatever it is, describes. Never raises."""
    outer = answer if isinstance(answer, Mapping) else {}
    storage = outer.get(STORAGE_V1)
    if not isinstance(storage, Mapping):
        storage = {}
    largest_immutable = _size(storage.get(b"maximum-immutable-share-size"), 0)
    return ServerVersion(
        application=_application(outer.get(b"application-version")),
        available_space=_size(storage.get(b"available-space"), largest_immutable),
        maximum_immutable_share_size=largest_immutable,
        maximum_mutable_share_size=_size(storage.get(b"maximum-mutable-share-size"), LARGEST_MUTABLE),
        whole_shares=_takes_whole_shares(outer.get(LAFS)),
    )


def pack(version: ServerVersion) -> dict[bytes, Any]:
    """`version` as `get_version` answers it, with the promises that every client of today relies on."""
    return {
        STORAGE_V1: {
            b"maximum-immutable-share-size": version.maximum_immutable_share_size,
            b"maximum-mutable-share-size": version.maximum_mutable_share_size,
            b"available-space": version.available_space,
            b"tolerates-immutable-read-overrun": True,
            b"delete-mutable-shares-with-zero-length-writev": True,
            b"fills-holes-with-zero-bytes": True,
            b"prevents-read-past-end-of-share-data": True,
        },
        b"application-version": version.application.encode("utf-8"),
        LAFS: {WHOLE_SHARES: version.whole_shares},
    }


def _takes_whole_shares(value: object) -> bool:
    return isinstance(value, Mapping) and value.get(WHOLE_SHARES) is True


def _size(value: object, otherwise: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return otherwise
    return min(max(value, 0), LARGEST_SIZE)


def _application(value: object) -> str:
    if isinstance(value, bytes):
        value = value[: 4 * LONGEST_APPLICATION].decode("utf-8", "replace")
    if not isinstance(value, str):
        return UNKNOWN_APPLICATION
    visible = "".join(character for character in value[:LONGEST_APPLICATION] if character.isprintable())
    return visible or UNKNOWN_APPLICATION
