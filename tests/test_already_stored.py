"""A large file that is on the grid already is recognised by its hashes, and not encoded again; nobody's word is taken for it."""
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lafs.immutable import encoder, uploader
from tests.memory_grid import Grid, random_bytes

CONTENT = random_bytes(10_000, seed=5)


class KnownFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(uploader, "RECOGNISE_FROM", 0)
        self.grid = Grid()
        self.first = self.grid.store(CONTENT)
        self.coded = 0
        code_segment = encoder.code_segment

        def counted(*arguments: object) -> object:
            self.coded += 1
            return code_segment(*arguments)  # type: ignore[arg-type]

        self.patch(encoder, "code_segment", counted)

    def test_a_second_upload_pushes_nothing_and_returns_the_same_cap(self) -> None:
        again = self.grid.store(CONTENT)
        self.assertEqual((again.cap, again.result.pushed_shares), (self.first.cap, 0))
        self.assertEqual(again.cost.requests["read"], 10)

    def test_one_server_with_another_story_means_coding_it_after_all(self) -> None:
        self.grid.corrupt(self.first.cap, lambda share: share[:-40] + bytes(40), numbers=[3])
        again = self.grid.store(CONTENT)
        self.assertEqual(again.cap, self.first.cap)
        self.assertGreater(self.coded, 0)

    def test_servers_that_agree_on_a_lie_are_not_believed(self) -> None:
        def lie(share: bytes) -> bytes:
            place = share.index(b"crypttext_root_hash:32:") + len(b"crypttext_root_hash:32:")
            return share[:place] + bytes(32) + share[place + 32 :]

        self.grid.corrupt(self.first.cap, lie)
        again = self.grid.store(CONTENT)
        self.assertEqual(again.cap, self.first.cap)
