"""A long read delivers one version: that which it began with, as long as servers have it, or an error; never parts of two."""
from __future__ import annotations

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import UnrecoverableFile
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.immutable.parameters import EncodingParameters
from lafs.sources import BytesSource
from lafs.statistics import Counters
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from tests.memory_grid import Grid, random_bytes
from tests.mutable.slots import new_client
from tests.simulation.machines import MachineGrid

ENCODING = EncodingParameters(3, 7, 10)
OLD, NEW = random_bytes(14_000_000, 1), random_bytes(14_000_000, 2)


class Reading(SynchronousTestCase):
    def read_while(self, writers_servers: slice) -> tuple[bytes, object]:
        """What a slow reader gets while another, who sees these servers, overwrites the file; and how the read ends."""
        grid = Grid(encoding=ENCODING)
        node = grid.run(grid.client.create_mutable(BytesSource(OLD), "MDMF"))
        sink = grid.sink(pause_seconds=0.1)
        outcome: list[object] = []
        spawn(new_client(grid).open_mutable(node.cap).read(sink)).addBoth(outcome.append)
        grid.time.pass_time(1.0)
        self.assertEqual(outcome, [])
        writer = Filesystem(
            MachineGrid(grid.machines[writers_servers]), InlineWorkers(), grid.clock, ClientSecrets(bytes(32), None), ENCODING,
            Counters(),
        )
        grid.run(writer.open_mutable(node.cap).overwrite(BytesSource(NEW)))
        grid.time.run_until(lambda: bool(outcome))
        return sink.content, outcome[0]

    def test_ends_with_an_error_when_its_version_is_gone(self) -> None:
        content, outcome = self.read_while(slice(0, 10))
        assert isinstance(outcome, Failure)
        self.assertIsInstance(outcome.value, UnrecoverableFile)
        self.assertIn("overwritten while it was read", str(outcome.value))
        self.assertGreater(len(content), 0)
        self.assertTrue(OLD.startswith(content))

    def test_goes_on_with_its_version_while_enough_servers_have_it(self) -> None:
        content, outcome = self.read_while(slice(0, 7))
        self.assertNotIsInstance(outcome, Failure)
        self.assertTrue(content == OLD)
