"""A node as a process: in the foreground, one for each directory, ended cleanly by SIGTERM or SIGINT.

Called by `lafs run` and `lafs up`. Everything that can be refused is refused before Twisted is imported, so that a mistake is told
at once. The node does not read its standard input, and does not mind its end. Spec: 08 §7, §23.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from attrs import define

from lafs.errors import LafsError, NodeError
from lafs.node.config import Configuration, read
from lafs.node.process_file import ProcessFile

STOPPING_SECONDS = 15.0
"""How long an orderly stop may take; then the process ends anyway. What was acknowledged is on the disk by then."""

WANTED_FILES = 65_536

LOG_FILE_SIZE = 10_000_000
LOG_FILES = 5
"""A log file is at most so many bytes; so many older ones are kept."""

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
    tell(f"'lafs run' in '{directory}'")
    configuration = read(directory)
    claim = ProcessFile(directory)
    stale = claim.claim()
    if stale is not None:
        tell(stale)
    try:
        tell(f"running node in '{directory}'")
        for notice in configuration.notices:
            tell(f"Note: {notice}")
        # Paths inside endpoint strings (ssl: keys) are relative to the node directory.
        os.chdir(directory)
        raise_file_limit()
        return _run(configuration, _log_stream(logfile), ready, tell)
    finally:
        claim.release()


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us, up to what a large grid needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@define
class _Fate:
    """How the reactor came to its end."""

    failure: BaseException | None = None
    stopping: bool = False


def _run(configuration: Configuration, stream: IO[str], ready: Ready, tell: Tell) -> int:
    from twisted.internet import reactor as global_reactor
    from twisted.logger import Logger

    from lafs.node import logs
    from lafs.node.services import build
    from lafs.tasks import spawn, within

    reactor: Any = global_reactor
    logs.begin(stream)
    log = Logger(namespace="lafs.node")
    fate = _Fate()

    async def live() -> None:
        try:
            await node.start()
        except BaseException as failure:
            fate.failure = failure
            if not isinstance(failure, LafsError) and not fate.stopping:
                log.failure("the node could not start")
            stop()
        else:
            log.info("{kind} running", kind=configuration.kind)
            ready(node.url)

    async def end() -> None:
        try:
            await within(STOPPING_SECONDS, reactor, node.stop())
        except BaseException:
            log.failure("the node could not stop in order")

    def stop() -> None:
        if not fate.stopping:
            fate.stopping = True
            running.cancel()
            reactor.stop()

    def told(number: int, _frame: object) -> None:
        if fate.stopping:
            os._exit(128 + number)  # told twice: whoever it is, is in a hurry
        reactor.callFromThread(stop)

    node = build(configuration, reactor, tell)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: spawn(end()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    running = spawn(live())
    reactor.run(installSignalHandlers=False)
    return _status(fate)


def _status(fate: _Fate) -> int:
    if isinstance(fate.failure, LafsError):
        raise fate.failure
    if fate.failure is not None and type(fate.failure).__name__ != "CancelledError":
        raise NodeError(f"the node could not start: {type(fate.failure).__name__}; its log says more")
    return 0


def _print(text: str) -> None:
    print(text, flush=True)


def _log_stream(logfile: Path | None) -> IO[str]:
    if logfile is None:
        return sys.stdout
    from twisted.python.logfile import LogFile

    try:
        # Its types do not say so, but a LogFile takes text.
        make: Any = LogFile
        return cast("IO[str]", make(logfile.name, str(logfile.parent), LOG_FILE_SIZE, maxRotatedFiles=LOG_FILES))
    except OSError as error:
        raise NodeError(f"the log file {logfile} cannot be written: {error.strerror}") from None
