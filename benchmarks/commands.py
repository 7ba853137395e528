"""The part of the race that is run by the command line of each program, every command a process of its own. Run by `__main__`."""
from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.race import Racer
from tests.process.gateway import Gateway
from tests.process.grids import Client
from tests.process.harness import Finished, run

IN_A_FOLDER = 100
SIZES = range(500, 4_000)
"""Bytes of a file of a tree."""

HOUR = 3600.0


def starting(racer: Racer, amount: int) -> None:
    """What a command takes that does next to nothing."""
    racer.measure("command --version", 0, amount, lambda _: [racer.program.run("--version") for _ in range(amount)])
    content = os.urandom(10_000)
    cap = racer.clients[0].put(content)

    def get(client: Client) -> None:
        for _ in range(amount):
            assert _command(racer, client, "get", cap, "-").stdout == content, "another file came back"

    racer.measure("command get 10 kB", 1, amount, get)


def trees(racer: Racer, amount: int) -> None:
    """A tree of `amount` small files goes up with `cp -r`, and comes down; a sample is the time for one file."""
    with tempfile.TemporaryDirectory(prefix="lafs-trees-") as name:
        tree, back = Path(name, "tree"), Path(name, "back")
        _grow(tree, amount)
        back.mkdir()
        cap = _directory(racer.clients[0])
        racer.measure("cp -r up, per file", 0, amount, lambda client: _command(racer, client, "cp", "-r", str(tree), cap))
        racer.measure("cp -r down, per file", 1, amount, lambda client: _command(racer, client, "cp", "-r", cap, str(back)))
        if _files(tree) != _files(back):
            raise AssertionError(f"{racer.name} brought back another tree")


def _grow(tree: Path, files: int) -> None:
    for number in range(files):
        folder = tree / f"folder-{number // IN_A_FOLDER}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}").write_bytes(os.urandom(random.choice(SIZES)))


def _files(tree: Path) -> Mapping[str, bytes]:
    """By names, which differ; where a copy begins is a matter of taste."""
    return {path.name: path.read_bytes() for path in tree.rglob("file-*")}


def _directory(gateway: Gateway) -> str:
    answer = gateway.ask("POST", "/uri?t=mkdir")
    assert answer.status == 200, answer.text[:500]
    return answer.text


def _command(racer: Racer, client: Client, *arguments: str) -> Finished:
    return run([*racer.program.command, "-d", str(client.node.directory), *arguments], seconds=HOUR)
