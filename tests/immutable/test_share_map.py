"""Which share is read next: the one that costs least, among those that servers say they have."""
from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.immutable.file_facts import FileFacts
from lafs.immutable.layout import ShareOffsets
from lafs.immutable.server_speeds import ServerSpeeds
from lafs.immutable.share_map import Share, ShareMap
from lafs.interfaces import GridServer
from tests.immutable.fake_servers import ScriptedGrid, ScriptedReader, ScriptedServer, coded, some_bytes

FILE = coded(some_bytes(1_000), needed=3, total=6)
ANYWHERE = ShareOffsets(1, 36, 36, 36, 36, 36)


class Choosing(SynchronousTestCase):
    def setUp(self) -> None:
        self.scripts = [ScriptedServer(Clock(), f"server{number}") for number in range(6)]
        self.servers = ScriptedGrid(self.scripts).present
        self.speeds = ServerSpeeds()
        self.map = ShareMap(FileFacts(FILE.cap.verifier()), self.speeds)
        for number in range(6):
            self.have(number, number)

    def have(self, server: int, *numbers: int) -> None:
        self.map.update(
            self.servers[server], {number: ScriptedReader(self.scripts[server], number) for number in numbers}
        )

    def choose(
        self, taken: Collection[int] = (), tried: Collection[Share] = (), busy: Collection[GridServer] = (),
        prefer_known: bool = False,
    ) -> Share:  # fmt: skip
        share = self.map.choose(taken, tried, Counter(busy), 0.0, prefer_known)
        assert share is not None
        return share

    def test_primary_shares_come_first(self) -> None:
        self.assertEqual(self.choose().number, 0)
        self.assertEqual(self.choose(taken={0, 1}).number, 2)
        self.assertEqual(self.choose(taken={0, 1, 2}).number, 3)

    def test_nothing_is_chosen_when_nothing_is_left(self) -> None:
        self.assertIsNone(self.map.choose(range(6), (), Counter(), 0.0, False))
        self.assertIsNone(self.map.choose((), list(self.map), Counter(), 0.0, False))

    def test_a_server_that_hangs_comes_last(self) -> None:
        self.speeds.suspect(self.servers[0], 0.0)
        self.assertEqual(self.choose().number, 1)
        self.assertEqual(self.choose(taken=range(1, 6)).number, 0)

    def test_another_server_is_better_than_a_busy_one(self) -> None:
        self.have(0, 0, 1, 2)
        for server in (1, 2):
            self.have(server)
        self.assertEqual(self.choose(taken={0}, busy=[self.servers[0]]).number, 3)

    def test_a_much_faster_server_is_better_than_a_primary_share(self) -> None:
        for number, server in enumerate(self.servers):
            self.speeds.answered(server, 1.0 if number < 3 else 0.1)
        self.assertEqual(self.choose().number, 3)

    def test_a_known_share_is_kept_unless_its_server_is_clearly_slower(self) -> None:
        for number, server in enumerate(self.servers):
            self.speeds.answered(server, 0.25 if number == 0 else 0.1)
        self.assertEqual(self.choose().number, 1)
        next(share for share in self.map if share.number == 0).state.offsets = ANYWHERE
        self.assertEqual(self.choose().number, 0)
        for _ in range(20):
            self.speeds.answered(self.servers[0], 0.9)
        self.assertEqual(self.choose().number, 1)

    def test_a_small_read_prefers_what_is_known(self) -> None:
        next(share for share in self.map if share.number == 4).state.offsets = ANYWHERE
        self.assertEqual(self.choose(prefer_known=False).number, 0)
        self.assertEqual(self.choose(prefer_known=True).number, 4)

    def test_dropped_shares_and_shares_of_servers_that_left_are_not_chosen(self) -> None:
        self.choose().dropped = True
        self.assertEqual(self.choose().number, 1)
        gone = self.choose()
        self.map.keep_only(self.servers[2:])
        self.assertEqual(self.choose().number, 2)
        self.assertTrue(gone.dropped)

    def test_an_update_keeps_what_was_learned_of_good_shares_and_forgives_bad_ones(self) -> None:
        self.have(0, 0, 1)
        good, bad = (share for share in self.map if share.server is self.servers[0])
        bad.dropped = True
        self.have(0, 0, 1)
        good_again, bad_again = (share for share in self.map if share.server is self.servers[0])
        self.assertIs(good_again.state, good.state)
        self.assertIsNot(bad_again.state, bad.state)
        self.assertFalse(bad_again.dropped)
