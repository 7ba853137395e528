"""FTP as users have it: curl, lftp, rclone and Python's ftplib, in clear and over TLS, and a real node over five folders."""
from __future__ import annotations

import contextlib
import ftplib
import io
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.memory_grid import random_bytes
from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Finished, Node, free_port, run, wait_until

pytestmark = pytest.mark.process

CONTENTS = random_bytes(3_000_000, seed=21)
SECONDS = 60


class FtpNode:
    """A node with one account, alice, whose password is `secret`. `options` are lines of [ftpd]."""

    def __init__(self, base: Path, *options: str) -> None:
        self.base = base
        self.directory = base / "node"
        self.port = free_port()
        self.node = Node(self.directory, LAFS, ["up", "-C", self.directory, "--no-open", f"--webport={free_port()}"])
        self.node.start().wait_running()
        url = (self.directory / "node.url").read_text().strip().rstrip("/")
        root = Gateway(int(url.rpartition(":")[2])).ask("POST", "/uri?t=mkdir").text
        (self.directory / "private" / "accounts").write_text(f"alice secret {root}\n")
        self.node.stop()
        self._without_ftp = (self.directory / "lafs.cfg").read_text()
        self.start(*options)

    def use(self, *options: str) -> None:
        """Run with `options`; if it does so already, go on."""
        if options != self._options:
            self.node.stop()
            self.start(*options)

    def start(self, *options: str) -> None:
        self._options = options
        lines = ["", "[ftpd]", "enabled = true", *options]
        if not any(line.startswith("port") for line in options):
            lines.append(f"port = tcp:{self.port}")
        (self.directory / "lafs.cfg").write_text(self._without_ftp + "\n".join(lines) + "\n")
        self.node.start().wait_running()

    def remove(self) -> None:
        if self.node.is_alive:
            self.node.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    @property
    def certificate(self) -> Path:
        return self.directory / "private" / "ftp.pem"

    @property
    def log(self) -> str:
        return (self.directory / "logs" / "lafs.log").read_text()


_shared: list[FtpNode] = []


def setUpModule() -> None:
    base = Path(tempfile.mkdtemp(prefix="lafs-ftp-"))
    _shared.append(FtpNode(base, "allow_plain = true"))


def tearDownModule() -> None:
    _shared.pop().remove()


class WithNode(SynchronousTestCase):
    """All tests share a node; each has a folder of its own, here and there."""

    @property
    def server(self) -> FtpNode:
        return _shared[0]

    def setUp(self) -> None:
        self.server.use("allow_plain = true")
        self.folder = self.server.base / self._testMethodName
        self.folder.mkdir()
        self.place = self._testMethodName
        with self.python() as ftp:
            ftp.mkd(self.place)

    @contextlib.contextmanager
    def python(self, tls: bool = False) -> Iterator[ftplib.FTP]:
        """ftplib, logged in."""
        ftp: ftplib.FTP = ftplib.FTP(timeout=SECONDS)
        if tls:
            context = ssl.create_default_context(cafile=str(self.server.certificate))
            ftp = ftplib.FTP_TLS(context=context, timeout=SECONDS)
        ftp.connect("127.0.0.1", self.server.port)
        ftp.login("alice", "secret")
        if isinstance(ftp, ftplib.FTP_TLS):
            ftp.prot_p()
        try:
            yield ftp
        finally:
            ftp.close()

    def file(self, name: str, contents: bytes = CONTENTS) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
        return path

    def tree(self) -> Path:
        """A folder with some of everything."""
        for number in range(8):
            self.file(f"tree/below/é {number}", CONTENTS[: number * 20_000])
        self.file("tree/large")
        (self.folder / "tree" / "empty").mkdir()
        return self.folder / "tree"

    def contents(self, path: str) -> bytes:
        data = bytearray()
        with self.python() as ftp:
            ftp.retrbinary(f"RETR {path}", data.extend)
        return bytes(data)

    def names(self) -> list[str]:
        with self.python() as ftp:
            return sorted(ftp.nlst(self.place))


