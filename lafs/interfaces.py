"""The nouns of lafs. Read this file first.

Each is small and the same from every side, so that a thing can be local, remote over Foolscap, remote over HTTPS, or in memory
for a test, without its caller knowing. Values are frozen; everything that waits is a coroutine to be awaited on the reactor thread.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, cast

from attrs import field, frozen

from lafs.capability import Cap, DirectoryCap, Fault
from lafs.capability_kinds import ImmutableVerifyCap
from lafs.capability_slots import ChildCaps
from lafs.crypto.storage_index import StorageIndex

Bytes = bytes | bytearray | memoryview
"""Anything that holds bytes and can be hashed, sliced and sent without a copy."""

ShareKind = Literal["immutable", "mutable"]


# --- what client and server say to each other ----------------------------------------------------------------------------


@frozen
class LeaseSecrets:
    """What a client shows one server to take and renew leases on the shares of one file: 32 bytes each. Spec: 01 §6.4."""

    renew: bytes = field(repr=False)
    cancel: bytes = field(repr=False)


@frozen
class ByteRange:
    """`length` bytes from `offset` of a share's data."""

    offset: int
    length: int


@frozen
class ServerVersion:
    """What a server says of itself when a client connects. Sizes in bytes. Spec: 05 §11.3."""

    application: str
    available_space: int
    maximum_immutable_share_size: int
    maximum_mutable_share_size: int = 69_105_000_000_000_000
    whole_shares: bool = False
    """Whether it is a `WholeShareServer` as well."""

    @property
    def takes_immutable_shares(self) -> bool:
        return self.maximum_immutable_share_size > 0


class ShareWriter(Protocol):
    """One immutable share being written. Calls are carried out in the order they are made, answered or not."""

    async def write(self, offset: int, data: Bytes) -> None:
        """Put `data` at `offset`. Raises ConflictingWrite, DataTooLarge, ServerError."""
        ...

    async def close(self) -> None:
        """Make the share visible to readers. When this returns, the share survives a crash of the server."""
        ...

    async def abort(self) -> None:
        """Forget the share. Harmless after `close` or another `abort`."""
        ...


class ShareReader(Protocol):
    """One finished immutable share."""

    async def read(self, offset: int, length: int) -> bytes:
        """The bytes that exist in the range: fewer than `length` at the end of the share, none past it."""
        ...

    async def report_corruption(self, reason: str) -> None:
        """Tell the server's operator that this share is damaged."""
        ...


@frozen
class Allocation:
    """The answer to `allocate_shares`: all finished shares of the file that are there, and writers for the new ones.

    A share number asked for that is in neither was refused (no space, read-only, or someone else is writing it).
    """

    existing: frozenset[int]
    writers: Mapping[int, ShareWriter]


@frozen
class StoredShares:
    """The answer to `store_shares`. Share numbers: `already` are there (all of the file, whichever were sent), `stored` are now.

    `refused` were sent and are in neither: no space, read-only, someone else is writing them, or the server has other shares of the
    file, and who sent these should think again about where they belong.
    """

    already: frozenset[int] = frozenset()
    stored: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()


class WholeShareServer(Protocol):
    """What some storage servers do besides: whole small immutable shares in one call each way. Errors as `StorageServer`."""

    async def store_shares(
        self, storage_index: StorageIndex, secrets: LeaseSecrets, shares: Mapping[int, Bytes]
    ) -> StoredShares:
        """Store whole shares, at most `LARGEST_WHOLE_SHARE` bytes each; takes or renews a lease on those already there.

        When this returns, what was stored survives a crash of the server. If it fails, some may be stored all the same.
        """
        ...

    async def read_shares(self, storage_index: StorageIndex, ranges: Sequence[ByteRange]) -> Mapping[int, Sequence[bytes]]:
        """Read the same ranges of all finished immutable shares of the file: of each range the bytes that exist."""
        ...


LARGEST_WHOLE_SHARE: Final = 1024 * 1024
"""Bytes of one share that may be stored in one call."""


@frozen
class SlotTest:
    """One condition of a `test_and_write`: the bytes of a share's data in the range are exactly `specimen`."""

    offset: int
    length: int
    specimen: bytes = field(repr=False)


@frozen
class SlotWrite:
    """What a `test_and_write` does to one share. An absent share reads as empty and is created.

    `new_length` 0 deletes the share; a smaller one truncates after the writes; None, or a larger one, changes nothing.
    """

    tests: Sequence[SlotTest]
    writes: Sequence[tuple[int, bytes]] = field(repr=False)
    new_length: int | None = None


@frozen
class SlotSecrets:
    """What a writer of a mutable slot shows one server: 32 bytes each. Spec: 01 §6.4, §6.5."""

    write_enabler: bytes = field(repr=False)
    lease: LeaseSecrets


