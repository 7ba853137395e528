"""The Foolscap door of a storage server: remote calls in, the share store's answers out.

The node registers a `FoolscapStorageService` on its Tub under the FURL it announces. Clients of either program are served
alike: names of interfaces, arguments and errors are the peer's. Nothing is decided here, only translated; and of what goes
wrong a client learns the kind and a text that names no path, byte or secret of this machine.
Spec: 05 §11.
"""
from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar, cast

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from lafs import errors
from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import (
    Allocation,
    ByteRange,
    LeaseSecrets,
    ShareKind,
    ShareReader,
    ShareWriter,
    SlotSecrets,
    SlotTest,
    SlotWrite,
    StorageServer,
    WholeShareServer,
)
from lafs.protocol import storage_version
from lafs.protocol.remote_interfaces import RIBucketReader, RIBucketWriter, RIStorageServer
from lafs.tasks import forget, spawn
from storage_server.advisories import decode_reason
from storage_server.failures import as_server_error

KINDS: Final[Mapping[bytes, ShareKind]] = {b"immutable": "immutable", b"mutable": "mutable"}

T = TypeVar("T")

TestVector = Sequence[tuple[int, int, bytes, bytes]]
DataVector = Sequence[tuple[int, bytes]]


def _remote_class(qualified: str) -> type[Exception]:
    """An exception class that Foolscap sends under the given name."""
    module, _, name = qualified.rpartition(".")
    return type(name, (Exception,), {"__module__": module})


ERRORS: Final[Mapping[type[errors.ServerError], type[Exception]]] = {
    errors.BadWriteEnabler: _remote_class("allmydata.interfaces.BadWriteEnablerError"),
    errors.ConflictingWrite: _remote_class("allmydata.interfaces.ConflictingWriteError"),
    errors.DataTooLarge: _remote_class("allmydata.interfaces.DataTooLargeError"),
    errors.NoSpace: _remote_class("allmydata.interfaces.NoSpace"),
    errors.CorruptContainer: _remote_class("allmydata.storage.common.UnknownContainerVersionError"),
}
"""What clients of the peer expect to see, by our own class. Others travel under their own names. Spec: 05 §11.5."""


def answered(work: Awaitable[object]) -> Deferred[Any]:
    """The result of `work` for the wire; a failure as one that clients know, without a traceback of ours."""
    return spawn(work).addErrback(_for_the_wire)


def _for_the_wire(failure: Failure) -> Failure:
    error = as_server_error(cast("Exception", failure.value))
    return Failure(_shown(error)(str(error)))  # type: ignore[no-untyped-call]


def _shown(error: errors.ServerError) -> type[Exception]:
    return ERRORS.get(type(error), errors.ServerError)


class ServedStore(StorageServer, WholeShareServer, Protocol):
    """What is behind the door."""

    def gathered(self) -> AbstractContextManager[None]:
        """For calls that come together: see `ShareStore.gathered`."""
        ...


@implementer(RIStorageServer)
class FoolscapStorageService(Referenceable):
    """What a storage FURL leads to."""

    def __init__(self, store: ServedStore) -> None:
        self._store = store

    def remote_get_version(self) -> Deferred[Any]:
        return answered(self._version())

    def remote_allocate_buckets(
        self,
        storage_index: bytes,
        renew_secret: bytes,
        cancel_secret: bytes,
        sharenums: set[int],
        allocated_size: int,
        canary: Any,
    ) -> Deferred[Any]:
        secrets = LeaseSecrets(renew_secret, cancel_secret)
        return answered(self._allocate(storage_index, secrets, frozenset(sharenums), allocated_size, canary))

    def remote_lafs_store_shares(self, files: Sequence[tuple[bytes, bytes, bytes, Mapping[int, bytes]]]) -> Deferred[Any]:
        with self._store.gathered():
            storing = [
                spawn(self._store_shares(storage_index, LeaseSecrets(renew, cancel), shares))
                for storage_index, renew, cancel, shares in files
            ]
        return answered(_each(storing, (set(), set(), set())))

    def remote_lafs_read_shares(self, files: Sequence[tuple[bytes, Sequence[tuple[int, int]]]]) -> Deferred[Any]:
        reading = [spawn(self._read_shares(storage_index, ranges)) for storage_index, ranges in files]
        return answered(_each(reading, {}))

    def remote_add_lease(self, storage_index: bytes, renew_secret: bytes, cancel_secret: bytes) -> Deferred[Any]:
        return answered(self._add_lease(storage_index, LeaseSecrets(renew_secret, cancel_secret)))

    def remote_get_buckets(self, storage_index: bytes) -> Deferred[Any]:
        return answered(self._list(storage_index))

    def remote_slot_readv(
        self, storage_index: bytes, shares: Sequence[int], readv: Sequence[tuple[int, int]]
    ) -> Deferred[Any]:
        return answered(self._read_slot(storage_index, frozenset(shares), readv))

    def remote_slot_testv_and_readv_and_writev(
        self,
        storage_index: bytes,
        secrets: tuple[bytes, bytes, bytes],
        tw_vectors: Mapping[int, tuple[TestVector, DataVector, int | None]],
        r_vector: Sequence[tuple[int, int]],
    ) -> Deferred[Any]:
        return answered(self._test_and_write(storage_index, secrets, tw_vectors, r_vector))

    def remote_advise_corrupt_share(
        self, share_type: bytes, storage_index: bytes, shnum: int, reason: bytes
    ) -> Deferred[Any]:
        return answered(self._report(share_type, storage_index, shnum, reason))

    # --- the same, as coroutines -------------------------------------------------------------------------------------

    async def _version(self) -> dict[bytes, Any]:
        return storage_version.pack(await self._store.version())

    async def _allocate(
        self, storage_index: bytes, secrets: LeaseSecrets, numbers: frozenset[int], size: int, canary: Any
    ) -> tuple[set[int], dict[int, BucketWriter]]:
        allocation = await self._store.allocate_shares(_index(storage_index), numbers, size, secrets)
        return set(allocation.existing), WatchedWriters(allocation, canary).writers

    async def _store_shares(
        self, storage_index: bytes, secrets: LeaseSecrets, shares: Mapping[int, bytes]
    ) -> tuple[set[int], set[int], set[int]]:
        answer = await self._store.store_shares(_index(storage_index), secrets, shares)
        return set(answer.already), set(answer.stored), set(answer.refused)

    async def _read_shares(self, storage_index: bytes, ranges: Sequence[tuple[int, int]]) -> dict[int, list[bytes]]:
        return _read_data(await self._store.read_shares(_index(storage_index), _ranges(ranges)))

    async def _add_lease(self, storage_index: bytes, secrets: LeaseSecrets) -> None:
        await self._store.add_lease(_index(storage_index), secrets)

    async def _list(self, storage_index: bytes) -> dict[int, BucketReader]:
        found = await self._store.list_shares(_index(storage_index))
        return {number: BucketReader(reader) for number, reader in found.items()}

    async def _read_slot(
        self, storage_index: bytes, numbers: frozenset[int], ranges: Sequence[tuple[int, int]]
    ) -> dict[int, list[bytes]]:
        return _read_data(await self._store.read_slot(_index(storage_index), numbers, _ranges(ranges)))

    async def _test_and_write(
        self,
        storage_index: bytes,
        secrets: tuple[bytes, bytes, bytes],
        vectors: Mapping[int, tuple[TestVector, DataVector, int | None]],
        ranges: Sequence[tuple[int, int]],
    ) -> tuple[bool, dict[int, list[bytes]]]:
        write_enabler, renew, cancel = secrets
        passed, read = await self._store.test_and_write_slot(
            _index(storage_index),
            SlotSecrets(write_enabler, LeaseSecrets(renew, cancel)),
            {number: _slot_write(*vector) for number, vector in vectors.items()},
            _ranges(ranges),
        )
        return passed, _read_data(read)

    async def _report(self, kind: bytes, storage_index: bytes, number: int, reason: bytes) -> None:
        if kind not in KINDS:
            raise errors.ServerError("an unknown kind of share")
        await self._store.report_corruption(KINDS[kind], _index(storage_index), number, decode_reason(reason))


