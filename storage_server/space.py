"""How much room a server has to give. Spec: 05 §7."""
from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from storage_server.disk import Disk, DiskSpace


@frozen
class Room:
    """What a server may use of the file system its shares are on. Sizes in bytes."""

    disk: Disk
    shares: str
    reserved: int = 0
    readonly: bool = False

    def available(self) -> int:
        """Bytes that new shares may take; none when the disk cannot tell. In a worker thread."""
        if self.readonly:
            return 0
        space = self._space()
        return max(space.free_for_others - self.reserved, 0) if space else 0

    def statistics(self) -> Mapping[str, int]:
        """The part of the statistics that is about room. In a worker thread. Spec: 05 §10."""
        found = {"storage_server.reserved_space": self.reserved}
        available = 0
        if space := self._space():
            available = 0 if self.readonly else max(space.free_for_others - self.reserved, 0)
            found |= {
                "storage_server.disk_total": space.total,
                "storage_server.disk_used": space.total - space.free_for_root,
                "storage_server.disk_free_for_root": space.free_for_root,
                "storage_server.disk_free_for_nonroot": space.free_for_others,
                "storage_server.disk_avail": available,
            }
        return found | {"storage_server.accepting_immutable_shares": int(available > 0)}

    def _space(self) -> DiskSpace | None:
        try:
            return self.disk.space(self.shares)
        except OSError:
            return None
