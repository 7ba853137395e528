"""Node processes of either program: made, started, told to stop, killed, paused, measured, and never left behind.

The ground of tests/process, tests/interop and benchmarks. A node is known only by what anybody can see of it: its directory,
its log, its web gateway, and what the kernel says of its process. Spec: 08 §§6, 7.
"""
from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from attrs import frozen

T = TypeVar("T")

PATIENCE_SECONDS = 90.0
"""How long to wait for what normally takes a second: a busy machine is no failure."""

LOG_SHOWN = 3000
"""Characters of a log that an error shows."""


class ProcessFailed(AssertionError):
    """A node or a command did not do what it had to; says what it printed."""


@frozen
class Program:
    """A program that makes and runs nodes: lafs, or the peer."""

    name: str
    command: tuple[str, ...]
    configuration: str
    """The file in a node directory that its create commands write."""

    def run(self, *arguments: str | Path, stdin: bytes | None = None, expect: int | None = 0) -> Finished:
        """Run a command to its end. Raises ProcessFailed when its exit status is not `expect` (None: any)."""
        return run([*self.command, *map(str, arguments)], stdin=stdin, expect=expect)


@frozen
class Finished:
    """What a command left."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode().strip()


LAFS = Program("lafs", (sys.executable, "-c", "from lafs.cli.main import main; main()"), "lafs.cfg")


def peer() -> Program:
    """The real peer, at LAFS_PEER. Raises ProcessFailed when there is none."""
    path = os.environ.get("LAFS_PEER", "")
    if not os.access(path, os.X_OK):
        raise ProcessFailed(f"LAFS_PEER={path!r} is no program; it must be the `tahoe` command of Tahoe-LAFS 1.20")
    return Program("peer", (path,), "tahoe.cfg")


def run(
    command: Sequence[str], *, stdin: bytes | None = None, expect: int | None = 0, seconds: float = PATIENCE_SECONDS
) -> Finished:
    """Run a command to its end. Raises ProcessFailed when its exit status is not `expect` (None: any)."""
    given: dict[str, object] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False, env=_environment(), **given)  # type: ignore[call-overload]
    if expect is not None and done.returncode != expect:
        raise ProcessFailed(
            f"{command[-3:]} ended with {done.returncode}, not {expect}:\n{_tail(done.stdout)}\n{_tail(done.stderr)}"
        )
    return Finished(done.returncode, done.stdout, done.stderr)


def wait_until(condition: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Ask until the answer is true, and return it. Raises ProcessFailed after `seconds`; `what` completes "waited for"."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            raise ProcessFailed(f"waited {seconds:.0f} seconds in vain for {what}")
        time.sleep(0.02)
    return answer


_given_out: set[int] = set()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on, never given out before.

    Below the range that the kernel takes outgoing connections from, so that none of those gets in between.
    """
    while True:
        port = random.randrange(12_000, 32_000)
        if port in _given_out:
            continue
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_out.add(port)
        return port


class Node:
    """A node directory and, while it runs, its process."""

    def __init__(self, directory: Path, program: Program = LAFS, command: Sequence[str | Path] | None = None) -> None:
        self.directory = directory
        self.program = program
        self._arguments = list(map(str, command or ["run", "--allow-stdin-close", directory]))
        self._log_path = directory.parent / f"{directory.name}.log"
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{self.program.name} node {self.directory.name}>"

    def change_program(self, program: Program) -> None:
        """From the next start on, another program runs the directory."""
        self.program = program

    # --- its life ---

    def start(self) -> Node:
        """Start the process; `wait_running` says when it serves."""
        assert not self.is_alive, f"{self} is running already"
        log: IO[bytes]
        with self._log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [*self.program.command, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(),
                preexec_fn=_die_with_parent,
            )
        _alive.add(self)
        return self

    def wait_running(self) -> Node:
        """Wait until its log says that it serves."""
        wait_until(lambda: self._says("client running", "introducer running", "lafs is running:", "\nready"), f"{self} to serve")
        return self

    def stop(self) -> int:
        """Stop in order (SIGTERM). Returns the exit status, negative for a signal."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The process is gone from one moment to the next (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it printed since it was last started; nothing once its folder is gone."""
        if not self._log_path.exists():
            return ""
        with self._log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _says(self, *words: str) -> bool:
        log = self.log
        if any(word in log for word in words):
            return True
        if not self.is_alive:
            raise ProcessFailed(f"{self} ended before it served:\n{log[-LOG_SHOWN:]}")
        return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        # Without a check, a pid that was given to somebody else could be hit.
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._signal(number)
        self._signal(signal.SIGCONT)
        try:
            return self._process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{self} did not end on {number.name}:\n{self.log[-LOG_SHOWN:]}") from None
        finally:
            self._signal(signal.SIGKILL)
            self._process.wait()
            _alive.discard(self)
            _ended.append(_log_of(self))

    # --- what it costs ---

    @property
    def cpu_seconds(self) -> float:
        """Processor time it has used since it was started, its own and the kernel's for it."""
        return processor_seconds(self.pid)

    @property
    def peak_resident(self) -> int:
        """The most memory it has had resident, in bytes."""
        return self._status("VmHWM")

    @property
    def resident(self) -> int:
        """The memory it has resident now, in bytes."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """Count `peak_resident` from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise ProcessFailed(f"the kernel does not say the {name} of {self}")


def processor_seconds(pid: int) -> float:
    """Processor time of a process since it was started, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_alive: set[Node] = set()

_C_LIBRARY = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Asks Linux to kill this process, a node about to start, when ours ends: even killed, we leave nothing running."""
    if sys.platform == "linux":
        _C_LIBRARY.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_ended: deque[tuple[str, str]] = deque(maxlen=10)


def logs() -> list[tuple[str, str]]:
    """The ends of the logs of nodes that run, and of the last that were ended since `forget_logs`: (title, text)."""
    return [*_ended, *map(_log_of, sorted(_alive, key=repr))]


def forget_logs() -> None:
    """A new test begins."""
    _ended.clear()


def _log_of(node: Node) -> tuple[str, str]:
    """Without the chatter of waiting."""
    lines = [line for line in node.log.splitlines() if "GET /?t=json" not in line]
    return f"log of {node}", "\n".join(lines)[-LOG_SHOWN:]


@atexit.register
def kill_all() -> None:
    """End every node that is left, whatever has happened."""
    for node in list(_alive):
        with contextlib.suppress(Exception):
            node.kill()


def set_options(path: Path, section: str, options: Mapping[str, str]) -> None:
    """Set options in a configuration file, as its owner would with an editor: in their section, at its start."""
    lines = [line for line in path.read_text().splitlines() if line.partition("=")[0].strip() not in options]
    if f"[{section}]" not in lines:
        lines += ["", f"[{section}]"]
    at = lines.index(f"[{section}]") + 1
    lines[at:at] = [f"{name} = {value}" for name, value in options.items()]
    path.write_text("\n".join(lines) + "\n")


def _environment() -> dict[str, str]:
    """Nothing of this user's own nodes, and lafs as it is in this tree even when it is not installed."""
    root = str(Path(__file__).parent.parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _tail(output: bytes) -> str:
    return output.decode(errors="replace")[-LOG_SHOWN:]
