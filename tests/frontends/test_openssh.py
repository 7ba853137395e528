"""SFTP as users have it: OpenSSH's own programs and a real node over five folders. Spec: 09 §§3-14."""
from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.frontends.sftp_client import ACCOUNT, SftpNode
from tests.process.harness import run

pytestmark = pytest.mark.process

CONTENTS = bytes(range(256)) * 4000


def _greeting(connection: socket.socket) -> bytes:
    connection.settimeout(60)
    try:
        return connection.recv(4)
    except ConnectionResetError:
        return b""


class OpenSsh(SynchronousTestCase):
    """One node for all tests."""

    server: ClassVar[SftpNode]

    @classmethod
    def setUpClass(cls) -> None:
        for program in ("sftp", "scp", "ssh", "ssh-keygen"):
            assert shutil.which(program), f"{program} is missing: install openssh-client"
        cls.server = SftpNode()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close()

    def setUp(self) -> None:
        self.back = self.server.base / "back"
        self.back.unlink(missing_ok=True)

    def test_what_is_put_is_got_again_listed_renamed_and_removed(self) -> None:
        here = self.server.file("here", CONTENTS)
        self.server.sftp("mkdir dir", f"put {here} dir/é", "rename dir/é dir/other", f"get dir/other {self.back}")
        self.assertEqual(self.back.read_bytes(), CONTENTS)
        self.assertRegex(self.server.sftp("ls -l dir").stdout.decode(), rf"-rw-rw-rw-.* {len(CONTENTS)} .*other")

        self.server.sftp("rmdir dir", expect=1)
        self.server.sftp("rm dir/other", "rmdir dir")
        self.assertNotIn(b"dir", self.server.sftp("ls").stdout.replace(b"sftp> ls", b""))

    def test_what_is_missing_is_said_to_be_missing_in_any_script(self) -> None:
        for name in ("nothing", "nösuch", "無"):
            said = self.server.sftp(f"get {name} {self.back}", expect=1).stderr.decode()
            self.assertIn("not found", said)

    def test_all_kinds_of_keys_open_an_account_and_others_do_not(self) -> None:
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.server.base / "stranger")])
        for key in ("ed25519", "rsa", "ecdsa"):
            self.server.sftp("pwd", key=key)
        self.server.sftp("pwd", key="stranger", expect=255)
        self.server.sftp("pwd", more=("-o", "PubkeyAcceptedAlgorithms=ssh-rsa"), key="rsa", expect=255)

    def test_old_algorithms_are_not_spoken(self) -> None:
        for option in ("Ciphers=aes128-cbc", "MACs=hmac-sha1", "KexAlgorithms=diffie-hellman-group14-sha1"):
            self.server.sftp("pwd", more=("-o", option), expect=255)

    def test_scp_copies_a_tree_both_ways_and_says_that_it_did(self) -> None:
        tree, again = self.server.base / "tree", self.server.base / "again"
        (tree / "below").mkdir(parents=True)
        for number in range(8):
            (tree / "below" / f"file {number}").write_bytes(CONTENTS[: number * 1000])
        self.server.scp("-r", str(tree), self.server.remote("copy"))
        self.server.scp("-r", self.server.remote("copy"), str(again))
        run(["diff", "-r", str(tree), str(again)])
        self.assertNotEqual(self.server.scp("-O", str(tree / "below" / "file 1"), self.server.remote("x"), expect=None).status, 0)

    def test_a_transfer_is_taken_up_where_it_was_left(self) -> None:
        here, part = self.server.file("here", CONTENTS), self.server.file("part", CONTENTS[:300_000])
        self.server.sftp(f"put {part} resumed", f"reput {here} resumed")
        self.back.write_bytes(CONTENTS[:100_000])
        self.server.sftp(f"reget resumed {self.back}")
        self.assertEqual(self.back.read_bytes(), CONTENTS)

    def test_times_and_protection_set_by_a_client_stay(self) -> None:
        here = self.server.file("here", CONTENTS)
        here.chmod(0o444)
        run(["touch", "-d", "2001-02-03 04:05:06", str(here)])
        self.server.sftp(f"put -p {here} kept", f"-put {here} kept")
        self.assertRegex(self.server.sftp("ls -l kept").stdout.decode(), r"-r--r--r--.*Feb +3 +2001")
        self.server.sftp(f"put {here} kept", expect=1)
        self.server.sftp("chmod 644 kept", f"put {here} kept")
        here.chmod(0o644)

    def test_there_is_no_shell_and_no_forwarding(self) -> None:
        ssh = ["ssh", *self.server.options(), "-p", str(self.server.port)]
        self.assertIn(b"only the SFTP protocol", run([*ssh, f"{ACCOUNT}@127.0.0.1", "ls"], expect=1).stderr)
        self.assertEqual(run([*ssh, f"{ACCOUNT}@127.0.0.1", "sync"]).status, 0)
        web = int(str(self.server.gateway().port))
        forwarded = run([*ssh, "-W", f"127.0.0.1:{web}", f"{ACCOUNT}@127.0.0.1"], expect=None)
        self.assertEqual((forwarded.status != 0, forwarded.stdout), (True, b""))

    def test_any_cap_is_a_path_below_uri(self) -> None:
        here = self.server.file("here", CONTENTS)
        cap = self.server.gateway().ask("PUT", "/uri", body=CONTENTS).body.decode()
        self.server.sftp(f"get /uri/{cap} {self.back}", f"put {here} /uri/{self.server.root}/there", "ls there")
        self.assertEqual(self.back.read_bytes(), CONTENTS)
        self.server.sftp(f"put {here} /uri/{cap}", expect=1)
        self.server.sftp("ls /uri", expect=1)

    def test_what_was_acknowledged_survives_a_kill_and_what_was_not_leaves_the_old(self) -> None:
        here, large = self.server.file("here", CONTENTS), self.server.file("large", CONTENTS * 40)
        self.server.sftp(f"put {here} done", f"put {here} changing")
        command = ["sftp", *self.server.options(), "-l", "20000", "-P", str(self.server.port), "-b", "-", f"{ACCOUNT}@127.0.0.1"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writing:
            assert writing.stdin is not None
            assert writing.stdout is not None
            writing.stdin.write(f"put {here} closed\nput {large} changing\nput {large} new\n".encode())
            writing.stdin.close()
            # It says what it does next once the close before was acknowledged.
            while b"changing" not in writing.stdout.readline():
                self.assertIsNone(writing.poll())
            self.server.node.kill()
        self.server.node.start().wait_running()
        for name in ("done", "closed", "changing"):
            self.server.sftp(f"get {name} {self.back}")
            self.assertEqual(self.back.read_bytes(), CONTENTS, name)
        self.server.sftp("ls new", expect=1)

    def test_keys_are_exchanged_anew_in_the_middle_of_transfers(self) -> None:
        here = self.server.file("here", CONTENTS * 5)
        self.server.sftp(f"put {here} rekeyed", f"get rekeyed {self.back}", more=("-o", "RekeyLimit=1M"))
        self.assertEqual(self.back.read_bytes(), CONTENTS * 5)

    def test_strangers_who_say_nothing_are_not_many(self) -> None:
        held = [socket.create_connection(("127.0.0.1", self.server.port)) for _ in range(40)]
        self.addCleanup(lambda: [each.close() for each in held])
        self.assertLessEqual(sum(_greeting(each) == b"SSH-" for each in held), 32)
        for each in held:
            each.close()
        self.server.sftp("pwd")

    def test_nothing_secret_is_in_the_log(self) -> None:
        logged = (self.server.directory / "logs" / "lafs.log").read_text()
        for secret in (self.server.root, self.server.PASSWORD, str(Path("private") / "accounts:")):
            self.assertNotIn(secret, logged)
