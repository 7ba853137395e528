"""Seeded chaos: servers hang, fail, lie, slow down and recover at random moments. While enough good shares are on
servers that do their part, every read delivers the right bytes in bounded time; otherwise it fails cleanly. Nothing
is ever left running.
"""
from __future__ import annotations

from random import Random

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import NotEnoughShares
from tests.immutable.fake_servers import CodedFile, CollectingSink, DownloadWorld, ScriptedServer, coded, some_bytes

SEEDS = 40

FILES = [
    coded(some_bytes(5_000), needed=3, total=10),
    coded(some_bytes(30_000), needed=2, total=6, max_segment_size=1_000),
    coded(some_bytes(700_000), needed=3, total=10, max_segment_size=131_072),
    coded(some_bytes(200_000), needed=1, total=4, max_segment_size=100),
    coded(some_bytes(90_000), needed=7, total=10, max_segment_size=4_096, version=2),
]

LONGEST = 120.0
"""Seconds of virtual time that a read may take: some servers are slow, and some answers are waited for in vain."""


class Storm:
    """Bad weather over a world, from one seed."""

    def __init__(self, world: DownloadWorld, random: Random) -> None:
        self.random = random
        self.world = world
        self.good = set(random.sample(range(10), world.file.cap.needed + random.randrange(2)))
        """Servers that do their part: slow perhaps, but honest and alive."""
        for number, server in enumerate(world.servers):
            server.latency = random.choice((0.0, 0.01, 0.1, 0.3))
            server.bytes_per_second = random.choice((1e5, 1e6, 1e9))
            if number not in self.good:
                for _ in range(random.randrange(3)):
                    world.clock.callLater(random.uniform(0, 1.5), self.misbehave, server)
                if random.random() < 0.5:
                    self.misbehave(server)

    def misbehave(self, server: ScriptedServer) -> None:
        """Go wrong in some way, or recover."""
        ways = (self.hang, self.hang_reads, self.fail, self.fail_reads, self.corrupt, self.truncate, self.lose, self.recover)
        self.random.choice(ways)(server)

    def hang(self, server: ScriptedServer) -> None:
        server.hung = True

    def hang_reads(self, server: ScriptedServer) -> None:
        server.hung_reads = True

    def fail(self, server: ScriptedServer) -> None:
        server.broken = True

    def fail_reads(self, server: ScriptedServer) -> None:
        server.broken_reads = True

    def corrupt(self, server: ScriptedServer) -> None:
        for number, share in server.shares.items():
            position = self.random.randrange(len(share))
            server.shares[number] = share[:position] + bytes([share[position] ^ 0xFF]) + share[position + 1 :]

    def truncate(self, server: ScriptedServer) -> None:
        server.shares = {number: share[: self.random.randrange(len(share))] for number, share in server.shares.items()}

    def lose(self, server: ScriptedServer) -> None:
        server.shares = {}

    def recover(self, server: ScriptedServer) -> None:
        server.hung = server.hung_reads = server.broken = server.broken_reads = False


def spread(file: CodedFile) -> DownloadWorld:
    """Ten servers with a share each; those left over have copies."""
    world = DownloadWorld(file)
    for number, server in enumerate(world.servers):
        server.shares = {number % file.cap.total: file.shares[number % file.cap.total]}
    return world


class Chaos(SynchronousTestCase):
    def test_enough_good_shares_are_enough(self) -> None:
        for seed in range(SEEDS):
            random = Random(seed)
            file = random.choice(FILES)
            world = spread(file)
            storm = Storm(world, random)
            distinct = {number % file.cap.total for number in storm.good}
            for _ in range(3):
                offset, size = random.randrange(len(file.content)), random.choice((1, 5_000, 10**7))
                sink = CollectingSink()
                try:
                    world.finish(world.start(sink, offset, size), LONGEST)
                    self.assertEqual(sink.content, file.content[offset : offset + size], seed)
                except NotEnoughShares:
                    self.assertLess(len(distinct), file.cap.needed, seed)
                self.assertEqual(file.content[offset : offset + len(sink.content)], sink.content, seed)
            world.clock.advance(10)
            world.assert_quiet()

    def test_cancelling_in_bad_weather_leaves_nothing_behind(self) -> None:
        for seed in range(SEEDS):
            random = Random(seed)
            world = spread(random.choice(FILES))
            Storm(world, random)
            works = [world.start(CollectingSink(world.clock, 0.001)) for _ in range(2)]
            world.clock.pump([0.01] * random.randrange(60))
            for work in works:
                work.cancel()
                work.addErrback(lambda failure: failure.trap(CancelledError, NotEnoughShares) and None)
                self.assertNotIsInstance(getattr(work, "result", None), Failure)
            world.clock.advance(10)
            world.assert_quiet()
