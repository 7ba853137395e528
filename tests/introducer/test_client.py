"""One introducer as a node knows it, without a network."""
from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.introducer import cache
from lafs.introducer import client as client_module
from lafs.introducer.client import PATIENCE, IntroducerClient
from lafs.introducer.server import IntroducerService
from lafs.protocol.announcements import Announcement, BadAnnouncement, sign
from lafs.protocol.furl import Furl
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from tests.grid.servers import announced, furl_of, key_of
from tests.introducer.wire import Reference, Wire
from tests.vectors_loader import load


class FakeTub:
    """Connects to what the test says, when it says so."""

    def __init__(self) -> None:
        self.attempts: list[Deferred[Any]] = []

    def getReference(self, furl: str) -> Deferred[Any]:
        self.attempts.append(Deferred())
        return self.attempts[-1]


class ClientCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.tub = FakeTub()
        self.heard: list[Announcement] = []
        self.cache_path = Path(self.mktemp())
        self.client = self.make_client()
        self.service = IntroducerService(Path(self.mktemp()), "lafs/test", clock=self.clock, workers=InlineWorkers())
        self.successResultOf(spawn(self.service.start()))

    def make_client(self) -> IntroducerClient:
        client = IntroducerClient(
            self.tub,
            Furl.parse(furl_of(1)),
            "default",
            self.hear,
            nickname="node",
            application="lafs/test",
            cache_path=self.cache_path,
            clock=self.clock,
            workers=InlineWorkers(),
            random=lambda: 0.5,
        )
        client.start()
        self.addCleanup(lambda: spawn(client.stop()))
        return client

    def hear(self, announcement: Announcement) -> None:
        self.heard.append(announcement)

    def connect(self, target: Any = None) -> Reference:
        """Let the pending attempt reach the service, or something else."""
        reference: Reference = Wire().reference(target or self.service)
        self.tub.attempts[-1].callback(reference)
        return reference

    def announce(self, *values: Any) -> None:
        """What an introducer of any honesty sends."""
        self.client._ear.remote_announce_v2(values)

    def names(self) -> list[str]:
        return [announcement.nickname for announcement in self.heard]


def envelope(announcement: Announcement) -> tuple[bytes, bytes, bytes]:
    assert announcement.envelope is not None
    return announcement.envelope.as_tuple()


class Publishing(ClientCase):
    """The node's own announcements reach the introducer, whenever it is there."""

    def test_what_was_published_before_is_sent_on_connection(self) -> None:
        own = sign({"service-name": "storage", "anonymous-storage-FURL": furl_of(7)}, key_of(7), 3, b"n" * 32)
        self.client.publish(own)
        self.connect()
        (entry,) = self.service.announced("storage")
        self.assertEqual(entry.envelope, own)

    def test_what_is_published_later_is_sent_at_once(self) -> None:
        self.connect()
        self.client.publish(sign({"service-name": "storage"}, key_of(7), 3, b"n" * 32))
        self.client.publish(sign({"service-name": "storage", "nickname": "new"}, key_of(7), 4, b"n" * 32))
        self.assertEqual([e.announcement.nickname for e in self.service.announced("storage")], ["new"])

    def test_identical_bytes_are_sent_after_a_reconnection(self) -> None:
        self.client.publish(sign({"service-name": "storage"}, key_of(7), 3, b"n" * 32))
        first = self.connect()
        first.wire.cut()
        self.clock.advance(2)
        second = self.connect()
        published = [[call for call in each.calls if call[0] == "publish_v2"] for each in (first, second)]
        self.assertEqual(published[0][0][1][0], published[1][0][1][0])

    def test_a_refused_announcement_does_not_stop_the_node_from_hearing(self) -> None:
        self.service.remote_publish_v2(envelope(announced(1)), Wire().reference(object()))
        self.client.publish(sign({"service-name": "storage", "permutation-seed-base32": "X"}, key_of(7), 3, b"n"))
        self.connect()
        self.assertEqual(self.names(), ["server 1"])

    def test_what_no_introducer_would_take_is_refused_at_once(self) -> None:
        self.assertRaises(BadAnnouncement, self.client.publish, sign({"nickname": "x"}, key_of(7), 3, b"n"))