class StorageServer(Protocol):
    """What a client may ask of a server. Implemented by the share store itself, over Foolscap, over HTTPS.

    Every method raises `ServerError` (or a subclass) when the server fails; nothing else but cancellation.
    The conformance suite in tests/storage_server/conformance.py runs against every implementation.
    """

    async def version(self) -> ServerVersion: ...

    async def allocate_shares(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], size: int, secrets: LeaseSecrets
    ) -> Allocation:
        """Ask for room for shares of `size` bytes each; takes or renews a lease on those already there. Spec: 05 §4.1.

        An empty set of numbers asks only what is there, and renews. The writers are aborted if the client goes away.
        """
        ...

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
        """All finished immutable shares of the file. Spec: 05 §5."""
        ...

    async def add_lease(self, storage_index: StorageIndex, secrets: LeaseSecrets) -> None:
        """Take or renew a lease on every share of the file, of either kind. None there is no error. Spec: 05 §3."""
        ...

    async def read_slot(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], ranges: Sequence[ByteRange]
    ) -> Mapping[int, Sequence[bytes]]:
        """Read the same ranges of the named mutable shares that exist; of all of them if none is named. Spec: 05 §6.4."""
        ...

    async def test_and_write_slot(
        self,
        storage_index: StorageIndex,
        secrets: SlotSecrets,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
    ) -> tuple[bool, Mapping[int, Sequence[bytes]]]:
        """Write if all tests hold: (whether they did, what was in `ranges` of every share before). Spec: 05 §6.1.

        All or nothing, over all shares named. Raises BadWriteEnabler, DataTooLarge, NoSpace, ServerError.
        """
        ...

    async def report_corruption(
        self, kind: ShareKind, storage_index: StorageIndex, share_number: int, reason: str
    ) -> None:
        """Tell the server's operator that a share is damaged. Spec: 05 §9."""
        ...


# --- the grid as a client sees it ----------------------------------------------------------------------------------------


@frozen
class ServerIdentity:
    """Who a server is. Spec: 05 §14.

    `permutation_seed` places it in the ring of a file (any length); `lease_seed`, its 20-byte TubID, goes into the secrets
    shown to it.
    """

    server_id: str
    nickname: str
    permutation_seed: bytes = field(repr=False)
    lease_seed: bytes = field(repr=False)

    @property
    def short_name(self) -> str:
        """Eight characters for people and logs."""
        return self.server_id.removeprefix("v0-")[:8]


@frozen(eq=False)
class GridServer:
    """A server that can be asked now. One object for the life of its connection; compared by identity."""

    identity: ServerIdentity
    storage: StorageServer = field(repr=False)
    version: ServerVersion = field(repr=False)
    whole_shares: WholeShareServer | None = field(default=None, repr=False)
    """`storage` again, if it takes and gives whole small shares."""

    @classmethod
    def of(cls, identity: ServerIdentity, storage: StorageServer, version: ServerVersion) -> GridServer:
        """A server that says `version` of itself."""
        return cls(identity, storage, version, cast("WholeShareServer", storage) if version.whole_shares else None)


class Grid(Protocol):
    """The servers that are reachable now, in the order in which a file's shares should be sought and placed.

    The order is ascending (not preferred, SHA-1(storage index + permutation seed)). Spec: 01 §6.7.
    """

    def for_reading(self, storage_index: StorageIndex) -> Sequence[GridServer]: ...

    def for_upload(self, storage_index: StorageIndex) -> Sequence[GridServer]:
        """Only those that may take new shares (a grid manager may restrict them)."""
        ...


# --- bytes in and out of the client --------------------------------------------------------------------------------------


