"""Netstrings: joined fields have one reading."""
from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.netstring import netstring, split
from tests.crypto.vector_groups import group, unhex


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_joining(self) -> None:
        for case in group("netstring"):
            self.assertEqual(netstring(bytes.fromhex(case["in"]["data_hex"])).hex(), case["out"]["netstring_hex"])

    def test_splitting(self) -> None:
        for case in group("netstring_split"):
            asked, expected = case["in"], case["out"]
            arguments = (bytes.fromhex(asked["data_hex"]), asked["count"], asked["position"], unhex(asked["required_trailer_hex"]))
            if "error" in expected:
                self.assertRaises(ValueError, split, *arguments)
                continue
            payloads, position = split(*arguments)
            self.assertEqual([payload.hex() for payload in payloads], expected["elements_hex"])
            self.assertEqual(position, expected["position"])


class Splitting(SynchronousTestCase):
    """`split` reads what `netstring` wrote, and nothing else."""

    @given(st.lists(st.binary(max_size=40), max_size=6), st.binary(max_size=10), st.binary(max_size=10))
    def test_what_was_joined_comes_apart(self, payloads: list[bytes], before: bytes, trailer: bytes) -> None:
        data = before + b"".join(map(netstring, payloads)) + trailer
        read, position = split(data, len(payloads), len(before), required_trailer=trailer)
        self.assertEqual((read, position), (payloads, len(data)))

    @given(st.binary(max_size=60), st.integers(0, 4), st.integers(0, 70), st.none() | st.binary(max_size=3))
    def test_any_bytes_split_or_raise_valueerror(self, data: bytes, count: int, position: int, trailer: bytes | None) -> None:
        with contextlib.suppress(ValueError):
            payloads, _ = split(data, count, position, trailer)
            self.assertEqual(b"".join(map(netstring, payloads)), data[position:][: sum(len(netstring(p)) for p in payloads)])

    def test_lengths_no_writer_produces_are_refused(self) -> None:
        signed = (b"+3:abc,", b"-1:,", b" 3:abc,", b"3 :abc,")
        for data in (*signed, b"03:abc,", b":,", b"00:,", b"1_0:0123456789,", b"9" * 5000 + b":,"):
            self.assertRaises(ValueError, split, data, 1)

    def test_a_short_trailer_is_no_trailer(self) -> None:
        self.assertRaises(ValueError, split, b"1:a,tail", 1, 0, b"tai")
        self.assertRaises(ValueError, split, b"1:a,tai", 1, 0, b"tail")
