"""Looking after what is stored: any object that a cap names is checked, its leases are renewed, and it is repaired.

One way in for objects of all kinds, so that a deep check need not know them. Used by lafs/filesystem.py. Spec: 04 §10.
"""
from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary

from attrs import frozen

from lafs.capability import (
    Cap,
    DirectoryCap,
    ImmutableReadCap,
    ImmutableVerifyCap,
    LiteralCap,
    MutableReadCap,
    MutableVerifyCap,
    MutableWriteCap,
)
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadCapability, LafsError
from lafs.health import CheckResults, DamagedShare, RepairResults
from lafs.immutable.check import Checker
from lafs.immutable.repair import Repairer
from lafs.interfaces import GridServer
from lafs.mutable.check import Health
from lafs.mutable.node import MutableCap, MutableFile
from lafs.tasks import Lane


@frozen
class Care:
    """What a check is to do besides asking: read and verify everything, renew leases."""

    verify: bool = False
    add_lease: bool = False


class Upkeep:
    """Looks after the objects of one grid. `happy` is over how many servers their shares should be spread."""

    def __init__(
        self, checker: Checker, repairer: Repairer, open_mutable: Callable[[MutableCap], MutableFile], happy: int
    ) -> None:
        self._checker = checker
        self._repairer = repairer
        self._open_mutable = open_mutable
        self._happy = happy
        self._lanes: WeakValueDictionary[StorageIndex, Lane] = WeakValueDictionary()

    async def check(self, cap: Cap, care: Care) -> CheckResults | None:
        """How the object of `cap` is; None if it lies in the cap itself. Any cap will do that tells what to look for.

        Raises BadCapability for one that does not, and for one whose numbers cannot be.
        """
        content = _content(cap)
        if content is None:
            return None
        if isinstance(content, ImmutableVerifyCap):
            return (await self._checker.check(content, care.verify, care.add_lease)).results()
        return await self._check_mutable(self._open_mutable(content), care)

    async def check_and_repair(self, cap: Cap, care: Care) -> RepairResults | None:
        """Check, and if something is wrong, repair as far as `cap` allows. See `check`; that a repair fails is no error."""
        content = _content(cap)
        if content is None:
            return None
        if isinstance(content, ImmutableVerifyCap):
            # Two repairs of one file would refuse each other the shares; one after the other, the second finds all well.
            lane = self._lanes.setdefault(content.storage_index, Lane())
            return await lane.submit(lambda: self._repair_immutable(content, care))
        return await self._repair_mutable(self._open_mutable(content), care)

    async def _repair_immutable(self, cap: ImmutableVerifyCap, care: Care) -> RepairResults:
        findings = await self._checker.check(cap, care.verify, care.add_lease)
        before = findings.results()
        if findings.healthy:
            return RepairResults.untouched(before)
        if not findings.recoverable:
            trouble = f"{before.good_shares} shares were found, and {cap.needed} are needed to make the others"
            return RepairResults(before, before, attempted=True, trouble=trouble)
        repaired = await self._repairer.repair(findings)
        after = findings.with_shares(repaired.stored)
        return RepairResults(before, after.results(), attempted=True, successful=after.healthy, trouble=repaired.trouble)

    # --- mutable objects ------------------------------------------------------------------------------------------

    async def _check_mutable(self, file: MutableFile, care: Care) -> CheckResults:
        return self._results(file, await file.check(care.verify, care.add_lease))

    async def _repair_mutable(self, file: MutableFile, care: Care) -> RepairResults:
        health = await file.check(care.verify, care.add_lease)
        before = self._results(file, health)
        if before.healthy:
            return RepairResults.untouched(before)
        if file.cap.is_readonly:
            return RepairResults.untouched(before, "repairing a mutable object takes a cap that writes")
        try:
            repair = await file.repair()
        except LafsError as error:
            return RepairResults(before, before, attempted=True, trouble=f"{type(error).__name__}: {error}")
        if not repair.successful:
            return RepairResults(before, before, attempted=True, trouble="no version could be put together")
        after = await self._check_mutable(file, Care())
        return RepairResults(before, after, attempted=True, successful=after.healthy)

    def _results(self, file: MutableFile, health: Health) -> CheckResults:
        index = file.cap.storage_index.text
        wanted = min(self._happy, health.total, len(health.servers_responding))
        spread = health.happiness >= wanted
        summary = health.summary
        if health.healthy and not spread:
            summary = f"Unhealthy: spread over {health.happiness} server(s) only, not {wanted}"
        return CheckResults(
            storage_index=index,
            summary=summary,
            healthy=health.healthy and spread,
            recoverable=health.recoverable,
            happiness=health.happiness,
            good_shares=health.good_shares,
            needed=health.needed,
            total=health.total,
            good_hosts=health.good_hosts,
            recoverable_versions=health.recoverable_versions,
            unrecoverable_versions=health.unrecoverable_versions,
            wrong_shares=health.wrong_shares,
            corrupt=[DamagedShare(_id(place.server), index, place.number) for place in health.corrupt],
            servers_responding=[_id(server) for server in health.servers_responding],
            sharemap={label: sorted(map(_id, servers)) for label, servers in health.sharemap.items()},
        )


def _id(server: GridServer) -> str:
    return server.identity.server_id


def _content(cap: Cap) -> ImmutableVerifyCap | MutableWriteCap | MutableReadCap | MutableVerifyCap | None:
    """What is to be looked after: of an immutable file no more than its verify cap; None for what needs no looking after."""
    content = cap.content if isinstance(cap, DirectoryCap) else cap
    if isinstance(content, LiteralCap):
        return None
    if isinstance(content, ImmutableReadCap | ImmutableVerifyCap):
        content.check_ranges()
        return content.verifier()
    if isinstance(content, MutableWriteCap | MutableReadCap | MutableVerifyCap):
        return content
    raise BadCapability("nothing is known of objects of this kind, so it cannot be checked")
