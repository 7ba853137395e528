"""The verbs that use a data connection: what is stored and sent, and what is not when something goes wrong."""
from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from frontends.ftp.data_connection import PARTING_SECONDS, STALLED_SECONDS
from frontends.ftp.passive import CONNECT_SECONDS
from frontends.web.body import HIGH_WATER
from lafs.capability_slots import child_caps
from lafs.interfaces import NewChild
from tests.frontends.ftp.harness import CLIENT, HERE, Client, Server, Wire
from tests.memory_grid import random_bytes

CONTENTS = random_bytes(300_000)


class Uploads(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.client = self.server.alice()

    def test_what_is_sent_is_stored_when_it_is_acknowledged(self) -> None:
        self.client.upload("STOR é", CONTENTS[:1000], CONTENTS[1000:])
        self.server.grid.forget()
        self.assertEqual(self.server.contents("é"), CONTENTS)

    def test_nothing_is_there_before_it_is_complete(self) -> None:
        wire = self.client.connect(self.client.port())
        self.client.expect(150, "STOR x")
        wire.deliver(CONTENTS)
        self.client.pause(10)
        self.assertEqual(self.server.names(), [])
        self.assertTrue(self.client.is_silent())
        wire.end()
        self.client.expect(226)
        self.assertEqual(self.server.names(), ["x"])

    def test_an_empty_file_is_a_file(self) -> None:
        self.client.upload("STOR empty")
        self.assertEqual(self.server.contents("empty"), b"")

    def test_the_old_contents_are_there_until_then_and_gone_afterwards(self) -> None:
        self.server.put("x", b"old" * 100)
        wire = self.client.connect(self.client.port())
        self.client.expect(150, "STOR x")
        wire.deliver(CONTENTS)
        self.client.pause(10)
        self.assertEqual(self.server.contents("x"), b"old" * 100)
        wire.end()
        self.client.expect(226)
        self.assertEqual(self.server.contents("x"), CONTENTS)

    def test_a_mutable_file_stays_the_same_file(self) -> None:
        file = self.server.grid.run(self.server.grid.client.create_mutable(b"m" * 77))
        self.server.link("mutable", file.cap.text)
        self.client.upload("STOR mutable", b"new")
        self.assertEqual(self.server.grid.run(file.contents())[0], b"new")

    def test_one_that_breaks_off_leaves_what_was_there(self) -> None:
        self.server.put("x", b"old" * 100)
        for name in ("x", "new"):
            wire = self.client.connect(self.client.port())
            self.client.expect(150, f"STOR {name}")
            wire.deliver(CONTENTS)
            wire.reset()
            self.client.expect(426)
        self.assertEqual(self.server.names(), ["x"])
        self.assertEqual(self.server.contents("x"), b"old" * 100)

    def test_one_that_is_aborted_leaves_what_was_there(self) -> None:
        wire = self.client.connect(self.client.port())
        self.client.expect(150, "STOR x")
        wire.deliver(CONTENTS)
        self.client.tell("ABOR")
        self.client.expect(426)
        self.client.expect(226)
        self.client.until(lambda: wire.ended == "aborted")
        self.assertEqual(self.server.names(), [])
        self.client.upload("STOR x", b"again")

    def test_one_that_is_aborted_in_the_same_breath_does_not_begin(self) -> None:
        self.client.connect(self.client.port())
        self.client.tell("STOR x", "ABOR", "NOOP")
        if self.client.reply().startswith("150"):
            self.client.expect(426)
        self.client.expect(226)
        self.client.expect(200)
        self.assertEqual(self.server.names(), [])

    def test_one_that_is_aborted_while_it_is_stored_is_not_linked(self) -> None:
        wire = self.client.connect(self.client.port())
        self.client.expect(150, "STOR x")
        wire.deliver(CONTENTS)
        wire.end()
        self.client.tell("ABOR")
        self.client.expect(426)
        self.client.expect(226)
        self.client.pause(60)
        self.assertEqual(self.server.names(), [])

    def test_one_whose_client_is_gone_is_not_linked_though_its_data_ended_in_order(self) -> None:
        wire = self.client.connect(self.client.port())
        self.client.expect(150, "STOR x")
        wire.deliver(CONTENTS)
        wire.end()
        self.client.wire.end()
        self.client.pause(60)
        self.assertEqual(self.server.names(), [])

    def test_a_client_that_stalls_is_given_up(self) -> None:
        wire = self.client.connect(self.client.port())
        self.client.expect(150, "STOR x")
        wire.deliver(CONTENTS)
        self.client.pause(STALLED_SECONDS + 1)
        self.client.expect(426)
        self.assertEqual(wire.ended, "aborted")
        self.assertEqual(self.server.names(), [])

    def test_one_that_the_grid_cannot_take_is_refused_and_leaves_what_was_there(self) -> None:
        self.server.put("x", b"old" * 100)
        self.server.grid.fill(self.server.grid.machines[:3])
        for command in ("STOR x", "APPE x", "STOR new"):
            self.client.upload(command, CONTENTS, code=452)
        self.assertEqual(self.server.names(), ["x"])
        self.assertEqual(self.server.contents("x"), b"old" * 100)

    def test_what_a_fast_client_sends_waits_in_its_socket(self) -> None:
        wire = self.client.connect(self.client.port())
        sent = 0
        while not wire.is_held:
            wire.deliver(bytes(65536))
            sent += 65536
        self.assertLessEqual(sent, HIGH_WATER + 65536)
        self.client.expect(150, "STOR x")
        self.client.until(lambda: not wire.is_held)
        wire.end()
        self.client.expect(226)
        self.assertEqual(self.server.contents("x"), bytes(sent))

    def test_names_that_no_directory_can_hold_are_refused(self) -> None:
        for line, code in (("STOR /", 553), ("STOR ..", 553), ("STOR nösuch/x", 550), (b"STOR \xff\xff", 501)):
            self.client.connect(self.client.port())
            self.client.expect(code, line)

    def test_a_directory_is_not_overwritten(self) -> None:
        self.client.expect(257, "MKD dir")
        self.client.connect(self.client.port())
        self.client.expect(550, "STOR dir")
        self.client.expect(550, "APPE dir")

    def test_two_clients_who_write_one_file_store_one_or_the_other(self) -> None:
        other = self.server.alice()
        wires = [client.connect(client.port()) for client in (self.client, other)]
        for client, wire, letter in zip((self.client, other), wires, (b"1", b"2"), strict=True):
            client.expect(150, "STOR x")
            wire.deliver(letter * 100_000)
        for wire in wires:
            wire.end()
        self.client.expect(226)
        other.expect(226)
        self.assertIn(self.server.contents("x"), (b"1" * 100_000, b"2" * 100_000))


class Continuing(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.client = self.server.alice()
        self.server.put("x", CONTENTS[:200_000])

    def test_an_upload_goes_on_where_it_broke_off(self) -> None:
        self.client.expect(350, "REST 150000")
        self.client.upload("STOR x", CONTENTS[150_000:])
        self.assertEqual(self.server.contents("x"), CONTENTS)

    def test_what_is_after_the_point_is_replaced(self) -> None:
        self.client.expect(350, "REST 100")
        self.client.upload("STOR x", b"end")
        self.assertEqual(self.server.contents("x"), CONTENTS[:100] + b"end")

    def test_an_upload_has_no_holes(self) -> None:
        self.client.connect(self.client.port())
        self.client.expect(350, "REST 200001")
        self.client.expect(554, "STOR x")
        self.client.expect(350, "REST 1")
        self.client.expect(554, "STOR new")
        self.assertEqual(self.server.names(), ["x"])

    def test_one_that_breaks_off_again_leaves_the_file_as_it_was(self) -> None:
        wire = self.client.connect(self.client.port())
        self.client.expect(350, "REST 100")
        self.client.expect(150, "STOR x")
        wire.deliver(b"end")
        wire.reset()
        self.client.expect(426)
        self.assertEqual(self.server.contents("x"), CONTENTS[:200_000])

    def test_appending_goes_on_at_the_end(self) -> None:
        self.client.upload("APPE x", CONTENTS[200_000:])
        self.assertEqual(self.server.contents("x"), CONTENTS)
        self.client.upload("APPE new", b"first")
        self.client.upload("APPE new", b" second")
        self.assertEqual(self.server.contents("new"), b"first second")
        self.client.expect(350, "REST 1")
        self.client.connect(self.client.port())
        self.client.expect(350, "REST 1")
        self.client.expect(504, "APPE x")

    def test_a_mutable_file_is_appended_to(self) -> None:
        file = self.server.grid.run(self.server.grid.client.create_mutable(b"m" * 77))
        self.server.link("mutable", file.cap.text)
        self.client.upload("APPE mutable", b"new")
        self.assertEqual(self.server.grid.run(file.contents())[0], b"m" * 77 + b"new")

    def test_a_download_goes_on_anywhere(self) -> None:
        for offset in (0, 1, 131_072, 199_999, 200_000):
            self.client.expect(350, f"REST {offset}")
            self.assertEqual(self.client.download("RETR x"), CONTENTS[offset:200_000])

    def test_there_is_nothing_past_the_end(self) -> None:
        self.client.connect(self.client.port())
        self.client.expect(350, "REST 200001")
        self.client.expect(554, "RETR x")

    def test_an_offset_is_for_the_next_transfer_only(self) -> None:
        self.client.expect(350, "REST 100")
        self.client.expect(200, "NOOP")
        self.assertEqual(self.client.download("RETR x"), CONTENTS[:200_000])
        self.client.expect(350, "REST 100")
        self.assertEqual(self.client.download("RETR x"), CONTENTS[100:200_000])
        self.assertEqual(self.client.download("RETR x"), CONTENTS[:200_000])

    def test_an_offset_is_a_number(self) -> None:
        for argument in ("x", "-1", "1.5", "9" * 30, "٣"):
            self.client.expect(501, f"REST {argument}")

    def test_text_has_no_offsets(self) -> None:
        self.client.expect(200, "TYPE A")
        for line in ("RETR x", "STOR x"):
            self.client.connect(self.client.port())
            self.client.expect(350, "REST 1")
            self.client.expect(504, line)


class Downloads(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.client = self.server.alice()
        self.server.put("é", CONTENTS)

    def test_a_file_comes_as_it_is(self) -> None:
        self.assertEqual(self.client.download("RETR é"), CONTENTS)

    def test_an_empty_file_comes_too(self) -> None:
        self.server.put("empty", b"")
        self.assertEqual(self.client.download("RETR empty"), b"")

    def test_what_is_no_file_is_refused(self) -> None:
        self.client.expect(257, "MKD dir")
        for name in ("dir", "nösuch", "é/x"):
            self.client.connect(self.client.port())
            self.client.expect(550, f"RETR {name}")

    def test_a_slow_client_is_waited_for_with_little_in_memory(self) -> None:
        wire = self.client.connect(self.client.port(), capacity=1000)
        self.server.put("large", random_bytes(4_000_000))
        self.client.expect(150, "RETR large")
        received = bytearray()
        most = 0
        while wire.ended is None:
            self.client.pause(STALLED_SECONDS / 2)
            most = max(most, len(wire.sent))
            received += wire.drain()
        received += wire.sent
        self.client.expect(226)
        self.assertEqual(bytes(received), random_bytes(4_000_000))
        self.assertLessEqual(most, 600_000)

    def test_a_client_that_takes_nothing_is_given_up(self) -> None:
        wire = self.client.connect(self.client.port(), capacity=0)
        self.client.expect(150, "RETR é")
        self.client.pause(STALLED_SECONDS + 10)
        self.client.expect(426)
        self.assertEqual(wire.ended, "aborted")

    def test_a_client_that_is_very_slow_is_not_taken_for_one_that_is_gone(self) -> None:
        wire = self.client.connect(self.client.port(), capacity=65_536)
        self.client.expect(150, "RETR é")
        received = bytearray()
        while wire.ended is None:
            self.client.pause(STALLED_SECONDS * 0.9)
            received += wire.drain()
        self.client.expect(226)
        self.assertEqual(bytes(received + wire.sent), CONTENTS)

    def test_the_end_of_a_file_is_waited_for(self) -> None:
        wire = self.client.connect(self.client.port())
        wire.loseConnection = lambda: None  # type: ignore[method-assign] # bytes are still on their way
        self.client.expect(150, "RETR é")
        self.client.pause(PARTING_SECONDS * 2)
        self.assertTrue(self.client.is_silent())
        wire.end()
        self.client.expect(226)

    def test_a_client_that_goes_away_is_told_so(self) -> None:
        for leave in (Wire.end, Wire.reset):
            wire = self.client.connect(self.client.port(), capacity=1000)
            self.client.expect(150, "RETR é")
            self.client.until(lambda: bool(wire.sent))  # noqa: B023 - at once
            leave(wire)
            self.client.expect(426)
        self.assertEqual(self.client.download("RETR é"), CONTENTS)

    def test_a_download_can_be_aborted(self) -> None:
        wire = self.client.connect(self.client.port(), capacity=1000)
        self.client.expect(150, "RETR é")
        self.client.until(lambda: bool(wire.sent))
        self.client.wire.deliver(b"\xff\xf4\xff\xf2ABOR\r\n")
        self.client.expect(426)
        self.client.expect(226)
        self.client.until(lambda: wire.ended == "aborted")
        self.client.expect(226, "ABOR")

    def test_a_file_that_cannot_be_had_never_looks_complete(self) -> None:
        self.server.put("large", random_bytes(4_000_000))
        wire = self.client.connect(self.client.port(), capacity=1000)
        self.client.expect(150, "RETR large")
        self.client.until(lambda: bool(wire.sent))
        self.server.grid.kill(self.server.grid.machines)
        received = bytearray()
        while wire.ended is None:
            received += wire.drain()
            self.client.pause(1)
        self.client.expect(451)
        self.assertEqual(wire.ended, "aborted")
        self.assertLess(len(received), 4_000_000)
        wire = self.client.connect(self.client.port())
        self.client.expect(451, "RETR large")

    def test_a_client_over_tls_that_never_says_goodbye_does_not_hold_up_the_rest(self) -> None:
        client = self.server.visit()
        client.expect(234, "AUTH TLS")
        for code, line in ((331, "USER alice"), (230, "PASS sécret"), (200, "PBSZ 0"), (200, "PROT P"), (200, "TYPE I")):
            client.expect(code, line)
        wire = client.connect(client.port())
        wire.loseConnection = lambda: None  # type: ignore[method-assign] # waits for close_notify
        wire.shake_hands()
        client.expect(150, "RETR é")
        client.pause(PARTING_SECONDS + 1)
        client.expect(226)
        self.assertEqual(bytes(wire.sent), CONTENTS)
        client.pause(STALLED_SECONDS + 1)
        self.assertEqual(wire.ended, "aborted")


class Text(SynchronousTestCase):
    def test_lines_end_as_the_other_side_wants(self) -> None:
        server = Server()
        client = server.alice()
        client.expect(200, "TYPE A")
        client.upload("STOR text", b"one\r", b"\ntwo\r\n\r\nfour\r")
        self.assertEqual(server.contents("text"), b"one\ntwo\n\nfour\r")
        self.assertEqual(client.download("RETR text"), b"one\r\ntwo\r\n\r\nfour\r")
        client.upload("APPE text", b"\r\nend")
        client.expect(200, "TYPE I")
        self.assertEqual(client.download("RETR text"), b"one\ntwo\n\nfour\r\nend")


class Listings(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.client = self.server.alice()

    def test_all_that_is_there_is_told(self) -> None:
        self.server.put("a file", b"x" * 1234)
        file = self.server.grid.run(self.server.grid.client.create_mutable(b"m" * 77))
        self.server.link("mutable", file.cap.text)
        self.client.expect(257, "MKD dir")
        self.assertEqual(self.client.download("NLST"), b"a file\r\ndir\r\nmutable\r\n")
        facts = self.client.download("MLSD").decode().splitlines()
        self.assertEqual([line.partition("; ")[2] for line in facts], ["a file", "dir", "mutable"])
        self.assertIn("size=1234;", facts[0])
        self.assertIn("size=77;", facts[2])
        lines = self.client.download("LIST -la").decode().splitlines()
        self.assertEqual([line[:10] for line in lines], ["-rw-r--r--", "drwxr-xr-x", "-rw-r--r--"])
        self.assertEqual(self.client.download("LIST -l a file"), f"{lines[0]}\r\n".encode())
        self.assertEqual(self.client.download("NLST a file"), b"a file\r\n")
        self.assertEqual(self.client.download("LIST dir"), b"")
        self.assertEqual(self.client.download("NLST -a dir"), b"")

    def test_a_pattern_stands_for_what_it_matches(self) -> None:
        for name in ("a.txt", "b.txt", "c.jpg", "a*"):
            self.server.put(name, b"x" * 100)
        self.assertEqual(self.client.download("NLST *.txt"), b"a.txt\r\nb.txt\r\n")
        self.assertEqual(self.client.download("NLST /[bc].*"), b"b.txt\r\nc.jpg\r\n")
        self.assertEqual(self.client.download("NLST a*"), b"a*\r\n")
        self.assertEqual(self.client.download("LIST -l x?"), b"")

    def test_what_is_not_there_is_refused(self) -> None:
        self.server.put("file", b"x" * 100)
        for line, code in (("LIST nösuch", 550), ("NLST nösuch", 550), ("MLSD nösuch", 550), ("MLSD file", 501)):
            self.client.connect(self.client.port())
            self.client.expect(code, line)

    def test_names_of_strangers_add_no_lines_and_lead_nowhere(self) -> None:
        hostile = ["..", ".", "a\r\nb", "a\nb", "/etc/passwd", "x/../../y", "a\0b"]
        children = [NewChild(name, child_caps(None, "URI:LIT:ifqq")) for name in [*hostile, "honest", "\x1b[2J", "ü\u2028"]]
        self.server.grid.run(self.server.root.add(children))
        names = ["\x1b[2J", "honest", "ü\u2028"]
        self.assertEqual(self.client.download("NLST").decode().split("\r\n"), [*names, ""])
        self.assertEqual([line.partition("; ")[2] for line in self.client.download("MLSD").decode().split("\r\n")], [*names, ""])
        self.assertEqual(len(self.client.download("LIST").decode().split("\r\n")), 4)
        self.client.expect(250, "DELE \x1b[2J")

    def test_ten_thousand_entries_are_sent_piece_by_piece(self) -> None:
        caps = child_caps(None, "URI:LIT:ifqq")
        self.server.grid.run(self.server.root.add([NewChild(f"{number:05}", caps) for number in range(10_000)]))
        wire = self.client.connect(self.client.port(), capacity=10_000)
        self.client.expect(150, "MLSD")
        lines = bytearray()
        most = 0
        while wire.ended is None:
            self.client.until(lambda: bool(wire.sent) or wire.ended is not None)
            self.client.pause(1)
            most = max(most, len(wire.sent))
            lines += wire.drain()
        lines += wire.sent
        self.client.expect(226)
        names = [line.rpartition(b" ")[2].decode() for line in lines.splitlines()]
        self.assertEqual(names, [f"{number:05}" for number in range(10_000)])
        self.assertLess(most, 50_000)


class Ports(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()

    def test_the_address_and_port_are_told_in_both_ways(self) -> None:
        client = self.server.alice()
        self.assertEqual(client.expect(227, "PASV"), "227 Entering Passive Mode (192,0,2,1,195,80).\r\n")
        self.assertEqual(client.expect(229, "EPSV"), "229 Entering Extended Passive Mode (|||50001|)\r\n")
        self.assertEqual([port.interface for port in self.server.reactor.ports], [HERE, HERE])
        self.assertEqual([port.is_open for port in self.server.reactor.ports], [False, True])

    def test_over_ipv6_there_is_only_epsv(self) -> None:
        client = self.server.visit("2001:db8::1", "2001:db8::2")
        client.expect(331, "USER alice")
        client.expect(230, "PASS sécret")
        client.expect(522, "PASV")
        client.expect(522, "EPSV 1")
        client.expect(229, "EPSV 2")
        self.assertEqual(self.server.reactor.ports[-1].interface, "2001:db8::1")
        wire = client.connect(self.server.reactor.ports[-1])
        client.expect(150, "NLST")
        client.expect(226)
        self.assertEqual(wire.ended, "in order")

    def test_ipv4_that_came_in_by_an_ipv6_port_is_ipv4(self) -> None:
        client = self.server.visit(f"::ffff:{HERE}", f"::ffff:{CLIENT}")
        client.expect(331, "USER alice")
        client.expect(230, "PASS sécret")
        self.assertIn("(192,0,2,1,", client.expect(227, "PASV"))
        client.connect(self.server.reactor.ports[-1], CLIENT)

    def test_behind_nat_another_address_is_told(self) -> None:
        server = Server(passive_address="203.0.113.9")
        self.assertIn("(203,0,113,9,", server.alice().expect(227, "PASV"))
        self.assertEqual(server.reactor.ports[-1].interface, HERE)

    def test_only_the_client_may_connect_and_only_once(self) -> None:
        client = self.server.alice()
        port = client.port()
        self.assertRaises(ConnectionRefusedError, client.connect, port, "198.51.100.8")
        client.connect(port)
        self.assertFalse(port.is_open)
        self.assertIsNone(port.factory.buildProtocol(client.wire.getPeer()))
        self.assertEqual(len(client.download("NLST")), 0)

    def test_ports_are_taken_from_the_range_and_one_that_is_busy_is_skipped(self) -> None:
        server = Server(passive_ports=(4001, 4002, 4003), choose=lambda count: 1)
        client = server.alice()
        server.reactor.busy = {4002, 4003}
        self.assertIn("|4001|", client.expect(229, "EPSV"))
        server.reactor.busy = {4001, 4002, 4003}
        client.expect(425, "EPSV")
        client.expect(425, "NLST")

    def test_a_transfer_needs_a_port_and_a_port_a_client(self) -> None:
        client = self.server.alice()
        client.expect(425, "LIST")
        port = client.port()
        client.expect(150, "LIST")
        client.pause(CONNECT_SECONDS + 1)
        client.expect(425)
        self.assertFalse(port.is_open)

    def test_a_client_may_connect_after_the_command(self) -> None:
        client = self.server.alice()
        port = client.port()
        client.expect(150, "STOR x")
        wire = client.connect(port)
        wire.deliver(b"late")
        wire.end()
        client.expect(226)
        self.assertEqual(self.server.contents("x"), b"late")

    def test_a_handshake_that_fails_ends_the_transfer(self) -> None:
        client = self.server.visit()
        client.expect(234, "AUTH TLS")
        for code, line in ((331, "USER alice"), (230, "PASS sécret"), (200, "PBSZ 0"), (200, "PROT P")):
            client.expect(code, line)
        for line in ("STOR x", "LIST"):
            wire = client.connect(client.port())
            client.expect(150, line)
            wire.end(ConnectionLost())
            client.expect(426)
        self.assertEqual(self.server.names(), [])

    def test_the_server_connects_to_nobody(self) -> None:
        client = self.server.alice()
        for line in ("PORT 192,0,2,99,0,22", f"PORT {CLIENT.replace('.', ',')},200,10", f"EPRT |1|{CLIENT}|50000|"):
            client.expect(502, line)

    def test_epsv_all_is_a_promise(self) -> None:
        client = self.server.alice()
        client.expect(200, "EPSV ALL")
        client.expect(501, "PASV")
        client.expect(229, "EPSV")

    def test_a_client_that_cannot_wait_may_say_all_at_once(self) -> None:
        client: Client = self.server.alice()
        client.tell("EPSV", "NLST", "EPSV", "NLST", "QUIT")
        for _ in range(2):
            client.expect(229)
            client.connect(self.server.reactor.ports[-1])
            client.expect(150)
            client.expect(226)
        client.expect(221)
