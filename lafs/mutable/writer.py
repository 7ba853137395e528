"""Changing a mutable file: overwrite, modify, update; each again on top of whatever somebody else has written first.

Runs in the lane of the slot. An attempt that was overtaken may have left shares of its version behind; when two versions with one
number are found afterwards, the other is taken as the base, for it may be one whose writer was told "done". Spec: 03 §9, §10.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final

from lafs.errors import NotWriteable, UncoordinatedWrite
from lafs.interfaces import Change, MutableVersion, Source
from lafs.mutable.access import Newest, SlotAccess
from lafs.mutable.coding import CodedContents, ContentsCoder, read_exactly
from lafs.mutable.encoding import CodedSegment, Keys, SignedVersion
from lafs.mutable.geometry import Format
from lafs.mutable.goal import Bodies, Goal, ShareBody
from lafs.mutable.proofs import Proofs
from lafs.mutable.publication import Publication
from lafs.mutable.share_layout import Prefix
from lafs.mutable.share_map import ShareMap
from lafs.mutable.slot import PICTURE_SECONDS, Picture, SigningKey, Slot
from lafs.mutable.survey import TO_WRITE
from lafs.mutable.tools import Tools
from lafs.mutable.update import patch_in_place
from lafs.sources import BytesSource
from lafs.tasks import forget, sleep, spawn

TRIES: Final = 16
FIRST_BACKOFF: Final = 0.25
LONGEST_BACKOFF: Final = 15.0
"""Seconds; each pause is twice the one before, and somewhere between half of that and all of it."""

LAST_SEQUENCE_NUMBER: Final = 2**64 - 1


class Overtaken(Exception):
    """An attempt came too late; `attempt` is the version of which some shares may have been written.

    `unseen` says that it was made without a look at the servers, so that nobody need have been quick.
    """

    def __init__(self, attempt: Prefix, unseen: bool) -> None:
        super().__init__()
        self.attempt = attempt
        self.unseen = unseen


class SlotWriter:
    """Writes one slot, for one who has its write key."""

    def __init__(self, tools: Tools, slot: Slot, access: SlotAccess, write_key: bytes, read_key: bytes) -> None:
        self._tools = tools
        self._slot = slot
        self._access = access
        self._write_key = write_key
        self._read_key = read_key

    # --- what nodes do --------------------------------------------------------------------------------------------

    async def create(self, contents: Source, format: Format, key: SigningKey) -> MutableVersion:
        """Write the first version. Raises UncoordinatedWrite if there is one already, UnhappyUpload, SourceFailed."""
        self._slot.signing_key = key
        coding = self._tools.coding
        coded = await self._coder(format, coding.needed, coding.total).code(contents)
        try:
            return await self._publish(coded, None, key)
        except Overtaken:
            raise UncoordinatedWrite("There is a mutable file with this key already, or somebody is making one.") from None
        finally:
            self._let_go(coded)

    async def overwrite(self, contents: Source) -> MutableVersion:
        """Replace whatever is there."""
        coded: CodedContents | None = None

        async def attempt(avoid: set[Prefix]) -> MutableVersion:
            nonlocal coded
            newest = self._access.remembered() or await self._access.any_version(
                TO_WRITE, avoid, long_starts=self._slot.signing_key is None
            )
            key = await self._access.signing_key(newest, self._write_key)
            prefix = newest.version.prefix
            if coded is None:
                coded = await self._coder(prefix.format, prefix.needed, prefix.total).code(contents)
            return await self._publish(coded, newest, key)

        try:
            return await self._until_written(attempt)
        finally:
            self._let_go(coded)

    async def modify(self, change: Change) -> MutableVersion:
        """Write what `change` makes of the newest contents, each time that they turn out not to have been the newest."""

        async def attempt(avoid: set[Prefix]) -> MutableVersion:
            written = await self._modified_from_memory(change)
            if written is not None:
                return written
            newest = await self._access.to_build_on(avoid)
            contents, newest, key = await self._contents_and_key(newest, avoid)
            changed = change(contents)
            if changed == contents and (not avoid or self._is_settled(newest)):
                return newest.version.described()
            return await self._replace(newest, changed, key)

        return await self._until_written(attempt)

    async def _modified_from_memory(self, change: Change) -> MutableVersion | None:
        """Write what `change` makes of the contents that are remembered. None if nothing can be written without looking first:
        that a change changes nothing, or cannot be made, must not be concluded from what may be old."""
        newest = self._access.remembered()
        contents = self._slot.contents_of(newest.version.prefix) if newest is not None else None
        if newest is None or contents is None:
            return None
        try:
            changed = change(contents)
        except Exception:
            return None
        if changed == contents:
            return None
        return await self._replace(newest, changed, await self._access.signing_key(newest, self._write_key))

    async def update(self, offset: int, data: Source) -> MutableVersion:
        """Put all of `data` at `offset`. Raises ValueError if that is beyond the end."""
        piece = await read_exactly(data, None)

        async def attempt(avoid: set[Prefix]) -> MutableVersion:
            newest = self._access.remembered()
            if newest is not None and piece and offset <= newest.version.prefix.size:
                patched = await self._patch(newest, offset, piece)
                if patched is not None:
                    return patched
            newest = await self._access.to_build_on(avoid)
            _check_offset(offset, newest.version.prefix.size)
            if not piece:
                return newest.version.described()
            patched = await self._patch(newest, offset, piece)
            if patched is not None:
                return patched
            contents, newest, key = await self._contents_and_key(newest, avoid)
            _check_offset(offset, len(contents))
            changed = contents[:offset] + piece + contents[offset + len(piece) :]
            return await self._replace(newest, changed, key)

        return await self._until_written(attempt)

    async def rewrite(self, newest: Newest, contents: bytes) -> MutableVersion:
        """Write `contents` as a new version over exactly what `newest` shows, and on more servers if those are too few: for repair.

        Raises UncoordinatedWrite, UnhappyUpload.
        """
        try:
            key = await self._access.signing_key(newest, self._write_key)
            return await self._replace(newest, contents, key, spread=True)
        except Overtaken:
            raise UncoordinatedWrite("somebody else has written the same mutable file at the same time") from None

    # --- attempts -------------------------------------------------------------------------------------------------

    async def _until_written(self, attempt: Callable[[set[Prefix]], Awaitable[MutableVersion]]) -> MutableVersion:
        """The result of `attempt`, repeated with growing pauses while others are faster."""
        lost: set[Prefix] = set()
        backoff = FIRST_BACKOFF
        for _ in range(TRIES):
            try:
                return await attempt(lost)
            except Overtaken as problem:
                lost.add(problem.attempt)
                if problem.unseen:
                    continue
            await sleep(backoff * (1 + self._tools.chance()) / 2, self._tools.clock)
            backoff = min(2 * backoff, LONGEST_BACKOFF)
        raise UncoordinatedWrite(
            f"Others were writing the same mutable file all the time: after {TRIES} tries this change is not in it. "
            "Try again later."
        )

    async def _contents_and_key(self, newest: Newest, avoid: Collection[Prefix]) -> tuple[bytes, Newest, SigningKey]:
        """What a change is made from, of which version that is, and the key to sign the next: asked for together."""
        asking = spawn(self._access.signing_key(newest, self._write_key))
        try:
            contents, newest = await self._access.contents_to_build_on(newest, avoid)
            return contents, newest, await asking
        finally:
            asking.cancel()
            asking.addErrback(lambda _: None)

    async def _replace(self, newest: Newest, contents: bytes, key: SigningKey, spread: bool = False) -> MutableVersion:
        prefix = newest.version.prefix
        coder = self._coder(prefix.format, prefix.needed, prefix.total)
        coded = await coder.code(BytesSource(contents))
        try:
            return await self._publish(coded, newest, key, spread)
        finally:
            self._let_go(coded)

    def _let_go(self, coded: CodedContents | None) -> None:
        if coded is not None:
            forget(self._tools.workers.run(coded.spool.close))

    async def _patch(self, newest: Newest, offset: int, piece: bytes) -> MutableVersion | None:
        """Change an MDMF file in place; None if it is none, or its shares are not fit for that."""
        prefix = newest.version.prefix
        if prefix.format != "MDMF":
            return None
        asking = spawn(self._access.signing_key(newest, self._write_key))
        try:
            patch = await patch_in_place(
                self._tools, self._access.retrieval(newest), newest.shares,
                self._coder(prefix.format, prefix.needed, prefix.total), offset, piece,
            )
            if patch is None:
                return None
            key = await asking
        finally:
            asking.cancel()
            asking.addErrback(lambda _: None)
        version = patch.signed(self._next(newest.shares), key.key, self._keys(key))
        goal = Goal.in_place(prefix.total, newest.shares.found)
        bodies = Bodies(partial(patch.body, version), patch.body_size(version))
        return await self._write(version, newest, bodies, goal, len(piece), False)

    async def _publish(
        self, coded: CodedContents, newest: Newest | None, key: SigningKey, spread: bool = False
    ) -> MutableVersion:
        """Write `coded` over `newest`, or where nothing is; with `spread`, on more servers if those that have it are too few."""
        shares = newest.shares if newest is not None else ShareMap()
        number = self._next(shares)
        version = await self._tools.workers.run_sized(
            coded.geometry.size, coded.signed, number, key.key, self._keys(key)
        )
        goal = Goal.in_place(coded.total, [*shares.found, *shares.bad])
        if spread:
            servers = self._tools.grid.for_upload(self._slot.storage_index)
            goal.spread(self._tools.coding.happy, [server for server in servers if server not in shares.silent])
        bodies = Bodies(partial(_whole_body, version, coded.segments), version.sections.end)
        written = await self._write(version, newest, bodies, goal, coded.geometry.size, True)
        if coded.contents is not None:
            self._slot.keep(version.prefix, coded.contents)
        return written

    async def _write(
        self,
        version: SignedVersion,
        newest: Newest | None,
        bodies: Bodies,
        goal: Goal,
        size: int,
        rehome: bool,
    ) -> MutableVersion:
        slot, prefix, tools = self._slot, version.prefix, self._tools
        shares, unseen = (ShareMap(), False) if newest is None else (newest.shares, newest.from_memory)
        publication = Publication(
            tools, slot.storage_index, slot.examiner, self._write_key, shares, version, bodies, goal, rehome,
            newest.version.prefix if newest is not None and unseen else None,
        )
        slot.forget_contents()
        slot.picture = None
        slot.failed.append(prefix)
        servers = tuple(tools.grid.for_reading(slot.storage_index))
        try:
            await publication.run()
        except UncoordinatedWrite:
            slot.shared_until = tools.clock.seconds() + PICTURE_SECONDS
            raise Overtaken(prefix, unseen) from None
        finally:
            slot.holders = tuple(shares.holders())
        slot.failed.remove(prefix)
        slot.saw(prefix.sequence_number)
        slot.remember(Proofs.of(prefix, version.trees))
        if shares.is_whole(prefix):
            slot.picture = Picture(prefix, shares, servers, tools.clock.seconds())
        tools.counters.count("mutable.files_published")
        tools.counters.count("mutable.bytes_published", size)
        return MutableVersion(
            prefix.sequence_number, prefix.root_hash, prefix.size, prefix.needed, prefix.total, prefix.format
        )

    # --- parts ----------------------------------------------------------------------------------------------------

    def _coder(self, format: Format, needed: int, total: int) -> ContentsCoder:
        return ContentsCoder(
            self._tools.workers, self._tools.random_bytes, format, needed, total, self._read_key, self._tools.spool
        )

    def _keys(self, key: SigningKey) -> Keys:
        public_key = self._slot.examiner.public_key
        der = public_key.der if public_key is not None else key.key.public_key.der
        return Keys(self._read_key, der, key.encrypted)

    def _next(self, shares: ShareMap) -> int:
        number = max(shares.highest_sequence_number, self._slot.highest) + 1
        if number > LAST_SEQUENCE_NUMBER:
            raise NotWriteable("This mutable file has reached the last sequence number there is, and cannot be written any more.")
        return number

    def _is_settled(self, newest: Newest) -> bool:
        """Whether nothing but the version is there, as widely spread as a write of ours would leave it."""
        version = newest.version
        enough = len(version.shares) >= min(version.prefix.total, self._tools.coding.happy)
        return enough and not newest.shares.bad and len(newest.shares.versions()) == 1


def _whole_body(version: SignedVersion, segments: Sequence[CodedSegment], number: int) -> ShareBody:
    return ShareBody(version.share(number, segments), version.sections.end)


def _check_offset(offset: int, size: int) -> None:
    if not 0 <= offset <= size:
        raise ValueError(f"the file has {size} bytes: nothing can be put at {offset}")
