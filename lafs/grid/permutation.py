"""In which order the servers of a grid are asked for the shares of a file. Pure. Spec: 01 §6.7.

Every client of a grid computes the same order from the storage index alone, so that whoever looks for a file starts at
the servers where it was put.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable

from lafs.crypto.derivations import ring_position
from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import GridServer


def permuted(
    servers: Iterable[GridServer], storage_index: StorageIndex, preferred: Collection[str] = frozenset()
) -> list[GridServer]:
    """`servers` in the ring order of `storage_index`; those whose server ids are `preferred` come before all others."""
    places: list[tuple[bool, bytes, str, GridServer]] = []
    for server in servers:
        place = ring_position(storage_index, server.identity.permutation_seed)
        server_id = server.identity.server_id
        # Two servers with the same seed are told apart by their ids, so that the order never depends on chance.
        places.append((server_id not in preferred, place, server_id, server))
    places.sort(key=lambda entry: entry[:3])
    return [entry[3] for entry in places]
