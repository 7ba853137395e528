"""Several writers of one file at once, with and without faults: no acknowledged change is lost, and no state is torn."""
from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import LafsError
from lafs.filesystem import Filesystem
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import Change
from lafs.sources import BytesSource
from lafs.tasks import settle, sleep
from tests.memory_grid import Grid, random_bytes
from tests.mutable.slots import new_client, numbers_stored

FORMATS: Any = ("SDMF", "MDMF")


def adding(token: bytes) -> Change:
    """Add a line, unless it is there."""
    return lambda contents: contents if token in contents.split() else contents + token + b"\n"


class Collisions(SynchronousTestCase):
    def test_d1_the_change_of_the_slower_writer_is_made_on_top_of_the_others(self) -> None:
        for format in FORMATS:
            for delay in (0.0, 0.03, 0.11, 0.19):
                grid = Grid()
                node = grid.run(grid.client.create_mutable(b"", format))
                clients = [new_client(grid, seed) for seed in range(2)]

                async def add(client: Filesystem, number: int, cap: Any = node.cap, delay: float = delay) -> None:
                    await sleep(number * delay, client._mutable._tools.clock)
                    await client.open_mutable(cap).modify(adding(b"token%d" % number))

                outcomes = grid.run(settle(add(client, number) for number, client in enumerate(clients)))
                self.assertEqual(outcomes, [None, None])
                contents, version = grid.run(new_client(grid).open_mutable(node.cap).contents())
                self.assertEqual(set(contents.split()), {b"token0", b"token1"})
                stored = {number for _, number in numbers_stored(grid, node.cap)}
                self.assertEqual(stored, {version.sequence_number})

    def test_d2_an_update_keeps_what_another_client_has_appended(self) -> None:
        grid = Grid()
        contents = random_bytes(200_000)
        node = grid.run(grid.client.create_mutable(contents, "MDMF"))
        mine, other = new_client(grid, 1).open_mutable(node.cap), new_client(grid, 2).open_mutable(node.cap)
        grid.run(mine.update(len(contents), BytesSource(b"1" * 1000)))
        grid.run(other.update(len(contents) + 1000, BytesSource(b"2" * 300_000)))
        grid.run(mine.update(0, BytesSource(b"3")))
        found, _ = grid.run(grid.client.open_mutable(node.cap).contents())
        self.assertEqual(found, b"3" + contents[1:] + b"1" * 1000 + b"2" * 300_000)

    def test_overwrites_at_once_end_with_one_of_them_whole(self) -> None:
        for format in FORMATS:
            grid = Grid()
            node = grid.run(grid.client.create_mutable(b"", format))
            wanted = [bytes([number]) * 5000 for number in range(4)]
            outcomes = grid.run(
                settle(
                    new_client(grid, number).open_mutable(node.cap).overwrite(BytesSource(contents))
                    for number, contents in enumerate(wanted)
                )
            )
            self.assertFalse([each for each in outcomes if isinstance(each, Failure)])
            contents, _ = grid.run(new_client(grid).open_mutable(node.cap).contents())
            self.assertIn(contents, wanted)

    def test_updates_in_place_of_different_parts_all_survive(self) -> None:
        grid = Grid(servers=6, encoding=EncodingParameters(2, 4, 6))
        expected = bytearray(random_bytes(300_000))
        node = grid.run(grid.client.create_mutable(bytes(expected), "MDMF"))
        works = []
        for number in range(4):
            offset, data = number * 70_000, b"%d" % number * 50
            expected[offset : offset + 50] = data
            works.append(new_client(grid, number).open_mutable(node.cap).update(offset, BytesSource(data)))
        outcomes = grid.run(settle(works))
        self.assertFalse([each for each in outcomes if isinstance(each, Failure)])
        self.assertEqual(grid.run(new_client(grid).open_mutable(node.cap).contents())[0], bytes(expected))

    def test_a_crowd_gets_its_turns(self) -> None:
        grid = Grid(servers=5, encoding=EncodingParameters(2, 3, 5))
        node = grid.run(grid.client.create_mutable(b""))

        async def add_some(number: int) -> None:
            mine = new_client(grid, number).open_mutable(node.cap)
            for turn in range(4):
                await mine.modify(adding(b"w%dt%d" % (number, turn)))

        outcomes = grid.run(settle(add_some(number) for number in range(12)))
        self.assertFalse([each for each in outcomes if isinstance(each, Failure)])
        contents, _ = grid.run(new_client(grid).open_mutable(node.cap).contents())
        self.assertEqual(len(set(contents.split())), 48)


