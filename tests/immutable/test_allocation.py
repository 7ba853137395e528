"""Finding homes for shares: nothing is lost to one full, failing, hung or late server as long as others have room."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import NoSpace, ServerGone
from lafs.grid.placement import happiness
from lafs.immutable.share_allocation import ANSWER_SECONDS, PATIENCE_SECONDS, Homes, ShareAllocator
from lafs.interfaces import Allocation, GridServer, LeaseSecrets, ServerIdentity, ServerVersion
from lafs.tasks import spawn

STORAGE_INDEX = StorageIndex(bytes(16))


class Writer:
    def __init__(self) -> None:
        self.aborted = False

    async def abort(self) -> None:
        self.aborted = True


class ScriptedServer:
    """Takes every share at once, unless told otherwise."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.existing: set[int] = set()
        self.full = False
        self.broken = False
        self.hung = False
        self.room = 10**9
        self.asked: list[set[int]] = []
        self.writers: dict[int, Writer] = {}
        self.leases = 0
        self._waiting: list[Deferred[None]] = []

    async def allocate_shares(self, storage_index: StorageIndex, numbers: frozenset[int], size: int, secrets: Any) -> Allocation:
        self.asked.append(set(numbers))
        if self.hung:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
        if self.broken:
            raise ServerGone("connection lost")
        taken = set() if self.full else numbers - self.existing - self.open_writers()
        fresh = {number: Writer() for number in taken}
        self.writers.update(fresh)
        return Allocation(frozenset(self.existing), fresh)  # type: ignore[arg-type]

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, Any]:
        self.asked.append(set())
        return dict.fromkeys(self.existing)

    async def add_lease(self, storage_index: StorageIndex, secrets: LeaseSecrets) -> None:
        self.leases += 1
        raise NoSpace("read-only")

    def wake(self) -> None:
        for waiting in self._waiting:
            waiting.callback(None)

    def open_writers(self) -> set[int]:
        return {number for number, writer in self.writers.items() if not writer.aborted}


