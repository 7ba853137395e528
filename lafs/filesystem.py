"""The face of the client: bytes in and cap out, cap in and file out. Every front end talks to this, and never deeper."""
from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from attrs import field, frozen

from lafs.capability import (
    LITERAL_LIMIT,
    Cap,
    DirectoryCap,
    ImmutableReadCap,
    LiteralCap,
    MutableFormat,
    MutableReadCap,
    MutableVerifyCap,
    MutableWriteCap,
)
from lafs.capability_slots import child_caps
from lafs.crypto.derivations import lease_secrets
from lafs.crypto.rsa import PrivateKey
from lafs.crypto.storage_index import StorageIndex
from lafs.directory.children import View, pack_children
from lafs.directory.deep_walk import Visit, walk
from lafs.directory.directories import Directories
from lafs.directory.directory import Directory
from lafs.directory.moving import move
from lafs.directory.traversal import Trail, follow
from lafs.errors import BadCapability, ChildExists, NoSuchChild, NotADirectory, NotWriteable, SourceFailed
from lafs.health import CheckResults, RepairResults
from lafs.immutable.check import Checker
from lafs.immutable.downloader import Downloader
from lafs.immutable.keying import ConvergentKeys, Keyed, KeyHasher, KeyMaker, RandomKeys
from lafs.immutable.literal import LiteralFile
from lafs.immutable.parameters import EncodingParameters
from lafs.immutable.repair import Repairer
from lafs.immutable.uploader import Uploader
from lafs.interfaces import FileNode, Grid, GridServer, LeaseSecrets, NewChild, Replace, Source, UploadResult
from lafs.mutable.files import FirstContents, MutableFiles
from lafs.mutable.key_pool import KeyPool
from lafs.mutable.node import MutableFile
from lafs.mutable.share_layout import MOST_SHARES
from lafs.mutable.tools import Coding
from lafs.sources import BytesSource
from lafs.statistics import Counters
from lafs.tasks import Clock
from lafs.upkeep import Care, Upkeep
from lafs.workers import Workers


async def _at_once() -> None:
    """Nothing to wait for."""


@frozen
class ClientSecrets:
    """What a client keeps to itself: the root of its lease secrets, and its convergence secret (None: random keys)."""

    lease_secret: bytes = field(repr=False)
    convergence: bytes | None = field(repr=False)


