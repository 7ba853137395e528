"""The verbs about files and directories that need no data connection."""
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lafs.directory.directory import Directory
from tests.frontends.ftp.harness import Server


class Places(SynchronousTestCase):
    def test_one_goes_down_and_up_and_stays_at_the_root(self) -> None:
        client = Server().alice()
        self.assertEqual(client.expect(257, 'MKD a "b"'), '257 "/a ""b""" was made.\r\n')
        self.assertEqual(client.expect(250, 'CWD a "b"'), '250 "/a ""b""" is where you are now.\r\n')
        self.assertIn('"/a ""b"""', client.expect(257, "PWD"))
        client.expect(250, "CDUP")
        client.expect(250, "CDUP")
        client.expect(250, "CWD ../..")
        self.assertIn('"/"', client.expect(257, "XPWD"))

    def test_only_directories_are_places(self) -> None:
        server = Server()
        server.put("file", b"x" * 100)
        client = server.alice()
        client.expect(550, "CWD file")
        client.expect(550, "CWD nösuch")
        client.expect(550, "CWD nösuch/x")
        client.expect(550, "CWD file/x")
        self.assertIn('"/"', client.expect(257, "PWD"))

    def test_caps_are_places_too(self) -> None:
        server = Server()
        client = server.alice()
        other: Directory = server.grid.run(server.grid.client.create_directory())
        client.expect(250, f"CWD /uri/{other.cap.text}")
        client.expect(257, "MKD below")
        self.assertEqual(list(server.grid.run(other.list()).children), ["below"])
        client.expect(550, "CWD /uri")
        client.expect(550, "CWD /uri/URI:DIR2:nonsense")


class Changes(SynchronousTestCase):
    def test_a_directory_is_made_once_and_without_parents(self) -> None:
        server = Server()
        client = server.alice()
        client.expect(257, "MKD dir")
        client.expect(550, "MKD dir")
        client.expect(550, "MKD no/dir")
        client.expect(257, "XMKD /dir/é")
        self.assertEqual(server.names(), ["dir"])

    def test_only_empty_directories_are_removed(self) -> None:
        server = Server()
        server.put("file", b"x" * 100)
        client = server.alice()
        client.expect(257, "MKD dir")
        client.expect(257, "MKD dir/below")
        client.expect(550, "RMD dir")
        client.expect(550, "RMD file")
        client.expect(550, "RMD nothing")
        client.expect(553, "RMD .")
        client.expect(250, "RMD dir/below")
        client.expect(250, "XRMD dir")
        self.assertEqual(server.names(), ["file"])

    def test_only_files_are_deleted(self) -> None:
        server = Server()
        server.put("é", b"x" * 100)
        client = server.alice()
        client.expect(257, "MKD dir")
        client.expect(550, "DELE dir")
        client.expect(550, "DELE nösuch")
        client.expect(250, "DELE é")
        client.expect(550, "DELE é")
        self.assertEqual(server.names(), ["dir"])

    def test_a_rename_replaces_files_and_no_directories(self) -> None:
        server = Server()
        server.put("one", b"1" * 100)
        server.put("two", b"2" * 100)
        client = server.alice()
        client.expect(257, "MKD dir")
        client.expect(350, "RNFR one")
        client.expect(550, "RNTO dir")
        client.expect(350, "RNFR one")
        client.expect(250, "RNTO two")
        self.assertEqual(server.names(), ["dir", "two"])
        self.assertEqual(server.contents("two"), b"1" * 100)
        client.expect(350, "RNFR dir")
        client.expect(550, "RNTO dir/below")
        client.expect(350, "RNFR two")
        client.expect(250, "RNTO dir/ä")
        self.assertEqual(server.names(), ["dir"])

    def test_a_new_name_needs_an_old_one_right_before(self) -> None:
        server = Server()
        server.put("one", b"1" * 100)
        client = server.alice()
        client.expect(503, "RNTO x")
        client.expect(550, "RNFR nothing")
        client.expect(503, "RNTO x")
        client.expect(350, "RNFR one")
        client.expect(200, "NOOP")
        client.expect(503, "RNTO x")

    def test_nothing_is_made_under_a_name_that_cannot_be_said(self) -> None:
        server = Server()
        server.put("one", b"1" * 100)
        client = server.alice()
        client.expect(501, b"MKD \xff\xffx")
        client.expect(501, b"MKD a\0")
        client.expect(350, "RNFR one")
        client.expect(553, "RNTO /")

    def test_what_can_only_be_read_is_not_changed(self) -> None:
        server = Server()
        server.put("file", b"x" * 100)
        readonly = server.root.cap.readonly()
        client = server.alice()
        client.expect(250, f"CWD /uri/{readonly.text}")
        for line in ("MKD x", "DELE file", "RMD x", "MFMT 20200101000000 file"):
            client.expect(550, line)
        client.expect(350, "RNFR file")
        client.expect(550, "RNTO x")
        self.assertEqual(server.names(), ["file"])


