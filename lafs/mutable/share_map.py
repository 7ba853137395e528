"""What is known of the shares of one mutable file: which server has which share of which version. Spec: 03 §4.

Filled by surveys, kept up to date by publishers, read by everything else. Two shares belong to one version if and only if their
signed prefixes are equal; every copy of a share is kept, for any one of them may turn out to be bad.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

from attrs import define, field, frozen

from lafs.interfaces import GridServer, MutableVersion
from lafs.mutable.share_layout import Prefix, Section, Sections

SPECIMEN_SIZE = 75
"""First bytes of a bad share that are remembered, to be sure of what is overwritten."""


@frozen
class Place:
    """Where a share is: its number on a server. Servers are compared by identity."""

    server: GridServer
    number: int


@frozen(eq=False)
class FoundShare:
    """A share whose prefix is signed by the owner of the file; `start` are the bytes it begins with, as far as they were read.

    Nothing behind the prefix and the keys has been verified. The sections are only known to be possible.
    """

    place: Place
    prefix: Prefix
    sections: Sections = field(repr=False)
    start: bytes = field(repr=False)

    def at_hand(self, section: Section) -> bool:
        """Whether these bytes need not be fetched."""
        return section.end <= len(self.start)


@frozen(eq=False)
class Version:
    """One version, as far as it was found: share number -> copies."""

    prefix: Prefix
    shares: Mapping[int, Sequence[FoundShare]]

    @property
    def recoverable(self) -> bool:
        return len(self.shares) >= self.prefix.needed

    @cached_property
    def rank(self) -> tuple[int, bytes, bytes]:
        """What makes a version better than another: the sequence number, then the root hash."""
        return self.prefix.sequence_number, self.prefix.root_hash, self.prefix.pack()

    @property
    def holders(self) -> Collection[GridServer]:
        return {copy.place.server for copies in self.shares.values() for copy in copies}

    def described(self) -> MutableVersion:
        """For those who use the file."""
        prefix = self.prefix
        return MutableVersion(
            prefix.sequence_number, prefix.root_hash, prefix.size, prefix.needed, prefix.total, prefix.format
        )


@define(eq=False)
class ShareMap:
    """One picture of a file's shares. `bad` holds the first bytes of shares that are none, by place."""

    found: dict[Place, FoundShare] = field(factory=dict)
    bad: dict[Place, bytes] = field(factory=dict)
    empty: dict[GridServer, None] = field(factory=dict)
    """Servers that have nothing of the file. In the order in which they answered, as everything here."""
    silent: dict[GridServer, Exception] = field(factory=dict)
    """Servers that failed, or did not answer in time."""

    def versions(self) -> list[Version]:
        """All versions, the best first."""
        shares: dict[Prefix, dict[int, list[FoundShare]]] = {}
        for share in self.found.values():
            shares.setdefault(share.prefix, {}).setdefault(share.place.number, []).append(share)
        versions = [Version(prefix, numbers) for prefix, numbers in shares.items()]
        return sorted(versions, key=lambda version: version.rank, reverse=True)

    def recoverable(self) -> list[Version]:
        """The versions that can be put together, the best first."""
        return [version for version in self.versions() if version.recoverable]

    def best(self) -> Version | None:
        """The newest version that can be put together."""
        return next(iter(self.recoverable()), None)

    @property
    def highest_sequence_number(self) -> int:
        """Of all versions, recoverable or not; 0 if there is none."""
        return max((share.prefix.sequence_number for share in self.found.values()), default=0)

    def unrecoverable_newer(self) -> list[Version]:
        """Versions of higher numbers than any that can be recovered. Writing now loses them."""
        best = self.best()
        floor = best.prefix.sequence_number if best else -1
        return [each for each in self.versions() if not each.recoverable and each.prefix.sequence_number > floor]

    def may_lose(self, base: Version, unacknowledged: Collection[Prefix] = ()) -> bool:
        """Whether a change made from `base` may lose one that somebody was told is written.

        That is so if there is a sign of a newer version, and the shares of it that were not found may be on servers that were not
        heard: those that still hold `base` have not taken it, so of the numbers that are seen on these there is none.
        """
        for newer in self.unrecoverable_newer():
            still_old = len(base.shares.keys() - newer.shares.keys())
            if newer.prefix not in unacknowledged and newer.prefix.total - still_old >= newer.prefix.needed:
                return True
        return False

    def is_whole(self, prefix: Prefix) -> bool:
        """Whether that version is there with all its shares, and there is no trace of anything else."""
        numbers = {place.number for place, share in self.found.items() if share.prefix == prefix}
        one = not self.bad and not self.silent and all(share.prefix == prefix for share in self.found.values())
        return one and len(numbers) == prefix.total

    def copy(self) -> ShareMap:
        """The same picture, to be brought up to date by itself."""
        return ShareMap(dict(self.found), dict(self.bad), dict(self.empty), dict(self.silent))

    def needs_merge(self) -> bool:
        """Whether two recoverable versions have one number."""
        numbers = [version.prefix.sequence_number for version in self.recoverable()]
        return len(numbers) > len(set(numbers))

    def holders(self) -> list[GridServer]:
        """Servers that have any share, good or bad."""
        return list(dict.fromkeys(place.server for place in [*self.found, *self.bad]))

    def note_bad(self, place: Place, specimen: bytes) -> None:
        """From now on the share at `place` counts for nothing, and is to be replaced when there is occasion."""
        self.found.pop(place, None)
        self.bad[place] = specimen[:SPECIMEN_SIZE]

    def forget(self, server: GridServer) -> None:
        """Forget all that is known of `server`."""
        for place in [each for each in (*self.found, *self.bad) if each.server is server]:
            self.found.pop(place, None)
            self.bad.pop(place, None)
        self.empty.pop(server, None)
        self.silent.pop(server, None)
