"""How a mutable file is: checked by asking all servers, verified by reading every byte of its shares, repaired. Spec: 03 §13.

Everything but the private key can be verified with any cap, since all of it is signed.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import field, frozen
from twisted.internet.defer import CancelledError, succeed
from twisted.python.failure import Failure

from lafs.crypto import base32
from lafs.errors import CorruptShare, RepairRefused, UnrecoverableFile
from lafs.grid.placement import happiness
from lafs.interfaces import GridServer, MutableVersion
from lafs.mutable.access import Newest, SlotAccess
from lafs.mutable.patience import ANSWER_SECONDS
from lafs.mutable.share_map import FoundShare, Place, ShareMap, Version
from lafs.mutable.share_reading import ShareReader, read_sections
from lafs.mutable.slot import SigningKey, Slot
from lafs.mutable.survey import OF_EVERYONE, note_failure
from lafs.mutable.tools import Tools
from lafs.mutable.writer import SlotWriter
from lafs.tasks import gather, spawn, within

READ_AT_ONCE: Final = 1024 * 1024
"""Bytes of one share in one call."""

NEEDED_UNKNOWN: Final = 3
TOTAL_UNKNOWN: Final = 10
"""What is reported of a file of which no share was found, as by the peer."""


@frozen
class Health:
    """The outcome of a check. `sharemap` is label of version and share -> servers; `corrupt` are shares that failed verification.

    The counts of shares are those of `best`, the newest recoverable version, or of some other if there is none.
    """

    healthy: bool
    recoverable: bool
    summary: str
    best: MutableVersion | None
    good_shares: int
    needed: int
    total: int
    good_hosts: int
    wrong_shares: int
    recoverable_versions: int
    unrecoverable_versions: int
    happiness: int
    corrupt: Sequence[Place]
    sharemap: Mapping[str, Sequence[GridServer]] = field(repr=False)
    servers_responding: Sequence[GridServer] = field(repr=False)


@frozen
class Repair:
    """The outcome of a repair: nothing can be done if nothing is recoverable."""

    successful: bool
    version: MutableVersion | None = None


class Checkup:
    """Checks one slot. `write_key` is None for one who may not write: the private key is not looked at."""

    def __init__(self, tools: Tools, slot: Slot, access: SlotAccess, write_key: bytes | None) -> None:
        self._tools = tools
        self._slot = slot
        self._access = access
        self._write_key = write_key

    async def check(self, verify: bool, add_lease: bool) -> Health:
        """Ask everyone; with `verify`, read everything as well. Never raises but when cancelled."""
        leasing = spawn(self._lease()) if add_lease else None
        try:
            shares = await self._access.survey(OF_EVERYONE)
            await (leasing or succeed(None))
        finally:
            if leasing is not None:
                leasing.cancel()
                leasing.addErrback(lambda _: None)
        if verify:
            versions = shares.versions()
            await gather(self._verify(shares, version) for version in versions)
        return health_of(shares, shares.bad if verify else ())

    async def _lease(self) -> None:
        index = self._slot.storage_index
        servers = self._tools.grid.for_reading(index)
        await gather(self._lease_at(server) for server in servers)

    async def _lease_at(self, server: GridServer) -> None:
        index = self._slot.storage_index
        try:
            lease = server.storage.add_lease(index, self._tools.lease_secrets_for(index, server))
            await within(ANSWER_SECONDS, self._tools.clock, lease)
        except CancelledError:
            raise
        except Exception:
            note_failure(Failure(), server)  # type: ignore[no-untyped-call]

    # --- verification ---------------------------------------------------------------------------------------------

    async def _verify(self, shares: ShareMap, version: Version) -> None:
        """Read all shares of `version`, those of one server one after the other; note in `shares` which are bad."""
        by_server: dict[GridServer, list[FoundShare]] = {}
        for copies in version.shares.values():
            for share in copies:
                by_server.setdefault(share.place.server, []).append(share)
        await gather(self._verify_all(shares, version, each) for each in by_server.values())

    async def _verify_all(self, shares: ShareMap, version: Version, suspects: Iterable[FoundShare]) -> None:
        for share in suspects:
            place = share.place
            # A reader for each: what one copy of a share has proven must not spare another that it is looked at.
            reader = ShareReader(self._tools, self._slot.storage_index, version)
            try:
                await self._verify_one(reader, share)
            except CorruptShare as fault:
                shares.note_bad(place, share.start)
                self._tools.advisories.report(place.server, self._slot.storage_index, place.number, fault.reason)
            except CancelledError:
                raise
            except Exception:
                # Not verified is not good, but neither is it known to be bad.
                shares.found.pop(place, None)
                shares.silent[place.server] = note_failure(Failure(), place.server)  # type: ignore[no-untyped-call]

    async def _verify_one(self, reader: ShareReader, share: FoundShare) -> None:
        """Raises CorruptShare, ServerError. Keys and signature were verified when the share was found."""
        prefix, sections = share.prefix, share.sections
        if not sections.are_usual(prefix):
            raise CorruptShare("the table of offsets is not as any writer makes it")
        segments = range(prefix.geometry.count)
        step = max(READ_AT_ONCE * prefix.needed // max(prefix.segment_size, 1), 1)
        for start in range(0, max(len(segments), 1), step):
            await reader.blocks(share, segments[start : start + step])
        if self._write_key is not None:
            await self._verify_private_key(share, self._write_key)

    async def _verify_private_key(self, share: FoundShare, write_key: bytes) -> None:
        section = share.sections.private_key
        if share.at_hand(section):
            encrypted = section.of(share.start)
        else:
            packed = share.prefix.pack()
            (encrypted,) = await read_sections(self._tools, self._slot.storage_index, share, packed, [section])
        known, public_key = self._slot.signing_key, self._slot.examiner.public_key
        if known is not None and known.write_key == write_key and known.encrypted == encrypted:
            return
        assert public_key is not None
        try:
            self._slot.signing_key = SigningKey.decrypted(encrypted, write_key, public_key.der)
        except ValueError:
            raise CorruptShare("the private key is wrong", section.start, section.end) from None

    # --- repair ---------------------------------------------------------------------------------------------------

    async def repair(self, writer: SlotWriter, force: bool) -> Repair:
        """Write the newest recoverable version again, as a new one, to all its places. To be done in the lane of the slot.

        Raises RepairRefused when that may lose another version, unless forced; UncoordinatedWrite, UnhappyUpload.
        """
        shares = await self._access.survey(OF_EVERYONE)
        best = shares.best()
        if best is None:
            return Repair(False)
        if not force:
            _refuse_losses(shares)
        try:
            contents, newest = await self._access.contents(Newest(shares, best))
        except UnrecoverableFile:
            return Repair(False)
        return Repair(True, await writer.rewrite(newest, contents))


def _refuse_losses(shares: ShareMap) -> None:
    if shares.unrecoverable_newer():
        raise RepairRefused(
            "There were unrecoverable newer versions, so force=True must be passed to the repair() operation"
        )
    if shares.needs_merge():
        raise RepairRefused(
            "There were multiple recoverable versions with identical seqnums, "
            "so force=True must be passed to the repair() operation"
        )


def health_of(shares: ShareMap, corrupt: Iterable[Place]) -> Health:
    """What `shares` says of the file. Spec: 03 §13.1."""
    versions = shares.versions()
    recoverable = [version for version in versions if version.recoverable]
    best = recoverable[0] if recoverable else None
    shown = best or (versions[0] if versions else None)
    healthy = best is not None and len(versions) == 1 and len(best.shares) >= best.prefix.total
    corrupt = sorted(corrupt, key=lambda place: (place.number, place.server.identity.server_id))
    sharemap = _sharemap(versions)
    return Health(
        healthy=healthy and not corrupt,
        recoverable=best is not None,
        summary=_summary(healthy, versions, best, corrupt),
        best=best.described() if best else None,
        good_shares=len(shown.shares) if shown else 0,
        needed=shown.prefix.needed if shown else NEEDED_UNKNOWN,
        total=shown.prefix.total if shown else TOTAL_UNKNOWN,
        good_hosts=len(shown.holders) if shown else 0,
        wrong_shares=sum(len(copies) for each in versions if each is not shown for copies in each.shares.values()),
        recoverable_versions=len(recoverable),
        unrecoverable_versions=len(versions) - len(recoverable),
        happiness=happiness(dict(enumerate(sharemap.values()))),
        corrupt=corrupt,
        sharemap=sharemap,
        servers_responding=[*shares.holders(), *shares.empty],
    )


def label_of(version: Version) -> str:
    """What a version is called in reports."""
    return f"seq{version.prefix.sequence_number}-{base32.encode(version.prefix.root_hash)[:4]}"


def _sharemap(versions: Iterable[Version]) -> dict[str, list[GridServer]]:
    return {
        f"{label_of(version)}-sh{number}": [copy.place.server for copy in copies]
        for version in versions
        for number, copies in sorted(version.shares.items())
    }


def _summary(healthy: bool, versions: Sequence[Version], best: Version | None, corrupt: Sequence[Place]) -> str:
    if healthy and not corrupt:
        return "Healthy"
    recoverable = [version for version in versions if version.recoverable]
    parts = []
    if len(recoverable) < len(versions):
        parts.append("some versions are unrecoverable")
    if not recoverable:
        parts.append("no versions are recoverable")
    if len(recoverable) > 1:
        parts.append("multiple versions are recoverable")
    if best is not None and len(best.shares) < best.prefix.total:
        parts.append(f"{len(best.shares)} shares (enc {best.prefix.needed}-of-{best.prefix.total})")
    if corrupt:
        parts.append("Corrupt Shares:")
        parts += [f"{place.server.identity.short_name}-sh{place.number}" for place in corrupt]
    return "Unhealthy: " + " ".join(parts)
