"""The order of servers is the peer's, and never depends on chance."""
from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.storage_index import StorageIndex
from lafs.grid.permutation import permuted
from lafs.interfaces import GridServer, ServerIdentity, ServerVersion
from tests.vectors_loader import load

VERSION = ServerVersion("test", 0, 0)


def grid_server(server_id: str, seed: bytes) -> GridServer:
    return GridServer(ServerIdentity(server_id, "", seed, b""), None, VERSION)  # type: ignore[arg-type]


class Order(SynchronousTestCase):
    """Spec: 01 §6.7."""

    def test_the_order_is_that_of_the_peer(self) -> None:
        for vector in load("crypto_and_caps")["groups"]["server_order"]:
            given = vector["in"]
            servers = [grid_server(str(place), bytes.fromhex(seed)) for place, seed in enumerate(given["seeds_hex"])]
            preferred = {str(place) for place in given["preferred"]}
            order = permuted(servers, StorageIndex(bytes.fromhex(given["storage_index_hex"])), preferred)
            self.assertEqual([int(server.identity.server_id) for server in order], vector["out"]["order"])

    def test_it_does_not_depend_on_the_order_of_arrival(self) -> None:
        servers = [grid_server(f"v0-{number}", b"same" if number < 3 else bytes([number])) for number in range(20)]
        index = StorageIndex(b"i" * 16)
        order = permuted(servers, index)
        for seed in range(5):
            Random(seed).shuffle(servers)
            self.assertEqual(permuted(servers, index), order)