class Source(Protocol):
    """Bytes to be uploaded, read once from start to end, and again after `rewind`."""

    @property
    def size(self) -> int | None:
        """The number of bytes, if it is known before the end."""
        ...

    @property
    def rewindable(self) -> bool: ...

    async def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end, where it is b"". Raises SourceFailed."""
        ...

    async def rewind(self) -> None:
        """Start again from the first byte. Only if `rewindable`."""
        ...

    async def close(self) -> None:
        """Let go of files and buffers. Harmless when called twice."""
        ...


class Sink(Protocol):
    """Where downloaded bytes go. Back-pressure is awaiting: a slow sink is slow to return."""

    async def write(self, data: Bytes) -> None:
        """Take `data`, and return when more may come."""
        ...


class FileNode(Protocol):
    """A file that a cap opens."""

    @property
    def cap(self) -> Cap: ...

    @property
    def size(self) -> int:
        """Bytes of contents."""
        ...

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        """Write bytes [offset, offset + size) to `sink`, in order; to the end of the file if `size` is None.

        Bytes past the end are left out. Every byte is verified before it is written. Raises NotEnoughShares,
        NoShares, BadCiphertext; cancelling stops all requests in flight.
        """
        ...


@frozen
class MutableVersion:
    """One signed state of a mutable file. A larger sequence number is newer; equal ones are told apart by root hash."""

    sequence_number: int
    root_hash: bytes
    size: int
    needed: int
    total: int
    format: Literal["SDMF", "MDMF"]


Change = Callable[[bytes], bytes]
"""New contents of a mutable file from its present ones. Called again, on newer contents, when someone else wrote first, so it
must be able to; returns what it was given for "no change", and may raise to give up."""


class MutableFileNode(Protocol):
    """A mutable file that a cap opens. Everything but reading raises NotWriteable through a cap that only reads.

    All raise UnrecoverableFile when no version can be put together. Changes through one node are made one after the other.
    """

    @property
    def cap(self) -> Cap: ...

    async def version(self) -> MutableVersion:
        """The newest version that can be recovered."""
        ...

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> MutableVersion:
        """Write bytes [offset, offset + size) of the newest version to `sink`, as `FileNode.read` does."""
        ...

    async def contents(self) -> tuple[bytes, MutableVersion]:
        """All of the newest version. For directories and other files that fit into memory."""
        ...

    async def contents_within(self, largest: int) -> tuple[bytes | None, MutableVersion]:
        """The newest version; its contents too, unless they are more than `largest` bytes. For the price of `contents`."""
        ...

    async def overwrite(self, contents: Source) -> MutableVersion:
        """Replace whatever is there. Raises UncoordinatedWrite, SourceFailed, UnhappyUpload."""
        ...

    async def update(self, offset: int, data: Source) -> MutableVersion:
        """Put `data` at `offset`, which is at most the size; the file grows if it must. Raises ValueError beyond, and as above."""
        ...

    async def modify(self, change: Change) -> MutableVersion:
        """Read, change and write, again on top of every newer version until it is in. Raises UncoordinatedWrite, UnhappyUpload."""
        ...


# --- directories ---------------------------------------------------------------------------------------------------------

Metadata = Mapping[str, Any]
"""A JSON object. Its keys keep their order. "tahoe" in it belongs to the system. Spec: 04 §5."""

ChildKind = Literal["file", "directory", "unknown"]

Replace = Literal["always", "never", "only-files"]
"""What may happen to a child that is there already: "only-files" spares directories. Spec: 04 §6.2."""


@frozen
class Child:
    """One entry of a directory. `name` is in NFC.

    `damaged` says that the MAC of its write cap is wrong. The write cap is granted all the same if the read cap beside it is
    that which follows from it; else the child can only be read.
    """

    name: str
    caps: ChildCaps
    metadata: Metadata = field(factory=dict)
    damaged: bool = False

    @property
    def cap(self) -> Cap | None:
        """The strongest cap to it, if it is one that can be opened."""
        return None if self.kind == "unknown" else self.caps.known

    @property
    def kind(self) -> ChildKind:
        known = self.caps.known
        if isinstance(known, DirectoryCap):
            return "directory"
        return "unknown" if known is None or isinstance(known, ImmutableVerifyCap) else "file"


@frozen
class NewChild:
    """A child to be put into a directory under `name`, in any form. Without metadata that of a replaced one stays."""

    name: str
    caps: ChildCaps
    metadata: Metadata | None = None


@frozen
class Listing:
    """All of a directory at one moment: children in the order of their names, `size` of the packed directory in bytes.

    `left_out` has the entries whose caps break a rule, and why. Nobody is shown them, and no change to others loses them.
    """

    children: Mapping[str, Child]
    size: int
    left_out: Mapping[str, Fault] = field(factory=dict)


class DirectoryNode(Protocol):
    """A directory that a cap opens. Names are looked up in NFC. Changes of several callers are merged, whoever they are.

    Everything raises what reading its file raises, and BadDirectory; changes raise NotWriteable, UncoordinatedWrite and
    UnhappyUpload as well, and BadChild for caps that must not be stored.
    """

    @property
    def cap(self) -> DirectoryCap: ...

    async def list(self) -> Listing: ...

    async def get(self, name: str) -> Child:
        """Raises NoSuchChild."""
        ...

    async def add(self, children: Sequence[NewChild], replace: Replace = "always") -> None:
        """Put in all of them, or none if one is refused. Raises ChildExists."""
        ...

    async def remove(self, name: str, must_exist: bool = True, must_be: ChildKind | None = None) -> Child | None:
        """Take out a child, and return it; what it leads to lives on. Raises NoSuchChild, ChildOfWrongKind."""
        ...

    async def rename(self, name: str, new_name: str, replace: Replace = "always") -> None:
        """Raises NoSuchChild, ChildExists. A new name equal to the old one changes nothing, whether the child exists or not."""
        ...

    async def set_metadata(self, name: str, metadata: Metadata) -> None:
        """Replace all of a child's metadata but what belongs to the system. Raises NoSuchChild."""
        ...


@frozen
class UploadResult:
    """What became of an upload. `sharemap` is share number -> server ids of shares now known to be there."""

    cap: Cap
    size: int
    pushed_shares: int = 0
    existing_shares: int = 0
    sharemap: Mapping[int, frozenset[str]] = field(factory=dict)
    timings: Mapping[str, float] = field(factory=dict)
