"""python -m benchmarks.growth: how the cost of lafs grows, and the plots of it in docs/.

With the size of a file, with the servers of a grid, with the children of a directory, with the clients of a gateway. Servers
are many only in memory, where round trips and messages are counted exactly and time is the processor's, of client and servers
together; all else is measured on processes: ten servers, two gateways.
"""
from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar

import click

from benchmarks.changing_files import CHILD, directory_of, sent
from benchmarks.plots import Chart, short, svg
from benchmarks.race import ENCODING, SERVERS
from lafs.immutable.parameters import EncodingParameters
from tests.memory_grid import Cost, random_bytes
from tests.memory_grid import Grid as MemoryGrid
from tests.process.gateway import path_of
from tests.process.grids import Grid
from tests.process.harness import LAFS
from tests.process.long_files import LongFile, fetched, put

T = TypeVar("T")
Given = TypeVar("Given")
P = ParamSpec("P")

MEBIBYTE = 1024**2
SIZES = tuple(size * MEBIBYTE for size in (1, 4, 16, 64, 256, 1024, 4096, 8192))
SERVER_COUNTS = (5, 10, 20, 50, 100)
CHILDREN = (10, 100, 1_000, 10_000, 100_000)
CLIENTS = (1, 2, 4, 8, 16, 32, 64)

SMALL = 10_000
FILES_OF_CLIENTS = 192
ROUNDS_IN_MEMORY = 10

Lines = dict[str, list[tuple[float, float]]]
"""Name -> (size, cost), as they are measured."""

Charts = Mapping[str, Lines]
"""What the cost is -> lines."""


def files(grid: Grid, largest: int) -> Charts:
    """Up and down, and the most memory that any process had meanwhile."""
    speed: Lines = {"put": [], "get": []}
    memory: Lines = {"gateway that puts": [], "gateway that gets": [], "largest server": []}
    storing, fetching = grid.clients
    for size in (each for each in SIZES if each <= largest):
        _tell(f"a file of {size // MEBIBYTE} MiB")
        for node in grid.running:
            node.forget_peak()
        file = LongFile(size)
        cap, seconds = _timed(put, storing, file)
        speed["put"].append((size, size / seconds / 1e6))
        found, seconds = _timed(fetched, fetching, cap)
        speed["get"].append((size, size / seconds / 1e6))
        assert found == file.hash.digest(), "what came back is not what was stored"
        peaks = (storing.node.peak_resident, fetching.node.peak_resident, max(each.peak_resident for each in grid.servers))
        for name, peak in zip(memory, peaks, strict=True):
            memory[name].append((size, peak / 1e6))
        _forget_shares(grid)
    return {"MB/s": speed, "peak resident memory, MB": memory}


def servers() -> Charts:
    """A small file on ever larger grids in memory; medians."""
    charts: dict[str, Lines] = {each: {"put": [], "get": []} for each in ("messages", "round trips", "processor time, ms")}
    for count in SERVER_COUNTS:
        _tell(f"{count} servers in memory")
        grid = MemoryGrid(servers=count, encoding=EncodingParameters(happy=min(count, ENCODING.happy)))
        costs: dict[str, list[Sequence[float]]] = {"put": [], "get": []}
        for seed in range(ROUNDS_IN_MEMORY):
            started = time.process_time()
            upload = grid.store(random_bytes(SMALL, seed))
            costs["put"].append((*_told(upload.cost), _milliseconds(started)))
            grid.forget()
            started = time.process_time()
            download = grid.download(upload.cap)
            costs["get"].append((*_told(download.cost), _milliseconds(started)))
        for name, samples in costs.items():
            for lines, values in zip(charts.values(), zip(*samples, strict=True), strict=True):
                lines[name].append((count, median(values)))
    return charts


def _told(cost: Cost) -> tuple[float, float]:
    return sum(cost.requests.values()), cost.round_trips


def _milliseconds(started: float) -> float:
    return (time.process_time() - started) * 1000


