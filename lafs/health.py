"""How an object on the grid is: what a check has found, and what a repair has done about it.

Plain values, the same for immutable and mutable objects. Made by `lafs.upkeep`, told by the front ends. Spec: 04 §10.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen


@frozen
class DamagedShare:
    """A share that is not what its cap says."""

    server_id: str
    storage_index: str
    share_number: int


@frozen
class CheckResults:
    """What a check has found of one object. Shares are counted by number: two copies of one share count once.

    `happiness` is the size of the largest set of servers that each hold a share of their own. `sharemap` is the label of a share
    (its number; of a mutable object with the version) -> ids of the servers that have it. `wrong_shares` belong to other versions
    than the one counted. `corrupt` is complete only if everything was verified.
    """

    storage_index: str
    summary: str
    healthy: bool
    recoverable: bool
    happiness: int
    good_shares: int
    needed: int
    total: int
    good_hosts: int
    recoverable_versions: int
    unrecoverable_versions: int
    wrong_shares: int = 0
    corrupt: Sequence[DamagedShare] = ()
    servers_responding: Sequence[str] = ()
    sharemap: Mapping[str, Sequence[str]] = field(factory=dict, repr=False)


@frozen
class RepairResults:
    """What was found, what was done, and how it is now. `trouble` says why a repair failed, or could not be tried."""

    before: CheckResults
    after: CheckResults
    attempted: bool = False
    successful: bool = False
    trouble: str = ""

    @classmethod
    def untouched(cls, found: CheckResults, trouble: str = "") -> RepairResults:
        """Nothing was done."""
        return cls(found, found, trouble=trouble)
