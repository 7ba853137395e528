"""What the race showed, as a table for people and as JSON for programs."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import attrs

from benchmarks import changing_files
from benchmarks.floors import Floor
from benchmarks.race import Runner, Sample

GOALS: Mapping[str, float] = {"put 100 MB": 1.6, "get 100 MB": 2.0, "put 10 kB": 2.5, "get 10 kB": 2.5, **changing_files.GOALS}
"""How many times as fast as the peer lafs is to be."""

GOAL_OVER_FLOOR = 1.5
"""Processor time of the gateway on upload, over the floor."""


def table(ours: Runner, peers: Runner) -> str:
    """Medians, ratios and processor seconds, one line for each kind of work."""
    rows: list[Sequence[str]] = []
    rows.append(("", "lafs", "peer", "ratio", "goal", "lafs gateway", "peer gateway", "lafs servers", "peer servers"))
    for work, samples in ours.samples.items():
        mine, theirs = _middle(samples), _middle(peers.samples[work])
        rows.append(
            (
                work,
                _time(mine.elapsed),
                _time(theirs.elapsed),
                f"{theirs.elapsed / mine.elapsed:.2f}x",
                f"{GOALS[work]}x" if work in GOALS else "",
                *map(_time, (mine.gateway, theirs.gateway, mine.servers, theirs.servers)),
            )
        )
    return _aligned(rows)


def memory(ours: Runner, peers: Runner) -> str:
    """The most memory any gateway had."""
    return f"Peak resident memory of a gateway: lafs {ours.peak_resident / 1e6:.0f} MB, peer {peers.peak_resident / 1e6:.0f} MB"


def floors(floor: Mapping[str, Floor], ours: Runner, peers: Runner) -> str:
    """How far the gateways are from what the work must cost."""
    rows: list[Sequence[str]] = [
        ("floor of a gateway", "hashing", "cipher", "coding", "moving", "sum", "lafs", "peer", "lafs/floor", "peer/floor")
    ]
    for work, each in floor.items():
        mine, theirs = _middle(ours.samples[work]).gateway, _middle(peers.samples[work]).gateway
        rows.append(
            (
                work,
                *map(_time, (each.hashing, each.cipher, each.coding, each.moving, each.total, mine, theirs)),
                f"{mine / each.total:.2f}",
                f"{theirs / each.total:.2f}",
            )
        )
    return _aligned(rows)


def small_floor(calls: tuple[float, float], ours: Runner, peers: Runner) -> str:
    """The same for a small upload, where the calls are all there is to it."""
    mine, theirs = _middle(ours.samples["put 10 kB"]), _middle(peers.samples["put 10 kB"])
    gateway, servers = calls
    return (
        f"The calls of a small upload over bare Foolscap cost a gateway {_time(gateway)} and ten servers {_time(servers)}; "
        f"put 10 kB costs lafs {mine.gateway / gateway:.2f} and {mine.servers / servers:.2f} times that, "
        f"the peer {theirs.gateway / gateway:.2f} and {theirs.servers / servers:.2f} times."
    )


def document(floor: Mapping[str, Floor], runners: Sequence[Runner], machine: Mapping[str, object]) -> dict[str, Any]:
    """Everything that was measured, every sample of it."""
    return {
        "machine": dict(machine),
        "samples": {
            each.program.name: {work: [attrs.asdict(one) for one in samples] for work, samples in each.samples.items()}
            for each in runners
        },
        "peak_resident": {each.program.name: each.peak_resident for each in runners},
        "floor": {work: {**attrs.asdict(each), "total": each.total} for work, each in floor.items()},
    }


def _middle(samples: Sequence[Sample]) -> Sample:
    return Sample(*(median(getattr(each, name) for each in samples) for name in ("elapsed", "gateway", "servers")))


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.2 else f"{seconds * 1000:.1f} ms"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ([_cell(text, widths[column], column) for column, text in enumerate(row)] for row in rows)
    return "\n".join(map("  ".join, lines))


def _cell(text: str, width: int, column: int) -> str:
    """Names to the left, figures to the right."""
    return text.rjust(width) if column else text.ljust(width)