class Filesystem:
    """One client of one grid. `spool` is where uploads of unknown contents wait, encrypted, for their key.

    `settled` returns when it is known which servers there are: what is stored before goes to the few that happened to come first,
    and what is checked before seems to be lost.
    """

    def __init__(
        self,
        grid: Grid,
        workers: Workers,
        clock: Clock,
        secrets: ClientSecrets,
        encoding: EncodingParameters,
        counters: Counters,
        spool: Path | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        generate_key: Callable[[], PrivateKey] = PrivateKey.generate,
        keys: KeyPool | None = None,
        settled: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self.encoding = encoding
        self.counters = counters
        self._secrets = secrets
        self._settled = settled
        self._uploader = Uploader(grid, workers, clock, self._secrets_for)
        self._downloader = Downloader(grid, workers, clock, counters)
        total = min(encoding.total, MOST_SHARES)  # of 256 there is no mutable file
        coding = Coding(min(encoding.needed, total), encoding.happy, total)
        self._mutable = MutableFiles(
            grid, workers, clock, coding, self._secrets_for, counters, random_bytes,
            keys or KeyPool(workers, generate_key), spool,
        )
        self._upkeep = Upkeep(
            Checker(grid, workers, clock, self._secrets_for, encoding.happy),
            Repairer(grid, workers, clock, self._secrets_for, self._downloader),
            self._mutable.open,
            encoding.happy,
        )
        self._directories = Directories(clock, workers, self.open, self._mutable.open)
        self._keys: KeyMaker
        if secrets.convergence is None:
            self._keys = RandomKeys(random_bytes, workers, spool)
        else:
            self._keys = ConvergentKeys(secrets.convergence, workers, spool)

    async def upload(self, source: Source, key: bytes | None = None) -> UploadResult:
        """Store all of `source`, and close it. Up to 55 bytes become a literal cap, which needs no server.

        `key` is what a hasher of `key_hasher` found in just these bytes; the size of the source is then known.

        Raises SourceFailed, NoServers, UnhappyUpload. Cancelling leaves nothing behind on servers.
        """
        keyed: Keyed | None = None
        try:
            if source.size is not None and source.size <= LITERAL_LIMIT:
                return await self._literal(source, source.size)
            if key is not None and source.size is not None:
                keyed = Keyed(source, source.size, key)
            else:
                keyed = await self._keys.key_for(source, self.encoding)
            if keyed.size <= LITERAL_LIMIT:
                return await self._literal(keyed.source, keyed.size)
            await self._settled()
            result = await self._uploader.upload(keyed.source, keyed.size, keyed.key, self.encoding)
            self._count(result.size)
            return result
        finally:
            await source.close()
            if keyed is not None:
                await keyed.source.close()

    def key_hasher(self) -> Callable[[], KeyHasher] | None:
        """Makes hashers that find the key of an upload while its bytes come in; None if keys do not follow from contents."""
        return partial(self._keys.hasher, self.encoding) if isinstance(self._keys, ConvergentKeys) else None

    def open(self, cap: Cap) -> FileNode:
        """The file that `cap` reads. Raises BadCapability for a cap that reads no file, or whose numbers cannot be."""
        if isinstance(cap, LiteralCap):
            return LiteralFile(cap)
        if isinstance(cap, ImmutableReadCap):
            cap.check_ranges()
            return self._downloader.open(cap)
        raise BadCapability("this is not a cap that reads an immutable file")

    def open_mutable(self, cap: Cap) -> MutableFile:
        """The mutable file that `cap` reads, writes or verifies. Raises BadCapability for any other cap."""
        if isinstance(cap, MutableWriteCap | MutableReadCap | MutableVerifyCap):
            return self._mutable.open(cap)
        raise BadCapability("this is not the cap of a mutable file")

    async def create_mutable(
        self, contents: FirstContents = b"", format: MutableFormat = "SDMF", private_key: PrivateKey | None = None
    ) -> MutableFile:
        """Make a new mutable file, under a fresh key or the one given. See `MutableFiles.create`."""
        await self._settled()
        return await self._mutable.create(contents, format, private_key)

    def prepare_keys(self) -> None:
        """Have keys for new mutable files made in the background, so that the first need not wait for one."""
        self._mutable.prepare()

    # --- directories ---------------------------------------------------------------------------------------------

    def open_directory(self, cap: Cap) -> Directory:
        """The directory that `cap` reads. Raises BadCapability for any other cap."""
        return self._directories.open(cap)

    async def create_directory(
        self, children: Iterable[NewChild] = (), format: MutableFormat = "SDMF", private_key: PrivateKey | None = None
    ) -> Directory:
        """Make a new mutable directory, which nothing leads to yet. Raises BadChild, and as `create_mutable`."""
        children = tuple(children)
        await self._settled()
        file = await self._mutable.create(lambda cap: pack_children(children, View(cap.write_key)).contents, format, private_key)
        return self.open_directory(DirectoryCap(file.cap))

    async def create_immutable_directory(self, children: Iterable[NewChild]) -> Directory:
        """Store a directory that never changes. Raises BadChild if one of `children` may change, and as `upload`."""
        packed = pack_children(children, View(immutable=True))
        result = await self.upload(BytesSource(packed.contents))
        assert isinstance(result.cap, ImmutableReadCap | LiteralCap)
        return self.open_directory(DirectoryCap(result.cap))

    async def follow(self, cap: Cap, path: Sequence[str], within_seconds: float = 0) -> Trail:
        """Go along `path` from `cap` as far as it leads; the trail says what is in the way, if anything is.

        Directories that this client read or wrote within so many seconds are not read again.
        """
        return await follow(self.open_directory, cap, path, within_seconds)

    async def resolve(self, cap: Cap, path: Sequence[str]) -> Trail:
        """Go along `path` from `cap` to its end. Raises NoSuchChild, NotADirectory, naming what could not be followed."""
        trail = await self.follow(cap, path)
        if trail.obstacle is not None:
            raise trail.obstacle
        return trail

    async def make_directories(self, cap: Cap, path: Sequence[str], format: MutableFormat = "SDMF") -> Directory:
        """The directory at `path` below `cap`; it, and those on the way to it, are made if they are not there.

        Raises NotADirectory if something else is in the way.
        """
        while True:
            trail = await self.follow(cap, path)
            if isinstance(trail.obstacle, NoSuchChild):
                parent = trail.passed[-1]
                if parent.cap.is_readonly:
                    raise NotWriteable(f"There is no {trail.rest[0]!r}, and a directory that can only be read takes none.")
                # From the bottom up, so that all of them appear with one change of what is there.
                made = await self.create_directory(format=format)
                below = made
                for name in reversed(trail.rest[1:]):
                    below = await self.create_directory([_link(name, below)], format)
                try:
                    await parent.add([_link(trail.rest[0], below)], "never")
                except ChildExists:
                    continue  # Somebody else was faster: go along theirs.
                return made
            if trail.obstacle is not None:
                raise trail.obstacle
            if not isinstance(trail.cap, DirectoryCap):
                raise NotADirectory(path[-1] if path else "", unknown=trail.cap is None)
            return self.open_directory(trail.cap)

    async def move(
        self,
        source: Directory,
        name: str,
        target: Directory,
        new_name: str,
        replace: Replace = "always",
        passed: Collection[Directory] = (),
    ) -> None:
        """Move a child of `source` into `target`, to which `passed` lead. See lafs/directory/moving.py."""
        await move(source, name, target, new_name, replace, passed)

    def walk(self, cap: Cap) -> AsyncGenerator[Visit, None]:
        """Visit the directory of `cap` and all that is below it. Raises BadCapability. See lafs/directory/deep_walk.py."""
        directory = self.open_directory(cap)
        return walk(self.open_directory, directory.cap)

    # --- upkeep --------------------------------------------------------------------------------------------------

    async def check(self, cap: Cap, verify: bool = False, add_lease: bool = False) -> CheckResults | None:
        """How the object of `cap` is, by what all servers say or, with `verify`, by all they have. See lafs/upkeep.py."""
        await self._settled()
        return await self._upkeep.check(cap, Care(verify, add_lease))

    async def check_and_repair(self, cap: Cap, verify: bool = False, add_lease: bool = False) -> RepairResults | None:
        """Check the object of `cap`, and repair it if it needs that and the cap allows it. See lafs/upkeep.py."""
        await self._settled()
        return await self._upkeep.check_and_repair(cap, Care(verify, add_lease))

    async def _literal(self, source: Source, size: int) -> UploadResult:
        contents = await source.read(size) if size else b""
        if len(contents) != size:
            raise SourceFailed("what is being uploaded became shorter while it was read")
        self._count(size)
        return UploadResult(LiteralCap(contents), size)

    def _count(self, size: int) -> None:
        self.counters.count("uploader.files_uploaded")
        self.counters.count("uploader.bytes_uploaded", size)

    def _secrets_for(self, storage_index: StorageIndex, server: GridServer) -> LeaseSecrets:
        renew, cancel = lease_secrets(self._secrets.lease_secret, storage_index, server.identity.lease_seed)
        return LeaseSecrets(renew, cancel)


def _link(name: str, directory: Directory) -> NewChild:
    return NewChild(name, child_caps(directory.cap.text, None))
