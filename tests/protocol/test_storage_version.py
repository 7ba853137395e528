"""The version of a storage server, honest or not."""
from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.interfaces import ServerVersion
from lafs.protocol.remote_interfaces import STORAGE_V1
from lafs.protocol.storage_version import LARGEST_MUTABLE, LARGEST_SIZE, parse


class Versions(SynchronousTestCase):
    """Sense is made of it, or it is taken for a server that takes nothing."""

    def test_the_answer_of_the_peer_is_understood(self) -> None:
        answer = {
            STORAGE_V1: {
                b"maximum-immutable-share-size": 5000,
                b"maximum-mutable-share-size": 69105000000000000,
                b"available-space": 6000,
                b"tolerates-immutable-read-overrun": True,
            },
            b"application-version": b"tahoe-lafs/1.20.0",
        }
        self.assertEqual(parse(answer), ServerVersion("tahoe-lafs/1.20.0", 6000, 5000, 69105000000000000))

    def test_space_falls_back_to_the_largest_share(self) -> None:
        self.assertEqual(parse({STORAGE_V1: {b"maximum-immutable-share-size": 5000}}).available_space, 5000)

    def test_nonsense_takes_no_shares(self) -> None:
        for answer in (None, 7, {}, {STORAGE_V1: 1}, {STORAGE_V1: {b"maximum-immutable-share-size": True}}):
            version = parse(answer)
            self.assertFalse(version.takes_immutable_shares)
            self.assertEqual(version.maximum_mutable_share_size, LARGEST_MUTABLE)

    def test_absurd_sizes_are_brought_into_bounds(self) -> None:
        sizes = {b"maximum-immutable-share-size": 10**400, b"available-space": -1}
        self.assertEqual(parse({STORAGE_V1: sizes}).maximum_immutable_share_size, LARGEST_SIZE)
        self.assertEqual(parse({STORAGE_V1: sizes}).available_space, 0)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.binary() | st.text() | st.floats(),
            lambda below: st.lists(below)
            | st.dictionaries(
                st.sampled_from(
                    [STORAGE_V1, b"maximum-immutable-share-size", b"available-space", b"application-version"]
                ),
                below,
            ),
        )
    )
    def test_any_answer_becomes_a_version(self, answer: Any) -> None:
        version = parse(answer)
        self.assertTrue(version.application.isprintable())
        self.assertLessEqual(len(version.application), 100)
        self.assertTrue(0 <= version.maximum_immutable_share_size <= LARGEST_SIZE)
