"""Calls between one of our connections and one of Foolscap's own, either way: nobody can tell which is which."""
from __future__ import annotations

import contextlib
import gc
from typing import Any

from foolscap.api import DictOf, ListOf, Referenceable, RemoteException, RemoteInterface, TupleOf
from foolscap.broker import Broker
from foolscap.call import ArgumentUnslicer
from foolscap.constraint import ByteStringConstraint
from foolscap.eventual import flushEventualQueue
from foolscap.remoteinterface import RemoteInterfaceConstraint, RemoteMethodSchema
from foolscap.tokens import Violation
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from lafs.grid.foolscap_tuning import SwiftBroker
from lafs.protocol.plain_messages import Answer, Call, MessageReader, MessageWriter, NotPlain, Reference, Unfinished
from lafs.tasks import spawn

VOCABULARY = {"initial-vocab-table-index": 1}


class RIEcho(RemoteInterface):
    __remote_name__ = "RIEcho.tests.lafs"
    echo = RemoteMethodSchema(
        _response=DictOf(int, ListOf(ByteStringConstraint(100))),
        shares=DictOf(int, ListOf(ByteStringConstraint(100))),
    )
    double = RemoteMethodSchema(_response=TupleOf(int, int), number=int)
    lie = RemoteMethodSchema(_response=int)
    fail = RemoteMethodSchema(_response=None)
    later = RemoteMethodSchema(_response=bytes)
    offer = RemoteMethodSchema(_response=DictOf(int, RemoteInterfaceConstraint(None)), taken=RemoteInterfaceConstraint(None))


@implementer(RIEcho)
class Echo(Referenceable):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.waiting: list[Deferred[bytes]] = []
        self.taken: Any = None

    def remote_echo(self, shares: dict[int, list[bytes]]) -> dict[int, list[bytes]]:
        self.calls.append("echo")
        return shares

    def remote_double(self, number: int) -> tuple[int, int]:
        self.calls.append(f"double {number}")
        return number, 2 * number

    def remote_lie(self) -> str:
        return "no number"

    def remote_fail(self) -> Deferred[None]:
        return fail(ValueError("as it was told"))

    def remote_later(self) -> Deferred[bytes]:
        self.waiting.append(waiting := Deferred())
        return waiting

    def remote_offer(self, taken: Any) -> dict[int, Referenceable]:
        self.taken = taken
        return {1: self, 2: Echo()}


class Pair:
    """Two connections that are each other's other end, with an Echo at the second that the first can call."""

    def __init__(self, near: type[Broker], far: type[Broker]) -> None:
        self.near, self.far = near(None, VOCABULARY), far(None, VOCABULARY)
        self.transports = StringTransport(), StringTransport()
        self.sent = b"", b""
        for broker, transport in zip((self.near, self.far), self.transports, strict=True):
            broker.makeConnection(transport)
        self.echo = Echo()
        tracker = self.far.getTrackerForMyReference(self.echo.processUniqueID(), self.echo)
        tracker.send()
        self.remote = self.near.getTrackerForYourReference(tracker.clid, "RIEcho.tests.lafs").getRef()

    async def settle(self, step: int = 2**20) -> None:
        """Carry bytes until there are none."""
        for _ in range(20):
            await flushEventualQueue()
            for transport, other in zip(self.transports, (self.far, self.near), strict=True):
                data = transport.value()
                transport.clear()
                for start in range(0, len(data), step):
                    other.dataReceived(data[start : start + step])


