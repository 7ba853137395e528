"""Ports and hints, folders of shares, and the files that list other nodes."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

from foolscap.api import Referenceable
from twisted.internet.defer import fail
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import ConfigurationError, NodeError
from lafs.interfaces import ServerIdentity
from lafs.node import folders, known_nodes, ports, settings
from lafs.node.config import Configuration
from lafs.node.keys import Keys
from lafs.node.tub import NodeTub, endpoints
from lafs.node.web import url_of
from lafs.tasks import spawn

FURL = "pb://" + "a" * 32 + "@tcp:127.0.0.1:1234/" + "b" * 32


class Ports(SynchronousTestCase):
    def test_a_port_in_use_is_not_free(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.assertFalse(ports.is_free(other.getsockname()[1]))
        self.assertTrue(ports.is_free(ports.free_port()))

    def test_auto_stands_for_all_addresses_of_this_machine(self) -> None:
        found = ports.hints(("tcp:h:1", "AUTO"), ("tcp:3457:interface=0.0.0.0",))
        self.assertEqual(found[0], "tcp:h:1")
        self.assertEqual(found[-1], "tcp:127.0.0.1:3457")
        self.assertEqual(ports.hints(None, ("tcp:3457",)), found[1:])

    def test_auto_needs_to_know_the_port(self) -> None:
        for given in (("tcp:1", "tcp:2"), ("unix:/x",)):
            self.assertRaises(ConfigurationError, ports.hints, ("AUTO",), given)

    def test_the_gateway_is_on_loopback_unless_told_otherwise(self) -> None:
        self.assertEqual(ports.on_loopback("tcp:3456"), "tcp:3456:interface=127.0.0.1")
        self.assertEqual(ports.on_loopback("tcp6:3456"), r"tcp6:3456:interface=\:\:1")
        self.assertEqual(ports.on_loopback("ssl:1:privateKey=k"), "ssl:1:privateKey=k:interface=127.0.0.1")
        for text in ("tcp:3456:interface=0.0.0.0", "unix:/run/lafs"):
            self.assertEqual(ports.on_loopback(text), text)

    def test_a_port_that_cannot_be_had_is_named_with_the_reason(self) -> None:
        refused = fail(CannotListenError("127.0.0.1", 1, OSError(13, "Permission denied")))
        failure = self.failureResultOf(spawn(ports.bound(refused, "web.port", "tcp:1")), NodeError)
        self.assertIn("cannot listen on tcp:1 ([node] web.port): Permission denied", str(failure.value))

    def test_the_url_is_one_that_programs_of_this_machine_can_use(self) -> None:
        for host, url in {
            "127.0.0.1": "http://127.0.0.1:1/",
            "0.0.0.0": "http://127.0.0.1:1/",
            "192.0.2.1": "http://192.0.2.1:1/",
            "::": "http://[::1]:1/",
        }.items():
            self.assertEqual(url_of(SimpleNamespace(host=host, port=1)), url)
        self.assertEqual(url_of(SimpleNamespace(host="::1", port=1), secure=True), "https://[::1]:1/")


class TubTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def configuration(self, **node: object) -> Configuration:
        return Configuration(self.directory, "client", settings.Node(**node))  # type: ignore[arg-type]

    def test_a_port_that_is_not_configured_is_chosen_once(self) -> None:
        chosen = endpoints(self.configuration())
        self.assertEqual((self.directory / "client.port").read_text(), f"{chosen[0]}\n")
        self.assertEqual(endpoints(self.configuration()), chosen)
        (self.directory / "client.port").write_text("tcp:0\n")
        self.assertRaises(NodeError, endpoints, self.configuration())

    def test_hints_of_every_kind_get_into_the_furl(self) -> None:
        keys = Keys(self.directory, os.urandom)
        tub = NodeTub(
            self.configuration(tub_port=("tcp:1",), tub_location=("tcp:[2001:db8::1]:1", "tcp:h:1", "tor:x.onion:1")), keys, None
        )
        self.assertRegex(
            tub.register(Referenceable(), "storage.furl"),
            rf"^pb://{tub.tub_id}@tcp:\[2001:db8::1\]:1,tcp:h:1,tor:x\.onion:1/[a-z2-7]{{32}}$",
        )

    def test_a_damaged_certificate_is_named(self) -> None:
        keys = Keys(self.directory, os.urandom)
        (self.directory / "private" / "node.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----BEGIN PRIVATE KEY-----\n")
        self.assertIn("node.pem", str(self.assertRaises(NodeError, NodeTub, self.configuration(), keys, None)))

    def test_disabled_connections_are_not_made_by_the_nodes_own_tub_either(self) -> None:
        configuration = Configuration(self.directory, "client", connections=settings.Connections(tcp="disabled"))
        tub = NodeTub(configuration, Keys(self.directory, os.urandom), None)
        self.assertEqual(tub.tub._connectionHandlers, {})


class Folders(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()) / "disk"
        self.directory.parent.mkdir()

    def test_a_folder_keeps_its_identity_wherever_it_is_mounted(self) -> None:
        folders.adopt(self.directory, os.urandom)
        identity = folders.identify("a", self.directory)
        folders.adopt(self.directory, os.urandom)
        moved = self.directory.rename(self.directory.with_name("elsewhere"))
        again = folders.identify("b", moved)
        self.assertEqual((again.server_id, again.permutation_seed), (identity.server_id, identity.permutation_seed))
        self.assertRegex(identity.server_id, "^v0-[a-z2-7]{52}$")
        self.assertEqual(len(identity.lease_seed), 20)

    def test_what_has_no_marker_is_taken_for_a_disk_that_is_not_mounted(self) -> None:
        self.assertIn("is not there", str(self.assertRaises(NodeError, folders.identify, "a", self.directory)))
        self.directory.mkdir()
        self.assertIn("mounted?", str(self.assertRaises(NodeError, folders.identify, "a", self.directory)))
        (self.directory / folders.MARKER).write_text("id: x\n")
        self.assertIn("damaged", str(self.assertRaises(NodeError, folders.identify, "a", self.directory)))

    def test_a_disk_that_is_mounted_late_is_used_from_then_on(self) -> None:
        used: list[str] = []
        said: list[str] = []
        there, late, copy = (self.directory.with_name(name) for name in ("there", "late", "copy"))
        folders.adopt(there, os.urandom)
        shutil.copytree(there, copy)
        named = {path.name: settings.Folder(directory=str(path.absolute())) for path in (there, late, copy)}

        async def use(identity: ServerIdentity, directory: Path, folder: settings.Folder) -> None:
            used.append(identity.nickname)

        disks = folders.Folders(Configuration(self.directory, "client", folders=named), use, said.append)
        self.successResultOf(spawn(disks.start()))
        self.assertEqual(used, ["there"])
        self.assertEqual(len(said), 2)
        self.assertIn("late is not there", said[0])
        self.assertIn("is a copy of there", said[1])
        self.successResultOf(spawn(disks.look_again()))
        folders.adopt(late, os.urandom)
        self.successResultOf(spawn(disks.look_again()))
        self.assertEqual(used, ["there", "late"])
        self.assertEqual(said[2:], ["Storage folder late is there now, and used"])

    def test_a_folder_needs_its_parent(self) -> None:
        self.assertRaises(NodeError, folders.adopt, self.directory / "below", os.urandom)


class KnownNodes(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        (self.directory / "private").mkdir(parents=True)

    def write(self, name: str, text: str) -> None:
        (self.directory / "private" / name).write_text(text)

    def introducers(self, deprecated: str | None = None) -> dict[str, str]:
        client = settings.Client(introducer=deprecated)
        return dict(known_nodes.introducers(Configuration(self.directory, "client", client=client)))

    def test_missing_and_empty_files_list_nobody(self) -> None:
        self.assertEqual(self.introducers(), {})
        for text in ("", "# nothing\n", "introducers:\n", "introducers: {}\n", "other: 1\n"):
            self.write("introducers.yaml", text)
            self.assertEqual(self.introducers(), {}, text)

    def test_the_file_and_the_deprecated_option_are_both_used(self) -> None:
        known_nodes.write_introducers(self.directory / "private" / "introducers.yaml", {"one": FURL})
        self.assertEqual(self.introducers(), {"one": FURL})
        self.assertEqual(self.introducers(FURL), {"one": FURL, "default": FURL})
        self.write("introducers.yaml", f"introducers:\n  default: {{furl: '{FURL}'}}\n")
        self.assertRaises(ConfigurationError, self.introducers, FURL)

    def test_mistakes_name_the_file_and_not_the_secret(self) -> None:
        for text in (
            "introducers: [a\n", "introducers: x\n", "- a\n", "introducers: {x: y}\n", "introducers: {x: {furl: 3}}\n",
            f"introducers: {{'../x': {{furl: '{FURL}'}}}}\n", f"introducers: {{1: {{furl: '{FURL}'}}}}\n",
            f"introducers: {{x: {{furl: '{FURL}#y'}}}}\n", "a: !!python/object:os.system {}\n", "a: &a [*a]\nb: {",
        ):  # fmt: skip
            self.write("introducers.yaml", text)
            message = str(self.assertRaises(ConfigurationError, self.introducers))
            self.assertIn("introducers.yaml", message)
            self.assertNotIn("b" * 32, message)

    def test_entries_of_servers_yaml_that_are_none_are_skipped(self) -> None:
        self.write("servers.yaml", f"storage:\n  v0-a: {{ann: {{anonymous-storage-FURL: '{FURL}'}}}}\n  v0-b: 3\n  5: {{}}\n")
        found = known_nodes.static_servers(Configuration(self.directory, "client"))
        self.assertEqual(found, {"v0-a": {"ann": {"anonymous-storage-FURL": FURL}}})
