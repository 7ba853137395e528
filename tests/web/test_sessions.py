"""Sessions, handles and tickets as values: what they promise whoever builds on them."""
from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from frontends.web import sessions as module
from frontends.web.content_labels import LABEL_SECONDS, ContentHosts, ContentLabels
from frontends.web.sessions import MOST_HANDLES, MOST_SESSIONS, SESSION_SECONDS, TICKET_SECONDS, Sessions
from lafs.capability import Cap, LiteralCap, parse

DIRECTORY = parse("URI:DIR2:djrdkfawoqihigoett4g6auz6a:jx5mplfpwexnoqff7y5e4zjus4lidm76dcuarpct7cckorh2dpgq")


def literal(number: int) -> Cap:
    return LiteralCap(b"%d" % number)


class SessionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.changes = 0
        self.sessions = self.again()

    def again(self, saved: bytes = b"") -> Sessions:
        """As after a restart of the node."""

        def changed() -> None:
            self.changes += 1

        sessions = Sessions(self.clock, Random(str(saved)).randbytes, "token", changed)
        sessions.restore(saved)
        return sessions


class Tickets(SessionCase):
    def test_a_ticket_opens_once(self) -> None:
        ticket = self.sessions.new_ticket(DIRECTORY, literal(1), "a?t=info")
        found = self.sessions.redeem(ticket)
        assert found is not None
        self.assertEqual((found.home, found.to, found.path), (DIRECTORY, literal(1), "a?t=info"))
        self.assertIsNone(self.sessions.redeem(ticket))

    def test_and_not_for_long(self) -> None:
        early, late = self.sessions.new_ticket(None), self.sessions.new_ticket(None)
        self.clock.advance(TICKET_SECONDS - 1)
        self.assertIsNotNone(self.sessions.redeem(early))
        self.clock.advance(1)
        self.assertIsNone(self.sessions.redeem(late))

    def test_what_is_no_ticket_opens_nothing(self) -> None:
        self.sessions.new_ticket(None)
        for wrong in ("", "a", "a" * 52, "\udcff", "é"):
            self.assertIsNone(self.sessions.redeem(wrong))

    def test_only_so_many_wait_to_be_used(self) -> None:
        tickets = [self.sessions.new_ticket(None) for _ in range(module.MOST_TICKETS + 1)]
        self.assertIsNone(self.sessions.redeem(tickets[0]))
        self.assertIsNotNone(self.sessions.redeem(tickets[1]))

    def test_the_token_is_compared_whole_and_none_is_nobodys(self) -> None:
        self.assertTrue(self.sessions.token_is("token"))
        for wrong in ("", "toke", "token ", "Token", "é"):
            self.assertFalse(self.sessions.token_is(wrong))
        self.assertFalse(Sessions(self.clock, Random(0).randbytes).token_is(""))


class Cookies(SessionCase):
    def test_a_cookie_carries_its_session_and_no_other(self) -> None:
        (first, first_cookie), (second, second_cookie) = self.sessions.open(), self.sessions.open()
        self.assertIs(self.sessions.of_cookie(first_cookie), first)
        self.assertIs(self.sessions.of_cookie(second_cookie), second)
        self.assertNotEqual(first.form_token, second.form_token)
        for wrong in ("", first.form_token, first.cookie_hash.hex(), first_cookie[:-1], first_cookie.upper(), "é"):
            self.assertIsNone(self.sessions.of_cookie(wrong))

    def test_opening_again_changes_the_cookie_and_keeps_the_handles(self) -> None:
        session, old = self.sessions.open()
        handle = self.sessions.handle_for(session, DIRECTORY)
        again, new = self.sessions.open(session)
        self.assertIs(again, session)
        self.assertIsNone(self.sessions.of_cookie(old))
        self.assertIs(self.sessions.of_cookie(new), session)
        self.assertEqual(self.sessions.cap_of(session, handle), DIRECTORY)

    def test_a_session_ends_when_nobody_uses_it_for_long(self) -> None:
        _, used = self.sessions.open()
        _, unused = self.sessions.open()
        for _ in range(3):
            self.clock.advance(SESSION_SECONDS * 0.6)
            self.assertIsNotNone(self.sessions.of_cookie(used))
        self.assertIsNone(self.sessions.of_cookie(unused))

    def test_the_browser_is_told_once_a_day_to_keep_its_cookie(self) -> None:
        session, _ = self.sessions.open()
        self.assertFalse(self.sessions.renewal_due(session))
        self.clock.advance(module.RENEWAL_SECONDS)
        self.assertTrue(self.sessions.renewal_due(session))
        self.assertFalse(self.sessions.renewal_due(session))

    def test_only_so_many_at_a_time_and_those_in_use_stay(self) -> None:
        _, first = self.sessions.open()
        _, second = self.sessions.open()
        for _ in range(MOST_SESSIONS - 2):
            self.sessions.open()
        self.clock.advance(module.NOTED_SECONDS)
        self.assertIsNotNone(self.sessions.of_cookie(first))
        self.sessions.open()
        self.assertIsNone(self.sessions.of_cookie(second))
        self.assertIsNotNone(self.sessions.of_cookie(first))

    def test_closed_is_closed(self) -> None:
        session, cookie = self.sessions.open()
        self.sessions.close(session)
        self.assertIsNone(self.sessions.of_cookie(cookie))


