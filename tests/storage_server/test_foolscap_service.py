"""The Foolscap door, from the wire's side: names, types and texts that clients of the peer know, and nothing of this machine."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from foolscap.api import Referenceable, RemoteException, Tub
from foolscap.tokens import Violation
from twisted.internet import reactor

import lafs
from lafs.crypto.storage_index import StorageIndex
from lafs.tasks import sleep
from tests.storage_server.conformance import contents
from tests.storage_server.harness import Harness, LoopbackCase, secrets

INDEX = b"\x01" * 16
RENEW, CANCEL, WRITE_ENABLER = b"r" * 32, b"c" * 32, b"w" * 32


class OnTheWire(LoopbackCase):
    async def connect(self) -> tuple[Harness, Any, Tub]:
        """A server, a remote reference to it, and the client's tub."""
        harness = Harness(Path(self.mktemp()).resolve())
        return harness, *await self.connected(harness.store)

    async def failure_of(self, work: Any) -> Any:
        """The remote failure of a call: its `type`, `value` and `traceback` as they came over the wire."""
        try:
            await work
        except RemoteException as error:
            return error.failure
        raise AssertionError("the call succeeded")

    async def allocate(self, remote: Any, size: int, numbers: set[int] | None = None) -> Any:
        return await remote.callRemote(
            "allocate_buckets", INDEX, RENEW, CANCEL, numbers or {0}, size, Referenceable()
        )

    async def test_the_version_is_the_peers_but_for_the_product(self) -> None:
        harness, remote, _ = await self.connect()
        harness.disk.available = 12345  # type: ignore[attr-defined]
        self.assertEqual(
            await remote.callRemote("get_version"),
            {
                b"http://allmydata.org/tahoe/protocols/storage/v1": {
                    b"maximum-immutable-share-size": 12345,
                    b"maximum-mutable-share-size": 69105000000000000,
                    b"available-space": 12345,
                    b"tolerates-immutable-read-overrun": True,
                    b"delete-mutable-shares-with-zero-length-writev": True,
                    b"fills-holes-with-zero-bytes": True,
                    b"prevents-read-past-end-of-share-data": True,
                },
                b"application-version": f"lafs/{lafs.__version__}".encode(),
                b"lafs": {b"whole-shares": True},
            },
        )

    async def test_whole_shares_of_several_files_are_stored_and_read_in_one_call(self) -> None:
        _, remote, _ = await self.connect()
        shares = {1: b"one" * 1000, 4: b"four"}
        lease = (b"r" * 32, b"c" * 32)
        first, second, third = b"i" * 16, b"j" * 16, b"k" * 16
        stored = await remote.callRemote("lafs_store_shares", [(first, *lease, shares), (second, *lease, {0: b"zero"})])
        self.assertEqual(stored, [(b"", (set(), {1, 4}, set())), (b"", (set(), {0}, set()))])
        stored = await remote.callRemote("lafs_store_shares", [(first, *lease, {1: b"other"}), (first, *lease, {5: b"more"})])
        self.assertEqual(stored, [(b"", ({1, 4}, set(), set())), (b"", ({1, 4}, set(), {5}))])
        read = await remote.callRemote("lafs_read_shares", [(first, [(0, 5), (3, 2000)]), (second, [(1, 9)]), (third, [(0, 5)])])
        wanted = {number: [share[:5], share[3:2003]] for number, share in shares.items()}
        self.assertEqual(read, [(b"", wanted), (b"", {0: [b"ero"]}), (b"", {})])

    async def test_what_goes_wrong_with_one_file_of_a_call_does_not_hurt_the_others(self) -> None:
        _, remote, _ = await self.connect()
        lease = (b"r" * 32, b"c" * 32)
        good, bad = b"i" * 16, b"short"
        stored = await remote.callRemote("lafs_store_shares", [(bad, *lease, {0: b"x"}), (good, *lease, {0: b"zero"})])
        self.assertEqual(stored, [(b"ServerError", (set(), set(), set())), (b"", (set(), {0}, set()))])
        read = await remote.callRemote("lafs_read_shares", [(good, [(0, 9)]), (bad, [(0, 9)])])
        self.assertEqual(read, [(b"", {0: [b"zero"]}), (b"ServerError", {})])

    async def test_answers_have_the_types_that_clients_expect(self) -> None:
        _, remote, _ = await self.connect()
        existing, writers = await self.allocate(remote, 4, {0, 5})
        self.assertEqual((existing, type(existing), set(writers)), (set(), set, {0, 5}))
        self.assertIsNone(await writers[0].callRemote("write", 0, b"data"))
        self.assertIsNone(await writers[0].callRemote("close"))
        self.assertIsNone(await writers[5].callRemote("abort"))
        self.assertIsNone(await remote.callRemote("add_lease", INDEX, RENEW, CANCEL))
        readers = await remote.callRemote("get_buckets", INDEX)
        self.assertEqual(await readers[0].callRemote("read", 1, 100), b"ata")
        self.assertIsNone(await readers[0].callRemote("advise_corrupt_share", b"bad"))
        self.assertIsNone(await remote.callRemote("advise_corrupt_share", b"immutable", INDEX, 0, b"worse"))
        self.assertEqual((await self.allocate(remote, 4))[0], {0})

    async def test_slots_speak_lists_and_tuples(self) -> None:
        _, remote, _ = await self.connect()
        shown = (WRITE_ENABLER, RENEW, CANCEL)
        vectors = {2: ([(0, 1, b"eq", b"")], [(0, b"slot")], None)}
        answer = await remote.callRemote("slot_testv_and_readv_and_writev", INDEX, shown, vectors, [(0, 9)])
        self.assertEqual(answer, (True, {}))
        answer = await remote.callRemote("slot_testv_and_readv_and_writev", INDEX, shown, vectors, [(0, 9)])
        self.assertEqual(answer, (False, {2: [b"slot"]}))
        self.assertEqual(await remote.callRemote("slot_readv", INDEX, [], [(1, 2), (3, 9)]), {2: [b"lo", b"t"]})

    async def test_errors_have_the_peers_names_and_texts(self) -> None:
        harness, remote, _ = await self.connect()
        _, writers = await self.allocate(remote, 1000)
        await writers[0].callRemote("write", 90, b"x" * 10)
        shown = (WRITE_ENABLER, RENEW, CANCEL)
        await remote.callRemote("slot_testv_and_readv_and_writev", b"2" * 16, shown, {0: ([], [], None)}, [])
        thief = (b"?" * 32, RENEW, CANCEL)
        node_id = "aaaqeayeaudaocajbifqydiob4ibceqt"
        for work, name, text in (
            (
                writers[0].callRemote("write", 80, b"y" * 30),
                "allmydata.interfaces.ConflictingWriteError",
                "Chunk 90-100 doesn't match already written data.",
            ),
            (
                writers[0].callRemote("write", 950, b"z" * 100),
                "allmydata.interfaces.DataTooLargeError",
                "(1000, 950, 100)",
            ),
            (
                remote.callRemote("slot_testv_and_readv_and_writev", b"2" * 16, thief, {}, []),
                "allmydata.interfaces.BadWriteEnablerError",
                f"The write enabler was recorded by nodeid '{node_id}'.",
            ),
        ):
            failure = await self.failure_of(work)
            self.assertEqual((failure.check(name), failure.value), (name, text))
        await writers[0].callRemote("abort")
        await self.allocate(remote, 0)
        harness.disk.available = 0  # type: ignore[attr-defined]
        grow = {0: ([], [(0, b"x" * 10**5)], None)}
        failure = await self.failure_of(
            remote.callRemote("slot_testv_and_readv_and_writev", b"2" * 16, shown, grow, [])
        )
        self.assertTrue(failure.check("allmydata.interfaces.NoSpace"))

    async def test_failures_carry_no_path_no_bytes_and_no_traceback(self) -> None:
        harness, remote, _ = await self.connect()
        shown = (WRITE_ENABLER, RENEW, CANCEL)
        path = harness.share_path(StorageIndex(INDEX), 0)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\0\0\0\7SECRET" * 100)
        failure = await self.failure_of(
            remote.callRemote("slot_testv_and_readv_and_writev", INDEX, shown, {0: ([], [], None)}, [])
        )
        harness.disk.make_directory = self.fail_with(OSError(5, "boom", "/secret/path"))  # type: ignore[method-assign]
        _, writers = await remote.callRemote(
            "allocate_buckets", b"9" * 16, RENEW, CANCEL, {0}, 0, Referenceable()
        )
        broken = await self.failure_of(writers[0].callRemote("close"))
        for each in (failure, broken):
            for leak in ("SECRET", "/", ".py", str(harness.root)):
                self.assertNotIn(leak, f"{each.value} {each.traceback}")

    def fail_with(self, error: Exception) -> Any:
        def fail(*arguments: object) -> Any:
            raise error

        return fail

    async def test_a_lost_connection_aborts_its_unfinished_uploads_and_no_others(self) -> None:
        harness, remote, client = await self.connect()
        _, writers = await self.allocate(remote, 4, {0, 1, 2})
        await writers[0].callRemote("write", 0, b"done")
        await writers[0].callRemote("close")
        await writers[1].callRemote("write", 0, b"ha")
        allocation = await harness.store.allocate_shares(StorageIndex(INDEX), frozenset([7]), 4, secrets())
        kept = allocation.writers[7]
        for broker in list(client.brokers.values()):
            broker.transport.loseConnection()
        while len(harness.store._uploads) > 1:
            await sleep(0.01, reactor)
        await kept.write(0, b"kept")
        await kept.close()
        found = await harness.store.list_shares(StorageIndex(INDEX))
        self.assertEqual(set(found), {0, 7})

    async def test_what_is_not_in_the_interface_is_a_violation(self) -> None:
        _, remote, _ = await self.connect()
        for call in (
            ("get_buckets", b"x" * 17),
            ("add_lease", INDEX, b"short", CANCEL),
            ("cancel_lease", INDEX, CANCEL),
            ("slot_readv", INDEX, [0], [("a", 1)]),
        ):
            try:
                await remote.callRemote(*call)
            except (Violation, RemoteException):
                continue
            self.fail(f"{call[0]} was accepted")

    async def test_writes_sent_without_waiting_arrive_in_order(self) -> None:
        harness, remote, _ = await self.connect()
        content = contents(3_000_000)
        _, writers = await self.allocate(remote, len(content))
        calls = [
            writers[0].callRemote("write", start, content[start : start + 250_000])
            for start in range(0, len(content), 250_000)
        ]
        calls.append(writers[0].callRemote("close"))
        for call in calls:
            await call
        readers = await remote.callRemote("get_buckets", INDEX)
        self.assertEqual(await readers[0].callRemote("read", 0, 2**40), content)
        self.assertEqual(harness.counters.snapshot()["storage_server.write"], 12)
