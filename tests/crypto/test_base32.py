"""Base32: strict where a second spelling would be a second cap, lax where old keys need it."""
from __future__ import annotations

import contextlib
import hashlib
from base64 import b32encode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto import base32
from lafs.crypto.storage_index import StorageIndex
from tests.crypto.vector_groups import group

texts = st.text(alphabet=base32.ALPHABET, max_size=120)


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_encoding(self) -> None:
        for case in group("base32_encode"):
            self.assertEqual(base32.encode(bytes.fromhex(case["in"]["data_hex"])), case["out"]["text"])

    def test_encoding_is_that_of_the_standard_library(self) -> None:
        for size in [*range(200), 1000, 4097]:
            data = hashlib.shake_128(b"%d" % size).digest(size)
            for each in (data, bytes(size), b"\xff" * size):
                self.assertEqual(base32.encode(each), b32encode(each).decode("ascii").rstrip("=").lower())

    def test_lax_decoding(self) -> None:
        for case in group("base32_decode"):
            text = case["in"]["text"]
            if "error" in case["out"]:
                self.assertRaises(ValueError, base32.decode_lax, text)
                self.assertRaises(ValueError, base32.decode, text)
            else:
                self.assertEqual(base32.decode_lax(text).hex(), case["out"]["data_hex"])


class Properties(SynchronousTestCase):
    """What holds for all bytes and texts."""

    @given(st.binary(max_size=300))
    def test_bytes_come_back(self, data: bytes) -> None:
        text = base32.encode(data)
        self.assertEqual(len(text), -(-len(data) * 8 // 5))
        self.assertEqual(base32.decode(text), data)
        self.assertEqual(base32.decode_lax(text), data)

    @given(texts)
    def test_strict_text_is_the_only_text(self, text: str) -> None:
        try:
            data = base32.decode(text)
        except ValueError:
            return
        self.assertEqual(base32.encode(data), text)

    @given(texts)
    def test_lax_forgives_the_highest_spare_bit_only(self, text: str) -> None:
        try:
            data = base32.decode_lax(text)
        except ValueError:
            self.assertRaises(ValueError, base32.decode, text)
            return
        canonical = base32.encode(data)
        spare = len(text) * 5 % 8
        difference = base32.ALPHABET.index(text[-1]) ^ base32.ALPHABET.index(canonical[-1]) if text else 0
        self.assertEqual(text[:-1], canonical[:-1])
        self.assertIn(difference, (0, 1 << (spare - 1)) if spare else (0,))

    @given(st.text())
    def test_any_text_decodes_or_raises_valueerror(self, text: str) -> None:
        for decode in (base32.decode, base32.decode_lax, StorageIndex.parse):
            with contextlib.suppress(ValueError):
                decode(text)

    def test_digits_that_python_would_read_are_not_base32(self) -> None:
        # int() takes signs, blanks, underscores and digits of other scripts.
        for text in ("+aaaaaaa", " aaaaaaa", "aaa_aaaa", "aaaaaaa\n", "٣٣٣٣٣٣٣٣", "aaaaaaa0", "aaaaaaa1", "AAAAAAAA"):
            self.assertRaises(ValueError, base32.decode, text)
            self.assertRaises(ValueError, base32.decode_lax, text)


class StorageIndexes(SynchronousTestCase):
    """A storage index is 16 bytes or nothing."""

    def test_other_sizes_are_refused(self) -> None:
        for size in (0, 15, 17, 32):
            self.assertRaises(ValueError, StorageIndex, bytes(size))
            self.assertRaises(ValueError, StorageIndex.parse, base32.encode(bytes(size)))
