"""The simulated network delivers in order, counts every message, and breaks where it is told to."""
from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import ServerError, ServerGone
from lafs.interfaces import Allocation, LeaseSecrets, ShareReader
from lafs.tasks import gather, settle, spawn
from tests.simulation.network import Connection, Message, Network
from tests.simulation.virtual_time import VirtualTime

INDEX = StorageIndex(bytes(16))
SECRETS = LeaseSecrets(bytes(32), bytes(32))
LAG = 0.05


class Diary:
    """A server, a writer and a reader in one, that writes down what it was asked."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.fails: Exception | None = None

    async def list_shares(self, storage_index: StorageIndex) -> Mapping[int, ShareReader]:
        self.heard.append("list")
        return {0: self}

    async def allocate_shares(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], size: int, secrets: LeaseSecrets
    ) -> Allocation:
        self.heard.append("allocate")
        return Allocation(frozenset(), dict.fromkeys(share_numbers, self))

    async def add_lease(self, storage_index: StorageIndex, secrets: LeaseSecrets) -> None:
        if self.fails is not None:
            raise self.fails

    async def read(self, offset: int, length: int) -> bytes:
        return bytes(length)

    async def report_corruption(self, reason: str) -> None:
        self.heard.append(reason)

    async def write(self, offset: int, data: bytes) -> None:
        self.heard.append(f"write {offset} {data!r}")

    async def close(self) -> None:
        self.heard.append("close")

    async def abort(self) -> None:
        self.heard.append("abort")


class NetworkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.time = VirtualTime()
        self.network = Network(self.time)
        self.diary = Diary()
        self.connection = self.connect()

    def connect(self, bytes_per_second: float | None = None) -> Connection:
        return Connection(self.network, "s0", self.diary, lambda: LAG, bytes_per_second)  # type: ignore[arg-type]

    async def open_writers(self, *numbers: int) -> Allocation:
        return await self.connection.allocate_shares(INDEX, frozenset(numbers), 10, SECRETS)


class RoundTrips(NetworkCase):
    """Time spent is the number of questions that waited for one another."""

    def test_one_question_is_one_round_trip(self) -> None:
        self.time.run(self.connection.list_shares(INDEX))
        self.assertAlmostEqual(self.time.seconds(), 2 * LAG)
        self.assertEqual((self.network.messages, dict(self.network.requests)), (2, {"list_shares": 1}))

    def test_questions_asked_together_share_a_round_trip_and_keep_their_order(self) -> None:
        async def upload() -> None:
            writer = (await self.open_writers(3)).writers[3]
            await gather([writer.write(0, b"one"), writer.write(3, b"two"), writer.close()])

        self.time.run(upload())
        self.assertAlmostEqual(self.time.seconds(), 4 * LAG)
        self.assertEqual(self.diary.heard, ["allocate", "write 0 b'one'", "write 3 b'two'", "close"])
        self.assertEqual(self.connection.open_writers, 0)

    def test_a_buffer_that_changes_after_the_call_does_not_change_the_message(self) -> None:
        async def upload() -> None:
            writer = (await self.open_writers(0)).writers[0]
            buffer = bytearray(b"right")
            sent = spawn(writer.write(0, buffer))
            buffer[:] = b"wrong"
            await sent

        self.time.run(upload())
        self.assertEqual(self.diary.heard[-1], "write 0 b'right'")

    def test_order_is_kept_when_the_lag_varies(self) -> None:
        lags = iter([0.5, 0.1, 0.3] + [0.1] * 10)
        connection = Connection(self.network, "s0", self.diary, lambda: next(lags))  # type: ignore[arg-type]
        self.time.run(
            gather([connection.list_shares(INDEX), connection.allocate_shares(INDEX, frozenset(), 1, SECRETS)])
        )
        self.assertEqual(self.diary.heard, ["list", "allocate"])

    def test_bandwidth_is_shared_by_the_messages_of_a_connection(self) -> None:
        connection = self.connect(bytes_per_second=1e6)
        reader = self.time.run(connection.list_shares(INDEX))[0]
        before = self.time.seconds()
        self.time.run(gather(reader.read(0, 500_000) for _ in range(4)))
        self.assertAlmostEqual(self.time.seconds() - before, 2.0 + 2 * LAG, places=1)


class Breaks(NetworkCase):
    """A cut loses what is on its way, in both directions, and both ends notice."""

    def test_a_request_that_is_cut_never_reaches_the_server(self) -> None:
        self.network.cuts = lambda message: message.number == 0
        with self.assertRaises(ServerGone):
            self.time.run(self.connection.list_shares(INDEX))
        self.assertEqual(self.diary.heard, [])

    def test_an_answer_that_is_cut_was_carried_out(self) -> None:
        self.network.cuts = lambda message: message.kind == "answer"
        with self.assertRaises(ServerGone):
            self.time.run(self.connection.list_shares(INDEX))
        self.assertEqual(self.diary.heard, ["list"])

    def test_all_questions_outstanding_fail_and_so_do_new_ones(self) -> None:
        self.network.cuts = lambda message: message.number == 1
        outcomes = self.time.run(settle(self.connection.list_shares(INDEX) for _ in range(3)))
        self.assertEqual([each.check(ServerGone) for each in outcomes], [ServerGone] * 3)  # type: ignore[union-attr]
        with self.assertRaises(ServerGone):
            self.time.run(self.connection.list_shares(INDEX))

    def test_the_server_aborts_the_writers_of_a_client_that_went_away(self) -> None:
        async def upload() -> None:
            writers = (await self.open_writers(0, 1, 2)).writers
            await writers[0].close()
            self.connection.cut()

        self.time.run(upload())
        self.time.pass_time(1)
        self.assertEqual(self.diary.heard, ["allocate", "close", "abort", "abort"])

    def test_writers_opened_while_the_connection_broke_are_aborted_too(self) -> None:
        self.network.cuts = lambda message: message.kind == "answer"
        with self.assertRaises(ServerGone):
            self.time.run(self.open_writers(5))
        self.time.pass_time(1)
        self.assertEqual(self.diary.heard, ["allocate", "abort"])

    def test_a_frozen_connection_delivers_all_in_order_once_it_thaws(self) -> None:
        self.connection.freeze()
        asked = [spawn(self.connection.list_shares(INDEX)), spawn(self.open_writers())]
        self.time.pass_time(60)
        self.assertEqual((self.diary.heard, [each.called for each in asked]), ([], [False, False]))
        self.connection.thaw()
        self.time.run(gather(asked))
        self.assertEqual(self.diary.heard, ["list", "allocate"])

    def test_a_mute_server_works_but_its_answers_wait(self) -> None:
        self.connection.freeze(answers_only=True)
        asked = spawn(self.connection.list_shares(INDEX))
        self.time.pass_time(60)
        self.assertEqual((self.diary.heard, asked.called), (["list"], False))
        self.connection.cut()
        self.failureResultOf(asked, ServerGone)

    def test_a_cancelled_question_is_forgotten_by_the_client_only(self) -> None:
        asked = spawn(self.connection.list_shares(INDEX))
        asked.addErrback(lambda _: None)
        asked.cancel()
        self.time.pass_time(1)
        self.assertEqual(self.diary.heard, ["list"])


class ServerFailures(NetworkCase):
    """What a server raises arrives as a `ServerError`; anything else is remembered as a bug of the server."""

    def test_a_server_error_passes_through(self) -> None:
        self.diary.fails = ServerError("full")
        with self.assertRaisesRegex(ServerError, "full"):
            self.time.run(self.connection.add_lease(INDEX, SECRETS))
        self.assertEqual(self.network.surprises, [])

    def test_anything_else_is_a_surprise(self) -> None:
        self.diary.fails = KeyError("secret")
        with self.assertRaises(ServerError) as raised:
            self.time.run(self.connection.add_lease(INDEX, SECRETS))
        self.assertNotIn("secret", str(raised.exception))
        self.assertEqual([each.type for each in self.network.surprises], [KeyError])

    def test_messages_are_numbered_in_order_of_arrival(self) -> None:
        seen: list[Message] = []
        self.network.cuts = lambda message: bool(seen.append(message))
        self.time.run(gather([self.connection.list_shares(INDEX), self.connection.add_lease(INDEX, SECRETS)]))
        self.assertEqual([each.number for each in seen], [0, 1, 2, 3])
        self.assertEqual([each.kind for each in seen], ["request", "request", "answer", "answer"])
