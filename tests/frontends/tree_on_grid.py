"""A virtual tree over a grid in memory. Used by the tests of the tree and of SFTP sessions."""
from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from twisted.internet.defer import Deferred

from frontends.open_files import Attributes, OpenFile
from frontends.paths import names_of
from frontends.scratch import ScratchSpace
from frontends.virtual_tree import OpenFlags, Tree, TreeTools
from lafs.capability import Cap
from lafs.directory.directory import Directory
from lafs.immutable.parameters import EncodingParameters
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from tests.memory_grid import Grid, ms

T = TypeVar("T")

READ = OpenFlags(read=True)
CREATE = OpenFlags(write=True, create=True, truncate=True)
EXCLUSIVE = OpenFlags(write=True, create=True, exclusive=True)
PATCH = OpenFlags(read=True, write=True)
APPEND = OpenFlags(write=True, create=True, append=True)


class GridTree:
    """One account's tree over five servers, and shorthands that run until they are done."""

    def __init__(self, grid: Grid | None = None, root: Cap | None = None) -> None:
        encoding = EncodingParameters(needed=3, happy=3, total=5, max_segment_size=128 * 1024)
        self.grid = grid or Grid(servers=5, encoding=encoding, latency=ms(5))
        self.tools = TreeTools(self.grid.client, InlineWorkers(), ScratchSpace(None))
        self.root: Cap = root or self.grid.run(self.grid.client.create_directory()).cap
        self.tree = Tree(self.tools, self.root)

    def other_gateway(self) -> GridTree:
        """The same account through another node."""
        self.grid.forget()
        return GridTree(self.grid, self.root)

    def run(self, work: Awaitable[T]) -> T:
        return self.grid.run(work)

    def begin(self, work: Awaitable[T]) -> Deferred[T]:
        """Start `work`; the clock goes on with the next `run`."""
        return spawn(work)

    def pass_time(self, seconds: float) -> None:
        self.grid.time.pass_time(seconds)

    def open(self, path: str, flags: OpenFlags = READ) -> OpenFile:
        return self.run(self.tree.open(names_of(path), flags))

    def write(self, path: str, contents: bytes, flags: OpenFlags = CREATE) -> None:
        file = self.open(path, flags)
        for start in range(0, len(contents), 32768):
            self.run(file.write_chunk(start, contents[start : start + 32768]))
        self.run(file.close())

    def contents(self, file: OpenFile) -> bytes:
        """All of an open file."""
        found = bytearray()
        while piece := self.run(file.read_chunk(len(found), 32768)):
            found += piece
        return bytes(found)

    def read(self, path: str) -> bytes:
        file = self.open(path)
        try:
            return self.contents(file)
        finally:
            self.run(file.close())

    def stat(self, path: str) -> Attributes:
        return self.run(self.tree.attributes(names_of(path)))

    def names(self, path: str = "") -> list[str]:
        return sorted(self.run(self.tree.list(names_of(path))))

    def mkdir(self, path: str) -> None:
        self.run(self.tree.make_directory(names_of(path)))

    def rename(self, source: str, target: str, overwrite: bool = False) -> None:
        self.run(self.tree.rename(names_of(source), names_of(target), overwrite))

    def remove(self, path: str) -> None:
        self.run(self.tree.remove(names_of(path)))

    def directory(self) -> Directory:
        return self.grid.client.open_directory(self.root)
