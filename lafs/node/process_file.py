"""running.process: which process runs a node directory, so that a second one cannot.

The file says `<pid> <start time>`, written under a lock on running.process.lock, as other programs expect. Beyond that, a
lafs node keeps its own lock on running.process for as long as it lives: the kernel lets go of it however the process ends,
so neither a recycled pid nor a clock that was set can fool us about one of ours. A file left by the peer is judged by pid
and start time. Used by `process` and by `lafs up`. Spec: 08 §7.3, §24 C20.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lafs.errors import NodeError
from lafs.node.files import PUBLIC, write_whole

_START_TOLERANCE_SECONDS = 5.0
"""The kernel counts from boot and the file from the epoch; the difference moves a little when the clock is adjusted."""


class ProcessFile:
    """The claim of this process on a node directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "running.process"
        self._lock_path = directory / "running.process.lock"
        self._held: int | None = None

    def claim(self) -> str | None:
        """Claim the directory for this process until `release`, or until it dies.

        Returns what to tell the user if the file of a dead process was found. Raises NodeError if another runs.
        """
        with self._locked():
            stale = self._stale_pid()
            pid = os.getpid()
            write_whole(self._path, f"{pid} {start_time(pid) or 0.0}\n".encode(), PUBLIC)
            self._held = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None if stale is None else f"'{self._path}' refers to {stale} that isn't running"

    def release(self) -> None:
        """Take the claim back. Harmless when there is none."""
        if self._held is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._held)
            self._held = None

    def running_pid(self) -> int | None:
        """The process that runs the directory now. Raises NodeError for a file that makes no sense."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NodeError(f"{self._path} cannot be read: {error.strerror}") from None
        try:
            pid, started = self._parsed(os.read(descriptor, 200))
            if _is_locked(descriptor):
                return pid
        finally:
            os.close(descriptor)
        if pid == os.getpid():
            return None  # of a process before us: in a container every one is process 1
        actual = start_time(pid)
        return pid if actual is not None and abs(actual - started) <= _START_TOLERANCE_SECONDS else None

    def _stale_pid(self) -> int | None:
        if not self._path.exists():
            return None
        running = self.running_pid()
        if running is not None:
            raise NodeError(f"A process is already running as PID {running}; stop it first: kill {running}")
        return self._parsed(self._path.read_bytes()[:200])[0]

    def _parsed(self, data: bytes) -> tuple[int, float]:
        found = re.fullmatch(rb"\s*([0-9]{1,10})\s+([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*", data)
        if not found:
            raise NodeError(f"found invalid PID file in {self._path}; if no node runs there, remove it")
        return int(found[1]), float(found[2])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PUBLIC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NodeError(f"Another process is still locking {self._lock_path}; try again when it is done") from None
            yield
        finally:
            os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Whether somebody else holds the lock of an open file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def start_time(pid: int) -> float | None:
    """When process `pid` started, in seconds since the epoch; None if there is no such process, or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        fields = stat[stat.rindex(b")") + 2 :].split()  # the name of the program, before it, may hold anything
        if fields[0] in (b"Z", b"X"):
            return None
        boot = re.search(rb"^btime ([0-9]+)$", Path("/proc/stat").read_bytes(), re.MULTILINE)
        assert boot is not None
        return float(int(boot[1])) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/stat").exists() else _start_time_by_ps(pid)


def _start_time_by_ps(pid: int) -> float | None:
    """Where there is no /proc (macOS, BSD)."""
    from time import mktime, strptime

    told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    try:
        return mktime(strptime(told.stdout.strip(), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None
