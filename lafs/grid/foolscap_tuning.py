"""The hot paths of Foolscap's wire protocol, made shorter. What is said on the wire, and what is decided, stay the same.

A Foolscap connection is a `foolscap.broker.Broker`, and a Tub may be told which class of it to use. This one differs in
how messages become bytes and back, and in when things happen:

* Calls and answers that are plain (see `lafs.protocol.plain_messages`) are read and written in one pass, once all of a message
  is there. Everything else, and what is very large, goes through Foolscap's own machinery, token by token.
  Arguments and results are held against the same constraints, once, when they are complete.
* A message is put together and handed to the system at once. Foolscap writes every token in pieces of a few bytes, Twisted
  gathers them until the reactor's next turn, and the system is asked in the turn after that.
* A call is carried out in the turn in which it was received, in its order; Foolscap takes two turns more.
* While a long byte string arrives, its pieces are only counted; Foolscap parses the head of the string again, copying
  its first piece, each time one of its 16 KiB pieces comes in.
* An object that is offered for the life of one call or upload gets no URL, which nobody could use.

Written against the internals of Foolscap 24.9, to which setup.cfg holds us; tests compare it with Foolscap's own, byte for byte.
"""
from __future__ import annotations

from typing import Any, Final

from foolscap import call
from foolscap.broker import Broker as FoolscapBroker
from foolscap.ipb import ISlicer
from foolscap.referenceable import Referenceable, ReferenceableSlicer
from foolscap.tokens import ABORT, CLOSE, INT, OPEN, STRING, VOCAB, Violation
from twisted.internet.defer import Deferred, succeed
from twisted.python import log
from twisted.python.failure import Failure

from lafs.grid.immediate_sending import write_now
from lafs.protocol.plain_messages import (
    LONGEST_WORD,
    Answer,
    Call,
    MessageReader,
    MessageWriter,
    NotPlain,
    Reference,
    Unfinished,
    token,
)

WORTH_COUNTING: Final = 16 * 1024
"""Bytes of a string that are still to come, from which counting is worth it."""

LARGEST_GATHERED: Final = 2 * 1024 * 1024
"""Bytes of a message that are kept, unread, until it is complete."""

MOST_ATTEMPTS: Final = 8
"""Times that reading the same message is begun: somebody could send it byte by byte."""

_BASE: Final = 128

Broker: Any = FoolscapBroker  # untyped, and every method below calls the one it takes the place of


