"""Reports of trouble that users write into the gateway's form, kept for the operator in logs/incidents/. Spec: 07 §13.5.

Their number and size are bounded: whoever reaches the gateway can write one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import lafs
from lafs.errors import NodeError
from lafs.workers import Workers

MOST_REPORTS = 100
LONGEST_REPORT = 64 * 1024


class Incidents:
    """Keeps reports below the node directory."""

    def __init__(self, directory: Path, workers: Workers) -> None:
        self._folder = directory / "logs" / "incidents"
        self._workers = workers

    async def save(self, details: str) -> None:
        """Write one report; the oldest give way. Raises NodeError."""
        await self._workers.run(self._save, details[:LONGEST_REPORT])

    def _save(self, details: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%d--%H-%M-%SZ", time.gmtime(now))
        report = f"incident reported {stamp}\nlafs/{lafs.__version__}\n\n{details}\n"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / f"incident-{stamp}-{int(now * 1e6) % 1_000_000:06}.txt"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
                file.write(report)
            for old in sorted(self._folder.glob("incident-*.txt"))[:-MOST_REPORTS]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise NodeError(f"the report cannot be kept: {error.strerror}") from None
