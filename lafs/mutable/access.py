"""The newest version of a mutable file: found, put together, and told from an older one that is passed off as it.

What nodes do to read, and the first half of what they do to write. Spec: 03 §8, §11.3.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from attrs import field, frozen
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from lafs.errors import CorruptShare, NewerVersionAway, NotEnoughShares, RolledBack, UnrecoverableFile
from lafs.interfaces import ByteRange, Bytes, Sink
from lafs.mutable.retrieval import Retrieval
from lafs.mutable.share_layout import Prefix
from lafs.mutable.share_map import FoundShare, ShareMap, Version
from lafs.mutable.share_reading import read_sections
from lafs.mutable.slot import PICTURE_SECONDS, SigningKey, Slot
from lafs.mutable.survey import OF_EVERYONE, TO_WRITE, Survey, Thoroughness, note_failure
from lafs.mutable.tools import Tools
from lafs.tasks import sleep

TRIES: Final = 3
"""Times that a version is looked for which could not be put together."""
OVERTAKEN_TRIES: Final = 16
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

PAUSES_FOR_NEWER: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between looks for the rest of a newer version, before a change is refused."""


@frozen(eq=False)
class Newest:
    """The newest version, and the survey that found it; or what this process wrote last, if it was not looked for."""

    shares: ShareMap
    version: Version
    from_memory: bool = False


