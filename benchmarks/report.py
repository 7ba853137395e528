"""What the race showed, as tables for people and as JSON for programs."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import attrs

from benchmarks.floors import Floor
from benchmarks.program import GATEWAY_OVER_FLOOR, GOALS, MEMORY_GOALS, Goal
from benchmarks.race import LAN, ONE_WAY_SECONDS, WAN, Racer, Sample

ROUND_TRIP = 2 * ONE_WAY_SECONDS

BEGIN, END = "<!-- results of python -m benchmarks -->", "<!-- end of results -->"
"""Marks in a page."""


def table(line: str, racers: Sequence[Racer], near: Racer | None = None) -> str:
    """Medians, ratios and goals at one line, one row for each kind of work. lafs is the first racer.

    `near` is lafs on the LAN. What it takes there is no waiting for the line: without that, round trips are "net".
    """
    ours, *others = racers
    head = [line, ours.name]
    for each in others:
        head += [each.name, "ratio", "goal"]
    if line == WAN:
        head += ["trips", "net", "goal", *(f"{each.name} trips" for each in others)]
    return _aligned([head, *(_row(line, work, ours, others, near) for work in ours.samples)])


def _row(line: str, work: str, ours: Racer, others: Sequence[Racer], near: Racer | None) -> Sequence[str]:
    goal = GOALS.get(work, Goal())
    mine, theirs = middle(ours, work), [middle(each, work) if work in each.samples else None for each in others]
    show = _rate if work.endswith("at once") else _time
    cells = [work, show(mine.elapsed)]
    for racer, each in zip(others, theirs, strict=True):
        shown = ("", "") if each is None else (show(each.elapsed), f"{each.elapsed / mine.elapsed:.2f}x")
        cells += [*shown, _ratio_goal(line, goal, racer)]
    if line == WAN:
        trips = [_trips(work, each) for each in (mine, *theirs)]
        cells += [trips[0], _net(work, mine, near), "" if goal.round_trips is None else f"{goal.round_trips:g}", *trips[1:]]
    return cells


def processors(line: str, racers: Sequence[Racer]) -> str:
    """Processor seconds of the gateway and of all servers together; medians."""
    names = [each.name for each in racers]
    rows = [[f"processor time, {line}", *(f"{name} gateway" for name in names), *(f"{name} servers" for name in names)]]
    for work in racers[0].samples:
        spent = [middle(each, work) if work in each.samples else None for each in racers]
        gateways = [None if each is None else each.gateway for each in spent]
        servers = [None if each is None else each.servers for each in spent]
        rows.append([work, *map(_time, gateways), *map(_time, servers)])
    return _aligned(rows)


def _trips(work: str, far: Sample | None) -> str:
    return "" if far is None or work.endswith(("at once", "per file")) else f"{far.elapsed / ROUND_TRIP:.1f}"


def _net(work: str, far: Sample, near: Racer | None) -> str:
    if near is None or work not in near.samples or work.endswith(("at once", "per file")):
        return ""
    return f"{(far.elapsed - middle(near, work).elapsed) / ROUND_TRIP:.1f}"


def _ratio_goal(line: str, goal: Goal, racer: Racer) -> str:
    if racer.is_https:
        ratio = goal.https if line == LAN else None
    else:
        ratio = goal.lan if line == LAN else goal.wan
        if line == LAN and goal.seconds is not None:
            return f"<= {_time(goal.seconds)}"
    return "" if ratio is None else f"{ratio:g}x"


def middle(racer: Racer, work: str) -> Sample:
    """The medians of what a racer took."""
    samples = racer.samples[work]
    return Sample(*(median(getattr(each, name) for each in samples) for name in ("elapsed", "gateway", "servers")))


def memory(racers: Sequence[Racer]) -> str:
    """What was resident, in MB: of a gateway and of the largest server."""
    rows: list[Sequence[str]] = [("resident, MB", "idle", "goal", "after 1 GiB", "more by", "goal", "meanwhile", "in the race")]
    for racer in racers:
        for who in ("gateway", "server"):
            idle, after, most = (racer.memory.get(f"{who} {when}") for when in ("idle", "after", "at most"))
            more = None if idle is None or after is None else after - idle
            peak = racer.peak_resident if who == "gateway" else None
            figures = (idle, MEMORY_GOALS["idle"], after, more, MEMORY_GOALS["1 GiB"], most, peak)
            rows.append((f"{racer.line} {racer.name} {who}", *map(_megabytes, figures)))
    return _aligned(rows)


def floors(floor: Mapping[str, Floor], racers: Sequence[Racer]) -> str:
    """How far the gateways are from what the work must cost."""
    names = [each.name for each in racers]
    rows: list[Sequence[str]] = [
        ("floor of a gateway", "hashing", "cipher", "coding", "moving", "sum", *names, *(f"{name}/floor" for name in names), "goal")
    ]
    for work, each in floor.items():
        spent = [middle(racer, work).gateway for racer in racers]
        parts = (each.hashing, each.cipher, each.coding, each.moving, each.total, *spent)
        over = [f"{one / each.total:.2f}" for one in spent]
        rows.append((work, *map(_time, parts), *over, f"{GATEWAY_OVER_FLOOR[work]}"))
    return _aligned(rows)


def small_floor(calls: tuple[float, float], racers: Sequence[Racer]) -> str:
    """The same for a small upload, where the calls are all there is to it."""
    gateway, servers = calls
    lines = [f"The calls of a small upload over bare Foolscap cost a gateway {_time(gateway)} and ten servers {_time(servers)};"]
    for racer in racers:
        spent = middle(racer, "put 10 kB")
        lines.append(f"put 10 kB costs {racer.name} {spent.gateway / gateway:.2f} and {spent.servers / servers:.2f} times that.")
    return "\n".join(lines)


def with_results(page: str, results: str) -> str:
    """The page with `results` in the place of those between its marks. Raises ValueError if it has no marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no lines {BEGIN!r} and {END!r}, between which the results go")
    return f"{before}{begin}\n```\n{results}\n```\n{end}{after}"


def document(floor: Mapping[str, Floor], racers: Sequence[Racer], machine: Mapping[str, object]) -> dict[str, Any]:
    """Everything that was measured, every sample of it."""

    def by_racer(of: Callable[[Racer], object]) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = {}
        for racer in racers:
            found.setdefault(racer.line, {})[racer.name] = of(racer)
        return found

    return {
        "machine": dict(machine),
        "samples": by_racer(lambda racer: {work: list(map(attrs.asdict, samples)) for work, samples in racer.samples.items()}),
        "memory": by_racer(lambda racer: {**racer.memory, "peak of a gateway": racer.peak_resident}),
        "floor": {work: {**attrs.asdict(each), "total": each.total} for work, each in floor.items()},
    }


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.2f} s" if seconds >= 0.2 else f"{seconds * 1000:.1f} ms"


def _rate(seconds: float) -> str:
    return f"{1 / seconds:.0f}/s"


def _megabytes(size: float | None) -> str:
    return "" if size is None else f"{size / 1e6:.0f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ([_cell(text, widths[column], column) for column, text in enumerate(row)] for row in rows)
    return "\n".join(map("  ".join, lines))


def _cell(text: str, width: int, column: int) -> str:
    """Names to the left, figures to the right."""
    return text.rjust(width) if column else text.ljust(width)
