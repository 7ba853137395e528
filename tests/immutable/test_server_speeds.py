"""What is remembered of servers, and what follows from it."""
from __future__ import annotations

import gc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.immutable.server_speeds import HEDGE_DELAY, SUSPICION, ServerSpeeds
from tests.immutable.fake_servers import ScriptedGrid, ScriptedServer

MB = 1024 * 1024


class Speeds(SynchronousTestCase):
    def setUp(self) -> None:
        clock = Clock()
        self.grid = ScriptedGrid([ScriptedServer(clock, f"server{number}") for number in range(4)])
        self.servers = self.grid.present
        self.speeds = ServerSpeeds()

    def test_strangers_are_all_equal(self) -> None:
        self.assertEqual(set(self.speeds.handicaps(self.servers).values()), {0})
        self.assertEqual(self.speeds.handicaps([]), {})

    def test_a_handicap_counts_doublings(self) -> None:
        for server, latency in zip(self.servers, (0.03, 0.05, 0.13, 0.3), strict=True):
            self.speeds.answered(server, latency)
        self.assertEqual(list(self.speeds.handicaps(self.servers).values()), [0, 0, 2, 3])

    def test_small_differences_between_near_servers_count_for_nothing(self) -> None:
        self.speeds.answered(self.servers[0], 0.0001)
        self.speeds.answered(self.servers[1], 0.015)
        self.assertEqual(set(self.speeds.handicaps(self.servers).values()), {0})

    def test_a_server_that_trickles_is_handicapped_and_a_stranger_is_not(self) -> None:
        for server in self.servers:
            self.speeds.answered(server, 0.01)
        self.speeds.answered(self.servers[0], 0.1, MB)
        self.speeds.answered(self.servers[1], 2.0, MB)
        handicaps = self.speeds.handicaps(self.servers)
        self.assertEqual(handicaps[self.servers[0]], 0)
        self.assertEqual(handicaps[self.servers[2]], 0)
        self.assertGreaterEqual(handicaps[self.servers[1]], 3)

    def test_waiting_in_vain_makes_a_server_slower_but_never_faster(self) -> None:
        one, other = self.servers[:2]
        self.speeds.answered(one, 1.0, MB)
        self.speeds.answered(other, 1.0, MB)
        self.speeds.waiting(one, 0.001, MB)
        self.assertEqual(set(self.speeds.handicaps([one, other]).values()), {0})
        self.speeds.waiting(one, 100.0, MB)
        self.assertGreater(self.speeds.handicaps([one, other])[one], 2)

    def test_suspicion_ends_with_an_answer_or_in_time(self) -> None:
        server = self.servers[0]
        self.speeds.suspect(server, 100.0)
        self.assertTrue(self.speeds.is_suspect(server, 101.0))
        self.assertFalse(self.speeds.is_suspect(server, 101.0 + SUSPICION))
        self.speeds.answered(server, 5.0)
        self.assertFalse(self.speeds.is_suspect(server, 101.0))

    def test_a_server_that_hangs_in_reads_is_cleared_by_a_read_only(self) -> None:
        server = self.servers[0]
        self.speeds.suspect(server, 100.0, reading=True)
        self.speeds.answered(server, 0.1)
        self.assertTrue(self.speeds.is_suspect(server, 101.0))
        self.speeds.answered(server, 0.1, size=10)
        self.assertFalse(self.speeds.is_suspect(server, 101.0))

    def test_patience_follows_what_servers_usually_take(self) -> None:
        self.assertEqual(self.speeds.hedge_delay(), HEDGE_DELAY)
        for server in self.servers[:3]:
            self.speeds.answered(server, 0.4)
        self.assertAlmostEqual(self.speeds.hedge_delay(), 1.2)
        self.assertGreater(self.speeds.hedge_delay(MB, line_load=10 * MB), 10)
        for server in self.servers[:3]:
            self.speeds.answered(server, 0.5, MB)
        self.assertAlmostEqual(self.speeds.hedge_delay(MB), 1.5)

    def test_servers_that_are_gone_are_forgotten(self) -> None:
        for server in self.servers:
            self.speeds.answered(server, 0.4)
        del server
        self.servers.clear()
        gc.collect()
        self.assertEqual(self.speeds.hedge_delay(), HEDGE_DELAY)
