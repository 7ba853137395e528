"""The network of a simulated grid: storage servers spoken to over connections that are slow, freeze, and break at any
message.

A `Connection` stands where `FoolscapServer` stands in a real client and behaves as it does: requests of one
connection arrive in the order they were made and are begun in that order, answers come back when they are ready, a
lost connection fails all that is outstanding, and the server aborts the writers of a client that went away. Every
request and every answer is one numbered message, so a test can count the messages of an operation and then cut the
connection at each in turn.
"""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeVar, cast

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError, ServerGone
from lafs.interfaces import (
    Allocation,
    ByteRange,
    Bytes,
    LeaseSecrets,
    ServerVersion,
    ShareKind,
    ShareReader,
    ShareWriter,
    SlotSecrets,
    SlotWrite,
    StorageServer,
    StoredShares,
    WholeShareServer,
)
from lafs.tasks import forget, spawn

T = TypeVar("T")

MESSAGE_OVERHEAD = 200
"""Bytes of a message beside its payload: only matters on a connection with a limited bandwidth."""


@frozen
class Message:
    """One message at the moment it would arrive. `number` counts all messages of the network from 0, in order of
    arrival.
    """

    number: int
    server: str
    kind: Literal["request", "answer"]
    verb: str


@define
class Network:
    """What all connections of one simulation share: the clock, the count of messages, and the fault drawn for each.

    `cuts(message)` is asked at every arrival; true means that this message is lost because its connection breaks
    right here. `trace` hears of every event, in order. `surprises` collects what a server raised that is no
    `ServerError`: bugs, always.
    """

    clock: IReactorTime
    cuts: Callable[[Message], bool] = lambda message: False
    trace: Callable[[str], None] = lambda event: None
    notice_seconds: Callable[[], float] = lambda: 0.0
    """How long after a cut the server sees that its client is gone."""
    messages: int = 0
    requests: Counter[str] = field(factory=Counter)
    bytes_asked: int = 0
    bytes_answered: int = 0
    bytes_written: int = 0
    surprises: list[Failure] = field(factory=list)

    def breaks(self, server: str, kind: Literal["request", "answer"], verb: str) -> bool:
        """Count a message that arrives now: whether it is lost in a cut."""
        message = Message(self.messages, server, kind, verb)
        self.messages += 1
        cut = self.cuts(message)
        self.trace(f"{kind} {verb} {server}{' CUT' if cut else ''}")
        return cut


class Pipe:
    """One direction of a connection: what is sent arrives in order, each `lag()` seconds after it has left the
    sender.
    """

    def __init__(self, clock: IReactorTime, lag: Callable[[], float], bytes_per_second: float | None) -> None:
        self._clock = clock
        self._lag = lag
        self._bytes_per_second = bytes_per_second
        self._queue: deque[Callable[[], None]] = deque()
        self._free_at = 0.0
        self._last_arrival = 0.0
        self._frozen = False
        self._held = 0
        self._closed = False

    def send(self, size: int, deliver: Callable[[], None]) -> None:
        """Call `deliver` when a message of `size` bytes sent now has arrived."""
        if self._closed:
            return
        now = self._clock.seconds()
        self._free_at = max(self._free_at, now)
        if self._bytes_per_second is not None:
            self._free_at += (size + MESSAGE_OVERHEAD) / self._bytes_per_second
        self._last_arrival = max(self._last_arrival, self._free_at + self._lag())
        self._queue.append(deliver)
        self._clock.callLater(self._last_arrival - now, self._arrive)

    def _arrive(self) -> None:
        if self._frozen:
            self._held += 1
        elif self._queue:
            self._queue.popleft()()

    def freeze(self) -> None:
        """Hold back whatever arrives."""
        self._frozen = True

    def thaw(self) -> None:
        """Let through what was held back, and all that follows."""
        self._frozen = False
        held, self._held = self._held, 0
        for _ in range(held):
            self._arrive()

    def close(self) -> None:
        """Lose all that is on its way."""
        self._closed = True
        self._queue.clear()


