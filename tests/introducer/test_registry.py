"""What an introducer remembers."""
from __future__ import annotations

import json
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.introducer import registry as registry_module
from lafs.introducer.registry import DAY, EXPIRY, Registry
from lafs.protocol.announcements import Announcement, BadAnnouncement, News
from tests.grid.servers import announced
from tests.vectors_loader import load

NOW = 1_800_000_000.0


def envelope(announcement: Announcement) -> tuple[bytes, bytes, bytes]:
    assert announcement.envelope is not None
    return announcement.envelope.as_tuple()


class Publishing(SynchronousTestCase):
    """The newest announcement of each server, and no other."""

    def setUp(self) -> None:
        self.registry = Registry()

    def publish(self, announcement: Announcement, now: float = NOW) -> News:
        return self.registry.publish(envelope(announcement), now)[1]

    def test_sequences_end_as_with_the_peer(self) -> None:
        for sequence in load("storage_containers")["announcement_sequences"]:
            if sequence["role"] != "introducer":
                continue
            registry = Registry()
            for step in sequence["steps"]:
                value = (b64decode(step["message_b64"]), step["signature"].encode(), step["key"].encode())
                try:
                    entry, news = registry.publish(value, NOW)
                except BadAnnouncement:
                    self.assertFalse(step["relayed_to_storage_subscribers"], step["description"])
                    continue
                relayed = news.counts and entry.announcement.service_name == "storage"
                self.assertEqual(relayed, step["relayed_to_storage_subscribers"], step["description"])
            state = [[e.announcement.server_id, e.announcement.fields] for e in registry.of_service("storage")]
            self.assertEqual(state, sequence["final_state"])

    def test_what_subscribers_stumble_over_is_refused(self) -> None:
        for fields in (
            {"anonymous_storage_FURL": 5},
            {"permutation_seed_base32": "UPPER"},
            {"grid_manager_certificates": ["x"]},
            {"nickname": []},
        ):
            with self.assertRaises(BadAnnouncement):
                self.publish(announced(1, **fields))  # type: ignore[arg-type]
        for value in (None, [], ("", "", ""), list(envelope(announced(1)))):
            self.assertRaises(BadAnnouncement, self.registry.publish, value, NOW)
        self.assertEqual(len(self.registry), 0)

    def test_there_is_a_most_of_servers_and_of_bytes(self) -> None:
        self.patch(registry_module, "MOST_ANNOUNCEMENTS", 3)
        for number in range(3):
            self.publish(announced(number))
        self.assertRaises(BadAnnouncement, self.publish, announced(4))
        self.assertIs(self.publish(announced(1, 2)), News.UPDATE)
        self.patch(registry_module, "MOST_ANNOUNCEMENTS", 1000)
        self.patch(registry_module, "MOST_BYTES", 5 * len(envelope(announced(1))[0]))
        self.publish(announced(5))
        self.assertRaises(BadAnnouncement, self.publish, announced(6, x="x" * 2000))

    def test_room_is_given_back(self) -> None:
        self.patch(registry_module, "MOST_BYTES", 10_000)
        for number in range(30):
            self.publish(announced(1, number + 1, x="x" * 5000), NOW)
        self.registry.expire(NOW + 2 * EXPIRY)
        self.publish(announced(2, x="x" * 9000), NOW)

    def test_services_are_counted(self) -> None:
        self.publish(announced(1))
        self.publish(announced(2))
        self.publish(announced(2, service_name="other"))
        self.assertEqual(self.registry.counts(), {"storage": 2, "other": 1})


class Expiry(SynchronousTestCase):
    """Servers that show no sign of life are forgotten, and no others."""

    def setUp(self) -> None:
        self.registry = Registry()

    def test_a_server_unseen_for_long_is_forgotten(self) -> None:
        self.registry.publish(envelope(announced(1)), NOW)
        self.assertEqual(self.registry.expire(NOW + EXPIRY), 0)
        self.assertEqual(self.registry.expire(NOW + EXPIRY + 1), 1)
        self.assertEqual(len(self.registry), 0)

    def test_publishing_the_same_again_is_a_sign_of_life(self) -> None:
        self.registry.publish(envelope(announced(1)), NOW)
        self.registry.publish(envelope(announced(1)), NOW + DAY)
        self.assertEqual(self.registry.expire(NOW + EXPIRY + 1), 0)

    def test_a_replay_of_something_old_is_none(self) -> None:
        self.registry.publish(envelope(announced(1, 2)), NOW)
        self.registry.publish(envelope(announced(1, 1)), NOW + DAY)
        self.assertEqual(self.registry.expire(NOW + EXPIRY + 1), 1)

    def test_a_server_that_is_connected_is_never_forgotten(self) -> None:
        entry, _ = self.registry.publish(envelope(announced(1)), NOW)
        entry.connections = 1
        self.assertEqual(self.registry.expire(NOW + 10 * EXPIRY), 0)


class Record(SynchronousTestCase):
    """What was written down is remembered."""

    def setUp(self) -> None:
        self.registry = Registry()
        for number in range(3):
            self.registry.publish(envelope(announced(number, nickname="é")), NOW + number)

    def again(self, data: bytes, now: float = NOW + 10) -> Registry:
        registry = Registry()
        registry.unpack(data, now)
        return registry

    def test_all_comes_back_byte_for_byte(self) -> None:
        again = self.again(self.registry.pack())
        self.assertEqual(
            [entry.envelope.as_tuple() for entry in again.of_service("storage")],
            [entry.envelope.as_tuple() for entry in self.registry.of_service("storage")],
        )
        self.assertEqual([entry.last_seen for entry in again.of_service("storage")], [NOW, NOW + 1, NOW + 2])
        self.assertEqual(again.pack(), self.registry.pack())

    def test_a_bad_line_costs_only_itself(self) -> None:
        lines = self.registry.pack().splitlines()
        forged = json.loads(lines[2])
        forged["message"] = forged["message"].replace("nonce", "nonse")
        for bad in (b"{", b"[]", b"5", b"\xff", b"{}", lines[1][:-5], json.dumps(forged).encode(), b"[" * 100_000):
            registry = Registry()
            self.assertEqual(registry.unpack(b"\n".join([lines[0], lines[1], bad, lines[3]]), NOW), 1)
            self.assertEqual(len(registry), 2)

    def test_time_when_the_introducer_was_down_is_not_held_against_servers(self) -> None:
        much_later = NOW + 100 * EXPIRY
        again = self.again(self.registry.pack(), much_later)
        self.assertEqual(again.expire(much_later), 0)
        self.assertEqual(again.expire(much_later + 2 * DAY), 3)

    def test_times_in_the_future_are_not_believed(self) -> None:
        again = self.again(self.registry.pack(), NOW - DAY)
        self.assertEqual({entry.last_seen for entry in again.of_service("storage")}, {NOW - DAY})

    @given(st.binary())
    def test_any_file_is_survived(self, data: bytes) -> None:
        self.again(data)
        self.again(b"{}\n" + data)
