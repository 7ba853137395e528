"""A share file made beside and synced, then given its place: nobody sees it before it is whole.

Synchronous; runs in worker threads. For new shares too large to be written twice, once in the journal and once in place.
"""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from attrs import frozen

from lafs.crypto.storage_index import StorageIndex
from storage_server.directories import Directories, Places
from storage_server.disk import Disk, create_anew
from storage_server.edits import Step, apply_steps


@frozen
class FilesBeside:
    """Makes new share files of one store. No upload of the same share may be in progress, and no journal remember it."""

    disk: Disk
    places: Places
    directories: Directories

    def make(self, storage_index: StorageIndex, number: int, steps: Sequence[Step]) -> None:
        """Make the file of a share by `steps`. It is synced then, and lasts when its bucket is settled. Raises OSError."""
        beside = self.places.being_uploaded(storage_index, number)
        file = create_anew(self.disk, beside)
        try:
            try:
                apply_steps(file, steps)
                file.sync()
            finally:
                file.close()
            self.directories.rename_into_bucket(beside, Places.share(storage_index, number))
        except OSError:
            # On a full disk, what was written so far would be in the way of everything else.
            with suppress(OSError):
                self.disk.remove(beside)
            raise
