"""An introducer, without a network."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from foolscap.api import Referenceable
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.introducer import server as server_module
from lafs.introducer.registry import DAY, EXPIRY
from lafs.introducer.server import IntroducerService, SubscriptionRefused
from lafs.protocol.announcements import Announcement, BadAnnouncement
from lafs.protocol.remote_interfaces import INTRODUCER_V2
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from tests.grid.servers import announced
from tests.introducer.wire import Reference, Wire

START = 1_800_000_000.0
INFO = {b"version": 0, b"nickname": "client", b"my-version": "lafs/1"}


class Listener:
    """A subscriber that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[set[Any]] = []

    def remote_announce_v2(self, announcements: set[Any]) -> None:
        self.heard.append(announcements)


def envelope(announcement: Announcement) -> tuple[bytes, bytes, bytes]:
    assert announcement.envelope is not None
    return announcement.envelope.as_tuple()


class IntroducerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.clock.advance(START)
        self.service = self.make_service()

    def make_service(self) -> IntroducerService:
        service = IntroducerService(self.path, "lafs/test", clock=self.clock, workers=InlineWorkers())
        self.successResultOf(spawn(service.start()))
        return service

    def subscribe(self, service_name: bytes = b"storage") -> tuple[Reference, Listener]:
        listener = Listener()
        reference = Wire().reference(listener)
        self.service.remote_subscribe_v2(reference, service_name, INFO)
        return reference, listener

    def publish(self, announcement: Announcement, wire: Wire | None = None) -> None:
        canary = (wire or Wire()).reference(Referenceable())
        self.service.remote_publish_v2(envelope(announcement), canary)


class Introducing(IntroducerCase):
    """Who publishes is heard by who subscribes."""

    def test_it_says_that_it_is_an_introducer(self) -> None:
        version = self.service.remote_get_version()
        self.assertEqual(version, {INTRODUCER_V2: {}, b"application-version": b"lafs/test"})

    def test_a_subscriber_hears_at_once_of_all_in_one_message(self) -> None:
        for number in range(3):
            self.publish(announced(number))
        _, listener = self.subscribe()
        self.assertEqual(listener.heard, [{envelope(announced(number)) for number in range(3)}])

    def test_a_subscriber_hears_nothing_when_there_is_nothing(self) -> None:
        _, listener = self.subscribe()
        self.assertEqual(listener.heard, [])

    def test_later_announcements_are_passed_on_unchanged(self) -> None:
        _, listener = self.subscribe()
        self.publish(announced(1))
        self.publish(announced(1, 2))
        self.assertEqual(listener.heard, [{envelope(announced(1))}, {envelope(announced(1, 2))}])

    def test_what_is_no_news_is_not_passed_on(self) -> None:
        _, listener = self.subscribe()
        for sequence_number in (2, 2, 1):
            self.publish(announced(1, sequence_number))
        self.assertEqual(len(listener.heard), 1)

    def test_other_services_are_kept_apart(self) -> None:
        _, listener = self.subscribe(b"other")
        self.publish(announced(1))
        self.assertEqual(listener.heard, [])
        self.publish(announced(1, service_name="other"))
        self.assertEqual(len(listener.heard), 1)

    def test_a_malformed_announcement_costs_only_its_publisher(self) -> None:
        _, before = self.subscribe()
        self.publish(announced(1))
        self.assertRaises(BadAnnouncement, self.publish, announced(2, anonymous_storage_FURL=["pb://"]))
        _, after = self.subscribe()
        self.publish(announced(3))
        self.assertEqual(len(before.heard), 2)
        self.assertEqual([len(each) for each in after.heard], [1, 1])

    def test_a_summary_counts_all(self) -> None:
        self.publish(announced(1))
        self.subscribe()
        self.subscribe(b"other")
        self.assertEqual(
            self.service.summary(),
            {"subscription_summary": {"storage": 1, "other": 1}, "announcement_summary": {"storage": 1}},
        )
        self.assertEqual([info.nickname for info in self.service.subscribers("storage")], ["client"])
        self.assertEqual([entry.announcement.nickname for entry in self.service.announced("storage")], ["server 1"])


