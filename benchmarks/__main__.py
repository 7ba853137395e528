"""python -m benchmarks: lafs beside the peer. LAFS_PEER names the peer's program; `make bench` sees to it."""
from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import attrs
import click

from benchmarks import report
from benchmarks.changing_files import race_changing_files
from benchmarks.floors import download_floor, small_upload_floor, upload_floor
from benchmarks.race import ENCODING, LARGE, SERVERS, Size, race, runner
from tests.process.harness import LAFS, peer

SIZES = [
    Size("10 kB", 10_000, rounds=15, together=20),
    Size("1 MB", 1_000_000, rounds=15, together=4),
    Size("100 MB", LARGE, rounds=9),
]
QUICK = [attrs.evolve(size, rounds=-(-size.rounds // 3)) for size in SIZES]


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds: rougher figures in less time.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write every sample there.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where the grids keep their shares. Default: TMPDIR.")
def main(quick: bool, json_file: Path | None, folder: Path | None) -> None:
    """Measure lafs beside the peer and print medians, ratios, processor seconds and the floor."""
    started, busy, own = time.monotonic(), _busy_seconds(), 0.0
    with ExitStack() as stack:
        _tell("starting ten servers and three gateways of each")
        ours, peers = (stack.enter_context(runner(program, folder)) for program in (LAFS, peer()))
        race([ours, peers], QUICK if quick else SIZES, _tell)
        race_changing_files([ours, peers], 3 if quick else 7, _tell)
        _tell("measuring the floor")
        floor = {"put 100 MB": upload_floor(LARGE, ENCODING), "get 100 MB": download_floor(LARGE)}
        calls = small_upload_floor(SERVERS)
        own = sum(node.cpu_seconds for each in (ours, peers) for node in each.grid.nodes) + sum(os.times()[:4])
        elapsed = time.monotonic() - started
        others = max(0.0, _busy_seconds() - busy - own) / elapsed
        machine = {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "date": time.strftime("%Y-%m-%d"),
            "processors_used_by_others": round(others, 2),
        }
        print(f"\n{machine['processors']} processors, {machine['system']}, Python {machine['python']}, {machine['date']};")
        print(f"on average {others:.2f} processors were busy with other things meanwhile.\n")
        print(report.table(ours, peers), "\n")
        print(report.floors(floor, ours, peers), "\n")
        print(report.small_floor(calls, ours, peers), "\n")
        print(report.memory(ours, peers))
        if json_file is not None:
            json_file.write_text(json.dumps(report.document(floor, [ours, peers], machine), indent=1))


def _busy_seconds() -> float:
    """Processor time that everybody on this machine has used since it was started."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = fields[:7]
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
