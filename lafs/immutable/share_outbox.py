"""One share on its way to its server: blocks gathered into large writes, a bounded number of bytes unanswered.

An outbox never raises: a share that its server fails to take is lost, says why, and from then on swallows what it is fed, so that
one bad server does not disturb the other shares. The uploader decides whether enough are left. Spec: 02 §9.
"""
from __future__ import annotations

from attrs import define
from twisted.internet.defer import CancelledError, Deferred

from lafs.errors import ServerError, TimedOut
from lafs.interfaces import Bytes, GridServer, ShareWriter
from lafs.tasks import Clock, Window, forget, spawn

WRITE_SIZE = 1_000_000
"""Bytes gathered before they are sent. A call costs about as much as moving 100 kB."""

UNANSWERED = 4 * WRITE_SIZE
"""Bytes on the way to one server: enough to fill a long line, and little enough for hundreds of servers."""


@define
class Pace:
    """How long the servers of one upload take to answer, from which it follows when one of them is given up.

    A slow uplink makes all of them slow alike, so the limit grows with the slowest answer; until there is any, it is generous.
    """

    slowest: float | None = None

    def answered(self, seconds: float) -> None:
        self.slowest = max(seconds, self.slowest or 0.0)

    @property
    def limit_seconds(self) -> float:
        """How long an answer may take."""
        return 120.0 if self.slowest is None else max(10.0, 3 * self.slowest)


class ShareOutbox:
    """Sends one share. `feed` its bytes in order, then `finish`; or `give_up`."""

    def __init__(self, share_number: int, server: GridServer, writer: ShareWriter, pace: Pace, clock: Clock) -> None:
        self.share_number = share_number
        self.server = server
        self.failure: ServerError | None = None
        """Why the share is lost, if it is."""
        self.stored = False
        """Whether the server has acknowledged the whole share."""
        self._writer = writer
        self._pace = pace
        self._clock = clock
        self._gathered: list[Bytes] = []
        self._gathered_size = 0
        self._offset = 0
        self._window = Window(UNANSWERED)
        self._unanswered: dict[Deferred[None], float] = {}

    async def feed(self, piece: Bytes) -> None:
        """Take the next bytes of the share; waits while too many are unanswered."""
        if self.failure is not None:
            return
        self._gathered.append(piece)
        self._gathered_size += len(piece)
        if self._gathered_size >= WRITE_SIZE:
            await self._send_gathered()

    async def finish(self, trailer: bytes) -> None:
        """Send the last bytes and close the share, and wait for all answers. Afterwards it is `stored` or has a `failure`."""
        await self.feed(trailer)
        if self._gathered:
            await self._send_gathered()
        if self.failure is None:
            # In the same breath as the last write: the server carries out calls in order, so nothing is gained by waiting.
            self._watch(spawn(self._close()))
        while self._unanswered and self.failure is None:
            await _until(next(iter(self._unanswered)))

    def give_up(self, reason: ServerError) -> None:
        """Lose the share, and tell the server to forget it."""
        if self.failure is not None or self.stored:
            return
        self.failure = reason
        self._gathered.clear()
        for each in list(self._unanswered):
            each.cancel()
        forget(self._writer.abort())

    def give_up_if_overdue(self) -> None:
        """Lose the share if its server has not answered for longer than the others ever took."""
        if not self._unanswered:
            return
        waited = self._clock.seconds() - next(iter(self._unanswered.values()))
        if waited > self._pace.limit_seconds:
            self.give_up(TimedOut(f"no answer to a write for {waited:.0f} seconds"))

    async def _send_gathered(self) -> None:
        data = b"".join(self._gathered)
        self._gathered.clear()
        self._gathered_size = 0
        await self._window.take(len(data))
        if self.failure is not None:
            self._window.give_back(len(data))
            return
        offset, self._offset = self._offset, self._offset + len(data)
        self._watch(spawn(self._write(offset, data)))

    async def _write(self, offset: int, data: bytes) -> None:
        try:
            await self._writer.write(offset, data)
        finally:
            self._window.give_back(len(data))

    async def _close(self) -> None:
        await self._writer.close()
        if self.failure is None:
            self.stored = True

    def _watch(self, call: Deferred[None]) -> None:
        sent = self._clock.seconds()
        self._unanswered[call] = sent

        def answered(_: None) -> None:
            del self._unanswered[call]
            self._pace.answered(self._clock.seconds() - sent)

        def failed(failure: object) -> None:
            del self._unanswered[call]
            reason = getattr(failure, "value", None)
            if isinstance(reason, CancelledError):
                return
            self.give_up(reason if isinstance(reason, ServerError) else ServerError("the server failed"))

        call.addCallbacks(answered, failed)


async def _until(call: Deferred[None]) -> None:
    """Wait for `call` without taking its result; cancelling this wait leaves `call` alone."""
    done: Deferred[None] = Deferred(lambda _: None)

    def note(result: None) -> None:
        if not done.called:
            done.callback(None)

    call.addBoth(note)
    await done
