"""Announcements: signed, verified, compared; and nothing that is wrong with one raises anything but BadAnnouncement."""
from __future__ import annotations

import contextlib
import json
from base64 import b64decode
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.ed25519 import SigningKey
from lafs.protocol.announcements import (
    DEEPEST,
    MOST_VALUES,
    Announcement,
    BadAnnouncement,
    Envelope,
    News,
    compare,
    of_fields,
    sign,
    verify,
)
from lafs.protocol.remote_interfaces import LARGEST_ANNOUNCEMENT
from tests.vectors_loader import load

KEY = SigningKey(b"k" * 32)
OTHER_KEY = SigningKey(b"o" * 32)


def signed_text(message: bytes, key: SigningKey = KEY) -> tuple[bytes, bytes, bytes]:
    """An envelope of exactly these bytes."""
    whole = sign({}, key, 1, b"")
    from lafs.crypto import base32

    return (message, b"v0-" + base32.encode(key.sign(message)).encode(), whole.key)


def signed(fields: object, key: SigningKey = KEY) -> tuple[bytes, bytes, bytes]:
    return signed_text(json.dumps(fields).encode(), key)


def envelope_of(vector: dict[str, Any]) -> tuple[bytes, bytes | None, bytes | None]:
    """The tuple that a vector describes."""
    signature, key = vector["signature"], vector["key"]
    return (
        b64decode(vector["message_b64"]),
        None if signature is None else signature.encode(),
        None if key is None else key.encode(),
    )


class KnownAnswers(SynchronousTestCase):
    """The peer's announcements."""

    def test_single_announcements_are_accepted_and_rejected_as_by_the_peer(self) -> None:
        for vector in load("storage_containers")["announcements"]:
            envelope = envelope_of(vector)
            # The peer accepts a signed list here and must reject it later; we do it at once.
            if vector["verdict"] == "accept" and isinstance(vector["decoded"], dict):
                announcement = verify(envelope)
                self.assertEqual(announcement.fields, vector["decoded"], vector["name"])
                self.assertEqual(announcement.server_id, vector["server_id"])
                assert announcement.envelope is not None
                self.assertEqual(announcement.envelope.as_tuple(), envelope)
            else:
                self.assertRaises(BadAnnouncement, verify, envelope)

    def test_sequences_end_in_the_state_of_the_peer(self) -> None:
        expected = {
            "new": {News.NEW},
            "update": {News.UPDATE},
            "duplicate": {News.DUPLICATE},
            "ignored-old-seqnum": {News.OLD_SEQUENCE_NUMBER},
            "ignored-no-valid-seqnum": {News.NO_SEQUENCE_NUMBER},
            "ignored-seqnum": {News.OLD_SEQUENCE_NUMBER, News.NO_SEQUENCE_NUMBER},
        }
        for sequence in load("storage_containers")["announcement_sequences"]:
            stored: dict[tuple[str, str], Announcement] = {}
            for step in sequence["steps"]:
                try:
                    heard = verify(envelope_of(step))
                except BadAnnouncement:
                    # A sequence number that is no integer is malformed here: the peer only ignores it, with this outcome.
                    self.assertNotIn(step["outcome"], ("new", "update", "duplicate"), step["description"])
                    continue
                place = (heard.service_name, heard.server_id)
                news = compare(stored.get(place), heard)
                if step["outcome"] != "ignored-wrong-service":
                    self.assertIn(news, expected[step["outcome"]], step["description"])
                if news.counts:
                    stored[place] = heard
            state = [[each.server_id, each.fields] for each in stored.values() if each.service_name == "storage"]
            self.assertEqual(state, sequence["final_state"])


class Signing(SynchronousTestCase):
    """What is signed is what is verified."""

    def test_a_signed_announcement_is_verified(self) -> None:
        envelope = sign({"service-name": "storage", "nickname": "Zoë"}, KEY, 7, b"n" * 32)
        announcement = verify(envelope.as_tuple())
        self.assertEqual(announcement.server_id, KEY.verifying_key.server_id)
        self.assertEqual(announcement.sequence_number, 7)
        self.assertEqual(announcement.nickname, "Zoë")
        self.assertEqual(announcement.content, {"service-name": "storage", "nickname": "Zoë"})

    def test_any_changed_byte_is_noticed(self) -> None:
        message, signature, key = sign({"service-name": "storage"}, KEY, 7, b"n" * 32).as_tuple()
        for position in range(len(message)):
            changed = message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]
            self.assertRaises(BadAnnouncement, verify, (changed, signature, key))

    def test_a_key_has_one_spelling(self) -> None:
        message, signature, key = signed({"service-name": "storage"})
        last = {"a": "i", "q": "y"}[chr(key[-1])]
        self.assertRaises(BadAnnouncement, verify, (message, signature, key[:-1] + last.encode()))