class Allocating(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.servers: list[ScriptedServer] = []
        self.suspects: WeakSet[GridServer] = WeakSet()
        self.grid: list[GridServer] = []

    def allocate(self, servers: int, total: int, happy: int, **changes: Any) -> Deferred[Homes]:
        """Begin with servers s0, s1, ... in permuted order; `changes` are attributes by server name, like s1={"full": True}."""
        if not self.servers:
            self.servers = [ScriptedServer(f"s{number}") for number in range(servers)]
            for server in self.servers:
                for attribute, value in changes.get(server.name, {}).items():
                    setattr(server, attribute, value)
                identity = ServerIdentity(f"v0-{server.name}", server.name, b"", bytes(20))
                self.grid.append(GridServer(identity, server, ServerVersion("x", server.room, server.room)))  # type: ignore[arg-type]
        secrets = LeaseSecrets(bytes(32), bytes(32))
        allocator = ShareAllocator(
            self.grid, STORAGE_INDEX, total, happy, 1000, lambda _: secrets, self.suspects, self.clock
        )
        return spawn(allocator.find_homes())

    def homes(self, servers: int, total: int, happy: int, **changes: Any) -> Homes:
        return self.successResultOf(self.allocate(servers, total, happy, **changes))

    def placed(self, homes: Homes) -> dict[int, list[str]]:
        return {share: [each.identity.nickname for each in held] for share, held in sorted(homes.sharemap().items())}

    def assert_open_writers_are_those_granted(self, homes: Homes) -> None:
        granted = {(grant.server.identity.nickname, share) for share, grant in homes.granted.items()}
        self.assertEqual(granted, {(server.name, share) for server in self.servers for share in server.open_writers()})

    def test_shares_go_out_in_permuted_order_in_one_round_trip(self) -> None:
        homes = self.homes(5, 3, 3)
        self.assertEqual(self.placed(homes), {0: ["s0"], 1: ["s1"], 2: ["s2"]})
        self.assertEqual([server.asked for server in self.servers], [[{0}], [{1}], [{2}], [set()], [set()]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_refused_share_is_offered_to_the_next_at_once(self) -> None:
        homes = self.homes(4, 3, 3, s1={"full": True})
        self.assertEqual(self.placed(homes), {0: ["s0"], 1: ["s3"], 2: ["s2"]})
        self.assertIn("full", homes.story[self.grid[1]])

    def test_a_failing_server_costs_only_itself(self) -> None:
        homes = self.homes(12, 10, 10, s4={"broken": True})
        self.assertEqual(happiness(homes.sharemap()), 10)
        self.assertEqual(homes.story[self.grid[4]], "connection lost")
        self.assert_open_writers_are_those_granted(homes)

    def test_a_hung_server_costs_one_moment_of_patience(self) -> None:
        running = self.allocate(4, 3, 3, s0={"hung": True})
        self.assertNoResult(running)
        self.clock.advance(PATIENCE_SECONDS)
        homes = self.successResultOf(running)
        self.assertEqual(self.placed(homes), {0: ["s3"], 1: ["s1"], 2: ["s2"]})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_late_grant_nobody_needs_is_sent_back(self) -> None:
        running = self.allocate(4, 3, 3, s0={"hung": True})
        self.clock.advance(PATIENCE_SECONDS)
        homes = self.successResultOf(running)
        self.servers[0].wake()
        self.assertEqual(self.servers[0].open_writers(), set())
        self.assert_open_writers_are_those_granted(homes)

    def test_a_server_that_hung_the_last_time_is_not_waited_for(self) -> None:
        self.allocate(4, 3, 3, s0={"hung": True})
        self.clock.advance(PATIENCE_SECONDS)
        for server in self.servers[1:]:
            server.writers.clear()
        homes = self.successResultOf(self.allocate(4, 3, 3))
        self.assertEqual(self.placed(homes), {0: ["s1"], 1: ["s2"], 2: ["s3"]})

    def test_a_slow_server_is_waited_for_when_nobody_else_is_left(self) -> None:
        running = self.allocate(3, 3, 3, s0={"hung": True})
        self.clock.advance(PATIENCE_SECONDS)
        self.assertNoResult(running)
        self.servers[0].wake()
        homes = self.successResultOf(running)
        self.assertEqual(happiness(homes.sharemap()), 3)
        self.assert_open_writers_are_those_granted(homes)

    def test_waiting_ends(self) -> None:
        running = self.allocate(3, 3, 3, s0={"hung": True}, s1={"hung": True})
        self.clock.pump([0.5] * int(2 * ANSWER_SECONDS + 1))
        homes = self.successResultOf(running)
        self.assertIn("no answer", homes.story[self.grid[0]])
        self.assertEqual(happiness(homes.sharemap()), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_existing_shares_are_used_wherever_they_are(self) -> None:
        homes = self.homes(6, 3, 3, s4={"existing": {0}}, s5={"existing": {1}})
        self.assertEqual(set(homes.existing), {0, 1})
        self.assertEqual(set(homes.granted), {2})
        self.assert_open_writers_are_those_granted(homes)

    def test_a_complete_file_is_not_sent_again(self) -> None:
        homes = self.homes(3, 3, 3, s0={"existing": {2}}, s1={"existing": {0}}, s2={"existing": {1}})
        self.assertEqual(homes.granted, {})
        self.assert_open_writers_are_those_granted(homes)

    def test_shares_heaped_on_one_server_are_spread(self) -> None:
        homes = self.homes(3, 3, 3, s1={"existing": {0, 1, 2}})
        self.assertEqual(happiness(homes.sharemap()), 3)
        self.assertEqual(len(homes.granted), 2)

    def test_a_readonly_server_counts_for_what_it_has_and_is_offered_nothing(self) -> None:
        homes = self.homes(3, 3, 3, s0={"room": 0, "existing": {1}})
        self.assertEqual(happiness(homes.sharemap()), 3)
        self.assertEqual(self.servers[0].asked, [set()])
        self.assertEqual(self.servers[0].leases, 1)

    def test_share_numbers_beyond_the_last_are_not_believed(self) -> None:
        homes = self.homes(3, 3, 3, s0={"existing": {0, 3, 200}})
        self.assertEqual(sorted(homes.sharemap()), [0, 1, 2])

    def test_few_servers_take_several_shares_each(self) -> None:
        homes = self.homes(2, 5, 2)
        self.assertEqual(self.placed(homes), {0: ["s0"], 1: ["s1"], 2: ["s0"], 3: ["s1"], 4: ["s0"]})

    def test_shares_refused_while_the_others_are_still_thinking_find_homes_when_they_answer(self) -> None:
        homes = self.homes(3, 6, 2, s0={"full": True})
        self.assertEqual(sorted(homes.sharemap()), [0, 1, 2, 3, 4, 5])

    def test_cancelling_leaves_no_writer_and_no_timer(self) -> None:
        running = self.allocate(3, 3, 3, s0={"hung": True})
        running.addErrback(lambda _: None)
        running.cancel()
        self.servers[0].wake()
        self.assertEqual([server.open_writers() for server in self.servers], [set(), set(), set()])
        self.assertEqual(self.clock.getDelayedCalls(), [])
