"""What is raced: the rows of the table, the goal of each, and how often everything is done where. Read by `__main__`, `report`.

A `Work` fills some rows. Far away everything is slow, most of all the peer, so there it is done less often; so much that
everything together stays below a quarter of an hour, and the quick race below three minutes.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from benchmarks import changing_files, commands, immutable_files
from benchmarks.race import LAN, WAN, Racer


@frozen
class Goal:
    """What a row is to reach. Ratios say how many times as fast as the peer."""

    lan: float | None = None
    """To the peer over Foolscap."""
    https: float | None = None
    """To the peer over HTTPS, on the LAN."""
    wan: float | None = None
    """To the peer over Foolscap, on the WAN."""
    round_trips: float | None = None
    """At most so many, on the WAN."""
    seconds: float | None = None
    """At most, on the LAN."""


GOALS: Mapping[str, Goal] = {
    "put 10 kB": Goal(lan=5, round_trips=3),
    "get 10 kB": Goal(lan=4, round_trips=2),
    "put 10 kB, 8 at once": Goal(lan=8, wan=8),
    "get 10 kB, 8 at once": Goal(lan=8, wan=8),
    "put 100 MB": Goal(lan=2.5, https=4, wan=5),
    "get 100 MB": Goal(lan=3, https=6, wan=10),
    "4 KiB range, first": Goal(lan=4, round_trips=2),
    "4 KiB range, again": Goal(lan=10, round_trips=1),
    "mkdir": Goal(lan=5, round_trips=2),
    "add a child to 5": Goal(lan=5, round_trips=3),
    "add a child to 1,000": Goal(lan=5, round_trips=3),
    "list 1,000 children": Goal(lan=3),
    "SDMF 100 kB create": Goal(lan=3),
    "SDMF 100 kB overwrite": Goal(lan=3, round_trips=2),
    "SDMF 100 kB read": Goal(lan=3, round_trips=2),
    "MDMF 10 MB create": Goal(lan=3, wan=3),
    "MDMF 10 MB read": Goal(lan=3, wan=10),
    "MDMF 10 MB update 1 kB": Goal(lan=3, wan=3),
    "command --version": Goal(seconds=0.1),
    "command get 10 kB": Goal(seconds=0.2),
    "cp -r up, per file": Goal(lan=8, wan=8),
    "cp -r down, per file": Goal(lan=8, wan=8),
}

MEMORY_GOALS = {"idle": 70e6, "1 GiB": 40e6}
"""Bytes resident: at most, and at most so many more after a file of 1 GiB."""

GATEWAY_OVER_FLOOR = {"put 100 MB": 1.2, "get 100 MB": 1.5}
"""Processor time of the gateway over the floor."""


@frozen
class Turns:
    """How often, and how many things at a time."""

    rounds: int
    amount: int


@frozen
class Work:
    """Something every racer does by turns."""

    do: Callable[[Racer, int], None]
    rows: Sequence[str]
    full: Mapping[str, Turns]
    """By line; what is not done at a line is missing."""
    quick: Mapping[str, Turns]
    https: bool = True
    """Whether the peer over HTTPS takes part."""

    def is_wanted(self, words: Sequence[str]) -> bool:
        """Whether a row has one of these words in its name, or no words are given."""
        return not words or any(word.lower() in row.lower() for word in words for row in self.rows)


WORKS = (
    # First: once gigabytes have been stored, what is new in the page cache must be fetched from a virtual machine's host, page by
    # page, and both programs spend more on that than on what is compared.
    Work(
        immutable_files.large_files,
        ("put 100 MB", "get 100 MB", "4 KiB range, first", "4 KiB range, again"),
        {LAN: Turns(5, 1), WAN: Turns(1, 1)},
        {LAN: Turns(2, 1), WAN: Turns(1, 1)},
    ),
    Work(
        immutable_files.small_files,
        ("put 10 kB", "get 10 kB"),
        {LAN: Turns(7, 20), WAN: Turns(3, 5)},
        {LAN: Turns(3, 20), WAN: Turns(1, 5)},
    ),
    Work(
        immutable_files.many_small_files,
        ("put 10 kB, 8 at once", "get 10 kB, 8 at once"),
        {LAN: Turns(3, 80), WAN: Turns(2, 32)},
        {LAN: Turns(1, 80), WAN: Turns(1, 32)},
    ),
    Work(
        immutable_files.medium_files,
        ("put 1 MB", "get 1 MB"),
        {LAN: Turns(5, 4), WAN: Turns(3, 1)},
        {LAN: Turns(3, 4), WAN: Turns(1, 1)},
    ),
    Work(
        changing_files.small_directories,
        ("mkdir", "add a child to 5"),
        {LAN: Turns(5, 10), WAN: Turns(2, 3)},
        {LAN: Turns(2, 10), WAN: Turns(1, 3)},
    ),
    Work(
        changing_files.large_directory,
        ("list 1,000 children", "add a child to 1,000"),
        {LAN: Turns(5, 5), WAN: Turns(2, 2)},
        {LAN: Turns(2, 5), WAN: Turns(1, 2)},
    ),
    Work(
        changing_files.small_mutable_files,
        ("SDMF 100 kB create", "SDMF 100 kB overwrite", "SDMF 100 kB read"),
        {LAN: Turns(5, 5), WAN: Turns(2, 2)},
        {LAN: Turns(2, 5), WAN: Turns(1, 2)},
    ),
    Work(
        changing_files.large_mutable_files,
        ("MDMF 10 MB create", "MDMF 10 MB read", "MDMF 10 MB update 1 kB"),
        {LAN: Turns(5, 1), WAN: Turns(1, 1)},
        {LAN: Turns(2, 1), WAN: Turns(1, 1)},
    ),
    Work(
        commands.starting,
        ("command --version", "command get 10 kB"),
        {LAN: Turns(3, 3)},
        {LAN: Turns(1, 3)},
    ),
    Work(
        commands.trees,
        ("cp -r up, per file", "cp -r down, per file"),
        {LAN: Turns(1, 1000), WAN: Turns(1, 40)},
        {LAN: Turns(1, 100)},
        https=False,
    ),
    Work(
        immutable_files.huge_file,
        ("put 1 GiB", "get 1 GiB"),
        {LAN: Turns(1, 1)},
        {},
        https=False,
    ),
)
