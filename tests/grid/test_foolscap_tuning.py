"""What is sent and understood is, byte for byte, what Foolscap's own code sends and understands."""
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from foolscap.api import Tub
from foolscap.banana import int2b128
from foolscap.broker import Broker, StorageBroker
from foolscap.constraint import ByteStringConstraint
from foolscap.slicers.list import ListConstraint
from foolscap.tokens import INT, STRING
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from lafs.grid.foolscap_connector import Timeouts, ephemeral_certificate, set_options
from lafs.grid.foolscap_tuning import WORTH_COUNTING, SwiftBroker, token

VOCABULARY = {"initial-vocab-table-index": 1}


class SwiftStorageBroker(SwiftBroker, StorageBroker):
    """Sends and receives any object, not only calls."""


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False)
    | st.binary()
    | st.sampled_from([b"list", b"call", b"x" * 100, b"x" * 101, b"y" * 5000])
    | st.text(),
    lambda below: st.lists(below)
    | st.dictionaries(st.binary(), below)
    | st.dictionaries(st.integers(), below)
    | st.tuples(below, below)
    | st.sets(st.integers() | st.binary()),
)


def sent_by(kind: type[Broker], *objects: Any) -> bytes:
    broker = kind(None, VOCABULARY)
    broker.makeConnection(transport := StringTransport())
    for each in objects:
        broker.send(each).addErrback(lambda _: None)
    sent: bytes = transport.value()
    return sent


def received_by(kind: type[Broker], chunks: list[bytes], constraint: Any = None) -> list[Any]:
    """What comes of `chunks`: objects, violations, and the error that ends the connection."""
    broker = kind(None, VOCABULARY)
    received: list[Any] = []
    broker.receiveChild = lambda obj, ready_deferred: received.append(obj)
    broker.reportViolation = lambda failure: received.append(("violation", str(failure.value)))
    broker.reportReceiveError = lambda failure: received.append(("error", str(failure.value)))
    broker.makeConnection(transport := StringTransport())
    broker.rootUnslicer.setConstraint(constraint)
    for chunk in chunks:
        broker.dataReceived(chunk)
    return [*received, transport.value(), transport.disconnecting]


class Sending(SynchronousTestCase):
    """The bytes are the same."""

    @given(st.integers(min_value=0) | st.integers(min_value=0, max_value=2**64))
    def test_heads_of_tokens_are_the_same(self, number: int) -> None:
        pieces: list[bytes] = []
        int2b128(number, pieces.append)
        self.assertEqual(token(number, STRING[0]), b"".join(pieces) + STRING)
        self.assertEqual(token(number, INT[0]), b"".join(pieces) + INT)

    @given(st.lists(values, max_size=4))
    def test_messages_are_the_same(self, objects: list[Any]) -> None:
        self.assertEqual(sent_by(SwiftStorageBroker, *objects), sent_by(StorageBroker, *objects))

    def test_messages_with_something_unsendable_are_the_same(self) -> None:
        for unsendable in (object(), [1, [b"a", object()], 2], {b"k": (1, object)}):
            objects = ([b"before"], unsendable, [b"after"])
            self.assertEqual(sent_by(SwiftStorageBroker, *objects), sent_by(StorageBroker, *objects))

    def test_many_objects_in_one_connection_are_the_same(self) -> None:
        objects = [[number, b"x" * number] for number in range(300)]
        self.assertEqual(sent_by(SwiftStorageBroker, *objects), sent_by(StorageBroker, *objects))

    def test_a_message_is_written_at_once(self) -> None:
        broker = SwiftStorageBroker(None, VOCABULARY)
        broker.makeConnection(transport := StringTransport())
        written: list[bytes] = []
        transport.write = written.append  # type: ignore[method-assign, assignment]
        broker.send([1, b"two", [3, {b"four": (5,)}]])
        self.assertEqual(len(written), 1)


class Receiving(SynchronousTestCase):
    """The objects are the same, however the bytes are cut."""

    @given(st.lists(values, min_size=1, max_size=3), st.data())
    def test_any_cut_gives_the_same_objects(self, objects: list[Any], data: st.DataObject) -> None:
        stream = sent_by(StorageBroker, *([each] for each in objects))
        cuts = sorted(data.draw(st.sets(st.integers(min_value=0, max_value=len(stream)), max_size=10)))
        chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        self.assertEqual(received_by(SwiftStorageBroker, chunks), [*([each] for each in objects), b"", False])

    @given(
        st.lists(st.integers(min_value=0, max_value=5 * WORTH_COUNTING), min_size=1, max_size=5),
        st.integers(min_value=1, max_value=3 * WORTH_COUNTING),
        st.integers(min_value=1, max_value=100),
    )
    def test_long_strings_are_the_same(self, sizes: list[int], step: int, first: int) -> None:
        objects = [[number, bytes([number]) * size] for number, size in enumerate(sizes)]
        stream = sent_by(StorageBroker, *objects)
        chunks = [stream[:first], *(stream[start : start + step] for start in range(first, len(stream), step))]
        self.assertEqual(received_by(SwiftStorageBroker, chunks), [*objects, b"", False])

    def test_a_refused_string_is_dropped_and_what_follows_is_read(self) -> None:
        constraint = ListConstraint(ByteStringConstraint(maxLength=10))
        stream = sent_by(StorageBroker, [b"x" * 200_000], [b"fine"])
        for step in (1000, 16_384, 70_000, 500_000):
            chunks = [stream[start : start + step] for start in range(0, len(stream), step)]
            outcomes = [received_by(kind, chunks, constraint) for kind in (SwiftStorageBroker, StorageBroker)]
            self.assertEqual(*outcomes)
            self.assertEqual(outcomes[0][1:], [[b"fine"], b"", False])
            self.assertEqual(outcomes[0][0][0], "violation")

    @given(st.lists(st.binary(max_size=200), max_size=5))
    def test_any_bytes_end_alike(self, chunks: list[bytes]) -> None:
        self.assertEqual(received_by(SwiftStorageBroker, chunks), received_by(StorageBroker, chunks))

    @given(st.lists(values, min_size=1, max_size=2), st.binary(max_size=3), st.data())
    def test_a_damaged_stream_ends_alike(self, objects: list[Any], damage: bytes, data: st.DataObject) -> None:
        stream = sent_by(StorageBroker, objects)
        place = data.draw(st.integers(min_value=0, max_value=len(stream)))
        stream = stream[:place] + damage + stream[place + len(damage) :]
        self.assertEqual(received_by(SwiftStorageBroker, [stream]), received_by(StorageBroker, [stream]))


class Use(SynchronousTestCase):
    """It is what our Tubs are made with."""

    def test_tubs_use_it(self) -> None:
        tub = Tub(certData=ephemeral_certificate(datetime.now(UTC)))
        set_options(tub, Timeouts())
        self.assertIs(tub.brokerClass, SwiftBroker)
