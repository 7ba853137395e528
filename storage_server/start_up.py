"""Making a storage directory ready to be served. Runs once, in a worker thread, before anything else. Spec: 05 §1.

An existing directory of a Tahoe server is taken over as it is: its crawler files are left alone, and those of old releases
that are pickles are never opened.
"""
from __future__ import annotations

from collections.abc import Collection

from twisted.logger import Logger

from storage_server.directories import Places, parent
from storage_server.disk import Disk
from storage_server.journal import Journal

log = Logger()


def prepare(disk: Disk, places: Places, journal: Journal) -> None:
    """Make what is missing, carry out what a crash interrupted, forget uploads that were not finished. Raises OSError."""
    for directory in (places.root, places.shares, places.advisories, places.incoming):
        make_durably(disk, directory)
    if recovered := journal.recover():
        log.info("Carried out {count} changes that a crash had interrupted", count=recovered)
    if kept := frozenset(journal.paths):
        log.error("Changes that a crash had interrupted could not be carried out yet: the disk is full, or fails")
    empty(disk, places.incoming, spared=kept)
    disk.sync_directory(places.incoming)


def make_durably(disk: Disk, directory: str) -> None:
    """Make a directory and those above it. It was there before: then it is for others to have made it last."""
    if disk.is_directory(directory):
        return
    above = parent(directory)
    if above and not disk.exists(above):
        make_durably(disk, above)
    disk.make_directory(directory)
    disk.sync_directory(above or "/")


def empty(disk: Disk, directory: str, spared: Collection[str] = ()) -> None:
    """Remove everything in a directory, but for the paths that are `spared`."""
    for name in disk.list_directory(directory):
        path = f"{directory}/{name}"
        if path in spared:
            continue
        if disk.is_directory(path):
            empty(disk, path)
            disk.remove_directory(path)
        else:
            disk.remove(path)
