"""Logging in, TLS, and the limits of a control connection."""
from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from frontends.ftp.commands import LONGEST_LINE
from frontends.ftp.control import IDLE_SECONDS, LOGIN_SECONDS, MOST_WAITING, PARTING_SECONDS
from frontends.ftp.server import MOST_CLIENTS
from frontends.ftp.verbs import VERBS
from tests.frontends.ftp.harness import CONTROL_CONTEXT, DATA_CONTEXT, Client, Server


class LoggingIn(SynchronousTestCase):
    def test_a_password_opens_the_root(self) -> None:
        client = Server().visit()
        self.assertTrue(client.greeting.startswith("220 "))
        client.expect(331, "USER alice")
        client.expect(230, "PASS sécret")
        self.assertEqual(client.expect(257, "PWD"), '257 "/" is where you are.\r\n')

    def test_a_wrong_password_is_answered_late_and_the_third_is_the_last(self) -> None:
        server = Server()
        client = server.visit()
        for code in (530, 530, 421):
            before = server.grid.time.seconds()
            client.expect(331, "USER alice")
            client.expect(code, "PASS wrong")
            self.assertGreaterEqual(server.grid.time.seconds() - before, 2)
        client.until(lambda: client.wire.ended == "in order")

    def test_a_name_without_a_password_opens_nothing(self) -> None:
        client = Server().visit()
        client.expect(503, "PASS sécret")
        client.expect(331, "USER anonymous")
        client.expect(530, "PASS guest@")
        client.expect(503, "PASS sécret")

    def test_nothing_but_what_is_public_is_done_before(self) -> None:
        client = Server().visit()
        public = {"USER", "PASS", "AUTH", "PBSZ", "PROT", "QUIT", "FEAT", "HELP", "NOOP", "OPTS", "SYST"}
        self.assertEqual({verb for verb, each in VERBS.items() if each.is_public}, public)
        for verb in sorted(VERBS.keys() - public):
            client.expect(530, f"{verb} x")

    def test_another_user_forgets_the_one_before(self) -> None:
        client = Server().alice()
        client.expect(257, "MKD dir")
        client.expect(250, "CWD dir")
        client.expect(331, "USER mallory")
        client.expect(530, "PWD")
        client.expect(530, "PASS x")
        client.expect(530, "LIST")

    def test_a_password_may_hold_anything_but_a_line_end(self) -> None:
        client = Server().visit()
        client.expect(331, "USER alice")
        client.expect(530, "PASS  sécret ")
        client.expect(331, "USER alice")
        client.expect(501, b"PASS s\xe9cret")


class Tls(SynchronousTestCase):
    def secure(self, server: Server) -> Client:
        client = server.visit()
        client.expect(234, "AUTH TLS")
        client.wire.shake_hands()
        return client

    def test_no_password_is_taken_in_clear_unless_that_is_configured(self) -> None:
        client = Server(allow_plain=False).visit()
        client.expect(530, "USER alice")
        client.expect(503, "PASS sécret")
        self.assertIsNone(client.wire.context)

    def test_no_file_goes_in_clear_unless_that_is_configured(self) -> None:
        server = Server(allow_plain=False)
        client = self.secure(server)
        self.assertIs(client.wire.context, CONTROL_CONTEXT)
        client.expect(331, "USER alice")
        client.expect(230, "PASS sécret")
        client.connect(client.port())
        for line in ("LIST", "STOR x", "RETR x", "MLSD", "NLST", "APPE x"):
            client.expect(521, line)
        client.expect(200, "PBSZ 0")
        client.expect(534, "PROT C")
        client.expect(200, "PROT P")
        client.expect(425, "LIST")  # the port before was for the other kind
        wire = client.connect(client.port())
        self.assertIs(wire.context, DATA_CONTEXT)
        client.expect(150, "NLST")
        self.assertTrue(client.is_silent())
        wire.shake_hands()
        client.expect(226)
        self.assertEqual(wire.ended, "in order")

    def test_protection_can_be_given_up_where_plain_is_allowed(self) -> None:
        client = self.secure(Server())
        client.expect(503, "PROT P")
        client.expect(200, "PBSZ 0")
        client.expect(200, "PROT P")
        client.expect(200, "PROT C")
        client.expect(536, "PROT S")
        client.expect(504, "PROT X")

    def test_auth_is_for_tls_and_for_once(self) -> None:
        client = Server().visit()
        client.expect(504, "AUTH KERBEROS_V4")
        client.expect(503, "PBSZ 0")
        client.expect(234, "AUTH tls")
        client.wire.shake_hands()
        client.expect(503, "AUTH TLS")

    def test_who_has_logged_in_in_clear_must_do_so_again(self) -> None:
        client = Server().alice()
        client.expect(234, "AUTH TLS")
        client.wire.shake_hands()
        client.expect(530, "PWD")

    def test_commands_put_in_before_tls_are_never_obeyed(self) -> None:
        for extra in (b"USER mallory\r\n", b"USER m", b"\r\n"):
            client = Server().visit()
            client.wire.deliver(b"AUTH TLS\r\n" + extra)
            client.expect(421)
            client.until(lambda: client.wire.ended == "in order")  # noqa: B023 - at once
            self.assertIsNone(client.wire.context)

    def test_an_empty_upload_over_tls_needs_its_handshake(self) -> None:
        server = Server()
        client = self.secure(server)
        client.expect(331, "USER alice")
        client.expect(230, "PASS sécret")
        for line in ("PBSZ 0", "PROT P", "TYPE I"):
            client.expect(200, line)
        wire = client.connect(client.port())
        client.expect(150, "STOR x")
        wire.end(ConnectionLost())
        client.expect(426)
        self.assertEqual(server.names(), [])