class CallsAndAnswers(TestCase):
    """Whoever speaks with whom, and however the bytes are cut, calls have the same outcome."""

    def everyone(self, story: Any) -> Deferred[None]:
        async def all_of_them() -> None:
            for near, far in ((SwiftBroker, SwiftBroker), (SwiftBroker, Broker), (Broker, SwiftBroker)):
                for step in (1, 7, 2**20):
                    await story(Pair(near, far), step)

        return spawn(all_of_them())

    def test_arguments_and_results_come_through(self) -> Deferred[None]:
        async def story(pair: Pair, step: int) -> None:
            shares = {3: [b"a", b"list"], 200: [], 2: [b"x" * 100]}
            answers = [pair.remote.callRemote("echo", shares), pair.remote.callRemote("double", number=-5)]
            await pair.settle(step)
            self.assertEqual([self.successResultOf(each) for each in answers], [shares, (-5, -10)])

        return self.everyone(story)

    def test_calls_are_carried_out_in_order(self) -> Deferred[None]:
        async def story(pair: Pair, step: int) -> None:
            # What is sent twice in one message is for Foolscap's own code: the one in the middle.
            same = [b"twice"]
            answers = [
                pair.remote.callRemote("double", 1),
                pair.remote.callRemote("echo", {1: same, 2: same}),
                pair.remote.callRemote("double", 3),
            ]
            await pair.settle(step)
            self.assertEqual(pair.echo.calls, ["double 1", "echo", "double 3"])
            self.assertEqual([self.successResultOf(each) for each in answers], [(1, 2), {1: same, 2: same}, (3, 6)])

        return self.everyone(story)

    def test_failures_and_broken_promises_are_told(self) -> Deferred[None]:
        async def story(pair: Pair, step: int) -> None:
            answers = [pair.remote.callRemote("fail"), pair.remote.callRemote("lie"), pair.remote.callRemote("double", 4)]
            await pair.settle(step)
            failure = self.failureResultOf(answers[0])
            self.assertIn("as it was told", str(failure.value))
            self.failureResultOf(answers[1])
            self.assertEqual(self.successResultOf(answers[2]), (4, 8))

        return self.everyone(story)

    def test_arguments_against_the_interface_are_refused_by_the_other_end(self) -> Deferred[None]:
        async def story(pair: Pair, step: int) -> None:
            # The caller's own check is left out: the far end must not rely on it.
            wrong = [
                pair.remote.callRemote("echo", {1: [b"x" * 101]}, _useSchema=False),
                pair.remote.callRemote("double", b"one", _useSchema=False),
                pair.remote.callRemote("double", 1, surplus=2, _useSchema=False),
                pair.remote.callRemote("double", _useSchema=False),
            ]
            right = pair.remote.callRemote("double", 4)
            await pair.settle(step)
            for each in wrong:
                self.failureResultOf(each, RemoteException, Violation)
            self.assertEqual(self.successResultOf(right), (4, 8))
            self.assertEqual(pair.echo.calls, ["double 4"])

        return self.everyone(story)

    def test_a_result_against_the_callers_wishes_is_refused(self) -> Deferred[None]:
        async def story(pair: Pair, step: int) -> None:
            answer = pair.remote.callRemote("echo", {1: [b"long"]}, _resultConstraint=DictOf(int, ListOf(ByteStringConstraint(3))))
            await pair.settle(step)
            self.failureResultOf(answer, Violation)

        return self.everyone(story)

    def test_answers_come_in_any_order(self) -> Deferred[None]:
        async def story(pair: Pair, step: int) -> None:
            answers = [pair.remote.callRemote("later"), pair.remote.callRemote("later")]
            await pair.settle(step)
            for waiting, answer in zip(reversed(pair.echo.waiting), (b"second", b"first"), strict=True):
                waiting.callback(answer)
            await pair.settle(step)
            self.assertEqual([self.successResultOf(each) for each in answers], [b"first", b"second"])

        return self.everyone(story)

    def test_references_lead_to_their_objects_and_are_forgotten_by_both_ends(self) -> Deferred[None]:
        async def story(pair: Pair, step: int) -> None:
            ours = Echo()
            answer = pair.remote.callRemote("offer", ours)
            await pair.settle(step)
            offered = self.successResultOf(answer)
            self.assertIs(offered[1], pair.remote)
            there = offered[2].callRemote("double", 21)
            back = pair.echo.taken.callRemote("double", 5)
            await pair.settle(step)
            self.assertEqual((self.successResultOf(there), self.successResultOf(back)), ((21, 42), (5, 10)))
            self.assertEqual(ours.calls, ["double 5"])

            del offered, answer
            pair.echo.taken = None
            gc.collect()
            await pair.settle(step)
            self.assertEqual(len(pair.far.myReferenceByCLID), 1)
            self.assertEqual(len(pair.near.myReferenceByCLID), 0)

        return self.everyone(story)

    def test_what_was_written_is_not_kept_until_garbage_is_collected(self) -> Deferred[None]:
        async def story() -> None:
            gc.collect()
            pair = Pair(SwiftBroker, SwiftBroker)
            gc.disable()
            self.addCleanup(gc.enable)
            answer = pair.remote.callRemote("echo", {3: [b"x" * 100]})
            await pair.settle(step=7)
            self.successResultOf(answer)
            kept = [each for each in gc.get_objects() if isinstance(each, ArgumentUnslicer)]
            self.assertEqual([each for each in kept if each.args or each.kwargs], [])

        return spawn(story())

    def test_nothing_is_carried_out_once_the_connection_is_lost(self) -> Deferred[None]:
        async def story() -> None:
            pair = Pair(SwiftBroker, SwiftBroker)
            pair.echo.remote_fail = lambda: pair.far.transport.loseConnection() or pair.far.finish(_lost())  # type: ignore[method-assign]
            answers = [pair.remote.callRemote("fail"), pair.remote.callRemote("double", 1)]
            await pair.settle()
            self.assertEqual(pair.echo.calls, [])
            del answers

        return spawn(story())


