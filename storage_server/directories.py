"""Where things are under the root of a storage directory, and how their names are made to last.

`Places` is the layout of a Tahoe server's storage directory (spec 05 §1), so that an existing one can be taken over as it is.
`Directories` makes directories on the way to a share and syncs them: a share is durable only when every name that leads to
it is, and many shares that are closed at once share those syncs.
"""
from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock
from typing import Final

from twisted.internet.defer import Deferred

from lafs.crypto.storage_index import StorageIndex
from lafs.tasks import spawn
from lafs.workers import Workers
from storage_server.disk import Disk
from storage_server.edits import bucket_of

SHARE_NAME: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
LARGEST_SHARE_NUMBER: Final = 255


def share_number(name: str) -> int | None:
    """The share number that a file in a bucket is named after; None for anything else, which is not ours to touch."""
    if SHARE_NAME.fullmatch(name) and int(name) <= LARGEST_SHARE_NUMBER:
        return int(name)
    return None


MOST_REMEMBERED: Final = 50_000
"""Directories that are remembered as synced."""


class Places:
    """Paths. Those of shares and buckets are relative to `shares`."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"
        self.shares = f"{self.root}/shares"
        self.incoming = f"{self.shares}/incoming"
        self.advisories = f"{self.root}/corruption-advisories"

    @staticmethod
    def bucket(storage_index: StorageIndex) -> str:
        text = storage_index.text
        return f"{text[:2]}/{text}"

    @classmethod
    def share(cls, storage_index: StorageIndex, number: int) -> str:
        return f"{cls.bucket(storage_index)}/{number}"

    def being_uploaded(self, storage_index: StorageIndex, number: int) -> str:
        """The absolute path of a share that is not finished."""
        return f"{self.incoming}/{storage_index.text}.{number}"

    def under_shares(self, path: str) -> str:
        """The absolute path of a share or bucket."""
        return f"{self.shares}/{path}"


def parent(path: str) -> str:
    return path.rpartition("/")[0]


class Directories:
    """Makes the directories that lead to shares, and syncs them in batches. Its methods but `settle` run in worker threads.

    A directory whose names may not be durable is *owed* a sync: because something was made in it, or because it was there
    when this process started and nobody knows whether the last one lived to sync it. Every batch pays all that is owed, so
    that no share is acknowledged while the way to it could still vanish.
    """

    def __init__(self, disk: Disk, shares: str, workers: Workers) -> None:
        self._disk = disk
        self._shares = shares
        self._workers = workers
        self._lock = Lock()
        self._owed: set[str] = set()
        self._settled: set[str] = set()
        self._prefixes: set[str] = set()
        """Those of the 1,024 that were there when last looked at: one need not be made again for every bucket in it."""
        self._waiting: list[tuple[frozenset[str], Deferred[None]]] = []
        self._running = False

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket and its prefix if they are not there; owed is what may not last of the way to it. Raises OSError."""
        bucket = f"{self._shares}/{bucket}"
        prefix = parent(bucket)
        if prefix in self._prefixes:
            try:
                self._make(bucket)
                return
            except FileNotFoundError:
                pass  # Somebody tidied up.
        self._make(prefix)
        self._prefixes.add(prefix)
        self._make(bucket)

    def _make(self, directory: str) -> None:
        above = parent(directory)
        with self._lock:
            if self._disk.make_directory(directory) or above not in self._settled:
                self._owed.add(above)

    def rename_into_bucket(self, source: str, share_path: str) -> None:
        """Give a finished file its place. The bucket may be removed under our feet when its last share goes: try again."""
        for attempts_left in (2, 1, 0):
            self.make_bucket(bucket_of(share_path))
            try:
                self._disk.rename(source, f"{self._shares}/{share_path}")
            except FileNotFoundError:
                if not attempts_left:
                    raise
                continue
            with self._lock:
                self._owed.add(f"{self._shares}/{bucket_of(share_path)}")
                self._settled.discard(f"{self._shares}/{bucket_of(share_path)}")
            return

    def sync(self, directories: Iterable[str]) -> None:
        """Sync `directories` and all that is owed. Raises OSError; all that is then owed still."""
        with self._lock:
            wanted, self._owed = self._owed.union(directories), set()
        try:
            for directory in sorted(wanted, reverse=True):
                with suppress(FileNotFoundError):  # An emptied bucket that was removed again.
                    self._disk.sync_directory(directory)
        except OSError:
            with self._lock:
                self._owed |= wanted
            raise
        with self._lock:
            if len(self._settled) > MOST_REMEMBERED:
                self._settled.clear()
            self._settled |= wanted - self._owed

    async def make_last(self, bucket: str) -> None:
        """Return when the shares that can be seen in a bucket (an absolute path) survive a crash. Raises OSError.

        One may be there whose upload is still waiting for its sync, or failed in it, or died with an earlier process.
        """
        with self._lock:
            doubtful = frozenset({bucket, parent(bucket), self._shares}) - self._settled
        if doubtful:
            await self.settle(doubtful)

    async def settle(self, directories: frozenset[str]) -> None:
        """Return when `directories`, and all that lead to them, survive a crash. Called from the reactor thread.

        One batch is synced at a time; whoever asks meanwhile shares the next one.
        """
        turn: Deferred[None] = Deferred(lambda _: None)
        self._waiting.append((directories, turn))
        if not self._running:
            self._running = True
            spawn(self._work_off())
        await turn

    async def _work_off(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            failure: Exception | None = None
            try:
                await self._workers.run(self.sync, frozenset[str]().union(*(wanted for wanted, _ in batch)))
            except Exception as error:
                failure = error
            for _, turn in batch:
                if turn.called:
                    continue
                if failure is None:
                    turn.callback(None)
                else:
                    turn.errback(failure)
        self._running = False
