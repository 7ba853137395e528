from __future__ import annotations

import stat
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.sessions import Sessions
from lafs.capability import parse
from lafs.node.lifetime import Lifetime
from lafs.node.web_sessions import SAVING_SECONDS, kept_sessions
from lafs.tasks import spawn
from lafs.workers import InlineWorkers

CAP = parse("URI:LIT:me")


class KeptSessions(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.private = self.directory / "private"
        self.clock = Clock()
        self.runs = 0

    def start(self) -> tuple[Sessions, Lifetime]:
        self.runs += 1
        lifetime = Lifetime()
        random = Random(self.runs).randbytes
        return kept_sessions(self.directory, self.clock, random, InlineWorkers(), lifetime), lifetime

    def end(self, lifetime: Lifetime) -> None:
        ended: Deferred[None] = spawn(lifetime.end())
        self.successResultOf(ended)

    def test_a_handle_is_good_after_a_restart(self) -> None:
        sessions, lifetime = self.start()
        session, cookie = sessions.open()
        handle = sessions.handle_for(session, CAP)
        self.end(lifetime)
        again, _ = self.start()
        found = again.of_cookie(cookie)
        assert found is not None
        self.assertEqual(again.cap_of(found, handle), CAP)

    def test_and_after_a_crash_a_second_later(self) -> None:
        sessions, _ = self.start()
        _, cookie = sessions.open()
        self.clock.advance(SAVING_SECONDS)
        self.assertIsNotNone(self.start()[0].of_cookie(cookie))

    def test_many_changes_are_one_write(self) -> None:
        sessions, lifetime = self.start()
        session, _ = sessions.open()
        for number in range(100):
            sessions.handle_for(session, parse(f"URI:CHK:{'a' * 26}:{'a' * 52}:3:10:{number}"))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.end(lifetime)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_files_are_for_the_owner_only(self) -> None:
        sessions, lifetime = self.start()
        sessions.open()
        self.end(lifetime)
        for name in ("web_token", "web_sessions"):
            self.assertEqual(stat.S_IMODE((self.private / name).stat().st_mode), 0o600, name)

    def test_the_token_is_new_at_each_start(self) -> None:
        tokens = set()
        for _ in range(2):
            sessions, _ = self.start()
            token = (self.private / "web_token").read_text().strip()
            self.assertTrue(sessions.token_is(token))
            tokens.add(token)
        self.assertEqual(len(tokens), 2)

    def test_a_damaged_file_does_not_keep_a_node_from_starting(self) -> None:
        self.start()
        for damage in (b"", b"\0" * 100, b'{"format": 1}', b"x" * 5_000_000):
            (self.private / "web_sessions").write_bytes(damage)
            self.assertIsNone(self.start()[0].of_cookie("x"))

    def test_nor_does_one_that_cannot_be_written_stop_it(self) -> None:
        sessions, lifetime = self.start()
        (self.private / "web_sessions").mkdir()
        session, _ = sessions.open()
        self.clock.advance(SAVING_SECONDS)
        sessions.handle_for(session, CAP)
        self.end(lifetime)
