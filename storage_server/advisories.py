"""Reports of damaged shares, kept as small text files for the server's operator.

Anybody may send one, so they are bounded: in size, in number, and in how fast they come. Spec: 05 §9, §19 D10.
"""
from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError
from lafs.interfaces import ShareKind
from storage_server.disk import Disk

LARGEST_REASON: Final = 32765
"""Characters; longer reasons are cut."""
MAXIMUM_FILES: Final = 10_000
BURST: Final = 100
PER_SECOND: Final = 1.0


@frozen
class Advisory:
    """One report. `when` in seconds since the epoch."""

    kind: ShareKind
    storage_index: StorageIndex
    share_number: int
    reason: str
    when: float

    @property
    def name(self) -> str:
        """The name of its file."""
        moment = datetime.fromtimestamp(self.when, UTC).replace(tzinfo=None)
        return f"{moment.isoformat().replace(':', '')}--{self.storage_index.text}-{self.share_number}"

    @property
    def text(self) -> str:
        return (
            "report: Share Corruption\n"
            f"type: {self.kind}\n"
            f"storage_index: {self.storage_index.text}\n"
            f"share_number: {self.share_number}\n"
            "\n"
            f"{self.reason[:LARGEST_REASON]}\n"
            "\n"
        )


class Allowance:
    """Lets through a burst, and then so many a second."""

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._last = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may pass at `now`."""
        self._left = min(self._burst, self._left + max(now - self._last, 0.0) * self._per_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def keep(disk: Disk, directory: str, advisory: Advisory, available: int) -> bool:
    """Write `advisory` down, unless there is no room for it; whether it was. In a worker thread. Raises OSError."""
    text = advisory.text.encode("utf-8", "replace")
    if len(text) > available or len(disk.list_directory(directory)) >= MAXIMUM_FILES:
        return False
    path = f"{directory}/{advisory.name}"
    try:
        file = disk.create(path)
    except FileExistsError:
        return False  # The same share in the same microsecond: one report is enough.
    try:
        file.write(0, text)
        file.sync()
    finally:
        file.close()
    disk.sync_directory(directory)
    return True


def decode_reason(reason: bytes) -> str:
    """The text of a reason that came over a wire. Raises ServerError."""
    try:
        return reason.decode("utf-8")
    except UnicodeDecodeError:
        raise ServerError("the reason of a corruption report is not UTF-8") from None