class Limits(SynchronousTestCase):
    def test_whoever_says_nothing_is_sent_away(self) -> None:
        client = Server().alice()
        for _ in range(2):
            client.pause(IDLE_SECONDS - 1)
            client.expect(200, "NOOP")
        client.pause(IDLE_SECONDS + 1)
        client.expect(421)
        self.assertEqual(client.wire.ended, "in order")

    def test_whoever_does_not_log_in_is_sent_away_whatever_he_says(self) -> None:
        client = Server().visit()
        for _ in range(3):
            client.pause(LOGIN_SECONDS / 4)
            client.expect(200, "NOOP")
        client.pause(LOGIN_SECONDS / 4 + 1)
        client.expect(421)
        self.assertEqual(client.wire.ended, "in order")

    def test_there_is_time_to_log_in_as_somebody_else(self) -> None:
        client = Server().alice()
        client.pause(LOGIN_SECONDS * 2)
        client.expect(331, "USER alice")
        client.expect(230, "PASS sécret")

    def test_a_line_that_is_too_long_is_refused_and_the_next_is_not(self) -> None:
        client = Server().visit()
        client.expect(500, "x" * (LONGEST_LINE * 3))
        client.expect(200, "NOOP")

    def test_what_is_no_command_is_answered(self) -> None:
        client = Server().alice()
        client.expect(500, "XYZZ")
        client.expect(500, "")
        client.expect(500, b"\xff\x00\x80")
        for verb, each in VERBS.items():
            if each.needs_argument and verb != "USER":
                client.expect(501, verb)
        client.expect(200, "NOOP")

    def test_a_browser_is_sent_away_before_it_can_be_made_to_say_more(self) -> None:
        client = Server().visit()
        client.wire.deliver(b"POST / HTTP/1.1\r\nHost: 192.0.2.1:8021\r\n\r\nUSER alice\r\nPASS s\xc3\xa9cret\r\nDELE x\r\n")
        client.expect(421)
        client.until(lambda: client.wire.ended == "in order")
        self.assertTrue(client.is_silent())

    def test_commands_are_answered_in_order_however_many_come_at_once(self) -> None:
        client = Server().alice()
        client.tell(*["NOOP", "PWD"] * 500)
        for _ in range(500):
            client.expect(200)
            client.expect(257)

    def test_a_client_is_held_while_many_of_its_commands_wait(self) -> None:
        client = Server().alice()
        client.tell("MKD dir", *["NOOP"] * MOST_WAITING, "PWD")
        self.assertTrue(client.wire.is_held)
        client.expect(257)
        for _ in range(MOST_WAITING):
            client.expect(200)
        self.assertFalse(client.wire.is_held)

    def test_replies_that_nobody_reads_do_not_pile_up(self) -> None:
        client = Server().alice()
        client.wire.capacity = 1000
        client.tell(*["FEAT"] * 1000)
        client.pause(1)
        self.assertLess(len(client.wire.sent), 2000)
        said = 0
        while taken := client.wire.drain():
            said += taken.count(b"211 End")
            client.pause(0)
        self.assertEqual(said, 1000)

    def test_there_is_room_for_so_many_clients_and_for_the_next_when_one_leaves(self) -> None:
        server = Server()
        first = server.visit()
        server.factory.clients = MOST_CLIENTS
        refused = server.visit()
        self.assertTrue(refused.greeting.startswith("421 "))
        first.wire.end()
        self.assertTrue(server.visit().greeting.startswith("220 "))

    def test_a_client_that_does_not_take_its_last_reply_is_cut_off(self) -> None:
        client = Server().visit()
        client.wire.loseConnection = lambda: None  # type: ignore[method-assign] # never flushed
        client.expect(221, "QUIT")
        client.pause(PARTING_SECONDS + 1)
        self.assertEqual(client.wire.ended, "aborted")
        self.assertEqual(client.server.factory.clients, 0)

    def test_a_client_that_leaves_leaves_nothing_behind(self) -> None:
        server = Server()
        client = server.alice()
        wire = client.connect(client.port())
        client.expect(221, "QUIT")
        client.until(lambda: client.wire.ended == "in order")
        self.assertEqual(wire.ended, "aborted")
        client = server.alice()
        port = client.port()
        client.wire.reset()
        self.assertFalse(port.is_open)
        self.assertEqual(server.factory.clients, 0)