class Handles(SessionCase):
    def test_a_cap_has_one_handle_in_a_session_and_another_in_another(self) -> None:
        (one, _), (two, _) = self.sessions.open(), self.sessions.open()
        handle = self.sessions.handle_for(one, DIRECTORY)
        self.assertEqual(self.sessions.handle_for(one, DIRECTORY), handle)
        self.assertEqual(self.sessions.cap_of(one, handle), DIRECTORY)
        self.assertNotEqual(self.sessions.handle_for(two, DIRECTORY), handle)
        self.assertIsNone(self.sessions.cap_of(two, handle))

    def test_handles_tell_nothing_of_the_cap_and_cannot_be_guessed(self) -> None:
        session, _ = self.sessions.open()
        handles = {self.sessions.handle_for(session, literal(number)) for number in range(100)}
        self.assertEqual((len(handles), {len(handle) for handle in handles}), (100, {24}))

    def test_only_so_many_and_the_home_stays(self) -> None:
        session, _ = self.sessions.open()
        self.sessions.settle(session, DIRECTORY)
        home = self.sessions.handle_for(session, DIRECTORY)
        handles = [self.sessions.handle_for(session, literal(number)) for number in range(MOST_HANDLES - 1)]
        self.sessions.cap_of(session, handles[0])
        self.sessions.handle_for(session, literal(-1))
        self.assertEqual(len(session.handles), MOST_HANDLES)
        self.assertEqual(len(session.names), MOST_HANDLES)
        self.assertEqual(self.sessions.cap_of(session, home), DIRECTORY)
        self.assertEqual(self.sessions.cap_of(session, handles[0]), literal(0))
        self.assertIsNone(self.sessions.cap_of(session, handles[1]))

    def test_nothing_secret_is_in_a_repr(self) -> None:
        session, cookie = self.sessions.open()
        self.sessions.settle(session, DIRECTORY)
        handle = self.sessions.handle_for(session, DIRECTORY)
        for secret in ("djrdk", cookie, session.form_token, handle):
            self.assertNotIn(secret, repr(session))


class Restarts(SessionCase):
    def test_cookies_and_handles_survive_a_restart(self) -> None:
        session, cookie = self.sessions.open()
        self.sessions.settle(session, DIRECTORY)
        handle = self.sessions.handle_for(session, literal(1))
        restarted = self.again(self.sessions.saved())
        found = restarted.of_cookie(cookie)
        assert found is not None
        self.assertEqual((found.home, restarted.cap_of(found, handle)), (DIRECTORY, literal(1)))
        self.assertEqual(restarted.handle_for(found, literal(1)), handle)
        self.assertTrue(found.token_is(session.form_token))

    def test_what_is_saved_opens_no_session_by_itself(self) -> None:
        _, cookie = self.sessions.open()
        self.assertNotIn(cookie, self.sessions.saved().decode())

    def test_everything_that_must_be_saved_is_announced(self) -> None:
        def announced() -> bool:
            before, self.changes = self.changes, 0
            return before > 0

        session, cookie = self.sessions.open()
        self.assertTrue(announced())
        self.sessions.handle_for(session, DIRECTORY)
        self.assertTrue(announced())
        self.sessions.handle_for(session, DIRECTORY)
        self.sessions.of_cookie(cookie)
        self.assertFalse(announced())
        self.sessions.settle(session, DIRECTORY)
        self.assertTrue(announced())
        self.clock.advance(module.NOTED_SECONDS)
        self.sessions.of_cookie(cookie)
        self.assertTrue(announced())
        self.sessions.close(session)
        self.assertTrue(announced())

    def test_sessions_that_ended_meanwhile_do_not_come_back(self) -> None:
        _, cookie = self.sessions.open()
        saved = self.sessions.saved()
        self.clock.advance(SESSION_SECONDS)
        self.assertIsNone(self.again(saved).of_cookie(cookie))

    @given(st.binary(max_size=60))
    def test_any_file_is_survived(self, saved: bytes) -> None:
        Sessions(Clock(), Random(0).randbytes).restore(saved)

    def test_so_is_one_of_the_right_shape_with_wrong_things_in_it(self) -> None:
        good, cookie = self.sessions.open()
        saved = json.loads(self.sessions.saved())
        self.assertEqual(good.handles, {})
        for key in ("cookie", "form_token", "used", "handles"):
            for wrong in (None, 7, [], "é", {"x": 7}):
                broken = json.loads(json.dumps(saved))
                broken["sessions"][0][key] = wrong
                self.again(json.dumps(broken).encode())
        self.assertIsNotNone(self.again(json.dumps(saved).encode()).of_cookie(cookie))
        self.assertIsNone(self.again(json.dumps({**saved, "format": 2}).encode()).of_cookie(cookie))


