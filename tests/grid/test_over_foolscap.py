"""Storage servers at the far end of a real Foolscap connection: honest, dishonest, and lost."""
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from foolscap.api import Referenceable
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from lafs import errors
from lafs.crypto.storage_index import StorageIndex
from lafs.grid import foolscap_server, reconnection
from lafs.grid.broker import Broker
from lafs.grid.foolscap_connector import FoolscapConnector, ephemeral_certificate
from lafs.grid.foolscap_server import VERSION_TIMEOUT, FoolscapServer
from lafs.interfaces import ByteRange, LeaseSecrets, SlotSecrets, SlotTest, SlotWrite, StoredShares
from lafs.protocol.remote_interfaces import STORAGE_V1, RIBucketReader, RIBucketWriter, RIStorageServer
from lafs.tasks import gather, settle, spawn
from tests.grid.tubs import TubCase, reactor

INDEX = StorageIndex(b"i" * 16)
LEASE = LeaseSecrets(b"r" * 32, b"c" * 32)
SLOT = SlotSecrets(b"w" * 32, LEASE)


def remote_error(dotted: str) -> Exception:
    """An exception that Foolscap sends under this name."""
    module, _, name = dotted.rpartition(".")
    kind: type[Exception] = type(name, (Exception,), {"__module__": module})
    return kind("/home/operator/secret/path")


@implementer(RIBucketWriter)
class Writer(Referenceable):
    def __init__(self, server: Server) -> None:
        self.server = server

    def remote_write(self, offset: int, data: bytes) -> Any:
        return self.server.called("write", offset, data)

    def remote_close(self) -> Any:
        return self.server.called("close")

    def remote_abort(self) -> Any:
        return self.server.called("abort")


@implementer(RIBucketReader)
class Reader(Referenceable):
    def __init__(self, server: Server) -> None:
        self.server = server

    def remote_read(self, offset: int, length: int) -> Any:
        return self.server.called("read", offset, length)

    def remote_advise_corrupt_share(self, reason: bytes) -> Any:
        return self.server.called("advise", reason)