class Story(RuleBasedStateMachine):
    """Two clients change one file while at most two of eight servers are in trouble at a time."""

    @initialize(format=st.sampled_from(FORMATS), seed=st.integers(0, 5))
    def begin(self, format: Any, seed: int) -> None:
        self.grid = Grid(servers=8, encoding=EncodingParameters(3, 5, 8), seed=seed)
        node = self.grid.run(self.grid.client.create_mutable(b"", format))
        self.cap = node.cap
        self.clients = [new_client(self.grid, seed + number) for number in range(3)]
        self.trouble: list[Any] = []
        self.certain: set[bytes] = set()
        self.possible: set[bytes] = set()
        self.tokens = 0

    def token(self) -> bytes:
        self.tokens += 1
        self.possible.add(token := b"t%d" % self.tokens)
        return token

    def change(self, writers: list[int], pause: float) -> None:
        async def add(writer: int, token: bytes) -> bytes:
            await sleep(pause * writer, self.grid.clock)
            await self.clients[writer].open_mutable(self.cap).modify(adding(token))
            return token

        for outcome in self.grid.run(settle(add(writer, self.token()) for writer in writers)):
            if isinstance(outcome, Failure):
                outcome.trap(LafsError)
            else:
                self.certain.add(outcome)

    @rule(writer=st.integers(0, 2))
    def one_writes(self, writer: int) -> None:
        self.change([writer], 0)

    @rule(pause=st.sampled_from([0.0, 0.02, 0.07, 0.13]), writers=st.sampled_from([[0, 1], [1, 2], [0, 1, 2], [1, 1]]))
    def several_write(self, writers: list[int], pause: float) -> None:
        self.change(writers, pause)

    @rule(number=st.integers(0, 7), kind=st.sampled_from(["hang", "kill", "power", "full"]))
    def get_into_trouble(self, number: int, kind: str) -> None:
        machine = self.grid.machines[number]
        if len(self.trouble) == 2 or machine in self.trouble:
            return
        self.trouble.append(machine)
        {
            "hang": self.grid.hang,
            "kill": self.grid.kill,
            "power": self.grid.lose_power,
            "full": self.grid.fill,
        }[kind]([machine])

    @rule(number=st.integers(0, 30), writers=st.sampled_from([[0], [0, 1]]))
    def a_connection_breaks_while_they_write(self, number: int, writers: list[int]) -> None:
        if self.trouble:
            return
        self.grid.cut_at({number})
        self.change(writers, 0.01)
        self.grid.network.cuts = lambda message: False
        self.grid.restart(self.grid.machines)

    @rule()
    def recover(self) -> None:
        for machine in self.trouble:
            machine.disk.capacity = None
        self.grid.restart(self.trouble)
        self.trouble = []

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        if not hasattr(self, "grid"):
            return
        contents, _ = self.grid.run(new_client(self.grid).open_mutable(self.cap).contents())
        lines = contents.splitlines()
        found = set(lines)
        assert self.certain <= found, (self.certain - found, numbers_stored(self.grid, self.cap))
        assert found <= self.possible
        assert len(lines) == len(found)


class Model(SynchronousTestCase):
    def test_no_acknowledged_change_is_lost(self) -> None:
        run_state_machine_as_test(Story, settings=settings(max_examples=15, stateful_step_count=10, deadline=None))  # type: ignore[no-untyped-call]