class Hostile(SynchronousTestCase):
    """Everything else is refused with the one error."""

    def test_unknown_fields_are_kept(self) -> None:
        fields = {"service-name": "storage", "from-the-future": {"x": [1, 2.5, None, True]}}
        self.assertEqual(verify(signed(fields)).fields, fields)

    def test_malformed_contents_are_refused(self) -> None:
        deep: object = 1
        for _ in range(DEEPEST + 1):
            deep = [deep]
        for fields in (
            [],
            1,
            None,
            "storage",
            {},
            {"service-name": 3},
            {"service-name": "s" * 1000},
            {"service-name": "storage", "seqnum": "4"},
            {"service-name": "storage", "seqnum": 4.0},
            {"service-name": "storage", "seqnum": True},
            {"service-name": "storage", "seqnum": None},
            {"service-name": "storage", "nickname": ["x"]},
            {"service-name": "storage", "x": float("nan")},
            {"service-name": "storage", "x": float("inf")},
            {"service-name": "storage", "x": deep},
            {"service-name": "storage", "x": [0] * MOST_VALUES},
        ):
            self.assertRaises(BadAnnouncement, verify, signed(fields))

    def test_malformed_texts_are_refused(self) -> None:
        for message in (
            b"",
            b"{",
            b'{"service-name":"storage","nickname":"\\ud800"}',
            b'{"service-name":"storage","\\udfff":1}',
            b'{"service-name":"storage","x":1e999}',
            b'{"service-name":"storage","seqnum":' + b"9" * 5000 + b"}",
            b"[" * 60_000,
            b'{"service-name":"storage","x":"' + b"x" * LARGEST_ANNOUNCEMENT + b'"}',
        ):
            self.assertRaises(BadAnnouncement, verify, signed_text(message))

    def test_things_that_are_no_envelopes_are_refused(self) -> None:
        message, signature, key = signed({"service-name": "storage"})
        for value in (
            None,
            1,
            b"",
            [message, signature, key],
            (message, signature),
            (message, signature, key, b""),
            (message.decode(), signature, key),
            (message, None, None),
            (message, b"", b""),
            (message, signature, b""),
            (message, signature[3:], key),
            (message, signature, key[3:]),
            (message, signature, b"v0-\xff"),
            (message, signature + b"aa", key),
        ):
            self.assertRaises(BadAnnouncement, verify, value)

    @given(st.recursive(st.none() | st.binary() | st.text() | st.integers(), st.tuples, max_leaves=5) | st.tuples(
        st.binary(), st.binary(), st.binary()
    ))
    def test_any_value_is_refused(self, value: object) -> None:
        self.assertRaises(BadAnnouncement, verify, value)

    @given(st.binary())
    def test_any_signed_bytes_are_read_or_refused(self, message: bytes) -> None:
        with contextlib.suppress(BadAnnouncement):
            verify(signed_text(message))

    @settings(max_examples=40)
    @given(
        st.dictionaries(
            st.text() | st.sampled_from(["service-name", "seqnum", "nickname"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda below: st.lists(below) | st.dictionaries(st.text(), below),
            ),
        )
    )
    def test_any_signed_object_is_read_or_refused_and_can_be_written_again(self, fields: dict[str, Any]) -> None:
        try:
            announcement = verify(signed({"service-name": "storage", **fields}))
        except BadAnnouncement:
            return
        json.dumps(announcement.fields, ensure_ascii=False, allow_nan=False).encode()
        self.assertTrue(announcement.nickname.isprintable())
        self.assertIs(compare(announcement, announcement), News.DUPLICATE)


class Unsigned(SynchronousTestCase):
    """Entries of this node's own files go through the same checks."""

    def test_server_ids_of_any_form_are_taken(self) -> None:
        self.assertEqual(of_fields("my-server", {"service-name": "storage"}).server_id, "my-server")

    def test_impossible_ones_are_refused(self) -> None:
        for server_id in ("", "a\nb", "x" * 1000):
            self.assertRaises(BadAnnouncement, of_fields, server_id, {"service-name": "storage"})
        self.assertRaises(BadAnnouncement, of_fields, "a", {"service-name": "storage", "when": object()})

    def test_secrets_are_not_shown(self) -> None:
        fields = {"service-name": "storage", "anonymous-storage-FURL": "swordfish"}
        announcement = verify(signed(fields))
        self.assertNotIn("swordfish", repr(announcement) + repr(Envelope.open(signed(fields))))
