"""Files that a client has open: what the front ends see of them, only read (`read_ahead`) or written (`written_file`).

Made by `virtual_tree`. Spec: 09 §5 to §8.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import field, frozen

from lafs.interfaces import Bytes, ChildKind


@frozen
class Attributes:
    """What is shown of an object. `size` in bytes, None for what has none; `modified` in whole seconds since the epoch."""

    kind: ChildKind
    size: int | None = None
    writable: bool = False
    modified: int | None = None


@frozen
class AttributeChange:
    """What is to become different; None: as it is. `extended` are other keys of the metadata."""

    size: int | None = None
    writable: bool | None = None
    modified: int | None = None
    extended: Mapping[str, Any] = field(factory=dict)

    @property
    def touches_metadata(self) -> bool:
        return self.writable is not None or self.modified is not None or bool(self.extended)

    def applied_to(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """`metadata` with this change, and without what belongs to the system."""
        changed = {key: value for key, value in metadata.items() if key != "tahoe"}
        if self.writable is not None:
            changed.pop("no-write", None)
            if not self.writable:
                changed["no-write"] = True
        if self.modified is not None:
            changed["mtime"] = self.modified
        changed.update(self.extended)
        return changed

    def then(self, later: AttributeChange) -> AttributeChange:
        """Both in one, but for the size."""
        return AttributeChange(
            None,
            self.writable if later.writable is None else later.writable,
            self.modified if later.modified is None else later.modified,
            {**self.extended, **later.extended},
        )


class OpenFile(Protocol):
    """One open file. What is asked of it is done in the order in which it is asked; all raise errors of lafs.errors.

    Exactly one of `close` and `abandon` ends it, and nothing may be asked of it afterwards.
    """

    async def read_chunk(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`, fewer only at the end of the file (or more than a few megabytes); b"" past it."""
        ...

    async def write_chunk(self, offset: int, data: Bytes) -> None:
        """Put `data` at `offset`, or at the end if the file was opened to append.

        Returns when more may come, which may be before it is kept; what goes wrong later is raised by later calls and `close`.
        """
        ...

    async def attributes(self) -> Attributes: ...

    async def set_attributes(self, change: AttributeChange) -> None: ...

    async def sync(self) -> None:
        """Store and link what was written so far."""
        ...

    async def close(self) -> None:
        """Returns when what was written is stored and linked. If it raises, the old contents are still what is linked."""
        ...

    def abandon(self) -> None:
        """Let go of it without storing what was not stored yet: a transfer broke off."""
        ...
