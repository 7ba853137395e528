"""What the broker knows of servers, and what it does about them."""
from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto import base32
from lafs.crypto.ed25519 import SigningKey
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ConfigurationError
from lafs.grid import broker as broker_module
from lafs.grid.broker import SETTLING_SECONDS, Broker
from lafs.interfaces import ServerIdentity
from lafs.protocol.announcements import BadAnnouncement, of_fields
from lafs.tasks import spawn
from tests.grid.servers import VERSION, FakeConnector, FakeStorage, announced, furl_of, key_of

INDEX = StorageIndex(b"i" * 16)


class BrokerCase(SynchronousTestCase):
    """A started broker with a connector that connects to nothing."""

    def setUp(self) -> None:
        self.connector = FakeConnector()
        self.clock = Clock()
        self.broker = self.make_broker()

    def make_broker(self, **options: Any) -> Broker:
        broker = Broker(self.connector, self.clock, **options)
        self.successResultOf(spawn(broker.start()))
        self.addCleanup(lambda: spawn(broker.stop()))
        return broker

    def server_ids(self) -> list[str]:
        return [server.identity.server_id for server in self.broker.for_reading(INDEX)]


class Announced(BrokerCase):
    """Servers that introducers tell of."""

    def test_a_server_is_offered_once_it_said_who_it_is(self) -> None:
        self.broker.hear(announced(1))
        self.assertEqual(self.broker.for_reading(INDEX), ())
        self.connector.answer()
        (server,) = self.broker.for_reading(INDEX)
        self.assertEqual(server.identity.server_id, key_of(1).verifying_key.server_id)
        self.assertEqual(server.version, VERSION)

    def test_a_lost_server_is_no_longer_offered_and_comes_back(self) -> None:
        self.broker.hear(announced(1))
        connection = self.connector.answer()
        (before,) = self.broker.for_reading(INDEX)
        connection.lose()
        self.assertEqual(self.broker.for_reading(INDEX), ())
        self.clock.advance(2)
        self.connector.answer()
        (after,) = self.broker.for_reading(INDEX)
        self.assertIsNot(after, before)

    def test_a_connection_lost_before_the_version_came_is_made_again(self) -> None:
        self.broker.hear(announced(1))
        from tests.grid.servers import FakeConnection

        connection = FakeConnection()
        self.connector.attempts[0][1].callback(connection)
        connection.lose()
        self.clock.advance(2)
        self.assertEqual(len(self.connector.attempts), 2)
        self.assertTrue(connection.closed)

    def test_another_sequence_number_leaves_the_connection_alone(self) -> None:
        self.assertTrue(self.broker.hear(announced(1, 1)))
        connection = self.connector.answer()
        self.assertFalse(self.broker.hear(announced(1, 2)))
        self.assertFalse(connection.closed)
        self.assertEqual(len(self.connector.attempts), 1)
        self.assertFalse(self.broker.hear(announced(1, 1, anonymous_storage_FURL=furl_of(9))), "older than the second")

    def test_a_changed_announcement_makes_another_connection(self) -> None:
        self.broker.hear(announced(1, 1))
        connection = self.connector.answer()
        self.assertTrue(self.broker.hear(announced(1, 2, anonymous_storage_FURL=furl_of(9))))
        self.assertTrue(connection.closed)
        self.assertEqual(self.broker.for_reading(INDEX), ())
        self.assertEqual(self.connector.attempts[-1][0].furl.text, furl_of(9))
        self.connector.answer()
        self.assertEqual(len(self.server_ids()), 1)

    def test_several_introducers_do_not_undo_each_other(self) -> None:
        new, old = announced(1, 5, nickname="new"), announced(1, 4, nickname="old")
        for announcement in (old, new, old, new):
            self.broker.hear(announcement)
        self.assertEqual([status.nickname for status in self.broker.statuses()], ["new"])
        self.assertEqual(len(self.connector.attempts), 2)

    def test_what_was_cached_gives_way_to_what_is_signed_whatever_its_number(self) -> None:
        signed = announced(1, 5, nickname="signed")
        cached = of_fields(signed.server_id, {**announced(1, 9, nickname="cached").fields})
        self.assertTrue(self.broker.hear(cached))
        self.assertTrue(self.broker.hear(signed))
        self.assertFalse(self.broker.hear(cached))
        self.assertEqual([status.nickname for status in self.broker.statuses()], ["signed"])

    def test_servers_without_a_foolscap_door_are_listed_and_never_tried(self) -> None:
        fields = {"service-name": "storage", "nickname": "web", "anonymous-storage-NURLs": ["pb://x@h:1/y#v=1"]}
        self.broker.hear(of_fields("v0-web", fields))
        (status,) = self.broker.statuses()
        self.assertEqual((status.connected, status.connection), (False, "Unsupported: no way to reach it"))
        self.assertEqual(self.connector.attempts, [])

    def test_impossible_servers_are_refused_and_cost_nothing(self) -> None:
        self.broker.hear(announced(1))
        with self.assertRaises(BadAnnouncement):
            self.broker.hear(announced(1, 2, permutation_seed_base32="UPPER"))
        with self.assertRaises(BadAnnouncement):
            self.broker.hear(of_fields("x", {"service-name": "other"}))
        self.assertEqual(len(self.broker.statuses()), 1)

    def test_no_introducer_can_make_it_know_more_than_so_many(self) -> None:
        self.patch(broker_module, "MOST_SERVERS", 3)
        for number in range(3):
            self.broker.hear(announced(number))
        self.assertRaises(BadAnnouncement, self.broker.hear, announced(4))
        self.broker.hear(announced(1, 2, nickname="still heard"))


