"""One picture of the configuration: values, overlay, mistakes, and what must go together."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import ConfigurationError, NodeError
from lafs.node import settings
from lafs.node.config import Configuration, encoding_for_folders, read

FURL = "pb://" + "a" * 32 + "@tcp:127.0.0.1:1234/" + "b" * 32


class ConfigurationTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def node(self, lafs: str | bytes | None = None, tahoe: str | None = None, marker: str | None = None) -> Configuration:
        for name, text in (("lafs.cfg", lafs), ("tahoe.cfg", tahoe)):
            (self.directory / name).unlink(missing_ok=True)
            if text is not None:
                (self.directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        if marker:
            (self.directory / marker).write_text("")
        return read(self.directory)

    def mistake(self, lafs: str | bytes | None = None, tahoe: str | None = None, marker: str | None = None) -> str:
        return str(self.assertRaises(ConfigurationError, self.node, lafs, tahoe, marker))


class Values(ConfigurationTestCase):
    def test_an_empty_file_is_a_client_with_all_defaults(self) -> None:
        self.assertEqual(self.node(""), Configuration(self.directory, "client"))

    def test_a_directory_with_only_a_marker_is_a_node_with_all_defaults(self) -> None:
        self.assertEqual(self.node(marker="tahoe-client.tac").storage.enabled, True)

    def test_every_option_of_the_table_can_be_written(self) -> None:
        samples = {
            bool: "true", int: "7", str: "x", tuple: "a,b",
            "tub.port": "tcp:1", "tub.location": "tcp:h:1", "web.port": "3456", "log_gatherer.furl": FURL, "type": "client",
            "introducer.furl": FURL, "helper.furl": FURL, "tcp": "tcp", "convergence": "none", "reserved_space": "1G",
            "durability": "relaxed", "expire.mode": "age", "expire.override_lease_duration": "1 year",
            "expire.cutoff_date": "2020-01-01", "timeout.keepalive": "7", "timeout.disconnect": "7", "directory": "d",
            "port": "tcp:1", "passive.ports": "1-2", "passive.address": "192.0.2.1", "web.access_log": "x",
            "times": "linked",
        }  # fmt: skip
        lines = []
        for name, section_class in {**settings.CLIENT, "storage:x": settings.Folder}.items():
            lines.append(f"[{name}]")
            for _, option in settings.options_of(section_class).values():
                lines.append(f"{option.name} = {samples.get(option.name) or samples[type(option.default)]}")
        configuration = self.node("\n".join(lines))
        self.assertEqual(configuration.storage.durability, "relaxed")
        self.assertEqual(configuration.node.web_port, "tcp:3456")
        self.assertEqual(configuration.folders["x"].directory, "d")

    def test_lafs_cfg_overlays_tahoe_cfg_option_by_option(self) -> None:
        configuration = self.node(
            lafs="[node]\nnickname = ours\n[storage]\ndurability = relaxed\n",
            tahoe="[node]\nnickname = theirs\nweb.port = 3456\n[storage]\nreadonly = true\n",
            marker="tahoe-client.tac",
        )
        self.assertEqual(configuration.node.nickname, "ours")
        self.assertEqual(configuration.node.web_port, "tcp:3456")
        self.assertTrue(configuration.storage.readonly)
        self.assertEqual(configuration.storage.durability, "relaxed")

    def test_the_kind_is_what_lafs_cfg_says_else_what_the_marker_says(self) -> None:
        self.assertEqual(self.node(marker="tahoe-introducer.tac").kind, "introducer")
        self.assertEqual(self.node("[node]\ntype = client\n").kind, "client")

    def test_what_is_no_node_is_said_to_be_none(self) -> None:
        self.assertIn("recognizable", str(self.assertRaises(NodeError, read, self.directory)))
        self.assertIn("directory at all", str(self.assertRaises(NodeError, read, self.directory / "none")))

    def test_grid_managers_and_plugins_may_have_any_names(self) -> None:
        key = "pub-v0-" + "a" * 52
        configuration = self.node(
            f"[grid_managers]\nAlice = {key}\n[grid_manager_certificates]\nx = x.cert\n[storageserver.plugins.p]\nany = thing\n"
        )
        self.assertEqual(configuration.grid_managers, {"alice": key})
        self.assertEqual(configuration.grid_manager_certificates, {"x": "x.cert"})
        self.assertNotIn(key, repr(configuration))


class Mistakes(ConfigurationTestCase):
    def test_each_names_file_line_and_what_is_wrong(self) -> None:
        for text, line, words in (
            ("[nodee]\n", 1, "unknown section [nodee]; did you mean 'node'?"),
            ("\n[node]\n\ntub.prt = 1\n", 4, "section [node] contains unknown option 'tub.prt'; did you mean 'tub.port'?"),
            ("[client]\nshares.neded = 3\n", 2, "did you mean 'shares.needed'?"),
            ("[node]\nreveal-ip-adress = 1\n", 2, "did you mean 'reveal-IP-address'?"),
            ("[node]\nssh.port = 8022\n", 2, "unknown option 'ssh.port'"),
            ("[httpd]\nenabled = 1\n", 1, "unknown section [httpd]"),
            ("[storage]\nenabled = maybe\n", 2, "[storage] enabled: Not a boolean: 'maybe'"),
            ("[storage]\nreserved_space = 1 G\n", 2, "must be a size"),
            ("[node]\ntub.port = 0\n", 2, "tub.port cannot be 0: you must choose."),
            ("[node]\ntub.port =\n", 2, "tub.port must not be empty"),
            (f"[client]\nhelper.furl = {FURL}#x\n", 2, "contained an unescaped '#' character"),
            ("[client]\nshares.total = 2\n", 2, "shares.needed must be from 1 to shares.total (2), not 3"),
            ("[client]\nshares.total = 257\n", 2, "must be a whole number from 1 to 256"),
            ("[storage]\nexpire.enabled = true\n", 2, "needs expire.mode"),
            ("[storage]\nexpire.enabled = true\nexpire.mode = cutoff-date\n", 3, "needs expire.cutoff_date"),
            ("[storage]\nexpire.mode = never\n", 2, "must be one of age, cutoff-date"),
            ("[storage:a]\n", 1, "needs the option 'directory'"),
            ("[storage:a]\ndirectory = x\n[storage:b]\ndirectory = x\n", 3, "are the same folder"),
            ("[node]\nnickname = 50%\n", 2, "percent sign must be doubled"),
            ("[grid_managers]\nx = y\n", 2, "must be a public key"),
            ("[connections]\ntcp = tor\n", 2, "cannot use it"),
            ("[node]\ntub.port = listen:tor\ntub.location = tor:x.onion:1\n", 2, "cannot use it"),
        ):
            message = self.mistake(text)
            self.assertTrue(message.startswith(f"{self.directory / 'lafs.cfg'}:{line}: "), message)
            self.assertIn(words, message)

    def test_what_the_peer_refuses_in_its_file_is_sent_to_ours(self) -> None:
        message = self.mistake(tahoe="[storage]\ndurability = relaxed\n", marker="x-client.tac")
        self.assertIn("tahoe.cfg:2", message)
        self.assertIn("lafs.cfg", message)
        self.assertIn("lafs.cfg", self.mistake(tahoe="[node]\ntype = client\n", marker="x-client.tac"))

    def test_an_introducer_has_no_client_sections(self) -> None:
        message = self.mistake("[node]\ntype = introducer\n[storage]\nenabled = false\n")
        self.assertIn("lafs.cfg:3: ", message)
        self.assertIn("this node is an introducer", message)

    def test_files_of_very_old_nodes_stop_the_start(self) -> None:
        (self.directory / "webport").write_text("1")
        self.assertIn("Found pre-Tahoe-LAFS-v1.3 configuration file(s): webport", self.mistake(""))

    def test_secrets_are_never_quoted(self) -> None:
        for text in (f"[client]\nintroducer.furl = {FURL}#x\n", f"[client]\nhelper.furl = {FURL}\nx = {FURL}\n"):
            self.assertNotIn("b" * 32, self.mistake(text))

    @given(st.binary(max_size=200), st.sampled_from(["lafs.cfg", "tahoe.cfg"]))
    def test_arbitrary_bytes_are_a_configuration_or_a_configuration_error(self, data: bytes, name: str) -> None:
        (self.directory / "x-client.tac").touch()
        (self.directory / name).write_bytes(data)
        with contextlib.suppress(ConfigurationError):
            read(self.directory)
        (self.directory / name).unlink()

    @given(
        st.lists(
            st.sampled_from(
                [f"[{name}]" for name in (*settings.CLIENT, *settings.FREE, "storage:x")]
                + [option.name for each in settings.CLIENT.values() for _, option in settings.options_of(each).values()]
            ).flatmap(lambda name: st.just(name) if name[0] == "[" else st.text(max_size=8).map(lambda v: f"{name} = {v}")),
            max_size=8,
        )
    )
    def test_arbitrary_values_are_a_configuration_or_a_configuration_error(self, lines: list[str]) -> None:
        text = "\n".join(["[node]", *lines])
        (self.directory / "lafs.cfg").write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ConfigurationError):
            read(self.directory)


class Relations(ConfigurationTestCase):
    def test_port_and_location_are_disabled_together_or_not_at_all(self) -> None:
        self.assertIn("but not tub.location", self.mistake("[node]\ntub.port = disabled\n"))
        self.assertIn("but not tub.port", self.mistake("[node]\ntub.location = disabled\n"))

    def test_who_offers_a_service_must_listen(self) -> None:
        deaf = "[node]\ntub.port = disabled\ntub.location = disabled\n"
        self.assertIn("storage is enabled, but tub is not listening", self.mistake(deaf))
        self.assertIn("helper is enabled", self.mistake(deaf + "[storage]\nenabled = no\n[helper]\nenabled = yes\n"))
        self.assertIn("we are Introducer", self.mistake(deaf + "type = introducer\n"))
        self.assertFalse(self.node(deaf + "[storage]\nenabled = no\n").listens)

    def test_privacy_is_a_veto(self) -> None:
        private = "[node]\nreveal-IP-address = false\n"
        deaf = "tub.port = disabled\ntub.location = disabled\n[storage]\nenabled = no\n"
        self.assertIn("`tcp = tcp` conflicts", self.mistake(private + deaf))
        hidden = "[connections]\ntcp = disabled\n" + private
        self.assertIn("tub.location uses AUTO", self.mistake(hidden))
        self.assertIn("tub.location uses AUTO", self.mistake(hidden + "tub.location = tor:x.onion:1,AUTO\n"))
        for hint in ("tcp:h:1", "h:1"):
            self.assertIn("includes tcp: hint", self.mistake(hidden + f"tub.location = {hint}\n"))
        self.assertFalse(self.node(hidden + deaf).node.reveal_address)

    def test_what_is_not_built_is_noticed_when_it_is_asked_for(self) -> None:
        for text, option in (
            ("[helper]\nenabled = true\n", "[helper] enabled"),
            (f"[client]\nhelper.furl = {FURL}\n", "[client] helper.furl"),
            ("[storage]\nexpire.enabled = true\nexpire.mode = age\n", "[storage] expire.enabled"),
            ("[storage]\nplugins = x\n", "[storage] plugins"),
            ("[client]\nstorage.plugins = x\n", "[client] storage.plugins"),
            ("[tor]\nlaunch = true\n", "[tor]"),
            ("[storage]\ndebug_discard = true\n", "[storage] debug_discard"),
            ("[storage]\nanonymous = false\n", "[storage] anonymous"),
        ):
            notices = self.node(text).notices
            self.assertEqual([notice.startswith(option) for notice in notices], [True], text)
        self.assertEqual(self.node("[helper]\nenabled = false\n[sftpd]\nport = tcp:1\n[client]\nhelper.furl =\n").notices, ())


class Folders(ConfigurationTestCase):
    def test_about_two_fifths_of_the_folders_may_be_lost(self) -> None:
        spread = {count: encoding_for_folders(count) for count in range(1, 11)}
        self.assertEqual(
            {count: (e.needed, e.happy, e.total) for count, e in spread.items()},
            {
                1: (1, 1, 1), 2: (1, 1, 2), 3: (2, 2, 3), 4: (2, 3, 4), 5: (3, 4, 5),
                6: (4, 5, 6), 7: (4, 5, 7), 8: (5, 6, 8), 9: (5, 7, 9), 10: (6, 8, 10),
            },
        )  # fmt: skip
        self.assertEqual(encoding_for_folders(1000).total, 256)

    def test_the_number_of_folders_decides_unless_shares_are_given(self) -> None:
        folders = "".join(f"[storage:{n}]\ndirectory = {n}\n" for n in range(3))
        self.assertEqual(self.node(folders).encoding.total, 3)
        self.assertEqual(self.node(folders + "[client]\nshares.needed = 1\nshares.happy = 1\n").encoding.total, 10)
