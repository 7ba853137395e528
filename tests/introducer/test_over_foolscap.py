"""An introducer and its clients on a real wire."""
from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred

from lafs.introducer.client import IntroducerClient
from lafs.introducer.server import IntroducerService
from lafs.protocol.announcements import Announcement, sign
from lafs.protocol.furl import Furl
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from tests.grid.servers import furl_of, key_of
from tests.grid.tubs import TubCase, reactor


class OverFoolscap(TubCase):
    """Two nodes that find each other."""

    async def test_one_node_hears_what_another_publishes_before_and_after(self) -> None:
        service = IntroducerService(Path(self.mktemp()), "lafs/test", clock=reactor, workers=InlineWorkers())
        await service.start()
        self.addCleanup(lambda: spawn(service.stop()))
        furl = Furl.parse(self.make_tub(listening=True).registerReference(service))
        heard: list[tuple[str, int | None]] = []
        waiting: list[Deferred[None]] = []

        def hear(announcement: Announcement) -> None:
            heard.append((announcement.nickname, announcement.sequence_number))
            waiting.pop().callback(None)

        async def next_heard() -> None:
            waiting.append(Deferred())
            await waiting[-1]

        def client(name: str, listen: object) -> IntroducerClient:
            made = IntroducerClient(
                self.make_tub(),
                furl,
                "default",
                listen,  # type: ignore[arg-type]
                nickname=name,
                application="lafs/test",
                cache_path=Path(self.mktemp()),
                clock=reactor,
                workers=InlineWorkers(),
                random=lambda: 0.5,
            )
            made.start()
            self.addCleanup(lambda: spawn(made.stop()))
            return made

        fields = {"service-name": "storage", "nickname": "é", "anonymous-storage-FURL": furl_of(5)}
        publisher = client("publisher", lambda _: None)
        publisher.publish(sign(fields, key_of(5), 1, b"n"))
        coming = next_heard()
        listener = client("listener", hear)
        await coming
        coming = next_heard()
        publisher.publish(sign(fields, key_of(5), 2, b"m"))
        await coming

        self.assertEqual(heard, [("é", 1), ("é", 2)])
        self.assertTrue(listener.status().connected)
        self.assertIn("via tcp", listener.status().connection)
        self.assertEqual({each.nickname for each in service.subscribers("storage")}, {"publisher", "listener"})