class Static(BrokerCase):
    """Servers named in a file."""

    def test_it_is_connected_to_under_its_own_id(self) -> None:
        self.broker.add_static("my-server", {"ann": {"anonymous-storage-FURL": furl_of(1), "nickname": "mine"}})
        self.connector.answer()
        self.assertEqual(self.server_ids(), ["my-server"])

    def test_it_wins_over_the_network_whichever_comes_first(self) -> None:
        server_id = key_of(1).verifying_key.server_id
        self.broker.hear(announced(1, nickname="network"))
        self.broker.add_static(server_id, {"ann": {"anonymous-storage-FURL": furl_of(5), "nickname": "file"}})
        self.assertFalse(self.broker.hear(announced(1, 7, nickname="network")))
        self.assertEqual([status.nickname for status in self.broker.statuses()], ["file"])

    def test_malformed_entries_are_refused(self) -> None:
        for entry in ({}, {"ann": []}, {"ann": {"anonymous-storage-FURL": 5}}, {"ann": {"when": datetime.now(UTC)}}):
            self.assertRaises(BadAnnouncement, self.broker.add_static, "s", entry)

    def test_another_way_than_was_asked_for_is_never_taken(self) -> None:
        ann = {"anonymous-storage-FURL": furl_of(1)}
        for connections in ({"tcp": "tor"}, {"tcp": "disabled"}, "tor", ["tor"]):
            with self.assertRaises(ConfigurationError):
                self.broker.add_static("s", {"ann": ann, "connections": connections})
        self.broker.add_static("s", {"ann": ann, "connections": {"tcp": "tcp"}})
        self.assertEqual(len(self.connector.attempts), 1)


class Local(BrokerCase):
    """Share stores of this process."""

    def add(self) -> ServerIdentity:
        identity = ServerIdentity(key_of(1).verifying_key.server_id, "here", b"seed", b"t" * 20)
        storage = FakeStorage()
        storage.asked.callback(VERSION)
        self.successResultOf(spawn(self.broker.add_local(identity, storage)))  # type: ignore[arg-type]
        return identity

    def test_it_is_there_at_once_and_is_not_connected_to(self) -> None:
        identity = self.add()
        self.assertEqual(self.server_ids(), [identity.server_id])
        self.assertFalse(self.broker.hear(announced(1)))
        self.assertEqual(self.connector.attempts, [])
        (status,) = self.broker.statuses()
        self.assertTrue(status.connected)

    def test_it_takes_the_place_of_its_own_announcement(self) -> None:
        self.broker.hear(announced(1))
        connection = self.connector.answer()
        self.add()
        self.assertTrue(connection.closed)
        self.assertEqual(len(self.server_ids()), 1)


