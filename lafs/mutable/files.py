"""The mutable files of one grid: opens those that exist, makes new ones. Used by lafs/filesystem.py.

    MutableFiles      keys for new files, one Slot for each file in use
      MutableFile     one cap: who may do what, changes one after the other
        SlotWriter    overwrite, modify, update (in place: update.py); Publication writes a Goal, one call a server
        SlotAccess    the newest version: a Survey fills a ShareMap, a Retrieval reads a Version of it
      Examiner        judges shares; geometry, share_layout, encoding, decoding: their bytes

No server is trusted: what is read is what the owner of the file has signed, and what is written is on `happy` servers or reported
as failed. Spec: 03.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lafs.capability import MutableFormat, MutableReadCap, MutableVerifyCap, MutableWriteCap
from lafs.crypto.rsa import PrivateKey
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import NoServers
from lafs.interfaces import Grid, GridServer, LeaseSecrets, Source
from lafs.mutable.access import SlotAccess
from lafs.mutable.key_pool import KeyPool
from lafs.mutable.node import MutableCap, MutableFile
from lafs.mutable.slot import SigningKey, Slot, Slots
from lafs.mutable.tools import Coding, Tools
from lafs.mutable.writer import SlotWriter
from lafs.sources import BytesSource
from lafs.statistics import Counters
from lafs.tasks import Clock
from lafs.workers import Workers

FirstContents = Source | bytes | Callable[[MutableWriteCap], bytes]
"""Of a new file. What is called with the cap of the file may put secrets into it that follow from the cap, as directories do."""


class MutableFiles:
    """One for each client. `keys` is where those of new files come from; in `spool` blocks of large files wait, encrypted."""

    def __init__(
        self,
        grid: Grid,
        workers: Workers,
        clock: Clock,
        coding: Coding,
        lease_secrets_for: Callable[[StorageIndex, GridServer], LeaseSecrets],
        counters: Counters,
        random_bytes: Callable[[int], bytes] = os.urandom,
        keys: KeyPool | None = None,
        spool: Path | None = None,
    ) -> None:
        self._tools = Tools(grid, workers, clock, coding, lease_secrets_for, counters, random_bytes, spool)
        self._keys = keys or KeyPool(workers)
        self._slots = Slots()

    def prepare(self) -> None:
        """Have keys for new files made in the background."""
        self._keys.prepare()

    def open(self, cap: MutableWriteCap | MutableReadCap | MutableVerifyCap) -> MutableFile:
        """The file of `cap`. Asks nobody anything yet."""
        return MutableFile(cap, self._tools, self._slot(cap))

    async def create(
        self, contents: FirstContents = b"", format: MutableFormat = "SDMF", private_key: PrivateKey | None = None
    ) -> MutableFile:
        """Make a new file, under a fresh key or the one given. Closes `contents` if it is a Source.

        Raises NoServers, UnhappyUpload, SourceFailed; UncoordinatedWrite if the given key has a file already.
        """
        try:
            key = private_key or await self._keys.take()
            public_key = key.public_key
            cap = MutableWriteCap(format, key.write_key, public_key.fingerprint)
            if not self._tools.grid.for_upload(cap.storage_index):
                raise NoServers("No storage server is connected. Check the network and the introducer, then try again.")
            slot = self._slot(cap)
            slot.examiner.public_key = public_key
            signing_key = SigningKey.of(key)
            writer = SlotWriter(
                self._tools, slot, SlotAccess(self._tools, slot, cap.read_key), cap.write_key, cap.read_key
            )
            source = _source_of(contents, cap)
            await slot.lane.submit(lambda: writer.create(source, format, signing_key))
            return self.open(cap)
        finally:
            if not isinstance(contents, bytes) and not callable(contents):
                await contents.close()

    def _slot(self, cap: MutableCap) -> Slot:
        return self._slots.get(cap.storage_index, cap.fingerprint)


def _source_of(contents: FirstContents, cap: MutableWriteCap) -> Source:
    if isinstance(contents, bytes):
        return BytesSource(contents)
    return BytesSource(contents(cap)) if callable(contents) else contents
