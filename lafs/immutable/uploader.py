"""Storing one immutable file on the grid: homes for its shares, coding, sending, closing.

Finding homes and coding the first segments go on together; from then on each coded segment is handed to one outbox a share,
and the slowest of the servers that are kept sets the pace. Called by `lafs.filesystem`, which has found the key. Spec: 02 §10.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from weakref import WeakSet, WeakValueDictionary

from attrs import field, frozen

from lafs.capability import ImmutableReadCap
from lafs.crypto.derivations import storage_index_of_read_key
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import NoServers, ServerError
from lafs.immutable.already_stored import recognise
from lafs.immutable.encoder import Encoder
from lafs.immutable.happiness_report import is_happy, unhappy
from lafs.immutable.layout import ShareLayout
from lafs.immutable.parameters import EncodingParameters
from lafs.immutable.segmentation import Segmentation
from lafs.immutable.share_allocation import Homes, ShareAllocator
from lafs.immutable.share_outbox import Pace, ShareOutbox
from lafs.immutable.whole_shares import SMALL_SHARE, CodedFile, store_at_once
from lafs.interfaces import Grid, GridServer, LeaseSecrets, Source, UploadResult
from lafs.tasks import Clock, Lane, forget, settle, sleep, spawn
from lafs.workers import Workers

OVERDUE_CHECK_SECONDS = 1.0

RECOGNISE_FROM = 16 * 1024 * 1024
"""Bytes of a file from which on asking servers for two round trips costs less than coding it for nothing."""

SecretsFor = Callable[[StorageIndex, GridServer], LeaseSecrets]


@frozen
class _Job:
    """One upload: what is stored, and how."""

    key: bytes = field(repr=False)
    storage_index: StorageIndex
    layout: ShareLayout
    encoding: EncodingParameters


class Uploader:
    """Stores immutable files. One for the life of a node."""

    def __init__(self, grid: Grid, workers: Workers, clock: Clock, secrets_for: SecretsFor) -> None:
        self._grid = grid
        self._workers = workers
        self._clock = clock
        self._secrets_for = secrets_for
        self._suspects: WeakSet[GridServer] = WeakSet()
        self._lanes: WeakValueDictionary[StorageIndex, Lane] = WeakValueDictionary()

    async def upload(self, source: Source, size: int, key: bytes, encoding: EncodingParameters) -> UploadResult:
        """Store the next `size` bytes of `source`, encrypted with `key` (16 bytes), and return the cap that reads them.

        Raises NoServers; UnhappyUpload, saying which servers did what, if the shares cannot be spread over
        `encoding.happy` servers; SourceFailed. Whatever goes wrong, no server is left with a half-written share.
        """
        segmentation = Segmentation(size, encoding.segment_size_for(size), encoding.needed)
        layout = ShareLayout.of(segmentation, encoding.total)
        job = _Job(key, storage_index_of_read_key(key), layout, encoding)
        # Two uploads of one file would refuse each other their shares; one after the other, the second finds all there.
        lane = self._lanes.setdefault(job.storage_index, Lane())
        return await lane.submit(lambda: self._upload(source, size, job))

    async def _upload(self, source: Source, size: int, job: _Job) -> UploadResult:
        key, layout = job.key, job.layout
        began = self._clock.seconds()
        encoder = Encoder(source, key, layout, self._workers)
        try:
            encoder.start()
            if layout.share_size <= SMALL_SHARE and self._takes_whole_shares(job):
                return await self._upload_small(encoder, size, job)
            homes = await self._find_homes(job)
            placed = self._clock.seconds()
            stored: Mapping[int, Sequence[GridServer]] = homes.existing
            ueb_hash = None
            if not homes.granted and size >= RECOGNISE_FROM:
                ueb_hash = await self._recognise(encoder, homes, job)
                if ueb_hash is None:
                    await source.rewind()
                    encoder = Encoder(source, key, layout, self._workers)
            if ueb_hash is None:
                ueb_hash, stored = await self._push(encoder, homes, job)
        finally:
            encoder.close()
        times = began, placed, self._clock.seconds()
        return _result(job, size, ueb_hash, stored, homes.granted.keys(), homes.existing.keys(), times)

    async def _upload_small(self, encoder: Encoder, size: int, job: _Job) -> UploadResult:
        """Store what is so small that all of it is coded first."""
        began = self._clock.seconds()
        coded = await CodedFile.of(encoder, job.layout)
        at_once = await store_at_once(
            coded.shares,
            job.storage_index,
            self._grid.for_upload(job.storage_index),
            job.encoding.happy,
            lambda server: self._secrets_for(job.storage_index, server),
            self._suspects,
            self._clock,
        )
        placed = self._clock.seconds()
        stored, new = at_once.sharemap, at_once.new
        existing: Set[int] = stored.keys()
        if not at_once.complete:
            homes = await self._find_homes(job)
            placed = self._clock.seconds()
            _, stored = await self._push(coded, homes, job)
            new, existing = new | homes.granted.keys(), homes.existing.keys()
        times = began, placed, self._clock.seconds()
        return _result(job, size, coded.ueb_hash, stored, new, existing - at_once.new, times)

    def _takes_whole_shares(self, job: _Job) -> bool:
        servers = self._grid.for_upload(job.storage_index)[: job.encoding.total]
        return bool(servers) and all(server.whole_shares is not None for server in servers)

    async def _recognise(self, encoder: Encoder, homes: Homes, job: _Job) -> bytes | None:
        happy = job.encoding.happy
        return await recognise(encoder, job.layout, job.storage_index, homes.existing, happy, self._clock)

    async def _find_homes(self, job: _Job) -> Homes:
        servers = self._grid.for_upload(job.storage_index)
        if not servers:
            raise NoServers("there is no storage server to upload to: the node is not connected to any")
        homes = await ShareAllocator(
            servers,
            job.storage_index,
            job.encoding.total,
            job.encoding.happy,
            job.layout.share_size,
            lambda server: self._secrets_for(job.storage_index, server),
            self._suspects,
            self._clock,
        ).find_homes()
        if not is_happy(homes.sharemap(), job.encoding):
            for grant in homes.granted.values():
                forget(grant.writer.abort())  # Not awaited: one of them may have begun to hang.
            raise unhappy(homes.sharemap(), job.encoding, homes.story)
        return homes

    async def _push(
        self, encoder: Encoder | CodedFile, homes: Homes, job: _Job
    ) -> tuple[bytes, Mapping[int, Sequence[GridServer]]]:
        """Send every granted share. Returns the UEB hash, and where shares are now known to be."""
        pace = Pace()
        outboxes = [
            ShareOutbox(share, grant.server, grant.writer, pace, self._clock)
            for share, grant in sorted(homes.granted.items())
        ]
        overdue_check = spawn(give_up_overdue(outboxes, self._clock))
        try:
            header = job.layout.header()
            for box in outboxes:
                await box.feed(header)
            while (segment := await encoder.next()) is not None:
                for box in outboxes:
                    await box.feed(segment.blocks[box.share_number])
                _check_happy(homes, outboxes, job.encoding)
            trailers = await encoder.finish()
            await settle(box.finish(trailers.trailers[box.share_number]) for box in outboxes)
            return trailers.ueb_hash, _check_happy(homes, outboxes, job.encoding)
        except BaseException:
            for box in outboxes:
                box.give_up(ServerError("the upload was given up"))
            raise
        finally:
            overdue_check.addErrback(lambda _: None)
            overdue_check.cancel()


def _result(
    job: _Job,
    size: int,
    ueb_hash: bytes,
    stored: Mapping[int, Sequence[GridServer]],
    new: Set[int],
    existing: Set[int],
    times: tuple[float, float, float],
) -> UploadResult:
    """What is told of an upload that sent the shares `new` and found `existing`. `times`: when it began, had its homes, ended."""
    began, placed, ended = times
    return UploadResult(
        cap=ImmutableReadCap(job.key, ueb_hash, job.encoding.needed, job.encoding.total, size),
        size=size,
        pushed_shares=len(new & stored.keys()),
        existing_shares=len(existing),
        sharemap={share: frozenset(each.identity.server_id for each in held) for share, held in stored.items()},
        timings={"peer_selection": placed - began, "total_encode_and_push": ended - placed, "total": ended - began},
    )


async def give_up_overdue(outboxes: Sequence[ShareOutbox], clock: Clock) -> None:
    """Until cancelled, lose the shares whose servers do not answer any more."""
    # Losing the last share ends the upload from within this loop, where cancelling it has no effect: see for ourselves.
    while any(box.failure is None and not box.stored for box in outboxes):
        await sleep(OVERDUE_CHECK_SECONDS, clock)
        for box in outboxes:
            box.give_up_if_overdue()


def _check_happy(
    homes: Homes, outboxes: Sequence[ShareOutbox], encoding: EncodingParameters
) -> Mapping[int, Sequence[GridServer]]:
    """Where shares are or are still going to be. Raises UnhappyUpload when too many were lost."""
    lost = [box for box in outboxes if box.failure is not None]
    sharemap = {share: list(servers) for share, servers in homes.existing.items()}
    for box in outboxes:
        if box.failure is None:
            sharemap.setdefault(box.share_number, []).append(box.server)
    if lost and not is_happy(sharemap, encoding):
        story = dict(homes.story)
        for box in lost:
            story[box.server] = f"lost share {box.share_number}: {box.failure}"
        raise unhappy(sharemap, encoding, story)
    return sharemap
