"""Keys of mutable files."""
from __future__ import annotations

import contextlib
from base64 import b64decode
from functools import cache
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import DirectoryCap, MutableFormat, MutableWriteCap
from lafs.crypto.aes import ctr
from lafs.crypto.derivations import write_enabler
from lafs.crypto.ed25519 import VerifyingKey
from lafs.crypto.rsa import PrivateKey, PublicKey
from tests.crypto.vector_groups import group
from tests.vectors_loader import available, load


@cache
def some_key() -> PrivateKey:
    return PrivateKey.parse(b64decode(group("rsa_to_caps")[0]["in"]["private_key_b64"]))


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_from_key_to_caps(self) -> None:
        for case in group("rsa_to_caps"):
            with self.subTest(case["id"]):
                key, expected = PrivateKey.parse(b64decode(case["in"]["private_key_b64"])), case["out"]
                encrypted = ctr(key.write_key, key.der)
                self.assertEqual(key.der, b64decode(expected["pkcs8_der_b64"]))
                self.assertEqual(key.public_key.der, b64decode(expected["public_key_der_b64"]))
                self.assertEqual(key.write_key.hex(), expected["writekey_hex"])
                self.assertEqual(key.public_key.fingerprint.hex(), expected["fingerprint_hex"])
                self.assertEqual(sha256(encrypted).hexdigest(), expected["encrypted_private_key_sha256_hex"])
                self.assertTrue(encrypted.hex().startswith(expected["encrypted_private_key_head_hex"]))
                enabler = write_enabler(key.write_key, bytes.fromhex(case["in"]["server_tubid_hex"]))
                self.assertEqual(enabler.hex(), expected["write_enabler_hex"])
                sdmf, mdmf = (self.cap_of(key, mutable_format) for mutable_format in ("SDMF", "MDMF"))
                self.assertEqual(
                    [sdmf.text, sdmf.readonly().text, sdmf.verifier().text, DirectoryCap(sdmf).text],
                    [expected[name] for name in ("ssk", "ssk_ro", "ssk_verifier", "dir2")],
                )
                self.assertEqual(
                    [mdmf.text, mdmf.readonly().text, mdmf.verifier().text, DirectoryCap(mdmf).text],
                    [expected[name] for name in ("mdmf", "mdmf_ro", "mdmf_verifier", "dir2_mdmf")],
                )

    def cap_of(self, key: PrivateKey, mutable_format: MutableFormat) -> MutableWriteCap:
        return MutableWriteCap(mutable_format, key.write_key, key.public_key.fingerprint)

    def test_reading_private_keys(self) -> None:
        for case in group("rsa_private_import"):
            with self.subTest(case["in"]["label"]):
                der = b64decode(case["in"]["der_b64"])
                if case["out"]["accepted"]:
                    self.assertEqual(PrivateKey.parse(der).write_key.hex(), case["out"]["writekey_of_reserialised_hex"])
                else:
                    self.assertRaises(ValueError, PrivateKey.parse, der)

    def test_verifying(self) -> None:
        for case in group("rsa_pss_verify"):
            with self.subTest(case["in"]["label"]):
                key = PublicKey.parse(b64decode(case["in"]["public_key_der_b64"]))
                signature, message = bytes.fromhex(case["in"]["signature_hex"]), bytes.fromhex(case["in"]["message_hex"])
                self.assertEqual(key.verify(signature, message), case["out"]["valid"])

    def test_published_caps_of_whole_files(self) -> None:
        if not available("caps_end_to_end"):
            self.skipTest("no folder of vectors has caps_end_to_end.json")
        cases = [case for case in load("caps_end_to_end")["cases"] if case["format"] != "chk"]
        self.assertTrue(cases)
        for case in cases:
            key = PrivateKey.parse(b64decode(case["private_key_pkcs8_der_b64"]))
            self.assertEqual(self.cap_of(key, case["format"].upper()).text, case["expected"]["cap"])


class Keys(SynchronousTestCase):
    """What holds for all keys."""

    def test_a_new_key_works_and_reads_back(self) -> None:
        key = PrivateKey.generate()
        again = PrivateKey.parse(key.der)
        self.assertEqual((again.der, again.write_key), (key.der, key.write_key))
        self.assertIn(len(key.der), range(1210, 1225))
        self.assertEqual(len(key.public_key.der), 294)
        received = PublicKey.parse(key.public_key.der)
        self.assertEqual(received.fingerprint, key.public_key.fingerprint)
        signature = key.sign(b"prefix")
        self.assertEqual(len(signature), 256)
        self.assertTrue(received.verify(signature, b"prefix"))
        self.assertFalse(received.verify(signature, b"prefiy"))

    def test_a_private_key_does_not_show(self) -> None:
        self.assertEqual(repr(some_key()), "<PrivateKey>")

    def test_a_public_key_is_no_private_one_and_the_other_way_round(self) -> None:
        self.assertRaises(ValueError, PrivateKey.parse, some_key().public_key.der)
        self.assertRaises(ValueError, PublicKey.parse, some_key().der)

    def test_a_public_key_of_another_kind_is_refused(self) -> None:
        ed25519 = bytes.fromhex("302a300506032b6570032100") + VerifyingKey.of_server("v0-" + "a" * 52).raw
        self.assertRaises(ValueError, PublicKey.parse, ed25519)

    def test_an_owners_key_is_read_without_testing_its_primes_again(self) -> None:
        for vector in group("rsa_to_caps"):
            der = PrivateKey.parse(b64decode(vector["in"]["private_key_b64"])).der
            key = PrivateKey.parse_owners(der)
            self.assertEqual((key.der, key.write_key), (der, PrivateKey.parse(der).write_key))
            self.assertTrue(key.public_key.verify(key.sign(b"message"), b"message"))

    @given(st.data())
    def test_an_owners_key_that_is_damaged_is_a_key_or_refused(self, data: st.DataObject) -> None:
        der = bytearray(some_key().der)
        der[data.draw(st.integers(0, len(der) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        with contextlib.suppress(ValueError):
            PrivateKey.parse_owners(bytes(der)).sign(b"message")

    def test_numbers_that_do_not_fit_together_are_refused(self) -> None:
        # The peer loads such a key, and only fails when it signs.
        der = bytearray(some_key().der)
        der[200] ^= 1  # inside of the modulus
        self.assertRaises(ValueError, PrivateKey.parse, bytes(der))

    @given(st.binary(max_size=400))
    def test_any_bytes_are_a_key_or_refused(self, der: bytes) -> None:
        self.assertRaises(ValueError, PrivateKey.parse, der)
        self.assertRaises(ValueError, PublicKey.parse, der)

    @given(st.data())
    def test_any_damaged_key_is_a_key_or_refused(self, data: st.DataObject) -> None:
        der = bytearray(some_key().public_key.der)
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(ValueError):
            PublicKey.parse(bytes(der)).verify(bytes(256), b"message")