class Labels(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.labels = ContentLabels(self.clock, Random(1).randbytes)

    def label(self, cap: Cap = DIRECTORY, name: str = "x", save: bool = False, key: bytes = b"k") -> str:
        return self.labels.label_for(cap, name, save, key, "http://127.0.0.1:1")

    def test_the_same_file_in_the_same_session_has_the_same_label(self) -> None:
        self.assertEqual(self.label(), self.label())
        different = {self.label(), self.label(name="y"), self.label(save=True), self.label(key=b"l"), self.label(literal(1)),
                     ContentLabels(self.clock, Random(2).randbytes).label_for(DIRECTORY, "x", False, b"k", "")}
        self.assertEqual(len(different), 6)

    def test_a_label_can_be_part_of_a_host_name(self) -> None:
        self.assertEqual(ContentHosts().label_in(f"{self.label()}.localhost"), self.label())

    def test_labels_end_after_a_day_and_with_their_session(self) -> None:
        mine, other = self.label(), self.label(key=b"other")
        self.labels.forget(b"k")
        self.assertIsNone(self.labels.find(mine))
        self.assertIsNotNone(self.labels.find(other))
        self.clock.advance(LABEL_SECONDS)
        self.assertIsNone(self.labels.find(other))

    def test_host_names_for_contents_are_told_from_all_others(self) -> None:
        label = self.label()
        hosts, elsewhere, off = ContentHosts(), ContentHosts("https://*.files.example:8443"), ContentHosts("none")
        for name in ("localhost", "127.0.0.1", "localhost.example", f"{label}localhost", f"{label}.localhost.example", "", label):
            self.assertIsNone(hosts.label_in(name), name)
        for name in (f"x.{label}.localhost", ".localhost", "evil.localhost", f"{label}..localhost", f"{label.upper()}.localhost"):
            self.assertEqual(hosts.label_in(name), "", name)
        self.assertEqual(elsewhere.label_in(f"{label}.files.example"), label)
        self.assertIsNone(hosts.label_in(f"{label}.files.example"))
        self.assertIsNone(off.label_in(f"{label}.localhost"))

    def test_where_contents_are_shown_depends_on_how_the_page_was_reached(self) -> None:
        hosts = ContentHosts()
        here = hosts.for_page("127.0.0.1:3456", False, True, "Chrome")
        self.assertEqual(here.source, "http://*.localhost:3456")
        self.assertEqual(here.address("l", "a b/é.jpg", "../"), "http://l.localhost:3456/a%20b%2F%C3%A9.jpg")
        self.assertEqual(hosts.for_page("localhost", False, True, "").source, "http://*.localhost")
        for host, secure, local, agent in (("127.0.0.1:1", True, True, ""), ("box.lan:1", False, False, ""),
                                           ("127.0.0.1:1", False, True, "Version/17.0 Safari/605.1.15")):
            nowhere = hosts.for_page(host, secure, local, agent)
            self.assertEqual((nowhere.source, nowhere.address("l", "n", "../")), ("", "../content/l/n"))
        self.assertEqual(ContentHosts("files.example").for_page("box.lan", True, False, "").source, "https://*.files.example")
        self.assertEqual(
            ContentHosts("https://files.example:8443").for_page("127.0.0.1:1", False, True, "").source, "https://*.files.example:8443"
        )
        self.assertEqual(ContentHosts("none").for_page("127.0.0.1:1", False, True, "").source, "")
