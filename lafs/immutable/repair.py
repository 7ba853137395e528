"""Repairing an immutable file: the shares that are missing or bad are made again and stored, and no others.

Needs no more than the verify cap: what is put together and coded anew is ciphertext. The new shares carry the UEB that the file was
stored with, and are closed only when what was coded has turned out to be what that UEB says, so a repair cannot store anything
that is not the file. Called by `lafs.upkeep`. Spec: 02 §13.4.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from weakref import WeakSet

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lafs.errors import LafsError, ServerError, SourceFailed
from lafs.grid.placement import happiness
from lafs.immutable.check import Findings, SecretsFor
from lafs.immutable.downloader import Downloader
from lafs.immutable.encoder import Encoder
from lafs.immutable.layout import ShareLayout
from lafs.immutable.share_allocation import Grant, ShareAllocator
from lafs.immutable.share_outbox import Pace, ShareOutbox
from lafs.immutable.uploader import give_up_overdue
from lafs.interfaces import Bytes, Grid, GridServer
from lafs.tasks import Clock, forget, settle, spawn
from lafs.workers import Workers

AHEAD: Final = 4 * 1024 * 1024
"""Bytes of ciphertext fetched before they are asked for."""


@frozen
class Repaired:
    """The shares that were stored, by number; and why others were not, if so."""

    stored: Mapping[int, GridServer] = field(factory=dict)
    trouble: str = ""


class Repairer:
    """Repairs the immutable files of one client."""

    def __init__(
        self, grid: Grid, workers: Workers, clock: Clock, secrets_for: SecretsFor, downloader: Downloader
    ) -> None:
        self._grid = grid
        self._workers = workers
        self._clock = clock
        self._secrets_for = secrets_for
        self._downloader = downloader
        self._suspects: WeakSet[GridServer] = WeakSet()

    async def repair(self, findings: Findings) -> Repaired:
        """Store what `findings` lack. Never raises but when cancelled; no server is left with a half-written share."""
        ciphertext = Ciphertext(findings, self._downloader)
        try:
            extension = await ciphertext.extension()
            segmentation = self._downloader.facts(findings.cap).segmentation
            assert segmentation is not None
            layout = evolve(ShareLayout.of(segmentation, findings.cap.total), ueb_size=len(extension))
            grants = await self._find_homes(findings, layout)
            if not grants:
                return Repaired(trouble="no server took any of the shares that are needed")
            encoder = Encoder(ciphertext, None, layout, self._workers, extension)
            try:
                return await self._push(encoder, layout, grants)
            finally:
                encoder.close()
        except LafsError as error:
            return Repaired(trouble=f"{type(error).__name__}: {error}")
        finally:
            await ciphertext.close()

    async def _find_homes(self, findings: Findings, layout: ShareLayout) -> Mapping[int, Grant]:
        """Promises for shares that are missing; and for as many others as it takes for the file to be spread as it should be."""
        cap = findings.cap
        homes = await ShareAllocator(
            self._grid.for_upload(cap.storage_index),
            cap.storage_index,
            cap.total,
            0,
            layout.share_size,
            lambda server: self._secrets_for(cap.storage_index, server),
            self._suspects,
            self._clock,
            known=findings.good,
            distrusted={*findings.corrupt, *findings.unusable},
        ).find_homes()
        granted = dict(homes.granted)
        for number in sorted(granted.keys() & homes.existing.keys()):
            without = {share: grant for share, grant in granted.items() if share != number}
            if happiness(evolve(homes, granted=without).sharemap()) >= findings.wanted_happiness:
                forget(granted[number].writer.abort())
                granted = without
        return granted

    async def _push(self, encoder: Encoder, layout: ShareLayout, grants: Mapping[int, Grant]) -> Repaired:
        pace = Pace()
        outboxes = [
            ShareOutbox(number, grant.server, grant.writer, pace, self._clock) for number, grant in sorted(grants.items())
        ]
        overdue_check = spawn(give_up_overdue(outboxes, self._clock))
        try:
            header = layout.header()
            for box in outboxes:
                await box.feed(header)
            while (segment := await encoder.next()) is not None:
                for box in outboxes:
                    await box.feed(segment.blocks[box.share_number])
                if all(box.failure for box in outboxes):
                    raise ServerError("all servers that were to take shares failed")
            trailers = await encoder.finish()
            await settle(box.finish(trailers.trailers[box.share_number]) for box in outboxes)
        except BaseException:
            for box in outboxes:
                box.give_up(ServerError("the repair was given up"))
            raise
        finally:
            overdue_check.addErrback(lambda _: None)
            overdue_check.cancel()
        lost = [f"share {box.share_number} on {box.server.identity.short_name}: {box.failure}" for box in outboxes if box.failure]
        return Repaired({box.share_number: box.server for box in outboxes if box.stored}, "; ".join(lost))


class Ciphertext:
    """A file on the grid as a source: what its shares are made of, fetched ahead of its reader. Implements `Source` and `Sink`."""

    rewindable = False

    def __init__(self, findings: Findings, downloader: Downloader) -> None:
        self._cap = findings.cap
        self._downloader = downloader
        self._pieces = bytearray()
        self._wanted = 0
        self._ended = False
        self._failure: Failure | None = None
        self._waiting: Deferred[None] | None = None
        self._fetching = spawn(downloader.read_ciphertext(findings.cap, self))
        self._fetching.addCallbacks(lambda _: self._end(None), self._end)

    @property
    def size(self) -> int:
        return self._cap.size

    async def extension(self) -> bytes:
        """The UEB of the file, once the first bytes are here. Raises what reading the file raises."""
        await self._until(1)
        extension = self._downloader.facts(self._cap).extension
        assert extension is not None
        return extension

    async def read(self, size: int) -> bytes:
        await self._until(size)
        piece = bytes(self._pieces[:size])
        del self._pieces[:size]
        self._wake()
        return piece

    async def write(self, data: Bytes) -> None:
        """Take what was fetched; returns when there is room for more."""
        self._pieces += data
        self._wake()
        while len(self._pieces) > max(AHEAD, self._wanted):
            await self._wait()

    async def rewind(self) -> None:
        raise SourceFailed("a file that is being repaired is read once")

    async def close(self) -> None:
        self._fetching.cancel()

    # --- reader and writer wait for each other, and never both ----------------------------------------------------

    async def _until(self, size: int) -> None:
        """Wait until `size` bytes are here, or all there are. Raises what the reading of the file raised."""
        self._wanted = size
        self._wake()
        while len(self._pieces) < size and not self._ended:
            await self._wait()
        self._wanted = 0
        if len(self._pieces) < size and self._failure is not None:
            self._failure.raiseException()

    async def _wait(self) -> None:
        self._waiting = Deferred(self._forget_waiting)
        await self._waiting

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _forget_waiting(self, _: object) -> None:
        self._waiting = None

    def _end(self, failure: Failure | None) -> None:
        self._ended, self._failure = True, failure
        self._wake()
