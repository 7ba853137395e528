"""The part of the race that is run on mutable files and directories, over the web API both programs share. Run by `__main__`."""
from __future__ import annotations

import json
import os
from urllib.parse import urlencode

from benchmarks.race import Racer
from tests.process.gateway import Gateway, path_of

SMALL_DIRECTORY = 5
LARGE_DIRECTORY = 1_000
SMALL_FILE = 100_000
LARGE_FILE = 10_000_000
CHANGE = 1_000
CHILD = b"URI:LIT:nbswy3dp"


def small_directories(racer: Racer, amount: int) -> None:
    """`amount` directories, and as many children for another one, one by one."""
    racer.measure("mkdir", 0, amount, lambda gateway: [sent(gateway, "POST", "/uri?t=mkdir") for _ in range(amount)])
    cap = directory_of(racer.clients[0], SMALL_DIRECTORY)
    racer.measure("add a child to 5", 0, amount, lambda gateway: _add_children(gateway, cap, amount))


def large_directory(racer: Racer, amount: int) -> None:
    """A thousand children, and some more."""
    cap = directory_of(racer.clients[0], LARGE_DIRECTORY)

    def list_it(gateway: Gateway) -> None:
        listing = json.loads(sent(gateway, "GET", f"{path_of(cap)}?t=json"))
        assert len(listing[1]["children"]) >= LARGE_DIRECTORY

    racer.measure("list 1,000 children", 1, 1, list_it)
    racer.measure("add a child to 1,000", 0, amount, lambda gateway: _add_children(gateway, cap, amount))


def small_mutable_files(racer: Racer, amount: int) -> None:
    _mutable_file(racer, "SDMF 100 kB", "sdmf", SMALL_FILE, amount)


def large_mutable_files(racer: Racer, amount: int) -> None:
    _mutable_file(racer, "MDMF 10 MB", "mdmf", LARGE_FILE, amount)


def directory_of(gateway: Gateway, children: int) -> str:
    """The cap of a new one of so many."""
    entries = {f"child-{number:06}": ["filenode", {"ro_uri": CHILD.decode()}] for number in range(children)}
    return sent(gateway, "POST", "/uri?t=mkdir-with-children", json.dumps(entries).encode())


def _add_children(gateway: Gateway, cap: str, count: int) -> None:
    for number in range(count):
        sent(gateway, "PUT", f"{path_of(cap)}/new-{number}?t=uri", CHILD)


def _mutable_file(racer: Racer, name: str, format: str, size: int, together: int) -> None:
    contents = [os.urandom(size) for _ in range(together)]
    caps: list[str] = []
    query = urlencode({"format": format})

    def create(gateway: Gateway) -> None:
        caps.extend(sent(gateway, "PUT", f"/uri?{query}", content) for content in contents)

    def overwrite(gateway: Gateway) -> None:
        for cap, content in zip(caps, reversed(contents), strict=True):
            sent(gateway, "PUT", path_of(cap), content)

    def read(gateway: Gateway) -> None:
        if [gateway.get(cap) for cap in caps] != contents[::-1]:
            raise AssertionError(f"{racer.name} read something else than was written")

    def update(gateway: Gateway) -> None:
        for cap in caps:
            sent(gateway, "PUT", f"{path_of(cap)}?offset={size // 2}", os.urandom(CHANGE))

    racer.measure(f"{name} create", 0, together, create)
    if format == "sdmf":
        racer.measure(f"{name} overwrite", 0, together, overwrite)
    else:
        contents.reverse()
    racer.measure(f"{name} read", 1, together, read)
    if format == "mdmf":
        racer.measure(f"{name} update 1 kB", 0, together, update)


def sent(gateway: Gateway, method: str, path: str, body: bytes | None = None) -> str:
    """The body of a successful answer. Raises AssertionError for any other."""
    answer = gateway.ask(method, path, body)
    if not 200 <= answer.status < 300:
        raise AssertionError(f"{method}: {answer.status}: {answer.text[:500]}")
    return answer.text