def _lost() -> Any:
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    return Failure(ConnectionDone())


def refuse(offered: Any) -> Reference:
    raise NotPlain


class Reading(SynchronousTestCase):
    """A message is read whole or left to Foolscap."""

    def written(self, message: Call | Answer) -> bytes:
        writer = MessageWriter({}, 0, refuse)
        (writer.call if isinstance(message, Call) else writer.answer)(message)  # type: ignore[operator, arg-type]
        return b"".join(writer.pieces)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_a_message_or_not_plain(self, data: bytes) -> None:
        reader = MessageReader(data, {})
        try:
            reader.message()
        except NotPlain:
            pass
        else:
            self.assertLessEqual(reader.position, len(data))

    @given(st.binary(max_size=4), st.data())
    def test_a_damaged_message_is_a_message_or_not_plain(self, damage: bytes, data: st.DataObject) -> None:
        whole = self.written(Call(7, 3, "slot_readv", [b"index", [1, 2], {4: (None, True, "text")}, -(2**40)], {"named": {b"s"}}))
        place = data.draw(st.integers(min_value=0, max_value=len(whole)))
        reader = MessageReader(whole[:place] + damage + whole[place + len(damage) :], {})
        with contextlib.suppress(NotPlain):
            reader.message()

    def test_no_beginning_of_a_message_is_taken_for_one(self) -> None:
        whole = self.written(Answer(300, {1: [b"data", (2, -3)], 2: [None]}))
        for size in range(len(whole)):
            self.assertRaises(NotPlain, MessageReader(whole[:size], {}).message)
        self.assertEqual(MessageReader(whole, {}).message(), Answer(300, {1: [b"data", (2, -3)], 2: [None]}))

    def test_what_is_missing_is_told(self) -> None:
        whole = self.written(Answer(1, {1: [b"x" * 1000]}))
        for size in range(1, len(whole)):
            with self.assertRaises(Unfinished) as caught:
                MessageReader(whole[:size], {}).message()
            self.assertLessEqual(size + caught.exception.missing, len(whole))

    def test_containers_without_end_are_left_alone(self) -> None:
        deep: list[Any] = []
        for _ in range(100):
            deep = [deep]
        self.assertRaises(NotPlain, MessageReader(self.written(Answer(1, deep)), {}).message)
        self.assertRaises(NotPlain, MessageReader(b"\x01" * 10_000 + b"\x81", {}).message)
