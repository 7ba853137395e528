"""SFTP beside the peer's: OpenSSH's sftp does the same to both, turn by turn. `python -m benchmarks.sftp`.

Each program has five servers and a client that serves SFTP. What logging in takes is measured and taken off. Rows: seconds of the
clock, and of the processor in the client node; at the end how many times as fast lafs is, and what it is to reach.
"""
from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from attrs import define, field

from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS, Program, free_port, peer, run

SERVERS = 5
ENCODING = Encoding(needed=3, happy=4, total=5)
LARGE = 100_000_000
SMALL_FILES = 200
ENTRIES = 1_000
ROUNDS = 3
GOAL = 3.0
"""Times as fast as the peer, in every row."""

_LISTINGS = 40
_TICKS = os.sysconf("SC_CLK_TCK")


@define
class Cost:
    """What one piece of work took, each time, in seconds."""

    elapsed: list[float] = field(factory=list)
    processor: list[float] = field(factory=list)


class Racer:
    """One program, ready to be asked by SFTP."""

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self.costs: dict[str, Cost] = {}
        self._grid = Grid([program] * SERVERS, encoding=ENCODING, clients=(program,))
        client = self._grid.clients[0]
        self._node = client.node
        folder = self._grid.folder
        root = client.ask("POST", "/uri?t=mkdir").body.decode()
        children = {
            f"entry {number:04}": ["filenode", {"ro_uri": "URI:LIT:krugkidfnzsc4", "metadata": {}}] for number in range(ENTRIES)
        }
        client.ask("POST", f"/uri/{root}/many?t=mkdir-with-children", body=json.dumps(children).encode())
        for name in ("user", "host"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)])
        accounts = self._node.directory / "private" / "accounts"
        accounts.write_text(f"alice {(folder / 'user.pub').read_text().strip()} {root}\n")
        port = free_port()
        options = {
            "enabled": "true",
            "port": f"tcp:{port}:interface=127.0.0.1",
            "accounts.file": str(accounts),
            "host_pubkey_file": str(folder / "host.pub"),
            "host_privkey_file": str(folder / "host"),
        }
        configuration = self._node.directory / program.configuration
        storage = configuration.read_text()
        configuration.write_text(storage + "\n[sftpd]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
        self._node.stop()
        self._node.start()
        self._grid.wait_connected()
        self._command = ["sftp", "-q", "-F", "none", "-i", str(folder / "user"), "-P", str(port), "-b", "-"]
        for option in ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"):
            self._command += ["-o", option]
        self._command.append("alice@127.0.0.1")
        self.login = min(self._time(["pwd"])[0] for _ in range(3))

    def close(self) -> None:
        self._grid.close()

    def do(self, row: str, commands: Sequence[str], share: float = 1.0) -> None:
        """Carry out `commands`, and note what `share` of it took."""
        elapsed, processor = self._time(commands)
        cost = self.costs.setdefault(row, Cost())
        cost.elapsed.append(max(elapsed - self.login, 0.001) * share)
        cost.processor.append(processor * share)

    def _time(self, commands: Sequence[str]) -> tuple[float, float]:
        processor, begin = self._processor(), time.perf_counter()
        run(self._command, stdin="\n".join(commands).encode() + b"\n", seconds=600)
        return time.perf_counter() - begin, self._processor() - processor

    def _processor(self) -> float:
        fields = Path(f"/proc/{self._node.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def race(racers: Sequence[Racer], folder: Path, rounds: int, say: Callable[[str], object]) -> None:
    """Every racer does everything, by turns."""
    for number in range(rounds):
        for position, racer in enumerate(racers):
            content = Random(number * 10 + position).randbytes(LARGE)
            large, back, small = folder / "large", folder / "back", folder / f"small {number} {position}"
            large.write_bytes(content)
            small.mkdir()
            for file in range(SMALL_FILES):
                (small / f"{file}").write_bytes(content[file * 5000 : file * 5000 + 1000 + file * 10])
            racer.do("write 100 MB", [f'put "{large}" "large {number}"'])
            racer.do("read 100 MB", [f'get "large {number}" "{back}"'])
            if back.read_bytes() != content:
                raise AssertionError(f"{racer.name} returned something else")
            racer.do("write 200 small files", [f'put -r "{small}" "small {number}"'])
            racer.do("ls of 1,000", ["ls -l many"] * _LISTINGS, 1 / _LISTINGS)
            say(f"round {number + 1} of {rounds}: {racer.name}")


def report(racers: Sequence[Racer]) -> str:
    """A table in Markdown."""
    names = [racer.name for racer in racers]
    lines = [
        "| | " + " | ".join(f"{name} | {name} CPU" for name in names) + " | times as fast | goal |",
        "|---" * (2 * len(names) + 3) + "|",
    ]
    for row in racers[0].costs:
        cells = []
        for racer in racers:
            cells += [f"{_middle(racer.costs[row].elapsed):.3f} s", f"{_middle(racer.costs[row].processor):.3f} s"]
        ratio = _middle(racers[-1].costs[row].elapsed) / _middle(racers[0].costs[row].elapsed)
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {ratio:.1f} | {GOAL:.0f} |")
    return "\n".join(lines)


def _middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def main(arguments: Sequence[str]) -> None:
    import tempfile

    rounds = int(arguments[0]) if arguments else ROUNDS
    racers: list[Racer] = []
    with tempfile.TemporaryDirectory(prefix="lafs-sftp-bench-") as folder:
        try:
            racers += [Racer(LAFS), Racer(peer())]
            race(racers, Path(folder), rounds, lambda text: print(text, file=sys.stderr))
            print(report(racers))
        finally:
            for racer in racers:
                racer.close()


if __name__ == "__main__":
    main(sys.argv[1:])
