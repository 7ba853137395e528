"""The hot paths of Foolscap's wire protocol, made shorter. Bytes on the wire and everything decided stay the same.

A Foolscap connection is a `foolscap.broker.Broker`, and a Tub may be told which class of it to use. The one here
differs in how tokens become bytes and back:

* A message is put together and written once; Foolscap writes every token in pieces of a few bytes, each of them through
  three layers of transports.
* A long byte string is not looked up in the table of abbreviations, which holds words: the look-up hashes all of it,
  half a millisecond for each MiB.
* While a long byte string arrives, its pieces are only counted; Foolscap parses the head of the string again, copying
  its first piece, each time one of its 16 KiB pieces comes in.

Together: a quarter of the processor time that a small call takes, and as much of reading a MiB. Written against the
internals of Foolscap 24.9, to which setup.cfg holds us; tests compare it with Foolscap's own, byte for byte.
"""
from __future__ import annotations

from typing import Any, Final

from foolscap.broker import Broker as FoolscapBroker
from foolscap.tokens import ABORT, CLOSE, INT, OPEN, STRING, VOCAB

LONGEST_WORD: Final = 100
"""Bytes. The abbreviations that both ends agree on are names of types and methods."""

WORTH_COUNTING: Final = 16 * 1024
"""Bytes of a string that are still to come, from which counting is worth it."""

_BASE: Final = 128
_SHORT: Final[dict[bytes, list[bytes]]] = {
    kind: [bytes([number]) + kind for number in range(_BASE)] for kind in (ABORT, CLOSE, INT, OPEN, STRING, VOCAB)
}


Broker: Any = FoolscapBroker  # untyped, and every method below calls the one it takes the place of


class SwiftBroker(Broker):  # type: ignore[misc]
    """One connection to another Tub."""

    def initSend(self) -> None:
        super().initSend()
        self.openCount: int
        self._outgoing: list[bytes] = []

    def initReceive(self) -> None:
        super().initReceive()
        self._missing = 0

    # --- sending: tokens are kept until the message, or as much of it as there is, is complete ---

    def produce(self, dummy: Any = None) -> None:
        super().produce(dummy)
        self._flush()

    def sendOpen(self) -> int:
        number = self.openCount
        self.openCount += 1
        self._outgoing.append(token(number, OPEN))
        return number

    def sendClose(self, openID: int) -> None:  # noqa: N803 - Foolscap's name
        self._outgoing.append(token(openID, CLOSE))

    def sendAbort(self, count: int = 0) -> None:
        self._outgoing.append(token(count, ABORT))

    def sendToken(self, obj: Any) -> None:
        if type(obj) is bytes:
            word = self.outgoingVocabulary.get(obj) if len(obj) <= LONGEST_WORD else None
            if word is not None:
                self._outgoing.append(token(word, VOCAB))
            else:
                self._outgoing += (token(len(obj), STRING), obj)
        elif type(obj) is int and 0 <= obj < 2**31:
            self._outgoing.append(token(obj, INT))
        else:
            self._flush()
            super().sendToken(obj)

    def _flush(self) -> None:
        if self._outgoing:
            outgoing, self._outgoing = self._outgoing, []
            transport: Any = self.transport
            transport.write(b"".join(outgoing))

    # --- receiving: what is known to be the middle of a long string is put aside ---

    def handleData(self, chunk: bytes) -> None:
        if self._missing:
            self.buffer.append(chunk)
            self._missing -= len(chunk)
            if self._missing > 0:
                return
            self._missing = 0
            chunk = b""
        super().handleData(chunk)
        self._missing = self._bytes_to_come()

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


def token(number: int, kind: bytes) -> bytes:
    """The head of a token: `number` in digits of seven bits, the lowest first, and the type."""
    if number < _BASE:
        return _SHORT[kind][number]
    digits = bytearray()
    while number:
        digits.append(number & (_BASE - 1))
        number >>= 7
    return bytes(digits) + kind
