"""What storage servers say of themselves."""
from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.derivations import default_permutation_seed
from lafs.crypto.ed25519 import SigningKey
from lafs.protocol.announcements import BadAnnouncement, of_fields
from lafs.protocol.storage_announcement import (
    Certificate,
    StorageAnnouncement,
    check_for_subscribers,
    of_static_entry,
    parse,
)
from tests.vectors_loader import load

SERVER_ID = "v0-dwukkxg266r5n3u4g47dmzhss2fein5uvrl6hrvzak66r37yicyq"
FURL = "pb://fsq7x6fylqrtzkydu33e6ltuaealtdfd@tcp:h:1/az72xr57ckqayhiijl77nasfls5juern"


def described(**fields: Any) -> StorageAnnouncement:
    return of_static_entry(SERVER_ID, {name.replace("_", "-"): value for name, value in fields.items()})


class Identity(SynchronousTestCase):
    """Who a server is, and where it stands, is what the peer makes of it."""

    def test_identities_are_those_of_the_peer(self) -> None:
        for vector in load("storage_containers")["server_identity"]:
            fields = {**vector["announcement"], "anonymous-storage-FURL": vector["furl"]}
            if "error" in vector:
                self.assertRaises(BadAnnouncement, of_static_entry, vector["server_id"], fields)
                continue
            expected = vector["expect"]
            identity = of_static_entry(vector["server_id"], fields).identity
            self.assertEqual(identity.server_id, expected["long_name"])
            self.assertEqual(identity.short_name, expected["short_name"])
            self.assertEqual(identity.nickname, expected["nickname"])
            self.assertEqual(identity.permutation_seed.hex(), expected["permutation_seed_hex"])
            self.assertEqual(identity.lease_seed.hex(), expected["lease_seed_hex"])
            self.assertEqual(identity.lease_seed.hex(), expected["write_enabler_seed_hex"])

    def test_a_new_server_stands_where_a_new_server_of_the_peer_would(self) -> None:
        for vector in load("storage_containers")["node_keys"]:
            key = SigningKey.parse(vector["private_key"]).verifying_key
            self.assertEqual((key.text, key.server_id), (vector["public_key"], vector["node_id"]))
            seed = default_permutation_seed(key.server_id)
            self.assertEqual(seed + "\n", vector["fresh_server_permutation_seed_file"])


class Reading(SynchronousTestCase):
    """Ways to reach a server, and what vouches for it."""

    def test_all_is_read(self) -> None:
        storage = described(
            anonymous_storage_FURL=FURL,
            anonymous_storage_NURLs=["pb://x"],
            storage_options=[{"name": "plug"}, {"no": "name"}, 3],
            grid_manager_certificates=[{"certificate": "{}", "signature": "aa"}, {"certificate": 1}, "x"],
        )
        assert storage.furl is not None
        self.assertEqual(storage.furl.text, FURL)
        self.assertEqual(storage.locations, ("pb://x",))
        self.assertEqual(storage.plugins, ("plug",))
        self.assertEqual(storage.certificates, (Certificate("{}", "aa"),))

    def test_impossible_servers_are_refused(self) -> None:
        for fields in (
            {"anonymous_storage_FURL": 1},
            {"anonymous_storage_FURL": "pb://short@tcp:h:1/name"},
            {"anonymous_storage_NURLs": "pb://x"},
            {"anonymous_storage_NURLs": [1]},
            {"permutation_seed_base32": 1},
            {"permutation_seed_base32": "a" * 10_000},
            {"storage_options": {}},
            {"grid_manager_certificates": "x"},
        ):
            self.assertRaises(BadAnnouncement, described, **fields)
        self.assertRaises(BadAnnouncement, parse, of_fields(SERVER_ID, {"service-name": "other"}))

    def test_secrets_are_not_shown(self) -> None:
        shown = repr(described(anonymous_storage_FURL=FURL, anonymous_storage_NURLs=["pb://swordfish"]))
        self.assertNotIn("az72", shown)
        self.assertNotIn("swordfish", shown)

    def test_an_introducer_knows_what_subscribers_of_the_peer_stumble_over(self) -> None:
        check_for_subscribers(described(anonymous_storage_FURL=FURL, anonymous_storage_NURLs=["pb://x"]))
        check_for_subscribers(described(storage_options=[{"name": "plug"}]))
        for fields in (
            {"anonymous_storage_NURLs": ["pb://x"]},
            {"anonymous_storage_FURL": FURL.replace("@", ".v2@")},
            {"anonymous_storage_FURL": FURL, "grid_manager_certificates": [{"certificate": "{}", "signature": "A"}]},
            {"anonymous_storage_FURL": FURL, "grid_manager_certificates": ["x"]},
        ):
            self.assertRaises(BadAnnouncement, check_for_subscribers, described(**fields))

    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    "anonymous-storage-FURL",
                    "anonymous-storage-NURLs",
                    "permutation-seed-base32",
                    "storage-options",
                    "grid-manager-certificates",
                    "nickname",
                ]
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda below: st.lists(below)
                | st.dictionaries(st.sampled_from(["name", "certificate", "signature"]), below),
            ),
        )
    )
    def test_any_fields_are_read_or_refused(self, fields: dict[str, Any]) -> None:
        with contextlib.suppress(BadAnnouncement):
            check_for_subscribers(of_static_entry(SERVER_ID, fields))
