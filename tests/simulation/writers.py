"""Writers of one mutable file or directory, on servers and connections that fail, against the tokens they were told are written.

Three clients add tokens to the same thing at the same time: lines of a file, parts of a large one, children of a directory.
Meanwhile one thing after another goes wrong with some of eight servers: the power fails at any change of a disk, processes are
killed or hang, connections break, some clients do not see some servers, old shares are put back; and writers die in the middle of
a write.

`play_writers(seed)` runs one story; raises `Broken` with the seed if a token that was acknowledged is not there in the end, or one
is there that nobody has written. Used by `test_writers.py`.
"""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from random import Random
from typing import Final, Protocol

from attrs import define, field
from twisted.internet.defer import CancelledError

from lafs.capability import Cap
from lafs.capability_slots import child_caps
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import LafsError
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import GridServer, NewChild
from lafs.sources import BytesSource
from lafs.statistics import Counters
from lafs.tasks import gather, sleep, spawn
from lafs.workers import InlineWorkers
from tests.memory_grid import Grid, index_of
from tests.simulation.machines import Machine, MachineGrid
from tests.simulation.world import Broken, Played

SERVERS: Final = 8
SOME: Final = 2
MANY: Final = 3
"""Servers with which something is wrong at a time; for each client others, if it is that it does not see them. With many in
trouble, writes must fail. Old shares are put back on some, and not again before something was acknowledged: what conspirators did
in turn, with the others away, nobody could notice."""
ENCODING: Final = EncodingParameters(needed=3, happy=6, total=8)
WRITERS: Final = 3
EVENTS_SHOWN: Final = 80
SEGMENT: Final = 131073


class Subject(Protocol):
    """What the writers share."""

    async def create(self, client: Filesystem) -> Cap: ...

    async def add(self, client: Filesystem, cap: Cap, token: int) -> None:
        """Write `token`; harmless if it is there."""
        ...

    async def tokens(self, client: Filesystem, cap: Cap) -> set[int]: ...


class Lines:
    """A small file with a token on each line."""

    async def create(self, client: Filesystem) -> Cap:
        return (await client.create_mutable(b"", "SDMF")).cap

    async def add(self, client: Filesystem, cap: Cap, token: int) -> None:
        line = b"%d\n" % token
        await client.open_mutable(cap).modify(lambda old: old if line in old.splitlines(True) else old + line)

    async def tokens(self, client: Filesystem, cap: Cap) -> set[int]:
        contents, _ = await client.open_mutable(cap).contents()
        lines = contents.split()
        if len(set(lines)) != len(lines):
            raise Broken("a token was written twice")
        return {int(line) for line in lines}


