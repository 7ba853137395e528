"""A node that serves SFTP, and OpenSSH's programs as a person would start them. Used by tests/frontends and the benchmarks."""
from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Finished, Node, free_port, run

ACCOUNT = "alice"


class SftpNode:
    """A grid of one machine (five folders, or fewer), an account that keys and a password open, and a folder `base` for files."""

    PASSWORD = "correct-horse"

    def __init__(self, folders: int | None = None) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="lafs-sftp-"))
        storage = [f"--storage={self.base / f'folder {number}'}" for number in range(folders or 0)]
        for number in range(folders or 0):
            (self.base / f"folder {number}").mkdir()
        self.directory = self.base / "node"
        self.port = free_port()
        self.node = Node(self.directory, LAFS, ["up", "-C", self.directory, "--no-open", f"--webport={free_port()}", *storage])
        self.node.start().wait_running()
        self.root = self.gateway().ask("POST", "/uri?t=mkdir").body.decode()
        self.node.stop()
        lines = [f"{ACCOUNT} {self.PASSWORD} {self.root}"]
        for kind, *size in (("ed25519",), ("rsa", "-b", "2048"), ("ecdsa",)):
            run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-f", str(self.base / kind)])
            lines.append(f"{ACCOUNT} {(self.base / f'{kind}.pub').read_text().strip()} {self.root}")
        (self.directory / "private" / "accounts").write_text("# people\nbroken line\n" + "\n".join(lines) + "\n")
        configuration = self.directory / "lafs.cfg"
        text = configuration.read_text().replace(
            "port = tcp:0:interface=127.0.0.1",
            f"port = tcp:{self.port}:interface=127.0.0.1\naccounts.file = private/accounts",
        )
        configuration.write_text(text)
        self.node.start().wait_running()

    def close(self) -> None:
        if self.node.is_alive:
            self.node.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def gateway(self) -> Gateway:
        return Gateway(int((self.directory / "node.url").read_text().rstrip("/\n").rpartition(":")[2]))

    def options(self, key: str = "ed25519") -> list[str]:
        """Of ssh, scp and sftp, but for the port."""
        return ["-q", "-F", "none", "-i", str(self.base / key), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
                "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={self.base / 'known'}"]  # fmt: skip

    def sftp(self, *commands: str, expect: int | None = 0, key: str = "ed25519", more: tuple[str, ...] = ()) -> Finished:
        batch = "\n".join(commands).encode() + b"\n"
        command = ["sftp", *self.options(key), *more, "-P", str(self.port), "-b", "-", f"{ACCOUNT}@127.0.0.1"]
        return run(command, stdin=batch, expect=expect)

    def scp(self, *arguments: str, expect: int | None = 0) -> Finished:
        return run(["scp", *self.options(), "-P", str(self.port), *arguments], expect=expect)

    def remote(self, path: str) -> str:
        """As scp names it."""
        return f"{ACCOUNT}@127.0.0.1:{path}"

    def file(self, name: str, contents: bytes) -> Path:
        """A local file."""
        path = self.base / name
        path.write_bytes(contents)
        return path
