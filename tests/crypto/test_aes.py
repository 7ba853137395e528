"""AES in counter mode: any range of a stream by itself."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.aes import CtrStream, ctr
from tests.crypto.vector_groups import group


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_ranges_of_a_stream(self) -> None:
        for case in group("aes_ctr"):
            key, plaintext = bytes.fromhex(case["in"]["key_hex"]), bytes.fromhex(case["in"]["plaintext_hex"])
            self.assertEqual(ctr(key, plaintext, case["in"]["offset"]).hex(), case["out"]["ciphertext_hex"])


class Streams(SynchronousTestCase):
    """What holds for all keys and data."""

    def test_short_and_long_ways_meet(self) -> None:
        data = bytes(range(256)) * 3
        for size in (0, 1, 15, 16, 17, 100, 511, 512, 513, 768):
            self.assertEqual(ctr(b"k" * 16, data[:size]), CtrStream(b"k" * 16).process(data[:size]), size)

    @given(st.binary(min_size=16, max_size=16), st.binary(max_size=200), st.integers(0, 200), st.integers(0, 2**40))
    def test_pieces_process_like_the_whole(self, key: bytes, data: bytes, cut: int, offset: int) -> None:
        whole = ctr(key, data, offset)
        stream = CtrStream(key, offset)
        self.assertEqual(stream.process(data[:cut]) + stream.process(memoryview(data)[cut:]), whole)
        self.assertEqual(ctr(key, data[cut:], offset + min(cut, len(data))), whole[cut:])
        self.assertEqual(ctr(key, whole, offset), data)