class Parts:
    """A file of several segments, changed in place: a token has its own few bytes, and marks them."""

    SIZE: Final = 3 * SEGMENT

    async def create(self, client: Filesystem) -> Cap:
        return (await client.create_mutable(bytes(self.SIZE), "MDMF")).cap

    async def add(self, client: Filesystem, cap: Cap, token: int) -> None:
        await client.open_mutable(cap).update(7000 * token, BytesSource(b"%04d" % (token + 1)))

    async def tokens(self, client: Filesystem, cap: Cap) -> set[int]:
        contents, _ = await client.open_mutable(cap).contents()
        marks = {token: contents[7000 * token : 7000 * token + 4] for token in range(self.SIZE // 7000)}
        found = {token for token, mark in marks.items() if mark == b"%04d" % (token + 1)}
        if len(contents) != self.SIZE or sum(map(bool, contents)) > 4 * len(found):
            raise Broken("a file that nobody has written")
        return found


class Children:
    """A directory with a child for each token."""

    async def create(self, client: Filesystem) -> Cap:
        return (await client.create_directory()).cap

    async def add(self, client: Filesystem, cap: Cap, token: int) -> None:
        await client.open_directory(cap).add([NewChild(str(token), child_caps("URI:LIT:nbswy3dp", None))])

    async def tokens(self, client: Filesystem, cap: Cap) -> set[int]:
        return {int(name) for name in (await client.open_directory(cap).list()).children}


SUBJECTS: Sequence[Callable[[], Subject]] = (Lines, Parts, Children)


@define
class PartialGrid:
    """The machines that one client sees. Implements `lafs.interfaces.Grid`."""

    machines: Sequence[Machine]
    hidden: set[str] = field(factory=set)

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        seen = [machine for machine in self.machines if machine.name not in self.hidden]
        return MachineGrid(seen).for_reading(storage_index)

    def for_upload(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        return self.for_reading(storage_index)


class WritersStory:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"writers {seed}")
        self.grid = Grid(servers=SERVERS, encoding=ENCODING, seed=seed)
        self.subject = SUBJECTS[seed % len(SUBJECTS)]()
        self.views = [PartialGrid(self.grid.machines) for _ in range(WRITERS)]
        self.clients = [self._client(view, number) for number, view in enumerate(self.views)]
        self.events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self.endings: Counter[str] = Counter()
        self.written: set[int] = set()
        self.begun: set[int] = set()
        self._digest = sha256()
        self._writing = WRITERS
        self._hung: set[str] = set()
        self._acknowledged_before = 0
        self._old: dict[str, dict[str, bytes]] = {}

    def play(self) -> Played:
        """Raises `Broken`."""
        try:
            self.cap = self.grid.run(self.subject.create(self.clients[0]))
            self.grid.run(gather([*(self._write(number) for number in range(WRITERS)), self._make_trouble()]))
            self.grid.run(self._look(self._client(PartialGrid(self.grid.machines), WRITERS)))
            elapsed = self.grid.time.seconds()
        except Exception as problem:
            lines = [f"{type(problem).__name__}: {problem}", f"play_writers({self.seed})", *self.events]
            raise Broken("\n".join(lines)) from problem
        return Played(self._digest.hexdigest(), tuple(sorted(self.endings.items())), elapsed)

    def _client(self, view: PartialGrid, number: int) -> Filesystem:
        return Filesystem(
            view, InlineWorkers(), self.grid.clock, ClientSecrets(bytes(32), None), ENCODING, Counters(),
            random_bytes=Random(f"client {self.seed} {number}").randbytes, generate_key=self.grid._generate_key,
        )

    # --- writing ------------------------------------------------------------------------------------------------------

    async def _write(self, writer: int) -> None:
        for turn in range(self.random.randint(4, 8)):
            await sleep(self.random.choice([0.0, 0.05, 1.0, 8.0, 70.0]), self.grid.clock)
            token = WRITERS * turn + writer
            self.begun.add(token)
            ending = await self._add(writer, token)
            self._note(f"writer {writer}: token {token}: {ending}")
            self.endings[ending] += 1
            if ending == "written":
                self.written.add(token)
        self._writing -= 1

    async def _add(self, writer: int, token: int) -> str:
        """Add a token, or die in the attempt. What came of it."""
        work = spawn(self.subject.add(self.clients[writer], self.cap, token))
        dies = None
        if self.random.random() < 0.15:
            dies = self.grid.clock.callLater(self.random.uniform(0.0, 0.4), work.cancel)
        try:
            await work
        except LafsError as error:
            return type(error).__name__
        except CancelledError:
            # Another takes its place, who remembers nothing.
            self.clients[writer] = self._client(self.views[writer], WRITERS + 1 + token)
            return "died"
        finally:
            if dies is not None and dies.active():
                dies.cancel()
        return "written"

    async def _look(self, client: Filesystem) -> None:
        found = await self.subject.tokens(client, self.cap)
        if not self.written <= found:
            raise Broken(f"acknowledged, and lost: {sorted(self.written - found)}")
        if not found <= self.begun:
            raise Broken(f"never written: {sorted(found - self.begun)}")

    # --- trouble ------------------------------------------------------------------------------------------------------

    async def _make_trouble(self) -> None:
        while self._writing:
            await sleep(self.random.uniform(0.0, 15.0), self.grid.clock)
            kind = self.random.choice(["power at a change", "power", "kill", "hang", "cut", "partition", "rollback", "snapshot"])
            if kind == "rollback" and len(self.written) == self._acknowledged_before:
                continue
            count = self.random.choice([SOME, SOME, MANY]) if kind != "rollback" else SOME
            machines = self.random.sample(self.grid.machines, count)
            self._note(f"{kind}: {[machine.name for machine in machines]}")
            self._hurt(kind, machines)
            await sleep(self.random.choice([0.3, 3.0, 30.0]), self.grid.clock)
            await self._heal()

    def _hurt(self, kind: str, machines: Sequence[Machine]) -> None:
        random = self.random
        for machine in machines:
            connection = machine.connection
            assert connection is not None
            if kind == "power at a change":
                machine.disk.cut_power_at = machine.disk.changes + random.randrange(30)
            elif kind == "power":
                machine.lose_power()
            elif kind == "kill":
                machine.kill()
            elif kind == "hang":
                connection.freeze()
                self._hung.add(machine.name)
            elif kind == "cut":
                connection.cut()
            elif kind == "rollback":
                self._put_back(machine)
                self._acknowledged_before = len(self.written)
        if kind == "partition":
            for view in self.views:
                view.hidden = {machine.name for machine in random.sample(self.grid.machines, SOME)}
        elif kind == "snapshot":
            self._old = {machine.name: self._shares(machine) for machine in self.grid.machines}

    def _shares(self, machine: Machine) -> dict[str, bytes]:
        files = machine.disk.files()
        return {path: files[path] for path in machine.share_paths(index_of(self.cap)).values()}

    def _put_back(self, machine: Machine) -> None:
        for path, container in self._old.get(machine.name, {}).items():
            if path in machine.disk.files():
                machine.disk.replace(path, container)

    async def _heal(self) -> None:
        for view in self.views:
            view.hidden = set()
        for machine in self.grid.machines:
            machine.disk.cut_power_at = None
            if machine.name in self._hung and machine.connection is not None:
                machine.connection.cut()
            if machine.store is None:
                assert await machine.boot(), "a sound machine must start"
            await machine.connect()
        self._hung.clear()
        self._note("healed")

    def _note(self, event: str) -> None:
        line = f"{self.grid.time.seconds() - 1_000_000:.6f} {event}"
        self._digest.update(line.encode() + b"\n")
        self.events.append(line)


def play_writers(seed: int) -> Played:
    """Run the story of `seed`."""
    return WritersStory(seed).play()
