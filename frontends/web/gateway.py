"""What the handlers of the gateway share, gathered in one value. Made once by `site.make_site`."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from frontends.web.history import History
from frontends.web.pages import Pages
from lafs.capability import Cap
from lafs.interfaces import FileNode, NodeStatus, Source, UploadResult
from lafs.tasks import Clock


class Files(Protocol):
    """What the gateway needs of `lafs.filesystem.Filesystem`."""

    async def upload(self, source: Source) -> UploadResult:
        """Store `source`, and close it."""
        ...

    def open(self, cap: Cap) -> FileNode:
        """The file that `cap` reads. Raises BadCapability."""
        ...


@frozen
class Gateway:
    """The rooms behind the gateway's door."""

    files: Files
    status: NodeStatus
    clock: Clock
    history: History
    pages: Pages
    assets: Mapping[str, tuple[bytes, bytes]]