def children(grid: Grid, largest: int) -> Charts:
    """Directories of ever more children: made at once, listed for one who does not know them and again, one child added."""
    lines: Lines = {"make it with all of them": [], "list, first": [], "list, again": [], "add one": []}
    storing, reading = grid.clients
    for count in (each for each in CHILDREN if each <= largest):
        _tell(f"{count} children")
        cap, seconds = _timed(directory_of, storing, count)
        lines["make it with all of them"].append((count, seconds * 1000))
        for name in ("list, first", "list, again"):
            shown, seconds = _timed(sent, reading, "GET", f"{path_of(cap)}?t=json")
            assert len(json.loads(shown)[1]["children"]) == count, "another directory came back"
            lines[name].append((count, seconds * 1000))
        added = [_timed(sent, storing, "PUT", f"{path_of(cap)}/new-{number}?t=uri", CHILD)[1] for number in range(3)]
        lines["add one"].append((count, median(added) * 1000))
    return {"ms": lines}


def clients(grid: Grid) -> Charts:
    """Ever more at one gateway, each putting (getting) one file of 10 kB after the other."""
    rate: Lines = {"put": [], "get": []}
    latency: Lines = {"put": [], "get": []}
    storing, fetching = grid.clients
    for count in CLIENTS:
        _tell(f"{count} clients")
        contents = [os.urandom(SMALL) for _ in range(FILES_OF_CLIENTS)]
        caps = _together(count, "put", storing.put, contents, rate, latency)
        found = _together(count, "get", fetching.get, caps, rate, latency)
        assert found == contents, "what came back is not what was stored"
    return {"files per second": rate, "median latency, ms": latency}


def _together(count: int, name: str, work: Callable[[Given], T], inputs: Sequence[Given], rate: Lines, latency: Lines) -> list[T]:
    with ThreadPoolExecutor(count) as pool:
        done, seconds = _timed(lambda: list(pool.map(lambda each: _timed(work, each), inputs)))
    rate[name].append((count, len(inputs) / seconds))
    latency[name].append((count, median(each for _, each in done) * 1000))
    return [result for result, _ in done]


def _timed(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> tuple[T, float]:
    """The result, and the seconds that it took to come."""
    started = time.perf_counter()
    return work(*arguments, **named), time.perf_counter() - started


def _forget_shares(grid: Grid) -> None:
    """Large files would fill the disk. Folders stay, since servers remember which they have made."""
    for server in grid.servers:
        for path in (server.directory / "storage" / "shares").glob("??/*/*"):
            path.unlink()


SIZE_OF: Mapping[str, str] = {
    "files": "bytes of a file",
    "servers": "servers of the grid; files of 10 kB",
    "children": "children of a directory",
    "clients": "clients at once of one gateway; files of 10 kB",
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(SIZE_OF)), help="Only the growth with these. Repeatable.")
@click.option("--largest", default=1024, show_default=True, help="MiB of the largest file; 3.4 times that must fit on the disk.")
@click.option("--children", "most", default=CHILDREN[-1], show_default=True, help="Of the largest directory.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where the grid keeps its shares. Default: TMPDIR.")
@click.option("--plots", type=click.Path(path_type=Path), default=Path("docs"), show_default=True, help="Where the plots go.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures there.")
def main(only: Sequence[str], largest: int, most: int, folder: Path | None, plots: Path, json_file: Path | None) -> None:
    """Measure how the cost of lafs grows, print it, and draw growth-*.svg."""
    wanted, found = only or list(SIZE_OF), {}
    if "servers" in wanted:
        found["servers"] = servers()
    if set(wanted) - {"servers"}:
        with Grid([LAFS] * SERVERS, encoding=ENCODING, clients=[LAFS] * 2, folder=folder) as grid:
            grid.clients[1].get(grid.clients[0].put(os.urandom(SMALL)))
            # In this order, because processes keep some of the memory that large directories take.
            if "files" in wanted:
                found["files"] = files(grid, largest * MEBIBYTE)
            if "clients" in wanted:
                found["clients"] = clients(grid)
            if "children" in wanted:
                found["children"] = children(grid, most)
    for name, charts in found.items():
        print(f"\n{SIZE_OF[name]}\n{_text(charts)}")
        drawn = [Chart(what, SIZE_OF[name], lines) for what, lines in charts.items()]
        (plots / f"growth-{name}.svg").write_text(svg(drawn))
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1))


def _text(charts: Charts) -> str:
    """All figures, one line for each line of a chart."""
    return "\n".join(
        f"{what:26} {name:26}" + "".join(f" {short(size)}: {cost:.3g}" for size, cost in points)
        for what, lines in charts.items()
        for name, points in lines.items()
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
