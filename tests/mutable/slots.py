"""Putting shares of mutable files on servers of a grid in memory, and looking at them there: behind the back of any client."""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random

from lafs.capability import Cap, MutableWriteCap, parse
from lafs.crypto.derivations import write_enabler
from lafs.crypto.storage_index import StorageIndex
from lafs.filesystem import ClientSecrets, Filesystem
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import ByteRange, LeaseSecrets, SlotSecrets, SlotWrite
from lafs.mutable.share_layout import parse_prefix
from lafs.statistics import Counters
from lafs.workers import InlineWorkers
from tests.memory_grid import Grid
from tests.simulation.machines import Machine, MachineGrid
from tests.simulation.virtual_time import TenantClock

EVERYTHING = [ByteRange(0, 100_000_000)]


def write_cap(text: str) -> MutableWriteCap:
    """A cap that writes."""
    cap = parse(text)
    assert isinstance(cap, MutableWriteCap)
    return cap


def plant(grid: Grid, cap: MutableWriteCap, machine: Machine, shares: Mapping[int, bytes]) -> None:
    """Make these all the shares of the file that `machine` has."""
    assert machine.store is not None
    there = stored(grid, machine, cap.storage_index)
    secrets = SlotSecrets(
        write_enabler(cap.write_key, machine.identity.lease_seed), LeaseSecrets(bytes(32), bytes(32))
    )
    writes = {number: SlotWrite((), (), 0) for number in there}
    writes |= {number: SlotWrite((), [(0, share)], len(share)) for number, share in shares.items()}
    if writes:
        written, _ = grid.time.run(machine.store.test_and_write_slot(cap.storage_index, secrets, writes, []))
        assert written


def stored(grid: Grid, machine: Machine, storage_index: StorageIndex) -> dict[int, bytes]:
    """The shares that `machine` has."""
    assert machine.store is not None
    found = grid.time.run(machine.store.read_slot(storage_index, frozenset(), EVERYTHING))
    return {number: pieces[0] for number, pieces in sorted(found.items())}


def all_stored(grid: Grid, cap: Cap) -> list[tuple[int, Machine, bytes]]:
    """(share number, where, share) of everything that is stored of a file."""
    index = cap.storage_index
    assert index is not None
    return [
        (number, machine, share)
        for machine in grid.machines
        if machine.store is not None
        for number, share in stored(grid, machine, index).items()
    ]


def numbers_stored(grid: Grid, cap: Cap) -> list[tuple[int, int]]:
    """(share number, sequence number) of everything that is stored of a file, sorted."""
    return sorted((number, parse_prefix(share).sequence_number) for number, _, share in all_stored(grid, cap))


def damage(
    grid: Grid, cap: MutableWriteCap, change: Callable[[bytes], bytes], numbers: Collection[int] | None = None
) -> None:
    """Replace shares (all, or those with these numbers) by `change` of them."""
    for machine in grid.machines:
        there = stored(grid, machine, cap.storage_index)
        plant(
            grid,
            cap,
            machine,
            {each: change(share) if numbers is None or each in numbers else share for each, share in there.items()},
        )


def flip(share: bytes, position: int) -> bytes:
    """`share` with one bit changed."""
    return share[:position] + bytes([share[position] ^ 1]) + share[position + 1 :]


def new_client(grid: Grid, seed: int = 0, encoding: EncodingParameters | None = None) -> Filesystem:
    """Another client of `grid`, whose randomness is the same in every run."""
    return Filesystem(
        MachineGrid(grid.machines),
        InlineWorkers(),
        TenantClock(grid.time),
        ClientSecrets(lease_secret=bytes(32), convergence=None),
        encoding or grid.encoding,
        Counters(),
        random_bytes=Random(seed).randbytes,
        generate_key=grid._generate_key,
    )
