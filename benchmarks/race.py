"""The race: the same work for lafs and for the peer, turn by turn, on the same machine in the same minutes.

A `Racer` is one program over one protocol at one line: three gateways in front of the ten servers of that program. One gateway
stores, one fetches and one reads ranges, so that nobody finds in its own memory what it should fetch. Content is random and
fresh each time. Racers are made by `field_of_racers`, and what they do is in `immutable_files`, `changing_files` and `commands`.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from attrs import define, field, frozen

from benchmarks.relay import relay
from tests.process.gateway import path_of
from tests.process.grids import Client, Encoding, Grid
from tests.process.harness import LAFS, Node, ProcessFailed, Program, peer, wait_until

ENCODING = Encoding(needed=3, happy=7, total=10)
SERVERS = 10

LAN = "LAN"
WAN = "WAN"
ONE_WAY_SECONDS = 0.05
"""What the relay adds to everything between a gateway and the servers of the WAN, in each direction."""

LONGEST_REST = 4.0
RESTING = 0.25
"""Seconds between looks whether everybody rests."""

IDLE = 0.4
"""Of a processor: idle servers of the peer take a quarter of one."""

FOOLSCAP = {"force_foolscap": "true"}
HTTPS = {"force_foolscap": "false"}


@frozen
class Entrant:
    """A program over a protocol."""

    name: str
    program: Program
    options: Mapping[str, str]
    """Of the section [client] of its gateways."""


def entrants(peers: Sequence[str]) -> list[Entrant]:
    """lafs, then the peer over the protocols of these names (`foolscap`, `https`)."""
    protocols = {"foolscap": ("peer", FOOLSCAP), "https": ("peer HTTPS", HTTPS)}
    found = [Entrant("lafs", LAFS, FOOLSCAP)]
    for name, options in map(protocols.__getitem__, peers):
        found.append(Entrant(name, peer(), options))
    return found


@frozen
class Sample:
    """What one piece of work took. All in seconds."""

    elapsed: float
    gateway: float
    """Processor time of the gateway that did it."""
    servers: float
    """Processor time of all servers together."""


@define
class Racer:
    """One of those in the race."""

    entrant: Entrant
    line: str
    grid: Grid
    clients: Sequence[Client]
    samples: dict[str, list[Sample]] = field(factory=dict)
    others: Sequence[Grid] = ()
    """The grids of other programs."""
    memory: dict[str, int] = field(factory=dict)
    """Bytes, by what was measured."""

    @property
    def name(self) -> str:
        return self.entrant.name

    @property
    def is_https(self) -> bool:
        """Whether it speaks with its servers over HTTPS."""
        return self.entrant.options == HTTPS

    @property
    def program(self) -> Program:
        return self.entrant.program

    @property
    def peak_resident(self) -> int:
        """Bytes, of the gateway that stored and the one that fetched, whichever had more."""
        return max(client.node.peak_resident for client in self.clients[:2])

    def measure(self, work: str, gateway: int, count: int, do: Callable[[Client], object]) -> None:
        """Do it with the gateway of that number; the sample is divided by `count`."""
        client = self.clients[gateway]
        with self._alone():
            gateway_before, servers_before = client.node.cpu_seconds, self._servers()
            started = time.perf_counter()
            do(client)
            elapsed = time.perf_counter() - started
        sample = Sample(
            elapsed / count, (client.node.cpu_seconds - gateway_before) / count, (self._servers() - servers_before) / count
        )
        self.samples.setdefault(work, []).append(sample)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The machine to ourselves: the other programs stand still, and what they left to the system to write is written."""
        waiting = [node for grid in self.others for node in [*grid.servers, *(each.node for each in grid.clients)] if node.is_alive]
        for node in waiting:
            node.pause()
        try:
            os.sync()
            self._rest()
            yield
        finally:
            for node in waiting:
                node.resume()

    def _rest(self) -> None:
        """What our processes do when nobody wants anything of them (keys for new files) they have done before the clock runs."""
        nodes = [*self.grid.servers, *(each.node for each in self.grid.clients if each.node.is_alive)]
        end = time.monotonic() + LONGEST_REST
        before = sum(node.cpu_seconds for node in nodes)
        while time.monotonic() < end:
            time.sleep(RESTING)
            after = sum(node.cpu_seconds for node in nodes)
            if after - before < IDLE * RESTING:
                return
            before = after

    def _servers(self) -> float:
        return sum(server.cpu_seconds for server in self.grid.servers)


