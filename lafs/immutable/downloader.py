"""Reading immutable files: a cap goes in, a node that streams verified plaintext comes out.

    Downloader          the files read lately: what is known of each is kept for the next read
      RemoteFile        one file: FileFacts (verified), ShareMap (who has what), ShareSearch (asks servers)
      FileRead          one read: runs in flight, delivered in order; ReadWindow says how many
        RunFetch        one run of segments: picks shares, replaces bad and late ones
          ShareFetcher  one share: ShareState (what to read next, what to believe), Fragments (what was read)
          segment       the work on bytes: check blocks, decode, check the segment, decrypt

Everything is verified before use, anchored at the hash in the cap: no server, and no number of servers together, can
make a read deliver a wrong byte. Used by lafs/filesystem.py. Spec: 02 §12.
"""
from __future__ import annotations

from collections import OrderedDict
from typing import Final

from attrs import field, frozen

from lafs.capability import ImmutableReadCap, ImmutableVerifyCap
from lafs.immutable.file_facts import FileFacts
from lafs.immutable.file_read import FileRead
from lafs.immutable.read_window import WindowBudget
from lafs.immutable.remote_file import DownloadTools, RemoteFile
from lafs.interfaces import ByteRange, Grid, Sink
from lafs.statistics import Counters
from lafs.tasks import Clock
from lafs.workers import Workers

FILES_KEPT: Final = 512
BYTES_KEPT: Final = 32 * 1024 * 1024
"""What is remembered of files between reads, at the most."""


class Downloader:
    """Opens files of one grid. All its files share what is known of the speed of servers, and one budget of memory."""

    def __init__(self, grid: Grid, workers: Workers, clock: Clock, counters: Counters) -> None:
        self._tools = DownloadTools(grid, workers, clock)
        self._counters = counters
        self._budget = WindowBudget()
        self._files: OrderedDict[ImmutableVerifyCap, RemoteFile] = OrderedDict()
        self._weights: dict[ImmutableVerifyCap, int] = {}
        self._kept = 0
        """The sum of these."""

    def open(self, cap: ImmutableReadCap) -> ImmutableFile:
        """The file that `cap` reads, whose numbers have been checked. Asks nobody anything yet."""
        return ImmutableFile(cap, self)

    async def read(self, cap: ImmutableReadCap, sink: Sink, wanted: ByteRange) -> None:
        """Write `wanted`, a range inside the file, to `sink`. For `ImmutableFile`."""
        self._counters.count("downloader.files_downloaded")
        self._counters.count("downloader.bytes_downloaded", wanted.length)
        if not wanted.length:
            return
        await self._read(cap.verifier(), cap.key, sink, wanted)

    async def read_ciphertext(self, cap: ImmutableVerifyCap, sink: Sink) -> None:
        """Write all of a file as it is coded to `sink`: for a repair, which needs no key. Raises as `FileNode.read`."""
        await self._read(cap, None, sink, ByteRange(0, cap.size))

    def facts(self, cap: ImmutableVerifyCap) -> FileFacts:
        """What is known of the file; from the first bytes of a read on, everything."""
        return self._file(cap).facts

    async def _read(self, name: ImmutableVerifyCap, key: bytes | None, sink: Sink, wanted: ByteRange) -> None:
        file = self._file(name)
        try:
            await FileRead(file, key, wanted, self._budget).into(sink)
        finally:
            if self._files.get(name) is file:
                self._weigh(name, file.weight)
                self._trim()

    def _file(self, cap: ImmutableVerifyCap) -> RemoteFile:
        file = self._files.get(cap)
        if file is None:
            file = self._files[cap] = RemoteFile.of(cap, self._tools)
        self._files.move_to_end(cap)
        return file

    def _weigh(self, cap: ImmutableVerifyCap, weight: int) -> None:
        self._kept += weight - self._weights.get(cap, 0)
        self._weights[cap] = weight

    def _trim(self) -> None:
        """Forget the files not read for longest, down to the limits. One that is being read goes on without us."""
        while len(self._files) > FILES_KEPT or self._kept > BYTES_KEPT:
            forgotten, _ = self._files.popitem(last=False)
            self._kept -= self._weights.pop(forgotten, 0)


@frozen(eq=False)
class ImmutableFile:
    """Implements `lafs.interfaces.FileNode` for a file on the grid."""

    cap: ImmutableReadCap
    _downloader: Downloader = field(repr=False)

    @property
    def size(self) -> int:
        return self.cap.size

    async def read(self, sink: Sink, offset: int = 0, size: int | None = None) -> None:
        """See `FileNode.read`. Raises ValueError for a negative number."""
        if offset < 0 or (size is not None and size < 0):
            raise ValueError("a range of bytes has no negative numbers")
        left = max(self.cap.size - offset, 0)
        await self._downloader.read(self.cap, sink, ByteRange(offset, left if size is None else min(size, left)))