class Hearing(ClientCase):
    """What others announce is passed on once, and each by itself."""

    def test_all_that_is_there_is_heard_and_what_comes_later(self) -> None:
        self.service.remote_publish_v2(envelope(announced(1)), Wire().reference(object()))
        self.connect()
        self.service.remote_publish_v2(envelope(announced(2)), Wire().reference(object()))
        self.assertEqual(self.names(), ["server 1", "server 2"])

    def test_a_malformed_announcement_costs_nobody_else_anything(self) -> None:
        good = [envelope(announced(number)) for number in range(3)]
        unsigned = (good[0][0], None, None)
        for bad in (None, 5, (), b"", [1], unsigned, (b"{", *good[1][1:]), ("a", "b", "c"), object(), Wire()):
            self.heard.clear()
            self.client._heard.clear()
            self.announce(good[0], bad, good[1], bad, good[2])
            self.assertEqual(self.names(), ["server 0", "server 1", "server 2"])

    def test_a_receiver_that_fails_costs_nobody_else_anything(self) -> None:
        def hear(announcement: Announcement) -> None:
            self.heard.append(announcement)
            raise ZeroDivisionError

        self.client._pass_on = hear
        self.announce(envelope(announced(1)), envelope(announced(2)))
        self.assertEqual(len(self.heard), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_what_is_no_news_is_not_passed_on(self) -> None:
        for sequence_number in (2, 2, 1, 3):
            self.announce(envelope(announced(1, sequence_number)))
        self.assertEqual([announcement.sequence_number for announcement in self.heard], [2, 3])

    def test_an_introducer_cannot_make_it_know_more_than_so_many(self) -> None:
        self.patch(client_module, "MOST_HEARD", 3)
        self.announce(*(envelope(announced(number)) for number in range(6)))
        self.announce(envelope(announced(1, 2, nickname="still heard")))
        self.assertEqual(len(self.heard), 4)

    def test_sequences_end_as_with_the_peer_and_so_does_the_cache(self) -> None:
        for sequence in load("storage_containers")["announcement_sequences"]:
            if sequence["role"] != "client":
                continue
            for step in sequence["steps"]:
                before = len(self.heard)
                self.announce((b64decode(step["message_b64"]), step["signature"].encode(), step["key"].encode()))
                self.assertEqual(len(self.heard) > before, step["outcome"] in ("new", "update"), step["description"])
            state = [[each.server_id, each.fields] for each in self.client._heard.values()]
            self.assertEqual(state, sequence["final_state"])
            self.clock.advance(2)
            self.assertEqual(self.cache_path.read_text(), sequence["cache_yaml"])


class Connection(ClientCase):
    """The introducer comes and goes."""

    def test_people_are_told_how_it_is(self) -> None:
        self.assertEqual(self.client.status().connection, "Trying to connect")
        reference = self.connect()
        status = self.client.status()
        self.assertEqual((status.petname, status.connected), ("default", True))
        self.assertEqual(status.connection, "Connected to tcp:127.0.0.1:1 via tcp")
        reference.wire.cut()
        self.assertFalse(self.client.status().connected)
        self.assertIn("Reconnecting in 1 seconds", self.client.status().connection)

    def test_it_tells_of_itself_what_the_peer_expects(self) -> None:
        reference = self.connect()
        (subscription,) = [arguments for method, arguments in reference.calls if method == "subscribe_v2"]
        self.assertEqual(subscription[1], b"storage")
        self.assertEqual(
            subscription[2],
            {
                b"version": 0,
                b"nickname": "node",
                b"app-versions": [],
                b"my-version": "lafs/test",
                b"oldest-supported": "1.0.0",
            },
        )

    def test_something_that_is_no_introducer_is_let_go(self) -> None:
        class Other:
            def remote_get_version(self) -> dict[bytes, object]:
                return {b"something": {}}

        reference = self.connect(Other())
        self.assertFalse(reference.wire.open)
        self.assertFalse(self.client.status().connected)

    def test_one_that_never_answers_is_let_go(self) -> None:
        reference: Reference = Wire().reference(self.service)
        reference.silent = True
        self.tub.attempts[-1].callback(reference)
        self.clock.advance(31)
        self.assertFalse(reference.wire.open)

    def test_stopping_lets_go_of_everything(self) -> None:
        reference = self.connect()
        self.announce(envelope(announced(1)))
        self.successResultOf(spawn(self.client.stop()))
        self.assertFalse(reference.wire.open)
        self.successResultOf(spawn(self.service.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(cache.unpack(self.cache_path.read_bytes())), 1)


class Cache(ClientCase):
    """What was heard in former times, for when the introducer cannot be reached."""

    def remember(self, *announcements: Announcement) -> None:
        self.cache_path.write_bytes(cache.pack(announcements))

    def test_it_is_used_when_the_first_attempt_fails_and_only_then(self) -> None:
        self.remember(announced(1))
        self.tub.attempts[-1].errback(OSError("refused"))
        self.assertEqual(self.names(), ["server 1"])
        self.assertIsNone(self.heard[0].envelope)
        self.clock.advance(2)
        self.tub.attempts[-1].errback(OSError("refused"))
        self.assertEqual(len(self.heard), 1)

    def test_it_is_used_when_the_first_attempt_takes_long(self) -> None:
        self.remember(announced(1))
        self.clock.advance(PATIENCE)
        self.assertEqual(self.names(), ["server 1"])

    def test_it_is_not_used_when_the_introducer_is_there(self) -> None:
        self.remember(announced(1))
        self.connect().wire.cut()
        self.clock.advance(2)
        self.tub.attempts[-1].errback(OSError("refused"))
        self.clock.advance(PATIENCE)
        self.assertEqual(self.heard, [])

    def test_what_is_in_it_can_be_replaced_by_anything_heard(self) -> None:
        self.remember(announced(1, 9))
        self.tub.attempts[-1].errback(OSError("refused"))
        self.announce(envelope(announced(1, 2)))
        self.assertEqual([announcement.sequence_number for announcement in self.heard], [9, 2])

    def test_nobody_else_can_read_it(self) -> None:
        self.announce(envelope(announced(1)))
        self.clock.advance(2)
        self.assertEqual(self.cache_path.stat().st_mode & 0o777, 0o600)

    def test_damaged_entries_are_left_out(self) -> None:
        good = {"ann": dict(announced(1).fields), "key_s": announced(1).server_id}
        entries: list[Any] = [5, "x", None, {}, {"key_s": 5, "ann": {}}, {"key_s": "v0-x"}, {"key_s": "x", "ann": []}]
        data = yaml.safe_dump([*entries, good]).encode()
        self.assertEqual([each.nickname for each in cache.unpack(data)], ["server 1"])
        for damaged in (b"", b"{", b"5", b"a: b", b"\xff\xfe", b"- &a [*a]", b"[" * 100_000, b"!!python/none"):
            self.assertEqual(cache.unpack(damaged), [])

    @given(st.binary() | st.text().map(str.encode))
    def test_any_file_is_survived(self, data: bytes) -> None:
        cache.unpack(data)