@implementer(RIStorageServer)
class Server(Referenceable):
    """Answers what the test says, however wrong."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {}

    def called(self, method: str, *arguments: Any) -> Any:
        self.calls.append((method, *arguments))
        answer = self.answers.get(method)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def remote_get_version(self) -> Any:
        return self.called("get_version")

    def remote_allocate_buckets(self, *arguments: Any) -> Any:
        return self.called("allocate_buckets", *arguments)

    def remote_add_lease(self, *arguments: Any) -> Any:
        return self.called("add_lease", *arguments)

    def remote_get_buckets(self, storage_index: bytes) -> Any:
        return self.called("get_buckets", storage_index)

    def remote_slot_readv(self, *arguments: Any) -> Any:
        return self.called("slot_readv", *arguments)

    def remote_slot_testv_and_readv_and_writev(self, *arguments: Any) -> Any:
        return self.called("testv", *arguments)

    def remote_lafs_store_shares(self, *arguments: Any) -> Any:
        return self.called("store", *arguments).pop(0)

    def remote_lafs_read_shares(self, *arguments: Any) -> Any:
        return self.called("read", *arguments).pop(0)

    def remote_advise_corrupt_share(self, *arguments: Any) -> Any:
        return self.called("advise", *arguments)


class Connected(TubCase):
    """One server and one client."""

    async def connect(self) -> tuple[Server, FoolscapServer]:
        self.served = Server()
        self.far_tub = self.make_tub(listening=True)
        furl = self.far_tub.registerReference(self.served)
        self.remote = await self.make_tub().getReference(furl)
        self.clock = Clock()
        return self.served, FoolscapServer(self.remote, self.clock, "abcdefgh")

    async def error_of(self, work: Any) -> Exception:
        (outcome,) = await settle([work])
        assert isinstance(outcome, Failure), f"it did not fail: {outcome!r}"
        assert isinstance(outcome.value, Exception)
        self.assertNotIn("secret", str(outcome.value))
        return outcome.value


class Asking(Connected):
    """What is sent is what the protocol says."""

    async def test_calls_arrive_with_their_arguments(self) -> None:
        served, server = await self.connect()
        writer, reader = Writer(served), Reader(served)
        served.answers = {
            "allocate_buckets": ({1}, {2: writer}),
            "get_buckets": {3: reader},
            "read": b"data",
            "slot_readv": {4: [b"ab", b""]},
            "testv": (True, {4: [b"old"]}),
        }
        allocation = await server.allocate_shares(INDEX, frozenset({1, 2}), 10, LEASE)
        self.assertEqual(allocation.existing, {1})
        await allocation.writers[2].write(3, memoryview(b"content"))
        (share,) = (await server.list_shares(INDEX)).values()
        self.assertEqual(await share.read(5, 9), b"data")
        await share.report_corruption("bad é")
        await server.add_lease(INDEX, LEASE)
        ranges = [ByteRange(0, 2), ByteRange(9, 1)]
        self.assertEqual(await server.read_slot(INDEX, frozenset({4}), ranges), {4: [b"ab", b""]})
        write = SlotWrite([SlotTest(0, 1, b"x")], [(7, b"new")], 20)
        written = await server.test_and_write_slot(INDEX, SLOT, {4: write}, [ByteRange(0, 3)])
        self.assertEqual(written, (True, {4: [b"old"]}))
        await server.report_corruption("mutable", INDEX, 4, "bad")

        self.assertIsInstance(served.calls[0][4], set)
        self.assertEqual(
            [call[:6] for call in served.calls],
            [
                ("allocate_buckets", INDEX.raw, LEASE.renew, LEASE.cancel, {1, 2}, 10),
                ("write", 3, b"content"),
                ("get_buckets", INDEX.raw),
                ("read", 5, 9),
                ("advise", "bad é".encode()),
                ("add_lease", INDEX.raw, LEASE.renew, LEASE.cancel),
                ("slot_readv", INDEX.raw, [4], [(0, 2), (9, 1)]),
                (
                    "testv",
                    INDEX.raw,
                    (SLOT.write_enabler, LEASE.renew, LEASE.cancel),
                    {4: ([(0, 1, b"eq", b"x")], [(7, b"new")], 20)},
                    [(0, 3)],
                ),
                ("advise", b"mutable", INDEX.raw, 4, b"bad"),
            ],
        )

    async def test_more_than_a_message_can_hold_is_not_sent(self) -> None:
        served, server = await self.connect()
        self.patch(foolscap_server, "LARGEST_BYTES", 10)
        error = await self.error_of(server.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"x" * 11)], None)}, []))
        self.assertIs(type(error), errors.DataTooLarge)
        self.assertEqual(served.calls, [])

    async def test_several_files_share_a_call_and_each_gets_its_own_answer(self) -> None:
        served, server = await self.connect()
        other, third = StorageIndex(b"o" * 16), StorageIndex(b"t" * 16)
        served.answers["store"] = [[(b"", (set(), {1}, set()))], [(b"NoSpace", (set(), set(), set())), (b"", ({1}, {7}, {500}))]]
        served.answers["read"] = [[(b"", {0: [b"a"], 300: [b"b"]})], [(b"", {}), (b"<script>", {})]]
        stored = await settle(server.store_shares(index, LEASE, {1: b"share"}) for index in (INDEX, other, third))
        self.assertEqual(stored[0], StoredShares(frozenset(), frozenset({1}), frozenset()))
        self.assertEqual(stored[2], StoredShares(frozenset({1}), frozenset(), frozenset()))
        read = await settle(server.read_shares(index, [ByteRange(0, 5)]) for index in (INDEX, other, third))
        self.assertEqual(read[:2], [{0: [b"a"]}, {}])
        for failed, kind in ((stored[1], errors.NoSpace), (read[2], errors.ServerError)):
            assert isinstance(failed, Failure)
            self.assertIs(failed.type, kind)
            self.assertNotIn("<script>", str(failed.value))
        self.assertEqual([call[0] for call in served.calls], ["store", "store", "read", "read"])
        self.assertEqual([[file[0] for file in call[1]] for call in served.calls[:2]], [[INDEX.raw], [other.raw, third.raw]])

    async def test_calls_leave_in_the_order_in_which_they_are_started(self) -> None:
        served, server = await self.connect()
        served.answers["allocate_buckets"] = (set(), {0: Writer(served)})
        writer = (await server.allocate_shares(INDEX, frozenset({0}), 10, LEASE)).writers[0]
        steps = [spawn(writer.write(number, b"x" * 100_000)) for number in range(20)]
        steps.append(spawn(writer.close()))
        await gather(steps)
        self.assertEqual([call[1] for call in served.calls[1:-1]], list(range(20)))
        self.assertEqual(served.calls[-1], ("close",))


class Failing(Connected):
    """Whatever goes wrong is a ServerError, and the right one."""

    async def test_the_errors_of_the_peer_are_known_by_name(self) -> None:
        served, server = await self.connect()
        for name, kind in {
            "allmydata.interfaces.BadWriteEnablerError": errors.BadWriteEnabler,
            "allmydata.interfaces.ConflictingWriteError": errors.ConflictingWrite,
            "allmydata.interfaces.DataTooLargeError": errors.DataTooLarge,
            "allmydata.interfaces.NoSpace": errors.NoSpace,
            "allmydata.storage.common.UnknownMutableContainerVersionError": errors.CorruptContainer,
            "allmydata.storage.common.UnknownImmutableContainerVersionError": errors.CorruptContainer,
            "builtins.AssertionError": errors.ServerError,
            "strange.<script>": errors.ServerError,
        }.items():
            served.answers["testv"] = remote_error(name)
            error = await self.error_of(server.test_and_write_slot(INDEX, SLOT, {}, []))
            self.assertIs(type(error), kind)
            self.assertIn("abcdefgh", str(error))
            self.assertNotIn("<script>", str(error))

    async def test_leasing_what_is_not_there_is_no_error(self) -> None:
        served, server = await self.connect()
        for harmless in (KeyError("x"), IndexError("x")):
            served.answers["add_lease"] = harmless
            await server.add_lease(INDEX, LEASE)
        served.answers["add_lease"] = remote_error("allmydata.interfaces.NoSpace")
        self.assertIsInstance(await self.error_of(server.add_lease(INDEX, LEASE)), errors.NoSpace)

    async def test_a_lost_connection_fails_what_is_under_way_and_what_comes_after(self) -> None:
        served, server = await self.connect()
        served.answers["get_buckets"] = Deferred()
        asked = spawn(server.list_shares(INDEX))
        await self.remote.callRemote("add_lease", INDEX.raw, LEASE.renew, LEASE.cancel)
        self.remote.tracker.broker.transport.loseConnection()
        self.assertIsInstance(await self.error_of(asked), errors.ServerGone)
        self.assertIsInstance(await self.error_of(server.list_shares(INDEX)), errors.ServerGone)

    async def test_a_server_that_never_says_who_it_is_times_out(self) -> None:
        served, server = await self.connect()
        served.answers["get_version"] = Deferred()
        asked = spawn(server.version())
        self.clock.advance(VERSION_TIMEOUT)
        self.assertIsInstance(await self.error_of(asked), errors.TimedOut)

    async def test_a_cancelled_call_is_cancelled_and_its_answer_harmless(self) -> None:
        served, server = await self.connect()
        served.answers["get_buckets"] = answer = Deferred()
        asked = spawn(server.list_shares(INDEX))
        asked.cancel()
        self.assertIsInstance(await self.error_of(asked), CancelledError)
        await self.remote.callRemote("add_lease", INDEX.raw, LEASE.renew, LEASE.cancel)
        answer.callback({})
        await server.add_lease(INDEX, LEASE)


class Lying(Connected):
    """Answers that are not answers to what was asked."""

    async def test_more_bytes_than_were_asked_for_are_refused(self) -> None:
        served, server = await self.connect()
        served.answers = {"get_buckets": {0: Reader(served)}, "read": b"x" * 11}
        (share,) = (await server.list_shares(INDEX)).values()
        self.assertIs(type(await self.error_of(share.read(0, 10))), errors.ServerError)
        self.assertIs(type(await self.error_of(share.read(0, 0))), errors.ServerError)
        self.assertEqual(await share.read(0, 11), b"x" * 11)

    async def test_answers_about_other_files_than_were_asked_about_are_refused(self) -> None:
        served, server = await self.connect()
        served.answers["read"] = [[], [(b"", {}), (b"", {})], [(b"", {0: [b"x" * 6]})], [(b"", {0: []})]]
        for _ in range(4):
            self.assertIs(type(await self.error_of(server.read_shares(INDEX, [ByteRange(0, 5)]))), errors.ServerError)

    async def test_other_ranges_than_were_asked_for_are_refused(self) -> None:
        served, server = await self.connect()
        asked = [ByteRange(0, 3), ByteRange(3, 5)]
        for pieces in ([], [b"a"], [b"a", b"b", b"c"], [b"aaaa", b"b"], [b"a", b"bbbbbb"]):
            served.answers = {"slot_readv": {0: pieces}, "testv": (True, {0: pieces})}
            for work in (
                server.read_slot(INDEX, frozenset(), asked),
                server.test_and_write_slot(INDEX, SLOT, {}, asked),
            ):
                self.assertIs(type(await self.error_of(work)), errors.ServerError)

    async def test_impossible_and_unasked_share_numbers_are_left_out(self) -> None:
        served, server = await self.connect()
        writer, reader = Writer(served), Reader(served)
        served.answers = {
            "allocate_buckets": ({-1, 3, 256, 10**40}, {2: writer, 7: writer, -5: writer}),
            "get_buckets": {-1: reader, 0: reader, 999: reader},
            "slot_readv": {-1: [b""], 255: [b"x"], 256: [b""]},
        }
        allocation = await server.allocate_shares(INDEX, frozenset({2, 3}), 10, LEASE)
        self.assertEqual((allocation.existing, set(allocation.writers)), ({3}, {2}))
        self.assertEqual(set(await server.list_shares(INDEX)), {0})
        self.assertEqual(await server.read_slot(INDEX, frozenset(), [ByteRange(0, 1)]), {255: [b"x"]})

    async def test_nonsense_about_itself_is_no_error(self) -> None:
        served, server = await self.connect()
        served.answers["get_version"] = {STORAGE_V1: 5, b"x": ["y", {1: None}]}
        self.assertFalse((await server.version()).takes_immutable_shares)


class Brokering(TubCase):
    """The broker over a real wire: found, used, lost, found again."""

    def setUp(self) -> None:
        self.patch(reconnection, "FIRST_PAUSE", 0.01)
        self.certificate = ephemeral_certificate(datetime.now(UTC))
        self.served = Server()
        self.served.answers["get_version"] = {STORAGE_V1: {b"maximum-immutable-share-size": 77}}

    async def test_a_server_is_found_lost_and_found_again(self) -> None:
        far = self.make_tub(listening=True, certificate=self.certificate)
        furl = far.registerReference(self.served, name="swissnum")
        broker = Broker(FoolscapConnector(reactor), reactor)
        await broker.start()
        self.addCleanup(lambda: spawn(broker.stop()))
        broker.add_static("server", {"ann": {"anonymous-storage-FURL": furl}})
        await broker.settled(1, 1)

        (server,) = broker.for_reading(INDEX)
        self.assertEqual(server.version.maximum_immutable_share_size, 77)
        await server.storage.add_lease(INDEX, LEASE)
        (status,) = broker.statuses()
        hint = far.locationHints[0]
        self.assertEqual(status.connection, f"Connected to {hint} via tcp")
        self.assertIsNotNone(status.last_received)

        port = int(hint.rpartition(":")[2])
        await far.stopService()
        (outcome,) = await settle([server.storage.add_lease(INDEX, LEASE)])
        assert isinstance(outcome, Failure)
        self.assertIsInstance(outcome.value, errors.ServerGone)
        again = self.make_tub(listening=True, port=port, certificate=self.certificate)
        again.registerReference(self.served, name="swissnum")
        await broker.settled(1, 1)
        self.assertIsNot(broker.for_reading(INDEX)[0], server)

    async def test_what_is_no_storage_server_is_never_offered(self) -> None:
        far = self.make_tub(listening=True, certificate=self.certificate)
        furl = far.registerReference(Referenceable(), name="swissnum")
        broker = Broker(FoolscapConnector(reactor), reactor)
        await broker.start()
        self.addCleanup(lambda: spawn(broker.stop()))
        broker.add_static("odd", {"ann": {"anonymous-storage-FURL": furl, "nickname": "b"}})
        good = far.registerReference(self.served, name="good")
        broker.add_static("good", {"ann": {"anonymous-storage-FURL": good, "nickname": "a"}})
        await broker.settled(1, 1)
        self.assertEqual([each.identity.server_id for each in broker.for_reading(INDEX)], ["good"])
