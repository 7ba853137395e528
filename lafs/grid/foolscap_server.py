"""A storage server at the other end of a Foolscap connection, as a `StorageServer`.

Made by the connector for every connection; called by uploads, downloads and everything else that needs a server, so
what it adds to a bare remote call is kept small. Calls leave in the order in which they are started, and the server
carries them out in that order: `spawn(writer.write(...))` twice and `spawn(writer.close())` take one round trip.
Answers are held against what was asked before they are buffered, so that a lying server cannot fill the memory.

No call but `version` gives up by itself: how long a server may take is for the one who asks to say (`tasks.within`).
Spec: 05 §11.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

from foolscap.api import DeadReferenceError, DictOf, ListOf, Referenceable, RemoteException, TupleOf, Violation
from foolscap.constraint import ByteStringConstraint
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost

from lafs import errors
from lafs.crypto.storage_index import StorageIndex
from lafs.grid.gathering import Gathering
from lafs.interfaces import (
    Allocation,
    ByteRange,
    Bytes,
    LeaseSecrets,
    ServerVersion,
    ShareKind,
    ShareReader,
    SlotSecrets,
    SlotWrite,
    StoredShares,
)
from lafs.protocol import storage_version
from lafs.protocol.remote_interfaces import INTEGER, LARGEST_BYTES, LARGEST_REASON, MOST_SHARES, STORED_EACH, of_each
from lafs.tasks import Clock, within

VERSION_TIMEOUT: Final = 30.0
"""Seconds that a server has to say who it is, once connected."""

CANARY: Final = Referenceable()
"""Shown with every allocation; the server aborts our open writers when the connection is lost. Spec: 05 §11.4."""

ERRORS_BY_REMOTE_NAME: Final[Mapping[str, type[errors.ServerError]]] = {
    "BadWriteEnablerError": errors.BadWriteEnabler,
    "ConflictingWriteError": errors.ConflictingWrite,
    "DataTooLargeError": errors.DataTooLarge,
    "NoSpace": errors.NoSpace,
    "UnknownImmutableContainerVersionError": errors.CorruptContainer,
    "UnknownMutableContainerVersionError": errors.CorruptContainer,
    "UnknownContainerVersionError": errors.CorruptContainer,
}
"""By the last part of the dotted name of the remote exception, all that tells one from another. Spec: 05 §11.5."""

FORGIVEN_BY_ADD_LEASE: Final = frozenset({"KeyError", "IndexError", "NameError"})
"""What servers of old raise when there is no share to lease."""

T = TypeVar("T")

_StoredFile: TypeAlias = tuple[bytes, bytes, bytes, dict[int, bytes]]
"""Storage index, secrets to renew and cancel, and the shares."""
_Stored: TypeAlias = tuple[set[int], set[int], set[int]]
_ReadFile: TypeAlias = tuple[bytes, Sequence[ByteRange]]
_Read: TypeAlias = Mapping[int, list[bytes]]

LOST: Final = (DeadReferenceError, ConnectionDone, ConnectionLost, ConnectionAborted)


class FoolscapServer:
    """Implements `lafs.interfaces.StorageServer` and `WholeShareServer` on a RemoteReference to a storage server.

    `name` is put into messages of errors: eight characters of the server id.
    """

    def __init__(self, remote: Any, clock: Clock, name: str = "server") -> None:
        self._remote = remote
        self._clock = clock
        self._name = name
        self._stores: Gathering[_StoredFile, _Stored] = Gathering(self._store_files, clock)
        self._reads: Gathering[_ReadFile, _Read] = Gathering(self._read_files, clock)

    def __repr__(self) -> str:
        return f"<FoolscapServer {self._name}>"

    async def version(self) -> ServerVersion:
        """Raises TimedOut besides what all methods raise."""
        answer = await within(VERSION_TIMEOUT, self._clock, self._call("get_version"))
        return storage_version.parse(answer)

    async def allocate_shares(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], size: int, secrets: LeaseSecrets
    ) -> Allocation:
        # A plain set: the peer drops the connection when it is sent a frozenset.
        existing, writers = await self._call(
            "allocate_buckets", storage_index.raw, secrets.renew, secrets.cancel, set(share_numbers), size, CANARY
        )
        return Allocation(
            existing=frozenset(number for number in existing if _is_share_number(number)),
            writers={
                number: FoolscapWriter(writer, self._name)
                for number, writer in writers.items()
                if number in share_numbers
            },
        )

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
        readers = await self._call("get_buckets", storage_index.raw)
        return {
            number: FoolscapReader(reader, self._name)
            for number, reader in readers.items()
            if _is_share_number(number)
        }

    async def store_shares(
        self, storage_index: StorageIndex, secrets: LeaseSecrets, shares: Mapping[int, Bytes]
    ) -> StoredShares:
        """See `lafs.interfaces.WholeShareServer`. Only for servers whose version says that they have it, like the next."""
        whole = {number: data if type(data) is bytes else bytes(data) for number, data in shares.items()}
        file = (storage_index.raw, secrets.renew, secrets.cancel, whole)
        answer = await self._stores.ask(file, sum(map(len, whole.values())))
        already, stored, refused = (frozenset(filter(_is_share_number, numbers)) for numbers in answer)
        return StoredShares(already, stored & shares.keys(), refused)

    async def read_shares(self, storage_index: StorageIndex, ranges: Sequence[ByteRange]) -> Mapping[int, Sequence[bytes]]:
        answer = await self._reads.ask((storage_index.raw, ranges), sum(each.length for each in ranges))
        return self._checked(answer, ranges)

    async def _store_files(self, files: Sequence[_StoredFile]) -> Sequence[_Stored | errors.ServerError]:
        answers = await self._call_knowing("lafs_store_shares", STORED_EACH, list(files))
        return self._for_each(answers, files, "lafs_store_shares")

    async def _read_files(self, files: Sequence[_ReadFile]) -> Sequence[_Read | errors.ServerError]:
        answers = await self._call_knowing(
            "lafs_read_shares",
            _each_within(max(_longest(ranges) for _, ranges in files), max(len(ranges) for _, ranges in files)),
            [(raw, [(each.offset, each.length) for each in ranges]) for raw, ranges in files],
        )
        return self._for_each(answers, files, "lafs_read_shares")

    def _for_each(
        self, answers: Sequence[tuple[bytes, T]], files: Sequence[object], method: str
    ) -> Sequence[T | errors.ServerError]:
        """`answers`, with errors where something went wrong. Raises ServerError if there are more or fewer than `files`."""
        if len(answers) != len(files):
            raise errors.ServerError(f"server {self._name} answered {method} for other files than were asked about")
        return [refusal(_named(failure), method, self._name) if failure else answer for failure, answer in answers]

    async def add_lease(self, storage_index: StorageIndex, secrets: LeaseSecrets) -> None:
        try:
            await self._remote.callRemote("add_lease", storage_index.raw, secrets.renew, secrets.cancel)
        except Exception as error:
            if FORGIVEN_BY_ADD_LEASE.isdisjoint(_remote_names(error)):
                raise translated(error, "add_lease", self._name, self._remote) from None

    async def read_slot(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], ranges: Sequence[ByteRange]
    ) -> Mapping[int, Sequence[bytes]]:
        answer = await self._call_knowing(
            "slot_readv",
            _data_within(_longest(ranges), len(ranges)),
            storage_index.raw,
            sorted(share_numbers),
            [(each.offset, each.length) for each in ranges],
        )
        return self._checked(answer, ranges)

    async def test_and_write_slot(
        self,
        storage_index: StorageIndex,
        secrets: SlotSecrets,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
    ) -> tuple[bool, Mapping[int, Sequence[bytes]]]:
        if any(len(data) > LARGEST_BYTES for write in writes.values() for _, data in write.writes):
            raise errors.DataTooLarge("so much cannot be written to a share in one call")
        held, answer = await self._call_knowing(
            "slot_testv_and_readv_and_writev",
            _verdict_within(_longest(ranges), len(ranges)),
            storage_index.raw,
            (secrets.write_enabler, secrets.lease.renew, secrets.lease.cancel),
            {number: _packed(write) for number, write in writes.items()},
            [(each.offset, each.length) for each in ranges],
        )
        return bool(held), self._checked(answer, ranges)

    async def report_corruption(
        self, kind: ShareKind, storage_index: StorageIndex, share_number: int, reason: str
    ) -> None:
        await self._call(
            "advise_corrupt_share", kind.encode("ascii"), storage_index.raw, share_number, _short(reason)
        )

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        try:
            return await self._remote.callRemote(method, *arguments, **options)
        except Exception as error:
            raise translated(error, method, self._name, self._remote) from None

    async def _call_knowing(self, method: str, answer: Any, *arguments: Any) -> Any:
        """A call whose answer must be like `answer`, and whose arguments Foolscap need not look through: they were made here."""
        return await self._call(method, *arguments, _useSchema=False, _resultConstraint=answer)

    def _checked(self, answer: Mapping[int, list[bytes]], ranges: Sequence[ByteRange]) -> dict[int, list[bytes]]:
        """`answer` without impossible share numbers. Raises ServerError if other ranges came than were asked for."""
        shares = {number: pieces for number, pieces in answer.items() if _is_share_number(number)}
        for pieces in shares.values():
            if len(pieces) != len(ranges) or any(
                len(piece) > asked.length for piece, asked in zip(pieces, ranges, strict=True)
            ):
                raise errors.ServerError(f"server {self._name} answered a read with something else than was asked for")
        return shares


class FoolscapWriter:
    """Implements `lafs.interfaces.ShareWriter` on a RemoteReference to a bucket writer."""

    __slots__ = ("_name", "_remote")

    def __init__(self, remote: Any, name: str) -> None:
        self._remote = remote
        self._name = name

    async def write(self, offset: int, data: Bytes) -> None:
        try:
            await self._remote.callRemote("write", offset, data if type(data) is bytes else bytes(data))
        except Exception as error:
            raise translated(error, "write", self._name, self._remote) from None

    async def close(self) -> None:
        try:
            await self._remote.callRemote("close")
        except Exception as error:
            raise translated(error, "close", self._name, self._remote) from None

    async def abort(self) -> None:
        try:
            await self._remote.callRemote("abort")
        except Exception as error:
            raise translated(error, "abort", self._name, self._remote) from None


class FoolscapReader:
    """Implements `lafs.interfaces.ShareReader` on a RemoteReference to a bucket reader."""

    __slots__ = ("_name", "_remote")

    def __init__(self, remote: Any, name: str) -> None:
        self._remote = remote
        self._name = name

    async def read(self, offset: int, length: int) -> bytes:
        try:
            data: bytes = await self._remote.callRemote(
                "read", offset, length, _resultConstraint=_bytes_within(length)
            )
        except Exception as error:
            raise translated(error, "read", self._name, self._remote) from None
        return data

    async def report_corruption(self, reason: str) -> None:
        try:
            await self._remote.callRemote("advise_corrupt_share", _short(reason))
        except Exception as error:
            raise translated(error, "report_corruption", self._name, self._remote) from None


def translated(error: Exception, method: str, name: str, remote: Any) -> Exception:
    """What to raise for `error`, raised by a remote call of `method`.

    The server's own words are left out: they may hold its paths, or anything. Spec: 05 §11.5.
    """
    if isinstance(error, CancelledError | errors.LafsError):
        return error
    if isinstance(error, RemoteException):
        return refusal(_remote_names(error), method, name)
    if isinstance(error, Violation):
        return errors.ServerError(f"server {name} and this client disagree on the protocol of {method}")
    if isinstance(error, LOST) or not remote.isConnected():
        return errors.ServerGone(f"the connection to server {name} was lost during {method}")
    return errors.ServerError(f"{method} on server {name} failed: {type(error).__name__}")


def refusal(names: Sequence[str], method: str, name: str) -> errors.ServerError:
    """The error that a server told by `names`: that of its class, and those of the ancestors of that."""
    for each in names:
        if each in ERRORS_BY_REMOTE_NAME:
            return ERRORS_BY_REMOTE_NAME[each](f"server {name} refused {method}: {each}")
    return errors.ServerError(f"server {name} failed in {method}: {names[0] if names else 'unknown error'}")


def _remote_names(error: Exception) -> list[str]:
    """The last parts of the names of the remote exception and its ancestors, nearest first, if names they are."""
    if not isinstance(error, RemoteException):
        return []
    failure = error.failure
    dotted = [failure.type, *failure.parents]
    names = [each.rpartition(".")[2] for each in dotted if isinstance(each, str)]
    return [each for each in names if _is_name(each)]


def _named(raw: bytes) -> list[str]:
    return [text for text in [raw.decode("utf-8", "replace")] if _is_name(text)]


def _is_name(text: str) -> bool:
    return text.isidentifier() and len(text) <= 80


def _is_share_number(number: int) -> bool:
    return 0 <= number < MOST_SHARES


def _short(reason: str) -> bytes:
    return reason.encode("utf-8", "replace")[: min(LARGEST_REASON, 1000)]


def _packed(write: SlotWrite) -> tuple[list[tuple[int, int, bytes, bytes]], list[tuple[int, bytes]], int | None]:
    return (
        [(test.offset, test.length, b"eq", test.specimen) for test in write.tests],
        [(offset, data if type(data) is bytes else bytes(data)) for offset, data in write.writes],
        write.new_length,
    )


@lru_cache(maxsize=256)
def _bytes_within(length: int) -> ByteStringConstraint:
    """At most `length` bytes: more are refused when their header is seen, before they are read."""
    return ByteStringConstraint(maxLength=min(max(length, 1), LARGEST_BYTES))


@lru_cache(maxsize=256)
def _data_within(longest: int, ranges: int) -> Any:
    """At most so many ranges of every share, of at most `longest` bytes each."""
    return DictOf(INTEGER, ListOf(_bytes_within(longest), maxLength=ranges), maxKeys=MOST_SHARES)


@lru_cache(maxsize=256)
def _verdict_within(longest: int, ranges: int) -> Any:
    return TupleOf(bool, _data_within(longest, ranges))


@lru_cache(maxsize=256)
def _each_within(longest: int, ranges: int) -> Any:
    return of_each(_data_within(longest, ranges))


def _longest(ranges: Sequence[ByteRange]) -> int:
    return max((each.length for each in ranges), default=0)
