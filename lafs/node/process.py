"""A node as a process: in the foreground, one for each directory, ended cleanly by SIGTERM or SIGINT.

Called by `lafs run` and `lafs up`. Everything that can be refused is refused before Twisted is imported, so that a mistake is told
at once. The node does not read its standard input, and does not mind its end. Spec: 08 §7, §23.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lafs.errors import LafsError, NodeError
from lafs.node.allocator import keep_large_blocks
from lafs.node.config import Configuration, read
from lafs.node.process_file import ProcessFile

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from lafs.node.services import RunningNode

STOPPING_SECONDS = 15.0
"""How long an orderly stop may take; then the process ends anyway. What was acknowledged is on the disk by then."""

WANTED_FILES = 65_536

Tell = Callable[[str], object]

Ready = Callable[[str | None], None]
"""Called once the node serves, with the URL of its web gateway, if it has one."""


def run(directory: Path, *, logfile: Path | None = None, ready: Ready = lambda _: None, tell: Tell | None = None) -> int:
    """Run the node in `directory` until it is told to stop. Returns the exit status, 0 after an orderly stop.

    Raises LafsError if it cannot start. The log goes to stdout, or to `logfile`; what a person should know, to `tell`
    (and the log), by default stdout.
    """
    directory = directory.absolute()
    tell = tell or _print
    configuration = read(directory)
    claim = ProcessFile(directory)
    stale = claim.claim()
    if stale is not None:
        tell(stale)
    try:
        tell(f"running node in '{directory}'")
        for notice in (*configuration.notices, *exposures(directory)):
            tell(f"Note: {notice}")
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _leave)
        # Paths inside endpoint strings (ssl: keys) are relative to the node directory.
        os.chdir(directory)
        raise_file_limit()
        keep_large_blocks()
        return _run(configuration, logfile, ready, tell)
    finally:
        claim.release()


def exposures(directory: Path) -> Iterator[str]:
    """What lets other users of this machine read the secrets of the node."""
    private = directory / "private"
    if private.is_dir() and private.stat().st_mode & 0o077:
        yield f"other users may enter {private}, which holds the secrets of this node; close it: chmod 700 {private}"


def _leave(_number: int, _frame: object) -> None:
    """Told to stop before there is anything to stop."""
    sys.exit(0)


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us, up to what a large grid needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _run(configuration: Configuration, logfile: Path | None, ready: Ready, tell: Tell) -> int:
    from twisted.internet import reactor
    from twisted.logger import Logger

    from lafs.node import logs
    from lafs.node.services import build

    logs.begin(_log_stream(logfile))
    log = Logger(namespace="lafs.node")

    def warn(text: str) -> None:
        tell(text)
        if logfile is not None:  # else it is on the same stream already
            log.warn("{text}", text=text)

    life = _Life(reactor, build(configuration, reactor, warn), configuration.kind, ready)
    life.lead()
    if isinstance(life.failure, LafsError):
        raise life.failure
    if life.failure is not None:
        raise NodeError(f"the node could not start: {type(life.failure).__name__}; its log says more")
    return 0


class _Life:
    """A node from the start of the reactor to its end."""

    def __init__(self, reactor: Any, node: RunningNode, kind: str, ready: Ready) -> None:
        from twisted.logger import Logger

        self.failure: Exception | None = None
        self._reactor = reactor
        self._node = node
        self._kind = kind
        self._ready = ready
        self._stopping = False
        self._starting: Deferred[None] | None = None
        self._log = Logger(namespace="lafs.node")

    def lead(self) -> None:
        """Run the reactor until the node is told to stop, or cannot start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._end)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run(installSignalHandlers=False)

    def _begin(self) -> None:
        from lafs.tasks import spawn

        self._starting = spawn(self._start())

    async def _start(self) -> None:
        try:
            await self._node.start()
            # What there is now stays to the end: those who look for garbage need not look through it again and again.
            gc.collect()
            gc.freeze()
            self._log.info("{kind} running", kind=self._kind)
            self._ready(self._node.url)
        except Exception as failure:
            self.failure = failure
            if not isinstance(failure, LafsError):
                self._log.failure("the node could not start")
            self._stop()

    def _told(self, number: int, _frame: object) -> None:
        if self._stopping:
            os._exit(128 + number)  # told twice: whoever it is, is in a hurry
        self._reactor.callFromThread(self._stop)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()

    def _end(self) -> Deferred[None]:
        from lafs.tasks import spawn

        return spawn(self._finish())

    async def _finish(self) -> None:
        from lafs.tasks import within

        try:
            # Never in the middle of starting: what was half made could not be told from what was not.
            if self._starting is not None:
                await within(STOPPING_SECONDS, self._reactor, self._starting)
            await within(STOPPING_SECONDS, self._reactor, self._node.stop())
        except Exception:
            self._log.failure("the node could not stop in order")


def _print(text: str) -> None:
    print(text, flush=True)


def _log_stream(logfile: Path | None) -> IO[str]:
    if logfile is None:
        return sys.stdout
    from lafs.node.logs import rotated

    return rotated(logfile)
