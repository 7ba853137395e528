"""python -m benchmarks.memory: a file of 4 GiB goes up and comes down, and what memory that took.

One gateway, ten servers, real processes. The file is made while it is sent and hashed while it comes back, so it never exists
as a whole anywhere but in its shares; those need 3.3 times its size on the disk.
"""
from __future__ import annotations

import time
from pathlib import Path

import click

from benchmarks.race import ENCODING, SERVERS
from tests.process.grids import Grid
from tests.process.harness import LAFS, Program, peer
from tests.process.long_files import LongFile, fetched, put

GOAL = 300_000_000
"""Bytes that a gateway may have resident at most."""


@click.command()
@click.option("--size", default=4 * 1024**3, show_default=True, help="Bytes.")
@click.option("--peer", "of_peer", is_flag=True, help="Measure the peer instead.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where the shares go. Default: TMPDIR.")
def main(size: int, of_peer: bool, folder: Path | None) -> None:
    """Store and fetch a file of 4 GiB and print the most memory that the gateway and any server had."""
    program: Program = peer() if of_peer else LAFS
    with Grid([program] * SERVERS, encoding=ENCODING, clients=[program], introducer=program, folder=folder) as grid:
        client = grid.clients[0]
        file = LongFile(size)
        started = time.monotonic()
        cap = put(client, file)
        _tell(grid, "up", started)
        started = time.monotonic()
        found = fetched(client, cap)
        _tell(grid, "down", started)
        if found != file.hash.digest():
            raise click.ClickException("what came back is not what was stored")
        if client.node.peak_resident > GOAL:
            raise click.ClickException(f"more than {GOAL / 1e6:.0f} MB")


def _tell(grid: Grid, what: str, started: float) -> None:
    gateway, servers = grid.clients[0].node, grid.servers
    largest = max(each.peak_resident for each in servers)
    spent = sum(each.cpu_seconds for each in servers)
    print(
        f"{what}: {time.monotonic() - started:.0f} s; peak resident (VmHWM): gateway {gateway.peak_resident / 1e6:.0f} MB, "
        f"largest server {largest / 1e6:.0f} MB; processor so far: gateway {gateway.cpu_seconds:.0f} s, servers {spent:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