class SwiftBroker(Broker):  # type: ignore[misc]
    """One connection to another Tub."""

    def initSend(self) -> None:
        super().initSend()
        self.openCount: int
        self._outgoing: list[bytes] = []
        self._referred: list[Any] = []

    def initReceive(self) -> None:
        super().initReceive()
        self._missing = 0
        self._gathered: list[bytes] = []
        self._awaited = self._attempts = 0
        self._inbound: list[Any] = []

    # --- sending ---

    def send(self, obj: Any) -> Deferred[Any]:
        kind = type(obj)
        root = self.rootSlicer
        if kind is call.CallSlicer or kind is call.AnswerSlicer:
            idle = len(self.slicerStack) == 1 and not root.sendQueue and root.producingDeferred and not self.paused
            if idle and self._sent_plainly(obj):
                return succeed(None)
        sent: Deferred[Any] = super().send(obj)
        return sent

    def _sent_plainly(self, slicer: Any) -> bool:
        writer = MessageWriter(self.outgoingVocabulary, self.openCount, self._refer)
        self._referred.clear()
        try:
            if type(slicer) is call.AnswerSlicer:
                writer.answer(Answer(slicer.reqID, slicer.results))
            else:
                writer.call(Call(slicer.reqID, slicer.clid, slicer.methodname, slicer.args, slicer.kwargs))
        except NotPlain:
            for tracker in self._referred:
                tracker.refcount -= 1
            return False
        self.openCount = writer.opened
        self._write(writer.pieces)
        return True

    def _refer(self, offered: Any) -> Reference:
        """Count a reference to `offered` for the other end. Raises NotPlain if that is no object to be called."""
        if not isinstance(offered, Referenceable) or type(ISlicer(offered, None)) is not ReferenceableSlicer:
            raise NotPlain
        tracker = self.getTrackerForMyReference(offered.processUniqueID(), offered)
        self._referred.append(tracker)
        if not tracker.send():
            return Reference(tracker.clid, None, None)
        url = tracker.getURL() if self.tub is not None and offered in self.tub.referenceToName else None
        return Reference(tracker.clid, offered.getInterfaceName() or "", url)

    # Foolscap's own way: tokens are kept until the message, or as much of it as there is, is complete.

    def produce(self, dummy: Any = None) -> None:
        super().produce(dummy)
        self._flush()

    def sendOpen(self) -> int:
        number = self.openCount
        self.openCount += 1
        self._outgoing.append(token(number, OPEN[0]))
        return number

    def sendClose(self, openID: int) -> None:  # noqa: N803 - Foolscap's name
        self._outgoing.append(token(openID, CLOSE[0]))

    def sendAbort(self, count: int = 0) -> None:
        self._outgoing.append(token(count, ABORT[0]))

    def sendToken(self, obj: Any) -> None:
        if type(obj) is bytes:
            word = self.outgoingVocabulary.get(obj) if len(obj) <= LONGEST_WORD else None
            if word is not None:
                self._outgoing.append(token(word, VOCAB[0]))
            else:
                self._outgoing += (token(len(obj), STRING[0]), obj)
        elif type(obj) is int and 0 <= obj < 2**31:
            self._outgoing.append(token(obj, INT[0]))
        else:
            self._flush()
            super().sendToken(obj)

    def _flush(self) -> None:
        if self._outgoing:
            outgoing, self._outgoing = self._outgoing, []
            self._write(outgoing)

    def _write(self, pieces: list[bytes]) -> None:
        write_now(self.transport, b"".join(pieces))

    # --- receiving ---

    def dataReceived(self, chunk: bytes) -> None:
        super().dataReceived(chunk)
        if self._inbound:
            self._carry_out_calls()

    def handleData(self, chunk: bytes) -> None:
        if self._missing:
            # The middle of a long string: put aside.
            self.buffer.append(chunk)
            self._missing -= len(chunk)
            if self._missing > 0:
                return
            self._missing = 0
            chunk = b""
        elif self._gathered:
            self._gathered.append(chunk)
            self._awaited -= len(chunk)
            if self._awaited > 0:
                return
            chunk = b"".join(self._gathered)
            self._gathered = []
            chunk = self._read_plainly(chunk)
            if not chunk:
                return
        elif self._between_messages():
            self._attempts = 0
            chunk = self._read_plainly(chunk)
            if not chunk:
                return
        super().handleData(chunk)
        self._missing = self._bytes_to_come()

    def _between_messages(self) -> bool:
        return not (
            len(self.receiveStack) > 1
            or len(self.buffer)
            or self.inOpen
            or self.discardCount
            or self.skipBytes
            or self.inboundDeliveryQueue
        )

    def _read_plainly(self, chunk: bytes) -> bytes:
        """Deliver the plain messages that `chunk` begins with. Returns the rest of it, if that is not the beginning of another."""
        reader = MessageReader(chunk, self.incomingVocabulary)
        position = 0
        while position < len(chunk):
            try:
                message = reader.message()
                if type(message) is Answer:
                    self._take_answer(message, reader)
                elif type(message) is Call:
                    self._take_call(message, reader)
            except NotPlain as reason:
                rest = chunk[position:] if position else chunk
                return b"" if isinstance(reason, Unfinished) and self._gather(rest, reason.missing) else rest
            self._attempts = 0
            position = reader.position
        return b""

    def _gather(self, start: bytes, missing: int) -> bool:
        """Wait for the rest of the message that begins with `start`, if that is not too much, nor tried too often."""
        if len(start) + missing > LARGEST_GATHERED or self._attempts >= MOST_ATTEMPTS:
            return False
        self._attempts += 1
        self._gathered = [start]
        self._awaited = missing
        return True

    def _take_call(self, message: Call, reader: MessageReader) -> None:
        """Queue a call. Raises NotPlain for what Foolscap would refuse."""
        if message.request in self.activeLocalCalls:
            raise NotPlain
        try:
            target = self.getMyReferenceByCLID(message.target)
        except KeyError:
            raise NotPlain from None
        interface = target.getInterface()
        schema = interface.get(message.method) if interface else None
        if interface and not schema:
            raise NotPlain
        arguments, named = message.arguments, message.named
        if reader.has_references:
            arguments, named = self._with_references(arguments), self._with_references(named)
        self.objectCounter += reader.opened
        delivery = call.InboundDelivery(
            self, message.request, target, interface, message.method, schema, _Arguments(arguments, named)
        )
        if message.request:
            self.activeLocalCalls[message.request] = delivery
        self._inbound.append(delivery)

    def _take_answer(self, message: Answer, reader: MessageReader) -> None:
        """Hand an answer to who asked. Raises NotPlain if nobody did."""
        request = self.waitingForAnswers.get(message.request)
        if request is None:
            raise NotPlain
        result = self._with_references(message.result) if reader.has_references else message.result
        self.objectCounter += reader.opened
        if request.constraint:
            try:
                request.constraint.checkObject(result, True)
            except Violation:
                request.fail(Failure())  # type: ignore[no-untyped-call]
                return
        request.complete(result)

    def _with_references(self, value: Any) -> Any:
        """`value` with a RemoteReference for each Reference, which is counted: nothing may call for a second reading after this."""
        kind = type(value)
        if kind is Reference:
            return self.getTrackerForYourReference(value.number, value.interface, value.url).getRef()
        if kind is dict:
            return {self._with_references(key): self._with_references(each) for key, each in value.items()}
        if kind in (list, tuple, set):
            return kind(self._with_references(each) for each in value)
        return value

    def scheduleCall(self, delivery: Any, ready_deferred: Deferred[Any] | None) -> None:
        if ready_deferred is not None or self.inboundDeliveryQueue:
            super().scheduleCall(delivery, ready_deferred)
        else:
            # Foolscap's readers of a message refer to each other, and would keep a written MiB until some far garbage collection.
            reader = delivery.allargs
            delivery.allargs = _Arguments(reader.args, reader.kwargs)
            reader.args, reader.kwargs = [], {}
            self._inbound.append(delivery)

    def _carry_out_calls(self) -> None:
        """Everything that was received in this turn, in its order."""
        inbound, self._inbound = self._inbound, []
        for delivery in inbound:
            if self.disconnected:
                return
            self._carry_out(delivery)

    def _carry_out(self, delivery: Any) -> None:
        try:
            result = self._doCall(delivery)
        except Exception:
            result = Failure()  # type: ignore[no-untyped-call]
        answered: Any = result if isinstance(result, Deferred) else succeed(result)
        answered.addCallback(self._callFinished, delivery)
        answered.addErrback(self.callFailed, delivery.reqID, delivery)
        answered.addErrback(log.err)

    def _bytes_to_come(self) -> int:
        """How many bytes the string at the head of the buffer lacks; 0 if that is something else, or not many."""
        pieces = self.buffer.d
        if not pieces or self.buffer.ignored:
            return 0
        head = pieces[0]
        # Foolscap leaves the head of an incomplete string, its length and type, as a piece of its own.
        if len(head) > 10 or head[-1:] != STRING or max(head[:-1], default=_BASE) >= _BASE:
            return 0
        length = sum(digit << (7 * place) for place, digit in enumerate(head[:-1]))
        missing: int = len(head) + length - len(self.buffer)
        return missing if missing >= WORTH_COUNTING else 0


class _Arguments:
    """What Foolscap calls `allargs`."""

    __slots__ = ("args", "kwargs")

    def __init__(self, arguments: list[Any], named: dict[str, Any]) -> None:
        self.args = arguments
        self.kwargs = named
