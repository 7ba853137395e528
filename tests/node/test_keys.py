"""Identities and secrets of a node directory: made once, kept, never guessed."""

from __future__ import annotations

import os
import stat
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from foolscap.api import Tub
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto import base32
from lafs.crypto.certificate_ids import tub_id
from lafs.crypto.ed25519 import SigningKey
from lafs.errors import NodeError
from lafs.node.keys import Keys
from tests import vectors_loader

TUB = "a" * 32


class KeysTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        numbers = count(1)
        self.keys = Keys(self.directory, lambda size: bytes([next(numbers) % 256]) * size)

    def private(self, name: str) -> Path:
        return self.directory / "private" / name

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)


class MadeOnce(KeysTestCase):
    def test_everything_is_made_once_and_then_kept(self) -> None:
        first = [
            self.keys.tub_certificate(), self.keys.signing_key().text, self.keys.lease_secret(),
            self.keys.convergence_secret(),
        ]  # fmt: skip
        again = Keys(self.directory, os.urandom)
        self.assertEqual(
            first,
            [again.tub_certificate(), again.signing_key().text, again.lease_secret(), again.convergence_secret()],
        )

    def test_secrets_are_for_the_owner_only(self) -> None:
        os.umask(os.umask(0))
        self.keys.tub_certificate()
        self.keys.signing_key()
        self.keys.lease_secret()
        self.keys.convergence_secret()
        self.keys.renew_api_token()
        self.keys.write_furl("storage.furl", "pb://x")
        self.assertEqual(self.mode(self.directory / "private"), 0o700)
        self.assertEqual(
            {path.name: oct(self.mode(path)) for path in self.directory.glob("private/*") if self.mode(path) != 0o600}, {}
        )
        self.assertEqual(len(list(self.directory.glob("private/*"))), 6)

    def test_the_token_is_new_at_every_start(self) -> None:
        tokens = {self.keys.renew_api_token(), self.keys.renew_api_token()}
        self.assertEqual({len(token) for token in tokens}, {44})
        self.assertEqual(len(tokens), 2)
        self.assertIn(self.private("api_auth_token").read_text().removesuffix("\n"), tokens)

    def test_an_empty_convergence_secret_is_a_secret(self) -> None:
        self.private("convergence").write_text("")
        self.assertEqual(self.keys.convergence_secret(), b"")

    def test_blanks_around_secrets_do_not_count(self) -> None:
        self.private("secret").write_text(f"  {base32.encode(b'x' * 32)}\n\n")
        self.assertEqual(self.keys.lease_secret(), b"x" * 32)


class Damaged(KeysTestCase):
    def test_damaged_files_are_named_and_left_alone(self) -> None:
        for name, use in (
            ("node.pem", self.keys.tub_certificate),
            ("node.privkey", self.keys.signing_key),
            ("secret", self.keys.lease_secret),
            ("convergence", self.keys.convergence_secret),
        ):
            for damage in (b"?!1 secret", b"\xff\xfe"):
                self.private(name).write_bytes(damage)
                error = self.assertRaises(NodeError, use)
                self.assertIn(name, str(error))
                self.assertNotIn("?!1", str(error))
                self.assertEqual(self.private(name).read_bytes(), damage)

    def test_an_empty_lease_secret_is_refused(self) -> None:
        self.private("secret").write_text("")
        self.assertRaises(NodeError, self.keys.lease_secret)

    def test_a_furl_of_another_identity_is_refused(self) -> None:
        self.private("storage.furl").write_text("pb://" + "b" * 32 + "@tcp:h:1/swissnum\n")
        error = self.assertRaises(NodeError, self.keys.name_in_furl, "storage.furl", TUB)
        self.assertIn("node.pem", str(error))
        self.assertNotIn("swissnum", str(error))

    def test_a_damaged_sequence_number_goes_on_from_the_clock(self) -> None:
        (self.directory / "announcement-seqnum").write_text("x")
        self.assertEqual(self.keys.next_sequence_number(1_700_000_000.5), 1_700_000_000)
        self.assertEqual(self.keys.next_sequence_number(1_700_000_000.5), 1_700_000_001)


class StorageIdentity(KeysTestCase):
    def test_numbers_start_at_one_and_grow(self) -> None:
        self.assertEqual([self.keys.next_sequence_number(0) for _ in range(3)], [1, 2, 3])
        self.assertEqual((self.directory / "announcement-seqnum").read_text(), "3\n")

    def test_a_furl_keeps_its_name_when_its_hints_change(self) -> None:
        name = self.keys.name_in_furl("storage.furl", TUB)
        self.assertEqual(len(name), 32)
        self.keys.write_furl("storage.furl", f"pb://{TUB}@tcp:a:1/{name}")
        self.assertEqual(self.keys.name_in_furl("storage.furl", TUB), name)
        self.keys.write_furl("storage.furl", f"pb://{TUB}@tcp:b:2/{name}")
        self.assertEqual(self.private("storage.furl").read_text(), f"pb://{TUB}@tcp:b:2/{name}\n")

    def test_ids_and_seeds_are_those_of_the_vectors(self) -> None:
        for case in vectors_loader.load("storage_containers")["node_keys"]:
            key = SigningKey.parse(case["private_key"])
            self.assertEqual(key.verifying_key.server_id, case["node_id"])
            for shares, expected in ((False, "fresh_server_permutation_seed_file"), (True, "seed_file_if_shares_exist")):
                with self.subTest(shares=shares):
                    directory = Path(self.mktemp())
                    (directory / "storage" / "shares" / "incoming").mkdir(parents=True)
                    if shares:
                        (directory / "storage" / "shares" / "aa").mkdir()
                    keys = Keys(directory, os.urandom)
                    seed = keys.permutation_seed(case["node_id"], case["tubid"], directory / "storage")
                    self.assertEqual((directory / "permutation-seed").read_text(), case[expected])
                    self.assertEqual(seed, case[expected].strip())
                    # It stays, even when shares come or go.
                    (directory / "storage" / "shares" / "bb").mkdir()
                    self.assertEqual(keys.permutation_seed("v0-other", TUB, directory / "storage"), seed)

    def test_the_peers_certificate_is_read_and_ours_is_like_it(self) -> None:
        case = vectors_loader.load("storage_containers")["tub_identity"][0]
        self.private("node.pem").write_text(case["node_pem"])
        self.assertEqual(self.keys.tub_certificate().decode(), case["node_pem"])
        self.assertEqual(Tub(certData=self.keys.tub_certificate()).tubID, case["tubid"])
        self.private("node.pem").unlink()
        made = self.keys.tub_certificate()
        certificate = x509.load_pem_x509_certificate(made)
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=newpb_thingy")
        self.assertEqual(Tub(certData=made).tubID, tub_id(certificate.public_bytes(Encoding.DER)))