@implementer(RIBucketWriter)
class BucketWriter(Referenceable):
    """One share being uploaded, as the client sees it."""

    def __init__(self, writer: ShareWriter, watch: WatchedWriters) -> None:
        self._writer = writer
        self._watch = watch

    def remote_write(self, offset: int, data: bytes) -> Deferred[Any]:
        return answered(self._writer.write(offset, data))

    def remote_close(self) -> Deferred[Any]:
        self._watch.forget(self)
        return answered(self._writer.close())

    def remote_abort(self) -> Deferred[Any]:
        self._watch.forget(self)
        return answered(self._writer.abort())

    def abandon(self) -> None:
        """The client is gone."""
        forget(self._writer.abort())


class WatchedWriters:
    """The writers of one allocation, aborted when the connection that the canary came over is lost. Spec: 05 §11.4."""

    def __init__(self, allocation: Allocation, canary: Any) -> None:
        self.writers = {number: BucketWriter(writer, self) for number, writer in allocation.writers.items()}
        self._open = set(self.writers.values())
        self._canary = canary
        self._marker = canary.notifyOnDisconnect(self._lost) if self._open else None

    def forget(self, writer: BucketWriter) -> None:
        """`writer` is closed or aborted; when all are, nobody need watch any more."""
        self._open.discard(writer)
        if not self._open and self._marker is not None:
            marker, self._marker = self._marker, None
            self._canary.dontNotifyOnDisconnect(marker)

    def _lost(self) -> None:
        self._marker = None
        for writer in self._open:
            writer.abandon()
        self._open.clear()


@implementer(RIBucketReader)
class BucketReader(Referenceable):
    """One finished share, as the client sees it."""

    def __init__(self, reader: ShareReader) -> None:
        self._reader = reader

    def remote_read(self, offset: int, length: int) -> Deferred[Any]:
        return answered(self._reader.read(offset, length))

    def remote_advise_corrupt_share(self, reason: bytes) -> Deferred[Any]:
        return answered(self._report(reason))

    async def _report(self, reason: bytes) -> None:
        await self._reader.report_corruption(decode_reason(reason))


async def _each(running: Sequence[Deferred[T]], nothing: T) -> list[tuple[bytes, T]]:
    """The results of all; for a failure the name under which clients know it, and `nothing`."""
    outcomes: list[tuple[bytes, T]] = []
    for each in running:
        try:
            outcomes.append((b"", await each))
        except Exception as error:
            outcomes.append((_shown(as_server_error(error)).__name__.encode("ascii"), nothing))
    return outcomes


def _index(raw: bytes) -> StorageIndex:
    try:
        return StorageIndex(raw)
    except ValueError as error:
        raise errors.ServerError(str(error)) from None


def _ranges(vector: Sequence[tuple[int, int]]) -> list[ByteRange]:
    return [ByteRange(offset, length) for offset, length in vector]


def _slot_write(tests: TestVector, writes: DataVector, new_length: int | None) -> SlotWrite:
    if any(operator != b"eq" for _, _, operator, _ in tests):
        raise errors.ServerError("only equality can be tested")
    return SlotWrite([SlotTest(offset, length, wanted) for offset, length, _, wanted in tests], writes, new_length)


def _read_data(read: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes]]:
    return {number: list(pieces) for number, pieces in read.items()}
