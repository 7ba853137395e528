"""What the handlers of the gateway share, gathered in one value. Made once by `site.make_site`."""
from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attrs import Factory, field, frozen

from frontends.web.content_labels import ContentLabels
from frontends.web.errors import Explainer
from frontends.web.history import History
from frontends.web.operations import Operations
from frontends.web.pages import Pages
from frontends.web.sessions import Sessions
from lafs.capability import Cap, MutableFormat
from lafs.crypto.rsa import PrivateKey
from lafs.directory.deep_walk import Visit
from lafs.directory.directory import Directory
from lafs.directory.traversal import Trail
from lafs.health import CheckResults, RepairResults
from lafs.interfaces import FileNode, MutableFileNode, NewChild, Replace, Source, UploadResult
from lafs.node_status import NodeStatus
from lafs.tasks import Clock
from lafs.workers import InlineWorkers, Workers


class Files(Protocol):
    """What the gateway needs of `lafs.filesystem.Filesystem`, which says what each of these does and raises."""

    async def upload(self, source: Source) -> UploadResult:
        """Store `source`, and close it."""
        ...

    def open(self, cap: Cap) -> FileNode:
        """The file that `cap` reads. Raises BadCapability."""
        ...

    def open_mutable(self, cap: Cap) -> MutableFileNode: ...

    async def create_mutable(
        self, contents: Source, format: MutableFormat = ..., private_key: PrivateKey | None = ...
    ) -> MutableFileNode: ...

    def open_directory(self, cap: Cap) -> Directory: ...

    async def create_directory(
        self, children: Iterable[NewChild] = ..., format: MutableFormat = ..., private_key: PrivateKey | None = ...
    ) -> Directory: ...

    async def create_immutable_directory(self, children: Iterable[NewChild]) -> Directory: ...

    async def follow(self, cap: Cap, path: Sequence[str]) -> Trail: ...

    async def resolve(self, cap: Cap, path: Sequence[str]) -> Trail: ...

    async def make_directories(self, cap: Cap, path: Sequence[str], format: MutableFormat = ...) -> Directory: ...

    async def move(
        self,
        source: Directory,
        name: str,
        target: Directory,
        new_name: str,
        replace: Replace = ...,
        passed: Collection[Directory] = ...,
    ) -> None: ...

    def walk(self, cap: Cap) -> AsyncGenerator[Visit, None]: ...

    async def check(self, cap: Cap, verify: bool = ..., add_lease: bool = ...) -> CheckResults | None: ...

    async def check_and_repair(self, cap: Cap, verify: bool = ..., add_lease: bool = ...) -> RepairResults | None: ...


@frozen
class Gateway:
    """The rooms behind the gateway's door."""

    files: Files
    status: NodeStatus
    clock: Clock
    history: History
    pages: Pages
    assets: Mapping[str, tuple[bytes, bytes]]
    explainer: Explainer
    sessions: Sessions
    labels: ContentLabels
    default_format: MutableFormat = "SDMF"
    """Of new directories, if the request names none."""
    workers: Workers = field(factory=InlineWorkers)
    """Where large pages are made."""
    random: Callable[[int], bytes] = os.urandom
    static: Path | None = None
    """The folder that is shown under /static, if any."""
    save_incident: Callable[[str], Awaitable[None]] | None = None
    """Keeps what a user writes about some trouble."""
    operations: Operations = field(init=False, default=Factory(lambda self: Operations(self.clock), takes_self=True))

    def explained(self, error: BaseException) -> str:
        """What a page says of `error`."""
        return self.explainer.explain(error).text