class SlotAccess:
    """Reads one slot. `read_key` is None for one who may only verify."""

    def __init__(self, tools: Tools, slot: Slot, read_key: bytes | None) -> None:
        self._tools = tools
        self._slot = slot
        self._read_key = read_key

    # --- versions -------------------------------------------------------------------------------------------------

    def remembered(self) -> Newest | None:
        """What this process wrote last, if it was not long ago and no server has come or gone since. Not to be taken for the newest
        by anybody but those who write on condition that it is."""
        picture, now = self._slot.picture, self._tools.clock.seconds()
        if picture is None or now < self._slot.shared_until or now - picture.taken_at > PICTURE_SECONDS:
            return None
        if picture.servers != tuple(self._tools.grid.for_reading(self._slot.storage_index)):
            return None
        shares = picture.shares.copy()
        version = shares.best()
        return None if version is None else Newest(shares, version, from_memory=True)

    async def survey(self, thoroughness: Thoroughness, long_starts: bool = True) -> ShareMap:
        """Ask the servers. Never raises but when cancelled."""
        slot = self._slot
        # Contents that are remembered are most likely those of the newest version still.
        survey = Survey(
            self._tools, slot.storage_index, slot.examiner, thoroughness, slot.holders,
            long_starts and slot.newest is None, slot.highest,
        )
        shares = await survey.run()
        slot.holders = tuple(shares.holders())
        slot.noticed(shares)
        return shares

    async def to_build_on(self, avoid: Collection[Prefix] = ()) -> Newest:
        """The newest version, for those who will write something made from it. Raises as `newest`, and NewerVersionAway.

        What nobody can put together now may have been acknowledged all the same: to write on top of an older version would lose it.
        """
        return await self._certain(await self.newest(TO_WRITE, avoid=avoid), avoid)

    async def _certain(self, newest: Newest, avoid: Collection[Prefix]) -> Newest:
        ours = {*avoid, *self._slot.failed}
        for pause in PAUSES_FOR_NEWER:
            if not newest.shares.may_lose(newest.version, ours):
                return newest
            await sleep(pause, self._tools.clock)
            newest = await self.newest(OF_EVERYONE, avoid=avoid)
        if newest.shares.may_lose(newest.version, ours):
            raise newer_version_away(newest)
        return newest

    async def newest(
        self, thoroughness: Thoroughness, long_starts: bool = True, avoid: Collection[Prefix] = ()
    ) -> Newest:
        """The newest version that can be recovered. Raises UnrecoverableFile; RolledBack if there once was a newer one.

        `avoid` are versions that lose against others of the same number.
        """
        newest = await self.any_version(thoroughness, avoid, long_starts)
        if newest.version.prefix.sequence_number < self._slot.highest:
            raise RolledBack(
                "The servers show only an older version of this file than was seen before: those that have the newer one are "
                "not connected, or somebody has put back old shares. Writing new contents is still possible."
            )
        self._slot.saw(newest.version.prefix.sequence_number)
        return newest

    async def any_version(
        self, thoroughness: Thoroughness, avoid: Collection[Prefix] = (), long_starts: bool = True
    ) -> Newest:
        """The newest version there is, be it older than one that was seen before: for those who do not want its contents."""
        shares = await self.survey(thoroughness, long_starts)
        version = choose(shares, avoid)
        behind = version is None or version.prefix.sequence_number < self._slot.highest
        if behind and not thoroughness.everyone:
            shares = await self.survey(OF_EVERYONE, long_starts)
            version = choose(shares, avoid)
        if version is None:
            raise unrecoverable(shares)
        return Newest(shares, version)

    # --- contents -------------------------------------------------------------------------------------------------

    def retrieval(self, newest: Newest) -> Retrieval:
        """To read that version."""
        assert self._read_key is not None
        proofs = self._slot.proofs(newest.version.prefix)
        return Retrieval(self._tools, self._slot.storage_index, newest.shares, newest.version, self._read_key, proofs)

    async def contents(self, newest: Newest, avoid: Collection[Prefix] = ()) -> tuple[bytes, Newest]:
        """All of `newest`; of what is the newest in fact, if that cannot be read. Raises UnrecoverableFile."""
        collector = Collector()
        newest = await self.deliver(collector, newest, 0, None, avoid)
        contents = collector.contents
        self._slot.keep(newest.version.prefix, contents)
        return contents, newest

    async def contents_to_build_on(self, newest: Newest, avoid: Collection[Prefix] = ()) -> tuple[bytes, Newest]:
        """As `contents`, for those who will write something made from them. Raises NewerVersionAway as well."""
        while True:
            contents, found = await self.contents(newest, avoid)
            if found is newest:
                return contents, newest
            newest = await self._certain(found, avoid)
            if newest is found:
                return contents, newest

    async def deliver(
        self,
        sink: Sink,
        newest: Newest,
        offset: int,
        size: int | None,
        avoid: Collection[Prefix] = (),
    ) -> Newest:
        """Write bytes [offset, offset + size) of `newest` to `sink`, and return what was read. Raises UnrecoverableFile.

        A version that turns out to be damaged is looked for again, at all servers; never is an older one read in its place. Once
        something was delivered, the rest is of the same version, as long as servers have it.
        """
        progress = _Progress(sink)
        failed: Version | None = None
        damaged = overtaken = 0
        while damaged < TRIES and overtaken < OVERTAKEN_TRIES:
            if failed is not None:
                if overtaken:
                    pause = min(FIRST_PAUSE * 2**overtaken, LONGEST_PAUSE)
                    await sleep(pause * (1 + self._tools.chance()) / 2, self._tools.clock)
                newest = await self.newest(OF_EVERYONE, avoid=avoid)
                if progress.written:
                    newest = begun_with(failed.prefix, newest)
            version = newest.version
            if failed is not None and version.rank < failed.rank and failed.prefix not in avoid:
                break
            start = offset + progress.written
            end = version.prefix.size if size is None else min(offset + size, version.prefix.size)
            known = self._slot.contents_of(version.prefix)
            try:
                if known is not None:
                    if start < end:
                        await progress.write(known[start:end])
                else:
                    await self.retrieval(newest).deliver(progress, ByteRange(start, max(end - start, 0)))
            except NotEnoughShares as problem:
                if failed is not None and version.rank > failed.rank:
                    overtaken += 1
                else:
                    damaged += 1
                failed, reason = version, str(problem)
            else:
                self._count(progress.written)
                return newest
        raise UnrecoverableFile(reason)

    def _count(self, size: int) -> None:
        self._tools.counters.count("mutable.files_retrieved")
        self._tools.counters.count("mutable.bytes_retrieved", size)

    # --- the right to write ---------------------------------------------------------------------------------------

    async def signing_key(self, newest: Newest, write_key: bytes) -> SigningKey:
        """The private key, from any share that has it whole. Raises UnrecoverableFile."""
        known = self._slot.signing_key
        if known is not None and known.write_key == write_key:
            return known
        public_key = self._slot.examiner.public_key
        assert public_key is not None, "no version is believed before the public key is known"
        copies = sorted(newest.shares.found.values(), key=lambda share: not share.at_hand(share.sections.private_key))
        for share in copies:
            try:
                (encrypted,) = await self._private_key_in(share)
                key = SigningKey.decrypted(encrypted, write_key, public_key.der)
            except (ValueError, CorruptShare):
                continue
            except CancelledError:
                raise
            except Exception:
                note_failure(Failure(), share.place.server)  # type: ignore[no-untyped-call]
                continue
            self._slot.signing_key = key
            return key
        raise UnrecoverableFile(
            "No share holds the private key of this mutable file undamaged: it can be read, but no longer be written."
        )

    async def _private_key_in(self, share: FoundShare) -> Sequence[bytes]:
        section = share.sections.private_key
        if share.at_hand(section):
            return [section.of(share.start)]
        return await read_sections(self._tools, self._slot.storage_index, share, share.prefix.pack(), [section])


