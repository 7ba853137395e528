"""Who wants to hear of which service, and what each has yet to be told. Used by the introducer's service.

A subscriber has at most one message in flight. What comes up meanwhile is kept for it, newest of each server only, and
goes out together: a subscriber that is slow, or publishers that publish without end, cost no more memory than there are
servers. Spec: 05 §12.1.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from lafs.introducer.registry import Entry
from lafs.tasks import forget

LONGEST_SHOWN: Final = 200


@frozen
class SubscriberInfo:
    """What a subscriber says of itself, for people."""

    nickname: str
    version: str
    since: float
    """Seconds since the epoch."""

    @classmethod
    def of_wire(cls, info: Mapping[bytes, object], now: float) -> SubscriberInfo:
        """From the `subscriber_info` of a subscription; what is missing or odd is "?"."""
        return cls(_shown(info.get(b"nickname")), _shown(info.get(b"my-version")), now)


class Subscription:
    """One subscriber of one service."""

    def __init__(self, subscriber: Any, info: SubscriberInfo) -> None:
        self.info = info
        self._subscriber = subscriber
        self._untold: dict[str, tuple[bytes, bytes, bytes]] = {}
        self._telling = False

    def tell(self, entries: Iterable[Entry]) -> None:
        """See to it that the subscriber hears of `entries`."""
        for entry in entries:
            self._untold[entry.announcement.server_id] = entry.envelope.as_tuple()
        if self._untold and not self._telling:
            forget(self._tell())

    async def _tell(self) -> None:
        self._telling = True
        try:
            while self._untold:
                announcements = set(self._untold.values())
                self._untold.clear()
                await self._subscriber.callRemote("announce_v2", announcements)
        finally:
            self._telling = False


class Subscriptions:
    """All of them."""

    def __init__(self) -> None:
        self._by_service: dict[str, dict[Any, Subscription]] = {}

    def __len__(self) -> int:
        return sum(len(subscriptions) for subscriptions in self._by_service.values())

    def add(self, service_name: str, subscriber: Any, info: SubscriberInfo) -> Subscription | None:
        """The new subscription; None if there is one of this subscriber already."""
        subscriptions = self._by_service.setdefault(service_name, {})
        if subscriber in subscriptions:
            return None
        subscriptions[subscriber] = Subscription(subscriber, info)
        return subscriptions[subscriber]

    def remove(self, service_name: str, subscriber: Any) -> None:
        """Forget it."""
        subscriptions = self._by_service.get(service_name, {})
        subscriptions.pop(subscriber, None)
        if not subscriptions:
            self._by_service.pop(service_name, None)

    def of_service(self, service_name: str) -> Iterator[Subscription]:
        """All of one service."""
        return iter(list(self._by_service.get(service_name, {}).values()))

    def counts(self) -> dict[str, int]:
        """How many there are of each service."""
        return {service_name: len(subscriptions) for service_name, subscriptions in self._by_service.items()}


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        value = value[: 4 * LONGEST_SHOWN].decode("utf-8", "replace")
    if not isinstance(value, str):
        return "?"
    return "".join(character for character in value[:LONGEST_SHOWN] if character.isprintable())