class Facts(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.server.put("file", b"x" * 1234)
        self.client = self.server.alice()
        self.client.expect(257, "MKD dir")

    def test_size_is_exact_for_files_and_refused_for_the_rest(self) -> None:
        self.assertEqual(self.client.expect(213, "SIZE file"), "213 1234\r\n")
        self.client.expect(550, "SIZE dir")
        self.client.expect(550, "SIZE nothing")
        self.client.expect(200, "TYPE A")
        self.client.expect(550, "SIZE file")

    def test_the_size_of_a_mutable_file_is_asked_for(self) -> None:
        file = self.server.grid.run(self.server.grid.client.create_mutable(b"m" * 77))
        self.server.link("mutable", file.cap.text)
        self.assertEqual(self.client.expect(213, "SIZE mutable"), "213 77\r\n")

    def test_times_can_be_asked_for_and_set(self) -> None:
        self.client.expect(213, "MDTM dir")
        self.assertEqual(self.client.expect(213, "MFMT 20010203040506 file"), "213 Modify=20010203040506; /file\r\n")
        self.assertEqual(self.client.expect(213, "MDTM file"), "213 20010203040506\r\n")
        for line in ("MFMT 2001 file", "MFMT 20011303040506 file", "MFMT x file", "MFMT file x"):
            self.client.expect(501, line)
        self.client.expect(553, "MFMT 20010203040506")
        self.client.expect(550, "MFMT 20010203040506 nothing")
        self.client.expect(550, "MDTM nothing")
        self.client.expect(550, "MDTM /")

    def test_mlst_tells_the_facts_of_one_thing(self) -> None:
        self.client.expect(213, "MFMT 20010203040506 file")
        reply = self.client.expect(250, "MLST file")
        self.assertEqual(
            reply, "250-Facts\r\n type=file;size=1234;modify=20010203040506;perm=adfrw;UNIX.mode=0644; /file\r\n250 End\r\n"
        )
        self.assertIn(" type=dir;", self.client.expect(250, "MLST"))
        self.client.expect(550, "MLST nothing")

    def test_facts_can_be_chosen(self) -> None:
        self.assertEqual(self.client.expect(200, "OPTS MLST size;Type;nonsense;"), "200 MLST OPTS type;size;\r\n")
        self.assertEqual(self.client.expect(250, "MLST file"), "250-Facts\r\n type=file;size=1234; /file\r\n250 End\r\n")
        self.assertIn(" MLST type*;size*;modify;perm;UNIX.mode;\r\n", self.client.expect(211, "FEAT"))
        self.client.expect(200, "OPTS MLST")
        self.assertEqual(self.client.expect(250, "MLST file"), "250-Facts\r\n  /file\r\n250 End\r\n")

    def test_the_right_to_write_can_be_taken_and_given(self) -> None:
        self.client.expect(200, "SITE CHMOD 444 file")
        self.assertIn("perm=r;", self.client.expect(250, "MLST file"))
        self.client.expect(200, "SITE chmod 0644 file")
        self.assertIn("perm=adfrw;", self.client.expect(250, "MLST file"))
        self.client.expect(504, "SITE EXEC rm")
        self.client.expect(550, "SITE CHMOD 644 nothing")


class SmallTalk(SynchronousTestCase):
    def test_what_clients_ask_first(self) -> None:
        client = Server().visit()
        features = client.expect(211, "FEAT")
        for feature in ("UTF8", "MLST type*;", "REST STREAM", "SIZE", "MDTM", "EPSV", "AUTH TLS", "PBSZ", "PROT"):
            self.assertIn(f"\r\n {feature}", features)
        client.expect(215, "SYST")
        client.expect(200, "OPTS UTF8 ON")
        client.expect(501, "OPTS UTF8 OFF")
        client.expect(501, "OPTS HASH SHA-1")
        client.expect(200, "NOOP")
        self.assertIn("\r\n STOR\r\n", client.expect(214, "HELP"))

    def test_there_is_one_structure_and_one_mode(self) -> None:
        client = Server().alice()
        for line, code in (
            ("TYPE A", 200), ("TYPE A N", 200), ("TYPE I", 200), ("type l 8", 200), ("TYPE E", 504), ("TYPE A T", 504),
            ("TYPE L 36", 504), ("MODE S", 200), ("MODE B", 504), ("STRU F", 200), ("STRU R", 504), ("ALLO 1000", 202),
        ):  # fmt: skip
            client.expect(code, line)
        self.assertIn("TYPE I", client.expect(211, "STAT"))
        client.expect(504, "STAT file")
