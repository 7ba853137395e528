"""Mutable files over a real wire, on real disks and in real threads: what the simulation leaves out."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred

from lafs.crypto.storage_index import StorageIndex
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.grid.foolscap_server import FoolscapServer
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import GridServer
from lafs.sources import BytesSource
from lafs.statistics import Counters
from lafs.tasks import settle
from lafs.workers import ThreadWorkers
from storage_server.disk import RealDisk
from storage_server.foolscap_service import FoolscapStorageService
from storage_server.share_store import ShareStore
from tests.grid.tubs import TubCase, reactor
from tests.memory_grid import random_bytes
from tests.private_keys import known_keys
from tests.simulation.machines import identity_of


@define
class FixedGrid:
    """Servers that are always there."""

    servers: Sequence[GridServer]

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        return self.servers

    for_upload = for_reading


class OverFoolscap(TubCase):
    async def grid(self, servers: int) -> FixedGrid:
        found = []
        tub = self.make_tub()
        for number in range(servers):
            identity = identity_of(number)
            store = ShareStore(
                Path(self.mktemp()).resolve(), disk=RealDisk(), workers=self.workers, clock=reactor,
                node_id=identity.lease_seed, durability="relaxed", counters=Counters(),
            )
            await store.start()
            self.addCleanup(lambda store=store: Deferred.fromCoroutine(store.stop()))
            door = self.make_tub(listening=True)
            remote = await tub.getReference(door.registerReference(FoolscapStorageService(store)))
            server = FoolscapServer(remote, reactor)
            found.append(GridServer(identity, server, await server.version()))
        return FixedGrid(found)

    def client(self, grid: FixedGrid) -> Filesystem:
        return Filesystem(
            grid, self.workers, reactor, ClientSecrets(bytes(32), None), EncodingParameters(2, 3, 4), Counters(),
            generate_key=self.generate_key,
        )

    def setUp(self) -> None:
        self.generate_key = known_keys()
        self.workers = ThreadWorkers(reactor, 2)
        self.addCleanup(self.workers.stop)

    def test_files_live_their_lives(self) -> Deferred[Any]:
        async def live() -> None:
            grid = await self.grid(4)
            for format in ("SDMF", "MDMF"):
                expected = random_bytes(700_000)
                node = await self.client(grid).create_mutable(expected, format)  # type: ignore[arg-type]
                self.assertEqual((await self.client(grid).open_mutable(node.cap).contents())[0], expected)
                await self.client(grid).open_mutable(node.cap).update(400_000, BytesSource(b"patch"))
                expected = expected[:400_000] + b"patch" + expected[400_005:]
                self.assertEqual((await self.client(grid).open_mutable(node.cap.readonly()).contents())[0], expected)
                await settle(
                    self.client(grid).open_mutable(node.cap).modify(lambda old, each=each: old[:10] + each + old[10:])  # type: ignore[misc]
                    for each in (b"A", b"B")
                )
                contents, _ = await node.contents()
                self.assertIn(contents[10:12], (b"AB", b"BA"))
                await node.overwrite(BytesSource(b"the end"))
                health = await self.client(grid).open_mutable(node.cap).check(verify=True)
                self.assertEqual((health.summary, health.best and health.best.size), ("Healthy", 7))

        return Deferred.fromCoroutine(live())