def choose(shares: ShareMap, avoid: Collection[Prefix] = ()) -> Version | None:
    """The best version. Of several with its number, rather one that is not in `avoid`."""
    recoverable = shares.recoverable()
    rivals = [each for each in recoverable if each.prefix.sequence_number == recoverable[0].prefix.sequence_number]
    # A writer was told "done" only if most servers took its version; the root hash says nothing about that.
    rivals.sort(key=lambda each: (each.prefix in avoid, -len(each.holders)))
    return rivals[0] if rivals else None


def begun_with(prefix: Prefix, newest: Newest) -> Newest:
    """The version that a reader has a part of already, for the rest. Raises UnrecoverableFile if it is not there any more."""
    for version in newest.shares.recoverable():
        if version.prefix == prefix:
            return Newest(newest.shares, version)
    raise UnrecoverableFile("The file was overwritten while it was read. Read it again.")


def newer_version_away(newest: Newest) -> NewerVersionAway:
    """The error for a change that could only be made from an old version."""
    prefix = newest.version.prefix
    newer = newest.shares.unrecoverable_newer()[0]
    return NewerVersionAway(
        f"There is a newer version than the one that can be read, which has number {prefix.sequence_number}: of number "
        f"{newer.prefix.sequence_number}, {len(newer.shares)} share(s) were found, and {newer.prefix.needed} are needed. "
        "The servers with the others may be away. Nothing was changed, since that might lose what was written last. Try again "
        "when they are back; if they will not come back, a forced repair or overwriting everything goes on without them."
    )


def unrecoverable(shares: ShareMap) -> UnrecoverableFile:
    """The error for a file of which no version can be put together."""
    versions = shares.versions()
    asked = len(shares.silent) + len(shares.empty) + len(shares.holders())
    if not asked:
        return UnrecoverableFile("No storage server is connected. Check the network and the introducer, then try again.")
    found = "; ".join(
        f"{len(each.shares)} of version {each.prefix.sequence_number}, which needs {each.prefix.needed}" for each in versions[:5]
    )
    return UnrecoverableFile(
        f"No version of this mutable file can be recovered. Asked {asked} server(s), of which {len(shares.silent)} did not answer; "
        f"shares found: {found or 'none'}; damaged: {len(shares.bad)}."
    )


class _Progress:
    """A sink that counts."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.written = 0

    async def write(self, data: Bytes) -> None:
        self.written += len(data)
        await self._sink.write(data)


@frozen
class Collector:
    """A sink in memory."""

    _pieces: list[Bytes] = field(factory=list)

    async def write(self, data: Bytes) -> None:
        self._pieces.append(data)

    @property
    def contents(self) -> bytes:
        pieces = self._pieces
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
