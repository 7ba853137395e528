"""create-node, create-client, create-introducer: what they make, what they say, what they refuse."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.main import main
from lafs.errors import ConfigurationError, LafsError
from lafs.node.config import Configuration, read
from lafs.node.known_nodes import introducers

FURLS = ["pb://" + letter * 32 + "@tcp:127.0.0.1:1234/" + "b" * 32 for letter in "acd"]


class CommandTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.directory = self.base / "node"

    def lafs(self, *arguments: str, status: int = 0) -> Result:
        result = CliRunner(env={"HOME": str(self.base), "COLUMNS": "200"}).invoke(main, arguments)
        self.assertEqual(result.exit_code, status, result.output)
        return result

    def create(self, command: str, *arguments: str) -> Configuration:
        self.lafs(command, *arguments, str(self.directory))
        return read(self.directory)

    def refused(self, command: str, *arguments: str) -> str:
        output = self.lafs(command, *arguments, str(self.directory), status=1).output
        self.assertEqual(list(self.base.iterdir()), [])
        return output


class Creating(CommandTestCase):
    def test_a_node_needs_no_options(self) -> None:
        node = self.create("create-node")
        self.assertEqual(node.kind, "client")
        self.assertTrue(node.serves_storage)
        self.assertEqual(node.node.tub_location, ("AUTO",))
        self.assertRegex((node.node.tub_port or ("",))[0], r"^tcp:[1-9][0-9]+$")
        self.assertEqual(node.node.web_port, "tcp:3456:interface=127.0.0.1")
        self.assertEqual(node.storage.reserved_space, 10**9)

    def test_every_option_is_written(self) -> None:
        node = self.create(
            "create-node", "--port=tcp:3457", "--location=tcp:h.example:3457", "--nickname=50% häl", "--webport=none",
            "--introducer", FURLS[0], "-i", FURLS[1], "--shares-needed=2", "--shares-happy=3", "--shares-total=4",
            "--storage-dir=/disk/shares", "--helper",
        )  # fmt: skip
        self.assertEqual(node.node.nickname, "50% häl")
        self.assertEqual((node.node.tub_port, node.node.tub_location), (("tcp:3457",), ("tcp:h.example:3457",)))
        self.assertIs(node.node.web_port, None)
        self.assertEqual((node.encoding.needed, node.encoding.happy, node.encoding.total), (2, 3, 4))
        self.assertEqual(node.storage.directory, "/disk/shares")
        self.assertTrue(node.helper.enabled)
        self.assertEqual(list(introducers(node).values()), FURLS[:2])
        self.assertEqual(list(introducers(node)), ["default", "introducer-2"])

    def test_a_hostname_gets_a_free_port(self) -> None:
        node = self.create("create-node", "--hostname=h.example")
        port = (node.node.tub_port or ("",))[0]
        self.assertEqual(node.node.tub_location, (f"tcp:h.example:{port.removeprefix('tcp:')}",))

    def test_a_client_neither_listens_nor_stores(self) -> None:
        node = self.create("create-client")
        self.assertFalse(node.listens)
        self.assertFalse(node.serves_storage)

    def test_a_node_that_does_not_listen_does_not_store(self) -> None:
        self.assertFalse(self.create("create-node", "--listen=none").serves_storage)

    def test_happy_is_never_more_than_total_by_default(self) -> None:
        self.assertEqual(self.create("create-client", "--shares-total=5").encoding.happy, 5)

    def test_an_introducer_has_its_furl_at_once(self) -> None:
        node = self.create("create-introducer", "--port=tcp:3457", "--location=tcp:h.example:3457")
        self.assertEqual(node.kind, "introducer")
        furl = (self.directory / "private" / "introducer.furl").read_text()
        self.assertRegex(furl, r"^pb://[a-z2-7]{32}@tcp:h\.example:3457/[a-z2-7]{32}\n$")

    def test_an_introducer_needs_no_options_but_a_place(self) -> None:
        self.assertIn("No default basedir", self.lafs("create-introducer", status=1).output)
        self.create("create-introducer")
        furl = (self.directory / "private" / "introducer.furl").read_text()
        self.assertIn("@tcp:", furl)

    def test_the_peer_cannot_mistake_it_for_one_of_its_own(self) -> None:
        self.create("create-node")
        self.assertEqual(list(self.directory.glob("*.tac")), [])
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), ["lafs.cfg", "private"])

    def test_secrets_are_for_the_owner_only(self) -> None:
        self.create("create-client", "--introducer", FURLS[0])
        private = self.directory / "private"
        self.assertEqual(stat.S_IMODE(private.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((private / "introducers.yaml").stat().st_mode), 0o600)

    def test_the_directory_may_be_named_in_four_ways(self) -> None:
        for number, arguments in enumerate(
            (["create-client", "D"], ["create-client", "-C", "D"], ["create-client", "--basedir=D"], ["-d", "D", "create-client"])
        ):
            self.lafs(*[argument.replace("D", str(self.base / str(number))) for argument in arguments])
            self.assertTrue((self.base / str(number) / "lafs.cfg").exists())
        self.assertIn("cannot both be used", self.lafs("-d", "x", "create-client", "y", status=1).output)
        self.assertIn("cannot both be used", self.lafs("-d", "x", "create-client", "-C", "y", status=1).output)
        self.assertIn("cannot both be used", self.lafs("create-client", "-C", "y", "x", status=1).output)

    def test_an_empty_directory_is_taken(self) -> None:
        self.directory.mkdir()
        self.create("create-client")

    def test_chatter_is_quiet_and_results_are_not(self) -> None:
        self.assertEqual(self.lafs("-q", "create-node", str(self.directory)).output, f"Node created in '{self.directory}'\n")


class Refusing(CommandTestCase):
    def test_what_the_peer_refuses_in_its_words(self) -> None:
        for arguments, message in (
            (["--listen=none", "--hostname=h"], "--hostname cannot be used when --listen=none"),
            (["--listen=none", "--port=1", "--location=x"], "--port/--location cannot be used when --listen=none"),
            (["--location=tcp:h:1"], "--location must be used with --port"),
            (["--port=tcp:1"], "--port must be used with --location"),
            (["--port=tcp:1", "--location=tcp:h:1", "--hostname=h"], "--hostname cannot be used with --location/--port"),
            (["--listen=web"], "--listen= must be one/some of: i2p, none, tcp, tor"),
            (["--listen=tor", "--hostname=h"], "--listen= must be tcp to use --hostname"),
            (["--shares-needed=x"], "--shares-needed must be an integer"),
            (["--hide-ip"], "--hide-ip was specified but no IP-hiding listener is installed"),
        ):
            self.assertIn(message, self.refused("create-node", *arguments))

    def test_what_could_never_run(self) -> None:
        for arguments, message in (
            (["--shares-needed=11"], "--shares-needed must be from 1 to --shares-total (10), not 11"),
            (["--introducer=http://x"], "must be a FURL"),
            (["--introducer=" + FURLS[0] + "#x"], "unescaped '#'"),
            (["--port=tcp:0", "--location=tcp:h:1"], "tub.port cannot be 0"),
            (["--webport=web"], "is not an endpoint"),
            (["--listen=tor"], "no Tor"),
            (["--tor-launch"], "no Tor"),
            (["--i2p-sam-port=x"], "no I2P"),
            (["--join=1-a-b"], "--join is not in this release"),
        ):
            message_given = self.refused("create-node", *arguments)
            self.assertIn(message, message_given)
            self.assertNotIn("b" * 32, message_given)
        self.assertIn("of no use", self.refused("create-introducer", "--listen=none"))

    def test_a_directory_that_is_not_empty_is_left_alone(self) -> None:
        self.directory.mkdir()
        (self.directory / "mine").write_text("x")
        for command in ("create-node", "create-client", "create-introducer"):
            output = self.lafs(command, str(self.directory), status=255).output
            self.assertIn("is not empty.\nTo avoid clobbering anything", output)
        self.assertEqual([path.name for path in self.directory.iterdir()], ["mine"])

    def test_a_failure_leaves_nothing_that_blocks_a_second_try(self) -> None:
        from lafs.node import creation

        def fail(_: Path) -> None:
            raise OSError(28, "No space left on device")

        plan = creation.Plan("client", {"node": {"tub.port": "3457"}})
        self.assertRaises(LafsError, creation.create, self.directory, plan, fail)
        bad = creation.Plan("client", {"node": {"tub.port": "0"}})
        self.assertRaises(ConfigurationError, creation.create, self.directory, bad)
        self.assertEqual(list(self.base.iterdir()), [])
        self.create("create-client")

    def test_a_mount_point_is_filled_from_within(self) -> None:
        from lafs.node import creation

        self.directory.mkdir()
        self.patch(os.path, "ismount", lambda path: True)
        self.create("create-client", "-i", FURLS[0])
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), ["lafs.cfg", "private"])
        self.assertFalse(creation.is_taken(self.base / "other"))


class StartUpCost(CommandTestCase):
    def test_making_a_node_does_not_import_one(self) -> None:
        program = "import sys; from lafs.cli.main import main; main(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", program, "-q", "create-client", str(self.directory)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.assertIn("lafs.node.creation", done.stdout)
        self.assertEqual({"twisted", "foolscap", "OpenSSL", "cryptography", "yaml"} & set(done.stdout.split()), set())


class TakingOver(CommandTestCase):
    def test_reading_a_directory_of_the_peer_writes_nothing(self) -> None:
        self.directory.mkdir()
        (self.directory / "tahoe-client.tac").write_text("")
        (self.directory / "tahoe.cfg").write_text("[node]\nnickname = x\n[client]\nshares.needed = 1\n")
        before = hashlib.sha256((self.directory / "tahoe.cfg").read_bytes()).digest()
        read(self.directory)
        self.assertEqual(hashlib.sha256((self.directory / "tahoe.cfg").read_bytes()).digest(), before)
        self.assertEqual(len(list(self.directory.iterdir())), 2)
