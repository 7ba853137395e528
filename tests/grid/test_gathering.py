"""Questions that are asked at nearly the same time share calls; none waits long, is lost, or pays for another's fault."""
from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import NoSpace, ServerError, ServerGone
from lafs.grid.gathering import FAR_PATIENCE_SECONDS, MOST_BYTES, PATIENCE_SECONDS, Gathering
from lafs.protocol.remote_interfaces import MOST_FILES


class QuestionsToOneServer(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[tuple[list[int], Deferred[Sequence[str | ServerError]]]] = []
        self.gathering: Gathering[int, str] = Gathering(self._send, self.clock)

    async def _send(self, questions: Sequence[int]) -> Sequence[str | ServerError]:
        answers: Deferred[Sequence[str | ServerError]] = Deferred()
        self.calls.append((list(questions), answers))
        return await answers

    def _asked(self) -> list[list[int]]:
        return [questions for questions, _ in self.calls]

    def _answer(self, call: int) -> None:
        questions, answers = self.calls[call]
        answers.callback([f"answer {question}" for question in questions])

    def test_who_is_alone_does_not_wait(self) -> None:
        for question in range(3):
            answer = self.gathering.ask(question, 1)
            self.assertEqual(self._asked()[-1], [question])
            self._answer(-1)
            self.assertEqual(self.successResultOf(answer), f"answer {question}")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_comes_before_the_answer_shares_the_next_call(self) -> None:
        answers = [self.gathering.ask(question, 1) for question in range(4)]
        self.assertEqual(self._asked(), [[0]])
        self._answer(0)
        self.assertEqual(self._asked(), [[0], [1, 2, 3]])
        self._answer(1)
        self.assertEqual([self.successResultOf(each) for each in answers], [f"answer {question}" for question in range(4)])

    def test_nobody_waits_long_for_a_slow_server(self) -> None:
        for question in range(3):
            self.gathering.ask(question, 1)
        self.clock.advance(PATIENCE_SECONDS)
        self.assertEqual(self._asked(), [[0], [1, 2]])
        late = self.gathering.ask(3, 1)
        self._answer(0)  # Not the latest call: what waits, waits for that one.
        self.assertEqual(self._asked(), [[0], [1, 2]])
        self.clock.advance(PATIENCE_SECONDS)
        self.assertEqual(self._asked(), [[0], [1, 2], [3]])
        self._answer(2)
        self.assertEqual(self.successResultOf(late), "answer 3")

    def test_who_asks_a_server_far_away_waits_only_for_those_right_behind(self) -> None:
        self.gathering.ask(0, 1)
        self.clock.advance(0.1)
        self._answer(0)
        for question in (1, 2, 3):
            self.gathering.ask(question, 1)
        self.clock.advance(FAR_PATIENCE_SECONDS)
        self.assertEqual(self._asked(), [[0], [1], [2, 3]])

    def test_who_asks_a_server_near_by_waits_for_its_answer_though_it_is_busy(self) -> None:
        self.gathering.ask(0, 1)
        self._answer(0)
        self.gathering.ask(1, 1)
        self.gathering.ask(2, 1)
        self.clock.advance(PATIENCE_SECONDS * 0.9)
        self.assertEqual(self._asked(), [[0], [1]])
        self._answer(1)
        self.assertEqual(self._asked(), [[0], [1], [2]])

    def test_a_call_takes_so_many_bytes_and_files_and_leaves_when_it_has_them(self) -> None:
        self.gathering.ask(0, 1)
        for question in (1, 2):
            self.gathering.ask(question, MOST_BYTES // 2 + 1)
        self.assertEqual(self._asked(), [[0], [1, 2]])
        for question in range(MOST_FILES):
            self.gathering.ask(question, 1)
        self.assertEqual(self._asked()[2:], [list(range(MOST_FILES))])

    def test_one_question_that_fails_fails_alone(self) -> None:
        self.gathering.ask(0, 1)
        refused, answered = self.gathering.ask(1, 1), self.gathering.ask(2, 1)
        self._answer(0)
        self.calls[1][1].callback([NoSpace("full"), "answer 2"])
        self.failureResultOf(refused, NoSpace)
        self.assertEqual(self.successResultOf(answered), "answer 2")

    def test_a_call_that_fails_fails_for_all_that_it_carried_and_the_next_ones_go_on(self) -> None:
        first = self.gathering.ask(0, 1)
        others = [self.gathering.ask(question, 1) for question in (1, 2)]
        self.calls[0][1].errback(ServerGone("lost"))
        self.failureResultOf(first, ServerGone)
        self.calls[1][1].errback(ServerGone("lost"))
        for each in others:
            self.failureResultOf(each, ServerGone)

    def test_who_gives_up_while_waiting_is_not_sent_and_who_does_later_hurts_nobody(self) -> None:
        first = self.gathering.ask(0, 1)
        gone, stays = self.gathering.ask(1, 1), self.gathering.ask(2, 1)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self._answer(0)
        self.assertEqual(self._asked(), [[0], [2]])
        self._answer(1)
        self.assertEqual(self.successResultOf(stays), "answer 2")
        self.assertEqual(self.clock.getDelayedCalls(), [])
