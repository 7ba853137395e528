"""SFTP with other clients: rclone, and paramiko for what no well-behaved program does. Spec: 09 §7, §9, §13, §14."""
from __future__ import annotations

import json
import random
import shutil
from typing import ClassVar

import paramiko
import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.frontends.sftp_client import ACCOUNT, SftpNode
from tests.process.harness import Finished, run, wait_until

pytestmark = pytest.mark.process

CONTENTS = random.Random(7).randbytes(2_000_000)


class Clients(SynchronousTestCase):
    """One node for all tests."""

    server: ClassVar[SftpNode]

    @classmethod
    def setUpClass(cls) -> None:
        assert shutil.which("rclone"), "rclone is missing: install it"
        cls.server = SftpNode()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close()

    def rclone(self, *arguments: str, expect: int | None = 0) -> Finished:
        obscured = run(["rclone", "obscure", self.server.PASSWORD]).text
        options = ["--sftp-host=127.0.0.1", f"--sftp-port={self.server.port}", f"--sftp-user={ACCOUNT}", f"--sftp-pass={obscured}"]
        return run(["rclone", "--config", "", "--retries", "1", *options, *arguments], expect=expect)

    def connect(self, password: str = SftpNode.PASSWORD) -> paramiko.SFTPClient:
        transport = paramiko.Transport(("127.0.0.1", self.server.port))
        self.addCleanup(transport.close)
        transport.connect(username=ACCOUNT, password=password)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        return client

    def test_rclone_copies_checks_and_syncs_and_then_finds_nothing_to_do(self) -> None:
        tree = self.server.base / "tree"
        (tree / "below").mkdir(parents=True)
        for number in range(10):
            (tree / "below" / f"é {number}").write_bytes(CONTENTS[: number * 20_000])
        self.rclone("copy", str(tree), ":sftp:copied")
        self.rclone("check", "--download", str(tree), ":sftp:copied")
        (tree / "below" / "é 3").unlink()
        (tree / "new").write_bytes(b"new")
        self.rclone("sync", str(tree), ":sftp:copied")
        self.rclone("check", "--download", str(tree), ":sftp:copied")
        again = self.rclone("sync", "-v", str(tree), ":sftp:copied").stderr.decode()
        self.assertNotIn("Copied", again)
        self.assertEqual(self.rclone("lsf", ":sftp:copied").text.split("\n"), ["below/", "new"])

    def test_a_wrong_password_is_refused(self) -> None:
        self.assertRaises(paramiko.AuthenticationException, self.connect, "wrong")

    def test_a_connection_that_breaks_off_stores_nothing(self) -> None:
        client = self.connect()
        file = client.open("partial", "wb")
        file.write(CONTENTS[:500_000])
        file.flush()
        client.get_channel().get_transport().sock.close()  # type: ignore[union-attr]
        client.get_channel().get_transport().close()  # type: ignore[union-attr]
        wait_until(lambda: "partial" not in self.connect().listdir(), "the partial file to be gone")

    def test_every_request_is_answered_also_those_that_make_no_sense(self) -> None:
        client = self.connect()
        for handle in (b"", b"nonsense", bytes(8)):
            for kind, fields in (
                (paramiko.sftp.CMD_READ, (paramiko.sftp.int64(0), 10)),
                (paramiko.sftp.CMD_WRITE, (paramiko.sftp.int64(0), b"x")),
                (paramiko.sftp.CMD_FSTAT, ()),
                (paramiko.sftp.CMD_CLOSE, ()),
                (paramiko.sftp.CMD_READDIR, ()),
            ):
                self.assertRaises(OSError, client._request, kind, handle, *fields)
        for kind in (paramiko.sftp.CMD_READLINK, paramiko.sftp.CMD_SYMLINK, 21, 199):
            self.assertRaises(OSError, client._request, kind, b"x", b"y")
        self.assertRaises(OSError, client._request, paramiko.sftp.CMD_EXTENDED, b"made-up@example.org")
        self.assertEqual(client.normalize("a/../b//c"), "/b/c")

    def test_too_many_open_files_are_refused_and_not_kept(self) -> None:
        client = self.connect()
        with client.open("one", "wb") as file:
            file.write(b"x" * 100)
        opened = []
        with self.assertRaises(OSError):
            for _ in range(300):
                opened.append(client.open("one", "rb"))
        self.assertGreaterEqual(len(opened), 200)
        opened[0].close()
        client.open("one", "rb")

    def test_pipelined_writes_and_reads_at_any_place(self) -> None:
        client = self.connect()
        with client.open("pieces", "wb") as file:
            file.set_pipelined(True)
            for start in range(0, len(CONTENTS), 50_000):
                file.write(CONTENTS[start : start + 50_000])
        with client.open("pieces", "r+b") as file:
            file.seek(1_000_000)
            file.write(b"changed")
            file.truncate(1_500_000)
        expected = CONTENTS[:1_000_000] + b"changed" + CONTENTS[1_000_007:1_500_000]
        with client.open("pieces", "rb") as file:
            file.prefetch()
            self.assertEqual(file.read(), expected)
        with client.open("pieces", "rb") as file:
            ranges = [(1_499_990, 10), (0, 5), (999_998, 20), (700_000, 40_000)]
            self.assertEqual(list(file.readv(ranges)), [expected[start : start + size] for start, size in ranges])
        self.assertEqual(client.stat("pieces").st_size, 1_500_000)

    def test_a_directory_of_many_entries_is_listed_whole(self) -> None:
        children = {f"entry {number}": ["filenode", {"ro_uri": "URI:LIT:krugkidfnzsc4"}] for number in range(3_000)}
        self.server.gateway().ask("POST", f"/uri/{self.server.root}/many?t=mkdir-with-children", body=json.dumps(children).encode())
        self.assertEqual(set(self.connect().listdir("many")), set(children))
