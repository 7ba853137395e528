"""Keys of nodes, and what they sign."""
from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto import base32
from lafs.crypto.ed25519 import SigningKey, VerifyingKey
from tests.crypto.vector_groups import group


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_keys_and_signatures(self) -> None:
        for case in group("ed25519"):
            key, message = SigningKey(bytes.fromhex(case["in"]["seed_hex"])), bytes.fromhex(case["in"]["message_hex"])
            self.assertEqual(key.text, case["out"]["private"])
            self.assertEqual(key.verifying_key.text, case["out"]["public"])
            self.assertEqual(key.sign(message).hex(), case["out"]["signature_hex"])
            self.assertTrue(key.verifying_key.verify(key.sign(message), message))

    def test_reading_keys(self) -> None:
        for case in group("ed25519_key_parse"):
            parse = {"private": SigningKey.parse, "public": VerifyingKey.parse}[case["in"]["kind"]]
            if "error" in case["out"]:
                self.assertRaises(ValueError, parse, case["in"]["text"])
            else:
                # The peer repeats a stray spare bit; here what is written is always canonical. Both mean the same key.
                key = parse(case["in"]["text"])
                self.assertEqual(key, parse(case["out"]["canonical"]))
                self.assertEqual(key, parse(key.text))

    def test_verifying(self) -> None:
        for case in group("ed25519_verify"):
            key = VerifyingKey.parse(case["in"]["public"])
            signature, message = bytes.fromhex(case["in"]["signature_hex"]), bytes.fromhex(case["in"]["message_hex"])
            self.assertEqual(key.verify(signature, message), case["out"]["valid"], case["in"]["label"])

    def test_signatures_of_announcements(self) -> None:
        for case in group("announcement_signature"):
            key, message = SigningKey.parse(case["in"]["private"]), bytes.fromhex(case["in"]["message_hex"])
            self.assertEqual("v0-" + base32.encode(key.sign(message)), case["out"]["signature_field"])
            self.assertEqual(key.verifying_key.server_id, case["out"]["key_field"])
            self.assertEqual(VerifyingKey.of_server(case["out"]["key_field"]), key.verifying_key)


class Keys(SynchronousTestCase):
    """What holds for all keys."""

    def test_a_new_key_is_made_of_the_randomness_given(self) -> None:
        asked: list[int] = []

        def random(size: int) -> bytes:
            asked.append(size)
            return bytes(range(size))

        self.assertEqual(SigningKey.generate(random).seed, bytes(range(32)))
        self.assertEqual(asked, [32])

    def test_a_private_key_does_not_show(self) -> None:
        key = SigningKey(bytes(range(32)))
        for secret in (key.text, repr(key.seed), key.seed.hex()):
            self.assertNotIn(secret, repr(key) + str(key))

    @given(st.text() | st.text(alphabet=base32.ALPHABET, min_size=52, max_size=52))
    def test_any_text_is_a_key_or_refused(self, text: str) -> None:
        for parse, prefix in ((SigningKey.parse, "priv-v0-"), (VerifyingKey.parse, "pub-v0-"), (VerifyingKey.of_server, "v0-")):
            for tried in (text, prefix + text):
                with contextlib.suppress(ValueError):
                    parse(tried)

    @given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.binary(max_size=10))
    def test_any_key_and_signature_give_an_answer(self, raw: bytes, signature: bytes, message: bytes) -> None:
        self.assertFalse(VerifyingKey(raw).verify(signature, message))
