"""python -m benchmarks: lafs beside the peer. LAFS_PEER names the peer's program; `make bench` sees to it."""
from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks import report
from benchmarks.floors import Floor, download_floor, small_upload_floor, upload_floor
from benchmarks.immutable_files import LARGE
from benchmarks.program import WORKS, Turns, Work
from benchmarks.race import ENCODING, LAN, ONE_WAY_SECONDS, SERVERS, WAN, Racer, entrants, field_of_racers
from benchmarks.relay import round_trip_seconds

QUICK_PEERS = ("foolscap",)
PEERS = ("foolscap", "https")


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds, and the peer over Foolscap only: rougher figures in less time.")
@click.option("--only", multiple=True, metavar="WORDS", help="Only work with such a row, as '10 kB' or 'mkdir'. Repeatable.")
@click.option("--line", "lines", type=click.Choice([LAN, WAN]), multiple=True, help="Only at this line. Default: both.")
@click.option("--peer", "peers", type=click.Choice([*PEERS, "none"]), multiple=True, help="Beside which peers. Default: both.")
@click.option("--rounds", type=int, help="So many rounds of everything.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write every sample there.")
@click.option("--document", type=click.Path(path_type=Path, exists=True), metavar="FILE", help="Put the tables into this page.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where the grids keep their shares. Default: TMPDIR.")
def main(
    quick: bool,
    only: Sequence[str],
    lines: Sequence[str],
    peers: Sequence[str],
    rounds: int | None,
    json_file: Path | None,
    document: Path | None,
    folder: Path | None,
) -> None:
    """Measure lafs beside the peer and print medians, ratios, round trips, processor seconds, memory and the floor."""
    started, busy = time.monotonic(), _busy_seconds()
    lines = lines or (LAN, WAN)
    taking_part = entrants([each for each in peers or (QUICK_PEERS if quick else PEERS) if each != "none"])
    works = [each for each in WORKS if each.is_wanted(only)]
    _tell(f"starting {', '.join(each.name for each in taking_part)}")
    with field_of_racers(taking_part, lines, folder) as racers:
        for line in lines:
            for work in works:
                _run(work, (work.quick if quick else work.full).get(line), line, racers, rounds)
        raced = {line: [each for each in racers if each.line == line and each.samples] for line in lines}
        floor, calls = _floor(raced.get(LAN, []))
        own = sum(node.cpu_seconds for grid in {id(each.grid): each.grid for each in racers}.values() for node in grid.running)
        elapsed = time.monotonic() - started
        others = max(0.0, _busy_seconds() - busy - own - sum(os.times()[:4])) / elapsed
        machine = _machine(others, elapsed)
        text = _text(machine, raced, floor, calls)
        print(text)
        if document is not None:
            document.write_text(report.with_results(document.read_text(), text))
        if json_file is not None:
            json_file.write_text(json.dumps(report.document(floor, racers, machine), indent=1))


def _run(work: Work, turns: Turns | None, line: str, racers: Sequence[Racer], rounds: int | None) -> None:
    """Everybody does it, by turns; who begins changes from round to round."""
    if turns is None:
        return
    taking_part = [each for each in racers if each.line == line and (work.https or not each.is_https)]
    for number in range(rounds or turns.rounds):
        _tell(f"{time.strftime('%X')} {line}, {work.rows[0]}: round {number + 1} of {rounds or turns.rounds}")
        first = number % len(taking_part)
        for each in taking_part[first:] + taking_part[:first]:
            work.do(each, turns.amount)


def _floor(racers: Sequence[Racer]) -> tuple[Mapping[str, Floor], tuple[float, float] | None]:
    """Of what was raced on the LAN."""
    raced = racers[0].samples if racers else {}
    if "put 100 MB" not in raced and "put 10 kB" not in raced:
        return {}, None
    _tell("measuring the floor")
    large = {"put 100 MB": upload_floor(LARGE, ENCODING), "get 100 MB": download_floor(LARGE)} if "put 100 MB" in raced else {}
    return large, small_upload_floor(SERVERS) if "put 10 kB" in raced else None


def _machine(others: float, elapsed: float) -> Mapping[str, object]:
    return {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": time.strftime("%Y-%m-%d"),
        "processors_used_by_others": round(others, 2),
        "seconds": round(elapsed),
        "relay_round_trip_ms": round(round_trip_seconds(ONE_WAY_SECONDS) * 1000, 1),
    }


def _text(
    machine: Mapping[str, object],
    raced: Mapping[str, Sequence[Racer]],
    floor: Mapping[str, Floor],
    calls: tuple[float, float] | None,
) -> str:
    """Everything for people to read."""
    parts = [
        f"{machine['processors']} processors, {machine['system']}, Python {machine['python']}, {machine['date']};\n"
        f"on average {machine['processors_used_by_others']} processors were busy with other things meanwhile.\n"
        f"An empty round trip over the WAN takes {machine['relay_round_trip_ms']} ms. All took {machine['seconds']} seconds."
    ]
    near = raced.get(LAN, [])
    for line, racers in raced.items():
        if racers:
            parts += [report.table(line, racers, near[0] if near else None), report.processors(line, racers)]
    if floor:
        parts.append(report.floors(floor, near))
    if calls:
        parts.append(report.small_floor(calls, near))
    parts.append(report.memory([each for racers in raced.values() for each in racers]))
    return "\n\n".join(parts)


def _busy_seconds() -> float:
    """Processor time that everybody on this machine has used since it was started."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = fields[:7]
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
