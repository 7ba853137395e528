"""Which share goes where when a version is written. Pure. Spec: 03 §9.2, §9.3.

Shares stay where they are: every one that is known, old or bad, is overwritten in its place, provided that it is still what it
was when it was looked at. Numbers without a place go to servers in permuted order, those with the fewest shares first. Numbers
that the new version does not have are deleted, for the peer cannot write a file that has any.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from attrs import define, field, frozen

from lafs.grid.placement import happiness, plan
from lafs.interfaces import Bytes, GridServer, SlotTest, SlotWrite
from lafs.mutable.share_map import Place, ShareMap

ABSENT = (SlotTest(0, 1, b""),)
"""Holds if there is no share, or an empty one."""


@frozen
class ShareBody:
    """What is written of one share: (offset, bytes) of pieces, and its length afterwards."""

    pieces: Sequence[tuple[int, Bytes]] = field(repr=False)
    length: int


@frozen
class Bodies:
    """What is written of each share, by share number. It may have to be fetched from a disk; `size` bytes of one share, or so."""

    of: Callable[[int], ShareBody]
    size: int


def tests_at(shares: ShareMap, place: Place) -> Sequence[SlotTest]:
    """What must hold of the share at `place` for it to be as `shares` has it."""
    found = shares.found.get(place)
    specimen = found.prefix.checkstring if found else shares.bad.get(place, b"")
    return (SlotTest(0, len(specimen), specimen),) if specimen else ABSENT


@define(eq=False)
class Goal:
    """Share numbers by server, in order of placement."""

    total: int
    wanted: dict[GridServer, set[int]] = field(factory=dict)

    @classmethod
    def in_place(cls, total: int, places: Iterable[Place]) -> Goal:
        """Everything stays where it is."""
        goal = cls(total)
        for place in places:
            goal.wanted.setdefault(place.server, set()).add(place.number)
        return goal

    def place(self, numbers: Iterable[int], servers: Sequence[GridServer]) -> set[GridServer]:
        """Find places for `numbers` on `servers`, best first; those that got any."""
        chosen: set[GridServer] = set()
        for number in numbers:
            candidates = [server for server in servers if number not in self.wanted.get(server, ())]
            if not candidates:
                continue
            server = min(candidates, key=lambda each: len(self.wanted.get(each, ())))
            self.wanted.setdefault(server, set()).add(number)
            chosen.add(server)
        return chosen

    def spread(self, wanted: int, servers: Sequence[GridServer]) -> None:
        """Put copies of shares on `servers`, best first, until `wanted` servers have each a share of their own, if that can be."""
        for number, server in plan(self.total, self._sharemap(), servers).items():
            if self.happiness() >= wanted:
                break
            self.wanted.setdefault(server, set()).add(number)

    def give_up(self, server: GridServer) -> None:
        """Nothing goes to `server` any more."""
        self.wanted.pop(server, None)

    def homeless(self, placed: Collection[int] = ()) -> list[int]:
        """Numbers of the version that have no place."""
        homes = set(placed).union(*self.wanted.values())
        return [number for number in range(self.total) if number not in homes]

    def happiness(self) -> int:
        """Servers that will each have a share of their own."""
        return happiness(self._sharemap())

    def _sharemap(self) -> dict[int, list[GridServer]]:
        sharemap: dict[int, list[GridServer]] = {}
        for server, numbers in self.wanted.items():
            for number in numbers:
                if number < self.total:
                    sharemap.setdefault(number, []).append(server)
        return sharemap


def writes_for(
    numbers: Iterable[int], total: int, server: GridServer, shares: ShareMap, bodies: Callable[[int], ShareBody]
) -> Mapping[int, SlotWrite]:
    """The writes of one call to `server`: what it gets of the version, and the end of what is not of it."""
    writes: dict[int, SlotWrite] = {}
    for number in sorted(numbers):
        tests = tests_at(shares, Place(server, number))
        if number < total:
            body = bodies(number)
            pieces = [(offset, piece if isinstance(piece, bytes) else bytes(piece)) for offset, piece in body.pieces]
            writes[number] = SlotWrite(tests, pieces, body.length)
        else:
            writes[number] = SlotWrite(tests, (), 0)
    return writes
