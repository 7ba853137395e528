"""The part of the race that is run on mutable files and directories, over the web API both programs share. Run by `__main__`."""
from __future__ import annotations

import json
import os
from collections.abc import Callable
from urllib.parse import urlencode

from benchmarks.race import Runner
from tests.process.gateway import Gateway, path_of

CHILDREN = 20
LARGE_DIRECTORY = 1_000
SMALL_FILE = 100_000
LARGE_FILE = 10_000_000
CHANGE = 1_000

GOALS = {
    "mkdir": 5.0,
    "add a child, 20 one by one": 3.0,
    "list 1,000 children": 3.0,
    "add a child to 1,000": 3.0,
    "SDMF 100 kB create": 3.0,
    "SDMF 100 kB overwrite": 3.0,
    "SDMF 100 kB read": 3.0,
    "MDMF 10 MB create": 3.0,
    "MDMF 10 MB read": 3.0,
    "MDMF 10 MB update 1 kB": 3.0,
}
"""How many times as fast as the peer lafs is to be."""


def race_changing_files(runners: list[Runner], rounds: int, tell: Callable[[str], None]) -> None:
    """Everybody does everything, by turns; who begins changes from round to round."""
    for number in range(rounds):
        tell(f"directories and mutable files: round {number + 1} of {rounds}")
        for each in runners if number % 2 == 0 else runners[::-1]:
            _directories(each)
            _mutable_file(each, "SDMF 100 kB", "sdmf", SMALL_FILE, together=5)
            _mutable_file(each, "MDMF 10 MB", "mdmf", LARGE_FILE, together=1)


def _directories(runner: Runner) -> None:
    made: list[str] = []
    runner.measure("mkdir", 0, 5, lambda gateway: made.extend(_sent(gateway, "POST", "/uri?t=mkdir") for _ in range(5)))

    def add_one_by_one(gateway: Gateway) -> None:
        for number in range(CHILDREN):
            _sent(gateway, "PUT", f"{path_of(made[0])}/child-{number}?t=uri", b"URI:LIT:nbswy3dp")

    runner.measure("add a child, 20 one by one", 0, CHILDREN, add_one_by_one)
    children = {f"child-{number:04}": ["filenode", {"ro_uri": "URI:LIT:nbswy3dp"}] for number in range(LARGE_DIRECTORY)}
    large = _sent(runner.grid.clients[0], "POST", "/uri?t=mkdir-with-children", json.dumps(children).encode())

    def list_it(gateway: Gateway) -> None:
        listing = json.loads(_sent(gateway, "GET", f"{path_of(large)}?t=json"))
        assert len(listing[1]["children"]) >= LARGE_DIRECTORY

    runner.measure("list 1,000 children", 1, 1, list_it)

    def extend(gateway: Gateway) -> None:
        for number in range(5):
            _sent(gateway, "PUT", f"{path_of(large)}/new-{number}?t=uri", b"URI:LIT:nbswy3dp")

    runner.measure("add a child to 1,000", 0, 5, extend)


def _mutable_file(runner: Runner, name: str, format: str, size: int, together: int) -> None:
    contents = [os.urandom(size) for _ in range(together)]
    caps: list[str] = []
    query = urlencode({"format": format})

    def create(gateway: Gateway) -> None:
        caps.extend(_sent(gateway, "PUT", f"/uri?{query}", content) for content in contents)

    def overwrite(gateway: Gateway) -> None:
        for cap, content in zip(caps, reversed(contents), strict=True):
            _sent(gateway, "PUT", path_of(cap), content)

    def read(gateway: Gateway) -> None:
        if [gateway.get(cap) for cap in caps] != contents[::-1]:
            raise AssertionError(f"{runner.program.name} read something else than was written")

    def update(gateway: Gateway) -> None:
        for cap in caps:
            _sent(gateway, "PUT", f"{path_of(cap)}?offset={size // 2}", os.urandom(CHANGE))

    runner.measure(f"{name} create", 0, together, create)
    if format == "sdmf":
        runner.measure(f"{name} overwrite", 0, together, overwrite)
    else:
        contents.reverse()
    runner.measure(f"{name} read", 1, together, read)
    if format == "mdmf":
        runner.measure(f"{name} update 1 kB", 0, together, update)


def _sent(gateway: Gateway, method: str, path: str, body: bytes | None = None) -> str:
    """The body of a successful answer. Raises AssertionError for any other."""
    answer = gateway.ask(method, path, body)
    if not 200 <= answer.status < 300:
        raise AssertionError(f"{method}: {answer.status}: {answer.text[:500]}")
    return answer.text