class Curl(WithNode):
    def curl(self, *arguments: str | Path, tls: bool = False, path: str = "", expect: int | None = 0) -> Finished:
        secure = ["--ssl-reqd", "--cacert", str(self.server.certificate)] if tls else []
        url = f"ftp://127.0.0.1:{self.server.port}/{self.place}/{path}"
        return run(["curl", "-sS", "--user", "alice:secret", *secure, *map(str, arguments), url], expect=expect)

    def test_what_is_put_is_got_again(self) -> None:
        for tls in (False, True):
            self.curl("-T", self.file("here"), tls=tls, path="%C3%A9")
            self.assertEqual(self.curl(tls=tls, path="%C3%A9").stdout, CONTENTS)
            self.assertIn("3000000", self.curl(tls=tls).stdout.decode())

    def test_a_download_goes_on_where_it_was(self) -> None:
        self.curl("-T", self.file("here"), path="x")
        for tls in (False, True):
            back = self.file("back", CONTENTS[:1_234_567])
            self.curl("-C", "-", "-o", back, tls=tls, path="x")
            self.assertEqual(back.read_bytes(), CONTENTS)

    def test_an_upload_goes_on_where_it_was(self) -> None:
        for tls in (False, True):
            self.curl("-T", self.file("part", CONTENTS[:1_234_567]), tls=tls, path="x")
            self.curl("-C", "-", "-T", self.file("here"), tls=tls, path="x")
            self.assertEqual(self.contents(f"{self.place}/x"), CONTENTS)

    def test_files_grow_by_appending(self) -> None:
        for tls in (False, True):
            self.curl("-T", self.file("first", b"first "), tls=tls, path="x")
            self.curl("--append", "-T", self.file("second", b"second"), tls=tls, path="x")
            self.assertEqual(self.contents(f"{self.place}/x"), b"first second")

    def test_text_is_text(self) -> None:
        self.curl("--use-ascii", "-T", self.file("here", b"one\ntwo\n"), path="x")
        self.assertEqual(self.contents(f"{self.place}/x"), b"one\ntwo\n")
        self.assertEqual(self.curl("--use-ascii", path="x").stdout.replace(b"\r", b""), b"one\ntwo\n")

    def test_one_that_is_killed_leaves_nothing(self) -> None:
        url = f"ftp://127.0.0.1:{self.server.port}/{self.place}/x"
        for secure in ([], ["--ssl-reqd", "-k"]):
            command = ["curl", "-s", "--user", "alice:secret", *secure, "--limit-rate", "500k", "-T", str(self.file("here")), url]
            client = subprocess.Popen(command)
            wait_until(lambda: self.names() == ["x"], "the upload to begin")
            client.send_signal(signal.SIGKILL)
            client.wait()
            wait_until(lambda: self.names() == [], "the upload to be forgotten")


class Lftp(WithNode):
    def test_trees_are_mirrored_both_ways(self) -> None:
        tree = self.tree()
        secure = f"set ftp:ssl-force yes; set ssl:ca-file {self.server.certificate}; set ftp:ssl-protect-data yes"
        for name, settings in (("plain", "set ftp:ssl-allow no"), ("tls", secure)):
            there = f"{self.place}/{name}"
            script = f"set cmd:fail-exit yes; {settings}; mirror -R {tree} {there}; mirror {there} {self.folder}/{name}"
            run(["lftp", "-u", "alice,secret", "-e", f"{script}; bye", f"ftp://127.0.0.1:{self.server.port}"])
            run(["diff", "-r", str(tree), str(self.folder / name)])

    def test_a_second_mirror_only_brings_what_is_new_and_takes_away_what_is_gone(self) -> None:
        tree = self.tree()
        script = f"set ftp:ssl-allow no; mirror -R --delete -v {tree} {self.place}/x; bye"
        command = ["lftp", "-u", "alice,secret", "-e", script, f"ftp://127.0.0.1:{self.server.port}"]
        run(command)
        (tree / "below" / "é 1").unlink()
        self.file("tree/new", b"new")
        told = run(command).stdout.decode()
        self.assertIn("new", told)
        self.assertNotIn("large", told)
        script = f"set ftp:ssl-allow no; mirror {self.place}/x {self.folder}/back; bye"
        run([*command[:4], script, command[-1]])
        run(["diff", "-r", str(tree), str(self.folder / "back")])


