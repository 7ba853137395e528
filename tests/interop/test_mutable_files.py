"""Mutable files that either program makes, and both change in turn, on servers of either program."""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from lafs.capability import parse
from lafs.crypto import base32
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.grid.foolscap_server import FoolscapServer
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import GridServer, ServerIdentity
from lafs.sources import BytesSource
from lafs.statistics import Counters
from lafs.workers import ThreadWorkers
from tests.grid.tubs import TubCase, reactor
from tests.mutable.test_over_foolscap import FixedGrid
from tests.process.grids import Client, Encoding, Grid
from tests.process.harness import LAFS, peer

pytestmark = pytest.mark.peer


class MutableFiles(TubCase):
    timeout = 120

    def setUp(self) -> None:
        self.workers = ThreadWorkers(reactor, 2)
        self.addCleanup(self.workers.stop)

    async def ours(self, furls: Sequence[str]) -> Filesystem:
        """Our client, connected to these servers."""
        tub = self.make_tub()
        servers = []
        for furl in furls:
            tub_id = furl.removeprefix("pb://").partition("@")[0]
            server = FoolscapServer(await tub.getReference(furl), reactor)
            identity = ServerIdentity("v0-" + tub_id, tub_id[:8], tub_id.encode(), base32.decode_lax(tub_id))
            servers.append(GridServer(identity, server, await server.version()))
        return Filesystem(
            FixedGrid(servers), self.workers, reactor, ClientSecrets(bytes(32), None), EncodingParameters(2, 3, 4), Counters()
        )

    async def theirs(self, client: Client, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer of the peer's gateway."""
        answer = await deferToThread(client.ask, method, path, body)
        self.assertIn(answer.status, (200, 201), answer.text[:500])
        return answer.body

    def test_both_change_them_in_turn(self) -> Deferred[Any]:
        grid = Grid([peer(), peer(), LAFS, LAFS], encoding=Encoding(2, 3, 4), clients=[peer()], introducer=peer())
        self.addCleanup(grid.close)
        furls = [
            (node.directory / "private" / "storage.furl").read_text().strip()
            for node in grid.nodes
            if (node.directory / "private" / "storage.furl").exists()
        ]

        async def live() -> None:
            files, client = await self.ours(furls), grid.clients[0]
            for format in ("SDMF", "MDMF"):
                for size in (0, 500, 400_000):
                    expected = os.urandom(size)
                    cap = (await self.theirs(client, "PUT", f"/uri?format={format}", expected)).decode()
                    node = files.open_mutable(parse(cap))
                    self.assertEqual((await node.contents())[0], expected)
                    await node.modify(lambda old: old + b" and ours")
                    expected += b" and ours"
                    await self.both_read(files, client, cap, expected)
                    if size:
                        await self.theirs(client, "PUT", f"/uri/{cap}?offset=100", b"theirs")
                        await node.update(300, BytesSource(b"ours"))
                        expected = expected[:100] + b"theirs" + expected[106:300] + b"ours" + expected[304:]
                        await self.both_read(files, client, cap, expected)
                    made = await files.create_mutable(expected, format)  # type: ignore[arg-type]
                    await self.both_read(files, client, made.cap.text, expected)
                    await self.theirs(client, "PUT", f"/uri/{made.cap.text}", b"overwritten")
                    await made.modify(bytes.upper)
                    await self.both_read(files, client, made.cap.text, b"OVERWRITTEN")
                    health = await deferToThread(client.check, made.cap.text, verify=True)
                    self.assertTrue(health["results"]["healthy"], health)
                    self.assertEqual((await files.open_mutable(parse(cap)).check(verify=True)).summary, "Healthy")

        return Deferred.fromCoroutine(live())

    async def both_read(self, files: Filesystem, client: Client, cap: str, expected: bytes) -> None:
        readonly = parse(cap).readonly()
        assert readonly is not None
        self.assertEqual((await files.open_mutable(readonly).contents())[0], expected)
        self.assertEqual(await self.theirs(client, "GET", f"/uri/{readonly.text}"), expected)
