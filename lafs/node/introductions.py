"""All introducers that a client node knows, as one: publishes to every one of them, hears from all. Used by `client_node`.

Spec: 05 §12.2, §13.3, §15.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import random as chance

from lafs.crypto.ed25519 import SigningKey
from lafs.introducer.client import IntroducerClient
from lafs.node.config import Configuration
from lafs.node.keys import Keys, RandomBytes
from lafs.node.tub import NodeTub
from lafs.node_status import IntroducerStatus
from lafs.protocol.announcements import Announcement, sign
from lafs.protocol.furl import Furl
from lafs.tasks import Clock
from lafs.workers import Workers


class Introductions:
    """Clients of the introducers `furls` (petname -> FURL). `heard` is called with every announcement that is news."""

    def __init__(
        self,
        furls: Mapping[str, str],
        tub: NodeTub,
        configuration: Configuration,
        heard: Callable[[Announcement], object],
        *,
        application: str,
        clock: Clock,
        workers: Workers,
    ) -> None:
        self._clients = [
            IntroducerClient(
                tub.tub,
                Furl.parse(furl),
                petname,
                heard,
                nickname=configuration.node.nickname,
                application=application,
                cache_path=configuration.path(f"private/introducer_{petname}_cache.yaml"),
                clock=clock,
                workers=workers,
                random=chance,
            )
            for petname, furl in furls.items()
        ]
        self._clock = clock

    def publish(self, fields: Mapping[str, object], key: SigningKey, keys: Keys, random: RandomBytes) -> None:
        """Announce a service: one sequence number, however many introducers hear of it."""
        if self._clients:
            envelope = sign(fields, key, keys.next_sequence_number(self._clock.seconds()), random(32))
            for client in self._clients:
                client.publish(envelope)

    def start(self) -> None:
        for client in self._clients:
            client.start()

    async def stop(self) -> None:
        for client in self._clients:
            await client.stop()

    def statuses(self) -> Sequence[IntroducerStatus]:
        return [client.status() for client in self._clients]
