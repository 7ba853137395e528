"""Real nodes as processes of their own, for tests: started, watched, asked over HTTP, and always ended."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

LAFS = (sys.executable, "-c", "from lafs.cli.main import main; main()")
PEER = os.environ.get("LAFS_PEER")

PATIENCE_SECONDS = 60.0
"""How long a test waits for something that takes a second on an idle machine. Nothing is asserted about times."""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something outside of this process to become true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_SECONDS:g} seconds in vain for {what}")
        time.sleep(0.02)


def run(command: Sequence[str], *arguments: str, home: Path) -> str:
    """Run a command to its end; its standard output. Raises AssertionError unless it succeeds."""
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment(home), timeout=60)
    if done.returncode:
        raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def environment(home: Path) -> dict[str, str]:
    """The environment of this process, with another home and no desktop."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    root = str(Path(__file__).parents[2])
    return {**inherited, "HOME": str(home), "PYTHONPATH": root, "PYTHONUNBUFFERED": "1"}


class Node:
    """A process that runs a node directory. `output` is what it has said so far, on either stream."""

    def __init__(self, command: Sequence[str], *arguments: str, directory: Path) -> None:
        self.directory = directory
        self.output = ""
        self._process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(directory.parent),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def until_says(self, words: str) -> Node:
        """Wait until `words` are in the output. Raises AssertionError if the process ends before."""
        until(lambda: words in self.output or self._process.poll() is not None, f"'{words}'")
        if words not in self.output:
            self._reader.join()
        if words not in self.output:
            raise AssertionError(f"ended with {self._process.returncode} without saying '{words}':\n{self.output}")
        return self

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit status, once it ends; negative for a signal."""
        status = self._process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return status

    def stop(self) -> int:
        """End it in order; the exit status."""
        self.tell(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()

    # --- its gateway ---

    @property
    def url(self) -> str:
        return (self.directory / "node.url").read_text().strip()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One HTTP request to its gateway: (status, body)."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def put(self, contents: bytes) -> str:
        """Store `contents`; the cap. Waits for servers to be there."""
        status, text = 0, b""

        def stored() -> bool:
            nonlocal status, text
            status, text = self.ask("PUT", "/uri", contents)
            return status in (200, 201)

        until(stored, f"a successful upload; {self.directory.name} answered {status}: {text!r}")
        return text.decode().strip()

    def get(self, cap: str) -> bytes:
        """The contents of `cap`. Waits for servers to be there."""
        contents = b""

        def found() -> bool:
            nonlocal contents
            status, contents = self.ask("GET", f"/uri/{quote(cap, safe='')}")
            return status == 200

        until(found, "a successful download")
        return contents

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