class Order(BrokerCase):
    """What uploads and downloads are given."""

    def connect(self, count: int) -> None:
        for number in range(count):
            self.broker.hear(announced(number))
            self.connector.answer()

    def test_orders_follow_what_comes_and_goes(self) -> None:
        self.connect(9)
        self.assertEqual(len(self.broker.for_reading(INDEX)), 9)
        self.broker.hear(announced(9))
        last = self.connector.answer()
        self.assertEqual(len(self.broker.for_reading(INDEX)), 10)
        last.lose()
        self.assertEqual(len(self.broker.for_reading(INDEX)), 9)
        self.assertNotEqual(self.broker.for_reading(StorageIndex(b"j" * 16)), self.broker.for_reading(INDEX))

    def test_preferred_servers_come_first(self) -> None:
        last = key_of(8).verifying_key.server_id
        self.broker = self.make_broker(preferred={last})
        self.connect(9)
        self.assertEqual(self.server_ids()[0], last)

    def test_no_more_orders_are_kept_than_so_many(self) -> None:
        self.patch(broker_module, "REMEMBERED_ORDERS", 2)
        self.connect(5)
        for number in range(9):
            order = self.broker.for_reading(StorageIndex(bytes([number]) * 16))
            self.assertEqual(len(order), 5)
        self.assertLessEqual(len(self.broker._orders), 2)

    def test_grid_managers_decide_where_uploads_go_until_their_word_expires(self) -> None:
        manager = SigningKey(b"m" * 32)
        self.broker = self.make_broker(managers=[manager.verifying_key])
        self.broker.hear(announced(0))
        self.connector.answer()
        chosen = key_of(1).verifying_key
        expires = datetime.fromtimestamp(self.clock.seconds() + 100, UTC).isoformat()
        text = json.dumps({"expires": expires, "public_key": chosen.text, "version": 1})
        certificate = {"certificate": text, "signature": base32.encode(manager.sign(text.encode()))}
        self.broker.hear(announced(1, grid_manager_certificates=[certificate]))
        self.connector.answer()

        self.assertEqual(len(self.broker.for_reading(INDEX)), 2)
        (permitted,) = self.broker.for_upload(INDEX)
        self.assertEqual(permitted.identity.server_id, chosen.server_id)
        self.clock.advance(100)
        self.assertEqual(self.broker.for_upload(INDEX), [])


class Settling(BrokerCase):
    """Soon after the start, an upload waits for the servers there are; later it takes those that it finds."""

    def settled(self, least: int, enough: int) -> Deferred[None]:
        return spawn(self.broker.settled(least, enough))

    def test_enough_servers_are_waited_for(self) -> None:
        self.broker.hear(announced(1))
        self.broker.hear(announced(2))
        self.broker.hear(announced(3))
        waiting, given_up = self.settled(1, 2), self.settled(1, 2)
        self.connector.answer(position=0)
        self.assertNoResult(waiting)
        given_up.cancel()
        self.failureResultOf(given_up)
        self.connector.answer(position=1)
        self.successResultOf(waiting)
        self.successResultOf(self.settled(1, 2))

    def test_no_more_than_are_known(self) -> None:
        self.broker.hear(announced(1))
        waiting, hopeful = self.settled(1, 10), self.settled(2, 10)
        self.connector.answer()
        self.successResultOf(waiting)
        self.assertNoResult(hopeful)
        self.clock.advance(SETTLING_SECONDS)
        self.successResultOf(hopeful)

    def test_not_for_long(self) -> None:
        waiting = self.settled(1, 1)
        self.clock.advance(SETTLING_SECONDS - 1)
        self.assertNoResult(waiting)
        self.clock.advance(1)
        self.successResultOf(waiting)
        self.successResultOf(self.settled(1, 1))


class Stopping(BrokerCase):
    """The end of a node."""

    def test_all_is_let_go(self) -> None:
        self.broker.hear(announced(1))
        self.broker.hear(announced(2))
        connection = self.connector.answer()
        self.successResultOf(spawn(self.broker.stop()))
        self.assertTrue(connection.closed)
        self.assertFalse(self.connector.running)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.broker.for_reading(INDEX), ())

    def test_servers_known_before_the_start_are_connected_to_then(self) -> None:
        broker = Broker(self.connector, self.clock)
        broker.hear(announced(1))
        self.assertEqual(self.connector.attempts, [])
        self.successResultOf(spawn(broker.start()))
        self.addCleanup(lambda: spawn(broker.stop()))
        self.assertEqual(len(self.connector.attempts), 1)


class Statuses(BrokerCase):
    """What people are told."""

    def test_each_server_says_how_it_is(self) -> None:
        self.broker.hear(announced(1))
        (trying,) = self.broker.statuses()
        self.assertEqual((trying.connected, trying.connection, trying.version), (False, "Trying to connect", None))
        connection = self.connector.answer()
        (connected,) = self.broker.statuses()
        self.assertEqual(connected.connection, "Connected to tcp:127.0.0.1:1 via tcp")
        self.assertEqual((connected.version, connected.available_space), ("lafs/test", 1000))
        self.assertEqual(connected.last_received, 12.5)
        connection.lose()
        (lost,) = self.broker.statuses()
        self.assertTrue(lost.connection.startswith("Reconnecting in 1 seconds (last attempt"))
        self.assertEqual(lost.version, "lafs/test")