class Rclone(WithNode):
    def rclone(self, *arguments: str | Path, tls: bool) -> str:
        password = run(["rclone", "obscure", "secret"]).text
        secure = ["--ftp-explicit-tls", "--ftp-no-check-certificate"] if tls else []
        where = ["--config", os.devnull, "--ftp-host", "127.0.0.1", "--ftp-port", str(self.server.port), "--ftp-user", "alice"]
        done = run(["rclone", *where, "--ftp-pass", password, *secure, *map(str, arguments)])
        return (done.stdout + done.stderr).decode()

    def test_trees_are_copied_checked_synchronised_and_listed(self) -> None:
        tree = self.tree()
        for tls in (False, True):
            there = f":ftp:{self.place}/{tls}"
            self.rclone("copy", tree, there, tls=tls)
            self.rclone("check", "--download", tree, there, tls=tls)
            self.assertIn("0 B / 0 B", self.rclone("sync", "-v", "--stats-log-level", "NOTICE", tree, there, tls=tls))
            (tree / "large").write_bytes(b"smaller now")
            self.rclone("sync", tree, there, tls=tls)
            self.assertIn("11 large", self.rclone("ls", there, tls=tls))
            self.rclone("copy", there, self.folder / f"back {tls}", tls=tls)
            run(["diff", "-r", "-x", "empty", str(tree), str(self.folder / f"back {tls}")])
            (tree / "large").write_bytes(CONTENTS)


class Ftplib(WithNode):
    def test_every_call_does_what_it_says(self) -> None:
        for tls in (False, True):
            with self.python(tls) as ftp:
                ftp.cwd(self.place)
                self.assertEqual(ftp.mkd(f"ä {tls}"), f"/{self.place}/ä {tls}")
                ftp.cwd(f"ä {tls}")
                ftp.storbinary("STOR é", io.BytesIO(CONTENTS[:200_000]))
                ftp.storbinary("STOR é", io.BytesIO(CONTENTS[100_000:]), rest=100_000)
                back = bytearray()
                ftp.retrbinary("RETR é", back.extend, rest=1000)
                self.assertEqual(bytes(back), CONTENTS[1000:])
                ftp.storlines("STOR text", io.BytesIO(b"one\ntwo\n"))
                lines: list[str] = []
                ftp.retrlines("RETR text", lines.append)
                self.assertEqual(lines, ["one", "two"])
                ftp.voidcmd("TYPE I")
                self.assertEqual(ftp.size("text"), 8)
                self.assertEqual({name: facts["type"] for name, facts in ftp.mlsd()}, {"text": "file", "é": "file"})
                ftp.rename("é", "../moved")
                self.assertEqual(ftp.nlst(), ["text"])
                self.assertRaises(ftplib.error_perm, ftp.rmd, f"../ä {tls}")
                ftp.delete("text")
                ftp.cwd("..")
                ftp.rmd(f"ä {tls}")
                ftp.delete("moved")
                self.assertEqual(ftp.quit()[:3], "221")

    def test_an_upload_can_be_aborted(self) -> None:
        for tls in (False, True):
            with self.python(tls) as ftp:
                data = ftp.transfercmd(f"STOR {self.place}/x")
                data.sendall(CONTENTS[:100_000])
                self.assertEqual(ftp.abort()[:3], "426")
                self.assertEqual(ftp.voidresp()[:3], "226")
                data.close()
            self.assertEqual(self.names(), [])

    def test_an_upload_that_is_cut_short_leaves_nothing(self) -> None:
        reset = struct.pack("ii", 1, 0)
        for tls in (False, True):
            with self.python(tls) as ftp:
                data = ftp.transfercmd(f"STOR {self.place}/x")
                data.sendall(CONTENTS[:100_000])
                if tls:
                    # Without a close_notify: by TCP alone it would look complete.
                    socket.socket(fileno=data.detach()).close()
                else:
                    data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    data.close()
                self.assertRaisesRegex(ftplib.error_temp, "^426", ftp.voidresp)
            self.assertEqual(self.names(), [])

    def test_a_wrong_password_opens_nothing_and_is_not_in_the_log(self) -> None:
        ftp = ftplib.FTP(timeout=SECONDS)
        ftp.connect("127.0.0.1", self.server.port)
        with self.assertRaisesRegex(ftplib.error_perm, "^530"):
            ftp.login("alice", "wr0ng-passw0rd")
        with self.assertRaisesRegex(ftplib.error_perm, "^530"):
            ftp.login("nobody", "secret")
        ftp.close()
        log = self.server.log
        self.assertIn("a login from 127.0.0.1 failed", log)
        for secret in ("wr0ng-passw0rd", "secret", "URI:DIR2:"):
            self.assertNotIn(secret, log.replace("CENSORED", ""))

    def test_nobody_else_can_use_a_passive_port(self) -> None:
        with self.python() as ftp:
            _, port = ftp.makepasv()
            with socket.socket() as stranger:
                stranger.bind(("127.0.0.2", 0))
                stranger.settimeout(SECONDS)
                stranger.connect(("127.0.0.1", port))
                self.assertIn(_rest(stranger), (b"", None))
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as data:
                self.assertEqual(ftp.sendcmd(f"NLST {self.place}")[:3], "150")
                self.assertEqual(_rest(data), b"")
                self.assertEqual(ftp.voidresp()[:3], "226")


