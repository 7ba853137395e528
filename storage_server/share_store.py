"""The share store: what a storage server does, in process. The doors (Foolscap, HTTPS) only translate to it.

Implements `lafs.interfaces.StorageServer` on one storage directory, laid out as a Tahoe server lays it out, so that an
existing one can be taken over as it is. What concerns one file (one bucket) is done in the order it was asked; different
buckets go on at once. All disk work runs in `Workers`. What was acknowledged survives a crash at any instruction.
Spec: 05 §1-§10.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from os import PathLike, fspath
from os.path import abspath
from typing import Final, Literal, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from lafs import __version__
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import NoSpace, ServerError
from lafs.interfaces import (
    LARGEST_WHOLE_SHARE,
    Allocation,
    ByteRange,
    Bytes,
    LeaseSecrets,
    ServerVersion,
    ShareKind,
    ShareReader,
    ShareWriter,
    SlotSecrets,
    SlotWrite,
    StoredShares,
)
from lafs.statistics import Counters
from lafs.tasks import Clock, settle, uncancelled
from lafs.workers import Workers
from storage_server.advisories import Advisory, Allowance, keep
from storage_server.commits import Commits
from storage_server.directories import LARGEST_SHARE_NUMBER, Directories, Places
from storage_server.disk import Disk
from storage_server.durability import RelaxedDisk
from storage_server.edits import LARGEST_GATHERED, Planned
from storage_server.failures import as_server_error, reason_for_log
from storage_server.files_beside import FilesBeside
from storage_server.immutable_container import container_size
from storage_server.journal import Journal
from storage_server.leases import OTHER_OWNER, UPLOADER, LeaseTerms
from storage_server.measurements import Measurements
from storage_server.reads import ReadBudget, length_within
from storage_server.share_files import Found, ShareFiles
from storage_server.slots import Slots
from storage_server.space import Room
from storage_server.start_up import prepare
from storage_server.turns import Turns
from storage_server.uploads import JOURNALED_SIZE, Uploads, UploadServices
from storage_server.whole_shares import WholeShares

P = ParamSpec("P")
T = TypeVar("T")

LARGEST_SIZE: Final = 2**63
SECRET_SIZE: Final = 32

log = Logger()


class ShareStore:
    """One storage directory, being served. `start` first; `stop` last.

    `node_id` are the 20 bytes that name this server in the mutable containers it writes. `reserved_space` bytes of the
    file system are left alone. `durability` "relaxed" forgoes syncing: for those who prefer speed to surviving a power cut.
    """

    def __init__(
        self,
        root: str | PathLike[str],
        *,
        disk: Disk,
        workers: Workers,
        clock: Clock,
        node_id: bytes,
        reserved_space: int = 0,
        readonly: bool = False,
        durability: Literal["full", "relaxed"] = "full",
        counters: Counters,
    ) -> None:
        if len(node_id) != 20:
            raise ValueError(f"a node id has 20 bytes, not {len(node_id)}")
        disk = RelaxedDisk(disk) if durability == "relaxed" else disk
        self._disk = disk
        self._places = Places(abspath(fspath(root)))
        self._clock = clock
        self._workers = workers
        self._measurements = Measurements(counters, clock)
        self._room = Room(disk, self._places.shares, reserved_space, readonly)
        self._directories = Directories(disk, self._places.shares, workers)
        self._journal = Journal(disk, self._places, self._directories)
        self._commits = Commits(self._journal, workers, clock)
        self._files = ShareFiles(disk, self._places, node_id)
        beside = FilesBeside(disk, self._places, self._directories)
        self._whole_shares = WholeShares(self._files, self._room, beside)
        self._slots = Slots(self._files, beside, self._room, node_id)
        self._uploads = Uploads(
            UploadServices(
                disk, self._places, self._directories, self._commits, workers, clock, self._measurements
            )
        )
        self._turns: Turns[StorageIndex] = Turns()
        self._advisories = Allowance()
        self._serving = False

    async def start(self) -> None:
        """Make the storage directory ready: recover from a crash, forget unfinished uploads. Raises ServerError."""
        await self._run(prepare, self._disk, self._places, self._journal)
        self._serving = True

    async def stop(self) -> None:
        """Abort all uploads, finish what was begun, and leave every share file synced. Raises ServerError."""
        self._serving = False
        await self._uploads.abort_all()
        await self._turns.idle()
        await self._commits.stop()

    # --- StorageServer -----------------------------------------------------------------------------------------------

    async def version(self) -> ServerVersion:
        available = await self._run(self._room.available)
        return ServerVersion(f"lafs/{__version__}", available, available, whole_shares=True)

    async def allocate_shares(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], size: int, secrets: LeaseSecrets
    ) -> Allocation:
        _check_numbers(share_numbers)
        if not 0 <= size < LARGEST_SIZE:
            raise ServerError("the size of a share cannot be that")
        _check_secrets(secrets.renew, secrets.cancel)
        with self._measurements.of("allocate"):
            sizes = dict.fromkeys(share_numbers, size)
            return await self._in_bucket(storage_index, partial(self._allocate, storage_index, sizes, secrets))

    async def store_shares(
        self, storage_index: StorageIndex, secrets: LeaseSecrets, shares: Mapping[int, Bytes]
    ) -> StoredShares:
        _check_numbers(shares)
        _check_secrets(secrets.renew, secrets.cancel)
        if any(len(data) > LARGEST_WHOLE_SHARE for data in shares.values()):
            raise ServerError("a share is too large to be stored in one call")
        with self._measurements.of("store"):
            return await self._in_bucket(storage_index, partial(self._store_shares, storage_index, secrets, shares))

    def gathered(self) -> AbstractContextManager[None]:
        """What is asked within is written down together."""
        return self._commits.gathered()

    async def read_shares(self, storage_index: StorageIndex, ranges: Sequence[ByteRange]) -> Mapping[int, Sequence[bytes]]:
        with self._measurements.of("get"):
            return await self._in_bucket(
                storage_index, partial(self._run, self._whole_shares.read, storage_index, ranges)
            )

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
        with self._measurements.of("get"):
            found = await self._in_bucket(storage_index, partial(self._run, self._files.survey, storage_index))
            return {number: StoredShare(self, storage_index, number, length)
                    for number, length in found.immutable.items()}

    async def read_share(
        self, storage_index: StorageIndex, number: int, data_length: int, offset: int, length: int
    ) -> bytes:
        """What a reader that was handed out reads. Raises ServerError."""
        if offset < 0 or length < 0:
            raise ServerError("a read from a share cannot begin before it, nor be of negative length")
        ReadBudget().spend(length_within(data_length, offset, length))
        with self._measurements.of("read"):
            path = self._places.share(storage_index, number)
            return await self._run(self._files.read, path, offset, length, data_length)

    async def add_lease(self, storage_index: StorageIndex, secrets: LeaseSecrets) -> None:
        _check_secrets(secrets.renew, secrets.cancel)
        with self._measurements.of("add-lease"):
            terms = LeaseTerms.from_now(secrets, OTHER_OWNER, self._clock.seconds())
            await self._in_bucket(storage_index, partial(self._lease, storage_index, terms))

    async def read_slot(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], ranges: Sequence[ByteRange]
    ) -> Mapping[int, Sequence[bytes]]:
        with self._measurements.of("readv"):
            return await self._in_bucket(
                storage_index, partial(self._run, self._slots.read, storage_index, share_numbers, ranges)
            )

    async def test_and_write_slot(
        self,
        storage_index: StorageIndex,
        secrets: SlotSecrets,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
    ) -> tuple[bool, Mapping[int, Sequence[bytes]]]:
        _check_numbers(writes)
        _check_secrets(secrets.write_enabler, secrets.lease.renew, secrets.lease.cancel)
        with self._measurements.of("writev"):
            return await self._in_bucket(
                storage_index, partial(self._test_and_write, storage_index, secrets, writes, ranges)
            )

    async def report_corruption(
        self, kind: ShareKind, storage_index: StorageIndex, share_number: int, reason: str
    ) -> None:
        """Keep a report for the operator. One about a share that is not here, or one too many, is dropped silently."""
        if kind not in ("immutable", "mutable"):
            raise ServerError("an unknown kind of share")
        now = self._clock.seconds()
        if 0 <= share_number <= LARGEST_SHARE_NUMBER and self._advisories.take(now):
            await self._run(self._keep_advisory, Advisory(kind, storage_index, share_number, reason, now))

    # --- for the node's statistics -----------------------------------------------------------------------------------

    async def statistics(self) -> Mapping[str, float | int | None]:
        """Current values by their full names. Spec: 05 §10."""
        room = await self._run(self._room.statistics)
        return {**room, "storage_server.allocated": self._uploads.allocated, **self._measurements.latencies()}

    # --- one bucket at a time --------------------------------------------------------------------------------------------

    async def _in_bucket(self, storage_index: StorageIndex, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, once all that was asked of this bucket before is done."""
        if not self._serving:
            raise ServerError("the storage server is not running")
        return await uncancelled(self._turns.run(storage_index, partial(self._turn, storage_index, work)))

    async def _turn(self, storage_index: StorageIndex, work: Callable[[], Awaitable[T]]) -> T:
        if self._commits.are_behind:
            await self._commits.catch_up(self._places.bucket(storage_index))
        return await work()

    async def _allocate(
        self, storage_index: StorageIndex, sizes: Mapping[int, int], secrets: LeaseSecrets
    ) -> Allocation:
        terms = LeaseTerms.from_now(secrets, UPLOADER, self._clock.seconds())
        # An upload that is closed while we look would be missed by both looks, if it was looked for only afterwards.
        busy = self._uploads.of(storage_index)
        planned = await self._run(self._survey_for_allocation, storage_index, terms)
        found, available = planned.result
        if found.immutable:
            if planned.changes:
                await self._commits.commit(lambda: planned)
            # A share whose close failed, or was not answered before we were killed, may lose its name yet.
            await self._settle(storage_index)
        taken = busy | self._uploads.of(storage_index) | found.immutable.keys() | found.other
        writers: dict[int, ShareWriter] = {}
        for number in sorted(sizes.keys() - taken):
            if available - self._uploads.allocated < sizes[number]:
                break
            try:
                writers[number] = self._uploads.begin(storage_index, number, sizes[number], terms)
            except NoSpace:
                break
        return Allocation(frozenset(found.immutable), writers)

    async def _store_shares(
        self, storage_index: StorageIndex, secrets: LeaseSecrets, shares: Mapping[int, Bytes]
    ) -> StoredShares:
        if not self._uploads.of(storage_index):
            stored = await self._store_new(storage_index, secrets, shares)
            if stored is not None:
                return stored
        held = await self._allocate(storage_index, {}, secrets)
        if held.existing - shares.keys():
            return StoredShares(already=held.existing, refused=frozenset(shares.keys() - held.existing))
        allocation = await self._allocate(storage_index, {number: len(shares[number]) for number in shares}, secrets)
        outcomes = await settle(_fill(writer, shares[number]) for number, writer in allocation.writers.items())
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                outcome.raiseException()
        stored_numbers = frozenset(allocation.writers)
        refused = shares.keys() - allocation.existing - stored_numbers
        return StoredShares(allocation.existing, stored_numbers, frozenset(refused))

    async def _store_new(
        self, storage_index: StorageIndex, secrets: LeaseSecrets, shares: Mapping[int, Bytes]
    ) -> StoredShares | None:
        """Store shares of a file of which there are none, in one errand (large ones: and a shared sync). None if there are some."""
        terms = LeaseTerms.from_now(secrets, UPLOADER, self._clock.seconds())
        with self._uploads.promised(sum(len(data) for data in shares.values())) as others:
            if all(len(data) <= JOURNALED_SIZE for data in shares.values()):
                plan = partial(self._whole_shares.plan, storage_index, terms, shares, others)
                stored = await self._commits.commit(plan)
            else:
                for number in shares:
                    await self._commits.settle(self._places.share(storage_index, number))
                stored = await self._run(self._whole_shares.store, storage_index, terms, shares, others)
                if stored is not None:
                    await self._settle(storage_index)
        if stored is not None:
            self._measurements.count("bytes_added", sum(container_size(len(shares[number])) for number in stored.stored))
        return stored

    async def _settle(self, storage_index: StorageIndex) -> None:
        """Return when the names of the shares in a bucket are certain to last. Raises ServerError."""
        bucket = self._places.bucket(storage_index)
        try:
            await self._directories.settle(frozenset({self._places.under_shares(bucket)}))
        except Exception as error:
            raise as_server_error(error) from None

    async def _lease(self, storage_index: StorageIndex, terms: LeaseTerms) -> None:
        if await self._commits.commit(partial(self._plan_leases, storage_index, terms)):
            raise ServerError("a share could not be read, and no lease was taken on it")

    async def _test_and_write(
        self,
        storage_index: StorageIndex,
        secrets: SlotSecrets,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
    ) -> tuple[bool, Mapping[int, Sequence[bytes]]]:
        terms = LeaseTerms.from_now(secrets.lease, OTHER_OWNER, self._clock.seconds())
        asked = (storage_index, secrets.write_enabler, terms, writes, ranges, self._uploads.allocated)
        if self._may_be_created_beside(storage_index, writes):
            created = await self._run(self._slots.create, *asked)
            if created is not None:
                await self._settle(storage_index)
                return created
        return await self._commits.commit(partial(self._slots.plan, *asked))

    def _may_be_created_beside(self, storage_index: StorageIndex, writes: Mapping[int, SlotWrite]) -> bool:
        """Whether `writes` are of one share and large, and nothing is in the way of making it in a file of its own."""
        if len(writes) != 1 or self._uploads.of(storage_index):
            return False
        ((number, write),) = writes.items()
        large = sum(len(data) for _, data in write.writes) > LARGEST_GATHERED
        return large and not self._commits.remember(self._places.share(storage_index, number))

    # --- in a worker thread ------------------------------------------------------------------------------------------------

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, done in a worker. Raises ServerError for whatever goes wrong."""
        try:
            return await self._workers.run(work, *args, **kwargs)
        except (ServerError, CancelledError):
            raise
        except Exception as error:
            log.error("The storage server failed: {reason}", reason=reason_for_log(error))
            raise as_server_error(error) from None

    def _survey_for_allocation(self, storage_index: StorageIndex, terms: LeaseTerms) -> Planned[tuple[Found, int]]:
        """What is in a bucket, and the room on the disk; and what it takes to renew the leases on what is there."""
        available = self._room.available()
        found = self._files.survey(storage_index)
        if not found.immutable:
            return Planned((), (found, available))
        self._directories.make_bucket(self._places.bucket(storage_index))
        plan = self._files.plan_leases(storage_index, terms, available, immutable_only=True)
        # A share on which no lease could be taken is no share to rely on.
        leased = {number: length for number, length in found.immutable.items() if number not in plan.result}
        return Planned(plan.changes, (Found(leased, found.other | plan.result), available))

    def _plan_leases(self, storage_index: StorageIndex, terms: LeaseTerms) -> Planned[set[int]]:
        return self._files.plan_leases(storage_index, terms, self._room.available(), immutable_only=False)

    def _keep_advisory(self, advisory: Advisory) -> None:
        if advisory.share_number in self._files.numbers(advisory.storage_index):
            keep(self._disk, self._places.advisories, advisory, self._room.available())


class StoredShare:
    """One finished immutable share: the `ShareReader` of the share store."""

    def __init__(self, store: ShareStore, storage_index: StorageIndex, number: int, data_length: int) -> None:
        self._store = store
        self._storage_index = storage_index
        self._number = number
        self._data_length = data_length

    async def read(self, offset: int, length: int) -> bytes:
        return await self._store.read_share(self._storage_index, self._number, self._data_length, offset, length)

    async def report_corruption(self, reason: str) -> None:
        await self._store.report_corruption("immutable", self._storage_index, self._number, reason)


async def _fill(writer: ShareWriter, data: Bytes) -> None:
    await writer.write(0, data)
    await writer.close()


def _check_numbers(share_numbers: Iterable[int]) -> None:
    if any(not 0 <= number <= LARGEST_SHARE_NUMBER for number in share_numbers):
        raise ServerError(f"share numbers are from 0 to {LARGEST_SHARE_NUMBER}")


def _check_secrets(*secrets: bytes) -> None:
    if any(len(secret) != SECRET_SIZE for secret in secrets):
        raise ServerError(f"a secret has {SECRET_SIZE} bytes")
