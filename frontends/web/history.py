"""What the gateway is doing and has lately done: the newest operations of each kind, for the status page. Spec: 07 §12."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from attrs import define
from twisted.internet.defer import CancelledError

Kind = Literal["upload", "download", "publish", "retrieve"]
"""Of immutable files, and of mutable ones: "publish" is also every change of a directory."""

REMEMBERED = 10
"""Finished operations of each kind that are kept."""

FINISHED = "Finished"

PATH_NAMES: dict[Kind, str] = {"upload": "up", "download": "down", "publish": "publish", "retrieve": "retrieve"}

UNDER_WAY: dict[Kind, str] = {
    "upload": "Uploading", "download": "Downloading", "publish": "Changing", "retrieve": "Reading",
}  # fmt: skip


@define(eq=False)
class Operation:
    """One of the things that the gateway does with the grid. Updated by whoever does it."""

    kind: Kind
    number: int
    """Counts up from 0 for each kind."""
    size: int | None
    storage_index: str | None = None
    done: int = 0
    """Bytes so far, in this pass over the source."""
    hashed: bool = False
    """This is the second pass over a source that was read once already, for its key."""
    outcome: str = ""
    """Empty while it is going on."""
    started: float = 0.0
    """Seconds since the epoch, as is `ended`."""
    ended: float | None = None

    @property
    def name(self) -> str:
        return f"{PATH_NAMES[self.kind]}-{self.number}"

    @property
    def failed(self) -> bool:
        return self.outcome not in ("", FINISHED)

    @property
    def progress(self) -> float:
        """0.0 to 1.0; 0.0 as long as the size is unknown."""
        if self.kind != "upload" or self.outcome == FINISHED:
            return self._part(self.done)
        return (self._part(self.size if self.hashed else self.done) + self._pushed) / 2

    @property
    def _pushed(self) -> float:
        """How much of an upload has been coded and sent. Of a source that can be read only once this is not seen from here."""
        return self._part(self.done if self.hashed else 0)

    def _part(self, size: int | None) -> float:
        if self.outcome == FINISHED:
            return 1.0
        return min(1.0, size / self.size) if size and self.size else 0.0

    @property
    def status(self) -> str:
        return self.outcome or UNDER_WAY[self.kind]

    def live(self) -> dict[str, object]:
        """As the pages follow it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "storage_index": self.storage_index or "",
            "size": self.size,
            "done": self.done,
            "progress": self.progress if self.kind in ("upload", "download") and not self.outcome else None,
            "status": self.status,
            "failed": self.failed,
        }

    def summary(self) -> dict[str, object]:
        """As `/status?t=json` shows it."""
        shown: dict[str, object] = {
            "type": self.kind,
            "storage-index-string": self.storage_index,
            "total-size": self.size,
            "status": self.status,
        }
        if self.kind == "download":
            return {**shown, "progress": self.progress}
        if self.kind != "upload":
            return shown
        # Encryption and sending go on together.
        return {
            **shown,
            "progress-hash": self._part(self.size if self.hashed else self.done),
            "progress-ciphertext": self._pushed,
            "progress-encode-push": self._pushed,
        }


class History:
    """All operations under way, and the last finished ones. `seconds` is the time, since the epoch."""

    def __init__(self, seconds: Callable[[], float] = lambda: 0.0) -> None:
        self._seconds = seconds
        self._active: dict[int, Operation] = {}
        self._recent: dict[Kind, deque[Operation]] = {kind: deque(maxlen=REMEMBERED) for kind in PATH_NAMES}
        self._counts: dict[Kind, int] = dict.fromkeys(PATH_NAMES, 0)

    @contextmanager
    def operation(self, kind: Kind, size: int | None = None, storage_index: str | None = None) -> Iterator[Operation]:
        """Record one operation, from here to the end of the block."""
        operation = Operation(kind, self._counts[kind], size, storage_index, started=self._seconds())
        self._counts[kind] += 1
        self._active[id(operation)] = operation
        try:
            yield operation
        except BaseException as error:
            operation.outcome = "Cancelled" if isinstance(error, CancelledError) else f"Failed: {type(error).__name__}"
            raise
        else:
            operation.outcome = FINISHED
        finally:
            operation.ended = self._seconds()
            del self._active[id(operation)]
            self._recent[kind].appendleft(operation)

    def named(self, name: str) -> Operation | None:
        """The operation of that name ("up-7"), if it is remembered."""
        return next((operation for operation in (*self.active(), *self.recent()) if operation.name == name), None)

    def newest(self, most: int) -> Sequence[Operation]:
        """Those under way and then the finished ones, the newest first; at most so many."""
        finished = sorted(self.recent(), key=lambda operation: operation.ended or 0.0, reverse=True)
        return [*self.active(), *finished][:most]

    def active(self) -> Iterable[Operation]:
        """Newest first."""
        return list(reversed(self._active.values()))

    def recent(self) -> Iterable[Operation]:
        """Newest first of each kind, uploads before downloads."""
        return [operation for kind in PATH_NAMES for operation in self._recent[kind]]