class Together(WithNode):
    def test_clients_do_not_get_in_each_others_way(self) -> None:
        def work(number: int) -> list[bool]:
            contents = [random_bytes(size, seed=number) for size in (0, 40, 100_000, 1_500_000)]
            with self.python(tls=bool(number % 2)) as ftp:
                ftp.cwd(self.place)
                for index, each in enumerate(contents):
                    ftp.storbinary(f"STOR {number} {index}", io.BytesIO(each))
                same = []
                for index, each in enumerate(contents):
                    back = bytearray()
                    ftp.retrbinary(f"RETR {number} {index}", back.extend)
                    same.append(back == each)
                return same

        with ThreadPoolExecutor(6) as pool:
            self.assertEqual(list(pool.map(work, range(6))), [[True] * 4] * 6)
        self.assertEqual(len(self.names()), 24)


class Configured(WithNode):
    """The defaults (TLS only), and other options."""

    def setUp(self) -> None:
        self.server.use()

    def test_passwords_and_files_need_tls(self) -> None:
        ftp = ftplib.FTP(timeout=SECONDS)
        ftp.connect("127.0.0.1", self.server.port)
        self.assertRaisesRegex(ftplib.error_perm, "^530", ftp.sendcmd, "USER alice")
        ftp.close()
        with self.python(tls=True) as ftp:
            assert isinstance(ftp, ftplib.FTP_TLS)
            self.assertRaisesRegex(ftplib.error_perm, "^534", ftp.prot_c)
            self.assertIsInstance(ftp.nlst(), list)

    def test_what_was_acknowledged_survives_a_kill_and_the_certificate_stays(self) -> None:
        certificate = self.server.certificate.read_bytes()
        self.assertEqual(self.server.certificate.stat().st_mode & 0o777, 0o600)
        with self.python(tls=True) as ftp:
            ftp.storbinary("STOR done", io.BytesIO(CONTENTS))
            data = ftp.transfercmd("STOR begun")
            data.sendall(CONTENTS[:1000])
        self.server.node.kill()
        self.server.start()
        self.assertEqual(self.server.certificate.read_bytes(), certificate)
        with self.python(tls=True) as ftp:
            back = bytearray()
            ftp.retrbinary("RETR done", back.extend)
            self.assertEqual(bytes(back), CONTENTS)
            self.assertNotIn("begun", ftp.nlst())
            ftp.delete("done")

    def test_with_ipv6_and_a_range_of_ports(self) -> None:
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                self.skipTest("this machine has no IPv6")
        port = free_port()
        self.server.use(f"port = tcp6:{port}", f"passive.ports = {port + 1}-{port + 5}", "allow_plain = true")
        ftp = ftplib.FTP(timeout=SECONDS)
        ftp.connect("::1", port)
        ftp.login("alice", "secret")
        ftp.storbinary("STOR six", io.BytesIO(CONTENTS))
        back = bytearray()
        ftp.retrbinary("RETR six", back.extend)
        self.assertEqual(bytes(back), CONTENTS)
        self.assertIn(ftp.makepasv()[1], range(port + 1, port + 6))
        ftp.delete("six")
        ftp.close()


def _rest(connection: socket.socket) -> bytes | None:
    """All that still comes; None if it was reset."""
    try:
        return b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionResetError:
        return None
