"""Which server gets which share of a file: servers of happiness, exactly and deterministically.

Pure. Servers are any hashable values, given in the order of preference (the file's permuted order). Used by the uploader, which
plans again whenever a server has answered, and by the checker. Spec: 02 §10.3 (what not to copy), §11.
"""
from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

Server = TypeVar("Server", bound=Hashable)


def happiness(sharemap: Mapping[int, Collection[Server]]) -> int:
    """The largest number of servers that each hold a share of their own: the size of a maximum matching.

    `sharemap` is share number -> servers that hold it.
    """
    return len(_match(_held_by_server(sharemap), ()))


def plan(
    total: int,
    holders: Mapping[int, Sequence[Server]],
    writable: Sequence[Server],
    barred: Collection[tuple[Server, int]] = (),
) -> dict[int, Server]:
    """Share numbers to be sent, and where, so that all `total` shares have a home and happiness is as high as it can be.

    `holders` is what is there, promised, or being asked for already, and stays as it is; `writable` are the servers that may take
    more, most preferred first; a share is not given to a server with which it is `barred`, which has a bad one of that number.
    Shares that have a home are sent again only where that raises happiness. Same arguments, same plan.
    """
    held = _held_by_server(holders)
    # Shares that read-only servers hold should count for those, so that the writable ones are free to take others.
    matched = _match(held, [server for server in held if server not in set(writable)])
    spoken_for = set(matched.values())
    homeless = [share for share in range(total) if not holders.get(share)]
    redundant = [share for share in range(total) if holders.get(share) and share not in spoken_for]
    unused = [server for server in writable if server not in matched]

    placed = _assign([*homeless, *redundant], unused, barred)
    load = {server: len(held.get(server, ())) for server in writable}
    for server in placed.values():
        load[server] += 1
    for share in homeless:
        allowed = [server for server in writable if (server, share) not in barred]
        if share not in placed and allowed:
            placed[share] = server = min(allowed, key=lambda candidate: load[candidate])
            load[server] += 1
    return placed


def _assign(shares: Sequence[int], servers: Sequence[Server], barred: Collection[tuple[Server, int]]) -> dict[int, Server]:
    """A server of its own for as many of `shares` as possible, the first ones first, each the most preferred that is left."""
    taken: dict[Server, int] = {}

    def find_server_for(share: int, tried: set[Server]) -> bool:
        allowed = [server for server in servers if server not in tried and (server, share) not in barred]
        for server in sorted(allowed, key=lambda server: server in taken):
            tried.add(server)
            if server not in taken or find_server_for(taken[server], tried):
                taken[server] = share
                return True
        return False

    for share in shares:
        if len(taken) == len(servers):
            break
        find_server_for(share, set())
    return {share: server for server, share in taken.items()}


def _held_by_server(sharemap: Mapping[int, Collection[Server]]) -> dict[Server, list[int]]:
    held: dict[Server, list[int]] = {}
    for share in sorted(sharemap):
        for server in sharemap[share]:
            held.setdefault(server, []).append(share)
    return held


def _match(held: Mapping[Server, Sequence[int]], first: Iterable[Server]) -> dict[Server, int]:
    """A maximum matching of servers to shares they hold, in which the servers in `first` are matched before others.

    Augmenting paths never lose a server already matched, so this greed costs nothing in size.
    """
    owner: dict[int, Server] = {}

    def find_share_for(server: Server, tried: set[int]) -> bool:
        for share in held.get(server, ()):
            if share in tried:
                continue
            tried.add(share)
            if share not in owner or find_share_for(owner[share], tried):
                owner[share] = server
                return True
        return False

    for server in dict.fromkeys([*first, *held]):
        find_share_for(server, set())
    return {server: share for share, server in owner.items()}