@contextmanager
def field_of_racers(taking_part: Sequence[Entrant], lines: Sequence[str], folder: Path | None) -> Iterator[list[Racer]]:
    """Everybody at every line, gateways connected and warm. Entrants of one program share its servers."""
    with ExitStack() as stack:
        racers: list[Racer] = []
        for program in {each.program.name: each.program for each in taking_part}.values():
            grid = stack.enter_context(
                Grid([program] * SERVERS, encoding=ENCODING, clients=[program], introducer=program, folder=folder)
            )
            listener = grid.clients[0].node
            announced = _announced(listener)
            listener.kill()
            if WAN in lines:
                announced_far = _moved(announced, stack.enter_context(relay(ONE_WAY_SECONDS, _ports(announced))))
            for entrant in (each for each in taking_part if each.program == program):
                for line in lines:
                    clients = [grid.make_client(program, entrant.options) for _ in range(3)]
                    if line == WAN:
                        for client in clients:
                            _write_servers(client.node, announced_far)
                    racers.append(Racer(entrant, line, grid, clients))
            for racer in racers:
                racer.others = [each.grid for each in racers if each.program != racer.program]
                for client in racer.clients:
                    if not client.node.is_alive:
                        client.node.start()
        for racer in racers:
            for client in racer.clients:
                client.wait_connected(SERVERS)
            _warm(racer)
        yield racers


def _warm(racer: Racer) -> None:
    """What is done once in the life of a process (imports, first connections) is no part of the race."""
    racer.memory["gateway idle"] = racer.clients[2].node.resident
    racer.memory["server idle"] = max(server.resident for server in racer.grid.servers)
    content = os.urandom(10_000)

    def is_stored() -> str:
        try:
            return racer.clients[0].put(content)
        except ProcessFailed:
            # The peer counts a server as connected one round trip before it would use it.
            return ""

    cap = wait_until(is_stored, f"{racer.clients[0].node} to store something")
    for client in racer.clients[1:]:
        wait_until(lambda client=client: client.ask("GET", path_of(cap)).status == 200, f"{client.node} to fetch something")  # type: ignore[misc]


def _announced(client: Node) -> Mapping[str, dict[str, Any]]:
    """Server id -> announcement, from what a node keeps of what it has heard. Spec: 05 §13.5."""
    path = client.directory / "private" / "introducer_default_cache.yaml"

    def all_of_them() -> list[dict[str, Any]]:
        heard = yaml.safe_load(path.read_text()) if path.exists() else None
        return heard if isinstance(heard, list) and len(heard) == SERVERS else []

    return {each["key_s"]: each["ann"] for each in wait_until(all_of_them, f"{client} to note the announcements of its servers")}


def _ports(announced: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Of the servers: pb://TUBID@tcp:127.0.0.1:PORT/NAME."""
    return [int(each["anonymous-storage-FURL"].rpartition("/")[0].rpartition(":")[2]) for each in announced.values()]


def _moved(announced: Mapping[str, Mapping[str, Any]], ports: Mapping[int, int]) -> Mapping[str, Mapping[str, Any]]:
    """The same servers, at the ports of the relay."""

    def moved(location: str) -> str:
        for port, relayed in ports.items():
            location = location.replace(f":{port}/", f":{relayed}/")
        return location

    furl, nurls = "anonymous-storage-FURL", "anonymous-storage-NURLs"
    return {key: {**each, furl: moved(each[furl]), nurls: list(map(moved, each.get(nurls, [])))} for key, each in announced.items()}


def _write_servers(client: Node, announced: Mapping[str, Mapping[str, Any]]) -> None:
    """What the owner of a node writes down of servers goes before what introducers say. Spec: 05 §15.5."""
    entries = {server_id: {"ann": dict(each)} for server_id, each in announced.items()}
    (client.directory / "private" / "servers.yaml").write_text(yaml.safe_dump({"storage": entries}))