class Subscribers(IntroducerCase):
    """Slow, gone, twice, or too many."""

    def test_a_slow_subscriber_gets_the_newest_of_each_server_together(self) -> None:
        reference, listener = self.subscribe()
        reference.silent = True
        for sequence_number in range(1, 50):
            for number in range(3):
                self.publish(announced(number, sequence_number))
        self.assertEqual(len(reference.calls), 1)
        (subscription,) = self.service._subscriptions.of_service("storage")
        self.assertEqual(len(subscription._untold), 3)
        self.assertEqual(listener.heard, [])

    def test_a_subscriber_that_is_gone_is_forgotten(self) -> None:
        reference, _ = self.subscribe()
        reference.wire.cut()
        self.publish(announced(1))
        self.assertEqual(reference.calls, [])
        self.assertEqual(self.service.summary()["subscription_summary"], {})

    def test_subscribing_twice_is_subscribing_once(self) -> None:
        reference, listener = self.subscribe()
        self.service.remote_subscribe_v2(reference, b"storage", INFO)
        self.publish(announced(1))
        self.assertEqual(len(listener.heard), 1)

    def test_a_subscriber_that_fails_hurts_no_other(self) -> None:
        reference, listener = self.subscribe()
        _, other = self.subscribe()
        listener.remote_announce_v2 = lambda _: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        self.publish(announced(1))
        self.publish(announced(2))
        self.assertEqual(len(other.heard), 2)
        self.assertEqual(len(reference.calls), 2)

    def test_odd_subscriptions_are_refused(self) -> None:
        for service_name in (b"s" * 500, b"two\nlines"):
            self.assertRaises(SubscriptionRefused, self.subscribe, service_name)
        self.patch(server_module, "MOST_SUBSCRIPTIONS", 1)
        self.subscribe()
        self.assertRaises(SubscriptionRefused, self.subscribe)

    def test_odd_descriptions_are_shown_harmlessly(self) -> None:
        for info in ({}, {b"nickname": b"\xff<x>", b"my-version": 5}, {b"nickname": "a\nb" + "c" * 10_000}):
            self.service.remote_subscribe_v2(Wire().reference(Listener()), b"storage", info)
        for shown in self.service.subscribers("storage"):
            self.assertTrue((shown.nickname + shown.version).isprintable())
            self.assertLessEqual(len(shown.nickname), 200)


class Memory(IntroducerCase):
    """A restart forgets nothing."""

    def test_announcements_survive_a_crash_soon_after_they_came(self) -> None:
        self.publish(announced(1))
        self.clock.advance(2)
        self.service = self.make_service()
        _, listener = self.subscribe()
        self.assertEqual(listener.heard, [{envelope(announced(1))}])

    def test_an_orderly_stop_writes_what_was_not_written_yet(self) -> None:
        self.publish(announced(1))
        self.successResultOf(spawn(self.service.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.make_service().announced("storage")), 1)

    def test_nobody_else_can_read_the_file(self) -> None:
        self.publish(announced(1))
        self.clock.advance(2)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_a_damaged_file_does_not_stop_it(self) -> None:
        self.path.write_bytes(b"\x00" * 1000)
        self.assertEqual(self.make_service().announced("storage"), [])
        self.path.unlink()
        self.path.mkdir()
        self.make_service()

    def test_servers_are_forgotten_long_after_they_left(self) -> None:
        wire = Wire()
        self.publish(announced(1), wire)
        self.publish(announced(2))
        self.clock.advance(2 * EXPIRY)
        self.assertEqual(len(self.service.announced("storage")), 2, "both are still connected")
        wire.cut()
        self.clock.advance(EXPIRY)
        self.assertEqual(len(self.service.announced("storage")), 2)
        self.clock.pump([DAY / 24] * 48)
        self.assertEqual([e.announcement.nickname for e in self.service.announced("storage")], ["server 2"])

    def test_a_publisher_cannot_pile_up_watches(self) -> None:
        wire = Wire()
        for _ in range(100):
            self.publish(announced(1), wire)
        self.assertLess(len(wire.watchers), 10)
