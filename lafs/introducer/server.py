"""An introducer: servers tell it of themselves, clients ask it who is there. The door to `Registry` and `Subscriptions`.

Made by the node and registered in its Tub; whoever holds its FURL may publish and subscribe. Spec: 05 §12.1, §12.3.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from foolscap.api import Referenceable
from twisted.logger import Logger
from zope.interface import implementer

from lafs.introducer.registry import DAY, Entry, Registry
from lafs.introducer.saved_file import SavedFile
from lafs.introducer.subscriptions import SubscriberInfo, Subscriptions
from lafs.protocol.announcements import LONGEST_SERVICE_NAME, BadAnnouncement
from lafs.protocol.remote_interfaces import INTRODUCER_V2, RIIntroducerPublisherAndSubscriberService_v2
from lafs.tasks import Clock, Timer
from lafs.workers import Workers

MOST_SUBSCRIPTIONS: Final = 20_000
MOST_WATCHED: Final = 8
"""Connections of one server that are watched: every publication may come over another."""

EXPIRE_EVERY: Final = DAY / 24

log = Logger()


class SubscriptionRefused(Exception):
    """A subscription that makes no sense, or one too many."""


@implementer(RIIntroducerPublisherAndSubscriberService_v2)
class IntroducerService(Referenceable):
    """Keeps what it is told in the file `path`, so that a restart forgets nothing.

    `application` is what it says of itself, like "lafs/1.0".
    """

    def __init__(self, path: Path, application: str, *, clock: Clock, workers: Workers) -> None:
        self._application = application
        self._clock = clock
        self._registry = Registry()
        self._subscriptions = Subscriptions()
        self._file = SavedFile(path, self._registry.pack, workers=workers, clock=clock)
        self._expiry: Timer | None = None

    async def start(self) -> None:
        """Read what was known before. To be awaited before anybody can call."""
        data = await self._file.load()
        if data is not None:
            bad = self._registry.unpack(data, self._clock.seconds())
            if bad:
                log.warn("{bad} announcements on record could not be used", bad=bad)
        self._expire()

    async def stop(self) -> None:
        """Write down what is known now."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        await self._file.flush()

    def summary(self) -> Mapping[str, Mapping[str, int]]:
        """How many announcements and subscribers there are of each service, as the status page's JSON. Spec: 05 §12.3."""
        return {
            "subscription_summary": self._subscriptions.counts(),
            "announcement_summary": self._registry.counts(),
        }

    def announced(self, service_name: str) -> list[Entry]:
        """All that is known of one service, for a status page."""
        return list(self._registry.of_service(service_name))

    def subscribers(self, service_name: str) -> list[SubscriberInfo]:
        """Who wants to hear of one service, for a status page."""
        return [subscription.info for subscription in self._subscriptions.of_service(service_name)]

    # --- what is called over the wire; Foolscap has checked the arguments ---

    def remote_get_version(self) -> dict[bytes, Any]:
        return {INTRODUCER_V2: {}, b"application-version": self._application.encode("utf-8")}

    def remote_publish_v2(self, announcement: tuple[bytes, bytes, bytes], canary: Any) -> None:
        try:
            entry, news = self._registry.publish(announcement, self._clock.seconds())
        except BadAnnouncement as error:
            log.info("refused an announcement: {reason}", reason=str(error))
            raise
        self._watch(entry, canary)
        self._file.changed()
        if news.counts:
            for subscription in self._subscriptions.of_service(entry.announcement.service_name):
                subscription.tell([entry])

    def remote_subscribe_v2(self, subscriber: Any, service_name: bytes, subscriber_info: dict[bytes, Any]) -> None:
        service = service_name.decode("utf-8", "replace")
        if len(service) > LONGEST_SERVICE_NAME or not service.isprintable():
            raise SubscriptionRefused("a subscription to an impossible service")
        if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise SubscriptionRefused("this introducer has as many subscribers as it can")
        info = SubscriberInfo.of_wire(subscriber_info, self._clock.seconds())
        subscription = self._subscriptions.add(service, subscriber, info)
        if subscription is not None:
            subscriber.notifyOnDisconnect(self._subscriptions.remove, service, subscriber)
            subscription.tell(self._registry.of_service(service))

    def _watch(self, entry: Entry, canary: Any) -> None:
        """Take the connection of a publisher for a sign of life for as long as it lasts."""
        if entry.connections >= MOST_WATCHED:
            return
        entry.connections += 1

        def lost() -> None:
            entry.connections -= 1
            entry.last_seen = max(entry.last_seen, self._clock.seconds())
            self._file.changed()

        canary.notifyOnDisconnect(lost)

    def _expire(self) -> None:
        if self._registry.expire(self._clock.seconds()):
            self._file.changed()
        self._expiry = self._clock.callLater(EXPIRE_EVERY, self._expire)
