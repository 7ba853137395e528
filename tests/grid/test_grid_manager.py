"""Who may take shares, as grid managers say."""
from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto import base32
from lafs.crypto.ed25519 import SigningKey, VerifyingKey
from lafs.grid.grid_manager import endorsements, upload_permitted
from lafs.protocol.storage_announcement import Certificate, of_static_entry
from tests.vectors_loader import load

MANAGER = SigningKey(b"m" * 32)
SERVER_ID = SigningKey(b"s" * 32).verifying_key.server_id
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def certificate_of(text: str) -> Certificate:
    return Certificate(text, base32.encode(MANAGER.sign(text.encode())))


def permitted(*certificates: Certificate) -> bool:
    managers = [MANAGER.verifying_key]
    return upload_permitted(SERVER_ID, endorsements(certificates, managers), managers, NOW)


class KnownAnswers(SynchronousTestCase):
    """The peer's verdicts; where it fails with an exception, the certificate vouches for nothing."""

    def test_verdicts_are_those_of_the_peer(self) -> None:
        for case in load("storage_containers")["grid_manager"]["cases"]:
            managers = [VerifyingKey.parse(text) for text in case["grid_manager_keys"]]
            storage = of_static_entry(case["server_id"], {"grid-manager-certificates": case["certificates"]})
            endorsed = endorsements(storage.certificates, managers)
            now = datetime.fromisoformat(case["now"])
            self.assertEqual(
                upload_permitted(case["server_id"], endorsed, managers, now),
                case.get("upload_permitted", False),
                case["name"],
            )


class Certificates(SynchronousTestCase):
    """Signed nonsense is still nonsense."""

    def test_a_certificate_holds_until_it_expires(self) -> None:
        text = json.dumps({"public_key": "pub-" + SERVER_ID, "expires": (NOW + timedelta(seconds=1)).isoformat()})
        self.assertTrue(permitted(certificate_of(text)))
        managers = [MANAGER.verifying_key]
        endorsed = endorsements([certificate_of(text)], managers)
        self.assertFalse(upload_permitted(SERVER_ID, endorsed, managers, NOW + timedelta(seconds=1)))

    def test_signed_nonsense_vouches_for_nothing(self) -> None:
        later = (NOW + timedelta(days=1)).isoformat()
        for content in (
            [],
            {},
            {"public_key": "pub-" + SERVER_ID},
            {"public_key": "pub-" + SERVER_ID, "expires": 5},
            {"public_key": "pub-" + SERVER_ID, "expires": "tomorrow"},
            {"public_key": SERVER_ID, "expires": later},
            {"public_key": ["pub-" + SERVER_ID], "expires": later},
        ):
            self.assertFalse(permitted(certificate_of(json.dumps(content))))
        self.assertFalse(permitted(certificate_of("[" * 100_000)))

    @given(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists))
    def test_any_signed_text_is_survived(self, text: str, value: Any) -> None:
        texts = [text, json.dumps({"public_key": value, "expires": text}), json.dumps(value)]
        usable = [each for each in texts if each.encode("utf-8", "ignore").decode() == each]
        self.assertFalse(permitted(*map(certificate_of, usable)))