class Connection:
    """One connection between a client and `server`. Implements `StorageServer` for the client."""

    def __init__(
        self,
        network: Network,
        name: str,
        server: StorageServer,
        lag: Callable[[], float],
        bytes_per_second: float | None = None,
    ) -> None:
        self.network = network
        self.name = name
        self.connected = True
        self._server = server
        self._requests = Pipe(network.clock, lag, bytes_per_second)
        self._answers = Pipe(network.clock, lag, bytes_per_second)
        self._outstanding: dict[int, Deferred[object]] = {}
        self._asked = 0
        self._open_writers: dict[int, ShareWriter] = {}
        self._writers_opened = 0
        self.on_cut: Callable[[], None] = lambda: None

    # --- faults -----------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Break: all messages on their way are lost, all questions fail, the server soon aborts what was being
        written.
        """
        if not self.connected:
            return
        self.connected = False
        self._requests.close()
        self._answers.close()
        self.on_cut()
        self.network.clock.callLater(self.network.notice_seconds(), self._server_notices)
        for question in list(self._outstanding.values()):
            if not question.called:
                question.errback(ServerGone("the connection was lost"))

    def server_is_dead(self) -> None:
        """There is nobody left at the other end who could notice a cut."""
        self._open_writers.clear()
        self._server_notices = lambda: None  # type: ignore[method-assign]

    def freeze(self, answers_only: bool = False) -> None:
        """Hang: nothing arrives any more, in either direction; or the server hears, works, and its answers never
        come.
        """
        if not answers_only:
            self._requests.freeze()
        self._answers.freeze()

    def thaw(self) -> None:
        """End a `freeze`: what was held back arrives now."""
        self._requests.thaw()
        self._answers.thaw()

    @property
    def open_writers(self) -> int:
        """Shares that this client has opened on the server and neither closed nor aborted."""
        return len(self._open_writers)

    def _server_notices(self) -> None:
        while self._open_writers:
            _, writer = self._open_writers.popitem()
            forget(writer.abort())

    # --- one question and its answer --------------------------------------------------------------------------

    async def ask(self, verb: str, work: Callable[[], Awaitable[T]], sent_bytes: int = 0) -> T:
        """Have the server do `work`, and return what it answers."""
        if not self.connected:
            raise ServerGone("the connection was lost")
        self.network.requests[verb] += 1
        answer: Deferred[T] = Deferred()
        number = self._asked
        self._asked += 1
        self._outstanding[number] = answer  # type: ignore[assignment]
        self._requests.send(sent_bytes, lambda: self._arrive_at_server(verb, work, answer))
        try:
            return await answer
        finally:
            del self._outstanding[number]

    def _arrive_at_server(self, verb: str, work: Callable[[], Awaitable[T]], answer: Deferred[T]) -> None:
        if self.network.breaks(self.name, "request", verb):
            self.cut()
            return
        spawn(work()).addBoth(self._send_answer, verb, answer)

    def _send_answer(self, outcome: T | Failure, verb: str, answer: Deferred[T]) -> None:
        if isinstance(outcome, Failure) and outcome.check(ServerError) is None:
            self.network.surprises.append(outcome)
            outcome = Failure(ServerError("the server failed"))
        size = len(outcome) if isinstance(outcome, bytes) else 0
        self._answers.send(size, lambda: self._arrive_at_client(outcome, size, verb, answer))

    def _arrive_at_client(self, outcome: T | Failure, size: int, verb: str, answer: Deferred[T]) -> None:
        if self.network.breaks(self.name, "answer", verb):
            self.cut()
            return
        self.network.bytes_answered += size
        if not answer.called:
            answer.callback(outcome)

    def admit_writer(self, writer: ShareWriter) -> int:
        """Remember an open writer, to abort it when the client goes away; at once if it is gone already."""
        number = self._writers_opened
        self._writers_opened += 1
        if self.connected:
            self._open_writers[number] = writer
        else:
            forget(writer.abort())
        return number

    def release_writer(self, number: int) -> None:
        self._open_writers.pop(number, None)

    # --- StorageServer ----------------------------------------------------------------------------------------

    async def version(self) -> ServerVersion:
        return await self.ask("version", self._server.version)

    async def allocate_shares(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], size: int, secrets: LeaseSecrets
    ) -> Allocation:
        async def allocate() -> Allocation:
            answer = await self._server.allocate_shares(storage_index, share_numbers, size, secrets)
            admitted = {
                share_number: FarWriter(self, self.admit_writer(writer), writer)
                for share_number, writer in sorted(answer.writers.items())
            }
            return Allocation(answer.existing, admitted)

        return await self.ask("allocate_shares", allocate)

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
        async def list_them() -> Mapping[int, ShareReader]:
            answer = await self._server.list_shares(storage_index)
            return {number: FarReader(self, reader) for number, reader in answer.items()}

        return await self.ask("list_shares", list_them)

    async def store_shares(
        self, storage_index: StorageIndex, secrets: LeaseSecrets, shares: Mapping[int, Bytes]
    ) -> StoredShares:
        server = cast("WholeShareServer", self._server)
        size = sum(len(data) for data in shares.values())
        self.network.bytes_written += size
        return await self.ask("store_shares", lambda: server.store_shares(storage_index, secrets, shares), size)

    async def read_shares(self, storage_index: StorageIndex, ranges: Sequence[ByteRange]) -> Mapping[int, Sequence[bytes]]:
        server = cast("WholeShareServer", self._server)
        self.network.bytes_asked += sum(each.length for each in ranges)
        return await self.ask("read_shares", lambda: server.read_shares(storage_index, ranges))

    async def add_lease(self, storage_index: StorageIndex, secrets: LeaseSecrets) -> None:
        await self.ask("add_lease", lambda: self._server.add_lease(storage_index, secrets))

    async def read_slot(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], ranges: Sequence[ByteRange]
    ) -> Mapping[int, Sequence[bytes]]:
        self.network.bytes_asked += sum(each.length for each in ranges)
        return await self.ask("read_slot", lambda: self._server.read_slot(storage_index, share_numbers, ranges))

    async def test_and_write_slot(
        self,
        storage_index: StorageIndex,
        secrets: SlotSecrets,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
    ) -> tuple[bool, Mapping[int, Sequence[bytes]]]:
        return await self.ask(
            "test_and_write_slot", lambda: self._server.test_and_write_slot(storage_index, secrets, writes, ranges)
        )

    async def report_corruption(
        self, kind: ShareKind, storage_index: StorageIndex, share_number: int, reason: str
    ) -> None:
        await self.ask(
            "report_corruption", lambda: self._server.report_corruption(kind, storage_index, share_number, reason)
        )


class FarWriter:
    """A `ShareWriter` at the other end of a connection."""

    def __init__(self, connection: Connection, number: int, writer: ShareWriter) -> None:
        self._connection = connection
        self._number = number
        self._writer = writer

    async def write(self, offset: int, data: Bytes) -> None:
        payload = bytes(data)  # what the caller does to its buffer from now on must not reach the wire
        self._connection.network.bytes_written += len(payload)
        await self._connection.ask("write", lambda: self._writer.write(offset, payload), len(payload))

    async def close(self) -> None:
        await self._connection.ask("close", self._finish(self._writer.close))

    async def abort(self) -> None:
        await self._connection.ask("abort", self._finish(self._writer.abort))

    def _finish(self, last: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def finish() -> None:
            await last()
            self._connection.release_writer(self._number)

        return finish


class FarReader:
    """A `ShareReader` at the other end of a connection."""

    def __init__(self, connection: Connection, reader: ShareReader) -> None:
        self._connection = connection
        self._reader = reader

    async def read(self, offset: int, length: int) -> bytes:
        self._connection.network.bytes_asked += length
        return await self._connection.ask("read", lambda: self._reader.read(offset, length))

    async def report_corruption(self, reason: str) -> None:
        await self._connection.ask("report_corruption", lambda: self._reader.report_corruption(reason))
