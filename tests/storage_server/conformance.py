"""What every `StorageServer` promises, whether it is the store itself or one at the other end of a wire.

A test class mixes this in, and says how a server with plenty of room is made:

    class OverFoolscap(StorageServerConformance, TestCase):
        async def make_server(self) -> StorageServer: ...
"""
from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Protocol

from twisted.python.failure import Failure

from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadWriteEnabler, ConflictingWrite, DataTooLarge, ServerError
from lafs.interfaces import (
    LARGEST_WHOLE_SHARE,
    ByteRange,
    LeaseSecrets,
    ShareWriter,
    SlotSecrets,
    SlotTest,
    SlotWrite,
    StorageServer,
    StoredShares,
    WholeShareServer,
)
from lafs.tasks import gather, settle, spawn

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase as Base
else:
    Base = object

INDEX = StorageIndex(b"\x01" * 16)
OTHER_INDEX = StorageIndex(b"\x02" * 16)
LEASE = LeaseSecrets(renew=b"r" * 32, cancel=b"c" * 32)
OTHER_LEASE = LeaseSecrets(renew=b"R" * 32, cancel=b"C" * 32)
SLOT = SlotSecrets(b"w" * 32, LEASE)
WHOLE = [ByteRange(0, 2**40)]
EMPTY = [SlotTest(0, 1, b"")]


def contents(size: int, seed: int = 0) -> bytes:
    """`size` bytes that differ from place to place."""
    block = bytes((position * 7 + position // 256 + seed) % 256 for position in range(min(size, 65_521)))
    return (block * (size // 65_521 + 1))[:size]


class StorageServerTests(Base):
    """What tests of storage servers do with them."""

    async def refused(self, work: Awaitable[object], *kinds: type[Exception]) -> None:
        """`work` fails in one of these ways, and in no other."""
        (outcome,) = await settle([work])
        self.assertIsInstance(outcome, Failure)
        assert isinstance(outcome, Failure)
        self.assertIsInstance(outcome.value, kinds)

    async def stored(self, server: StorageServer, index: StorageIndex = INDEX) -> dict[int, bytes]:
        readers = await server.list_shares(index)
        return {number: await reader.read(0, 2**31) for number, reader in readers.items()}


class StorageServerConformance(StorageServerTests):
    """Mix in, and define `make_server`."""

    async def make_server(self) -> StorageServer:
        """A server with nothing on it and room for gigabytes. Clean up with `addCleanup`."""
        raise NotImplementedError

    async def begin(self, server: StorageServer, size: int, number: int = 0) -> ShareWriter:
        allocation = await server.allocate_shares(INDEX, frozenset([number]), size, LEASE)
        return allocation.writers[number]

    async def store(self, server: StorageServer, content: bytes, number: int = 0) -> None:
        writer = await self.begin(server, len(content), number)
        if content:
            await writer.write(0, content)
        await writer.close()

    async def slot(self, server: StorageServer) -> dict[int, bytes]:
        found = await server.read_slot(INDEX, frozenset(), WHOLE)
        return {number: pieces[0] for number, pieces in found.items()}

    async def write_slot(
        self, server: StorageServer, writes: dict[int, SlotWrite], ranges: Sequence[ByteRange] = ()
    ) -> tuple[bool, dict[int, list[bytes]]]:
        passed, read = await server.test_and_write_slot(INDEX, SLOT, writes, ranges)
        return passed, {number: list(pieces) for number, pieces in read.items()}

    # --- what it is --------------------------------------------------------------------------------------------------

    async def test_it_says_that_it_takes_shares(self) -> None:
        version = await (await self.make_server()).version()
        self.assertTrue(version.takes_immutable_shares)
        self.assertGreater(version.available_space, 0)
        self.assertTrue(version.application)

    # --- immutable shares --------------------------------------------------------------------------------------------

    async def test_what_was_stored_is_read_back_whatever_its_size(self) -> None:
        for size in (0, 1, 4096, 524_287, 524_288, 1_500_000):
            server = await self.make_server()
            await self.store(server, contents(size))
            self.assertEqual(await self.stored(server), {0: contents(size)})

    async def test_a_share_is_seen_by_nobody_before_it_is_closed(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 10)
        await writer.write(0, b"0123456789")
        self.assertEqual(await self.stored(server), {})
        await writer.close()
        self.assertEqual(await self.stored(server), {0: b"0123456789"})

    async def test_writes_and_close_need_not_wait_for_each_other(self) -> None:
        server = await self.make_server()
        for number, piece in enumerate((1000, 300_000)):
            content = contents(5 * piece)
            writer = await self.begin(server, len(content), number)
            steps = [spawn(writer.write(start, content[start : start + piece]))
                     for start in range(0, len(content), piece)]
            await gather([*steps, spawn(writer.close())])
            self.assertEqual((await self.stored(server))[number], content)

    async def test_pieces_may_come_in_any_order_and_overlap_if_they_agree(self) -> None:
        server = await self.make_server()
        content = contents(100)
        writer = await self.begin(server, 100)
        for start, end in ((60, 100), (0, 20), (10, 70), (0, 100)):
            await writer.write(start, content[start:end])
        await writer.close()
        self.assertEqual(await self.stored(server), {0: content})

    async def test_a_write_that_contradicts_an_earlier_one_is_refused_and_changes_nothing(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 30)
        await writer.write(0, b"a" * 20)
        await self.refused(writer.write(10, b"a" * 5 + b"b" * 15), ConflictingWrite)
        await writer.write(20, b"c" * 10)
        await writer.close()
        self.assertEqual(await self.stored(server), {0: b"a" * 20 + b"c" * 10})

    async def test_a_write_past_the_allocated_size_is_refused_and_changes_nothing(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 10)
        await self.refused(writer.write(5, b"123456"), DataTooLarge)
        await writer.write(0, b"0123456789")
        await writer.close()
        self.assertEqual(await self.stored(server), {0: b"0123456789"})

    async def test_a_write_of_nothing_is_harmless(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 3)
        await writer.write(3, b"")
        await writer.write(0, b"abc")
        await writer.write(1, b"")
        await writer.close()
        self.assertEqual(await self.stored(server), {0: b"abc"})

    async def test_holes_of_a_share_read_as_zeros(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 10)
        await writer.write(8, b"89")
        await writer.write(2, b"23")
        await writer.close()
        self.assertEqual(await self.stored(server), {0: b"\0\x0023\0\0\0\x0089"})

    async def test_holes_of_a_large_share_read_as_zeros(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 3_000_000)
        await writer.write(1_000_000, b"x" * 1_000_000)
        await writer.write(2_999_999, b"y")
        await writer.close()
        stored = (await self.stored(server))[0]
        self.assertTrue(stored == bytes(1_000_000) + b"x" * 1_000_000 + bytes(999_999) + b"y", "zeros where nothing was written")

    async def test_a_share_without_its_end_is_refused_and_forgotten(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 10)
        await writer.write(0, b"1234")
        await self.refused(writer.close(), ServerError)
        self.assertEqual(await self.stored(server), {})
        await self.store(server, b"0123456789")
        self.assertEqual(await self.stored(server), {0: b"0123456789"})

    async def test_a_share_that_is_being_written_is_in_neither_part_of_the_answer(self) -> None:
        server = await self.make_server()
        first = await server.allocate_shares(INDEX, frozenset([0, 1]), 5, LEASE)
        second = await server.allocate_shares(INDEX, frozenset([1, 2]), 5, OTHER_LEASE)
        self.assertEqual(set(first.writers), {0, 1})
        self.assertEqual((set(second.existing), set(second.writers)), (set(), {2}))

    async def test_all_finished_shares_are_told_whichever_were_asked_for(self) -> None:
        server = await self.make_server()
        for number in (1, 9, 255):
            await self.store(server, b"x", number)
        allocation = await server.allocate_shares(INDEX, frozenset([9, 10]), 1, OTHER_LEASE)
        self.assertEqual((set(allocation.existing), set(allocation.writers)), ({1, 9, 255}, {10}))
        nothing = await server.allocate_shares(INDEX, frozenset(), 1, OTHER_LEASE)
        self.assertEqual((set(nothing.existing), set(nothing.writers)), ({1, 9, 255}, set()))

    async def test_an_aborted_share_is_forgotten_and_may_be_tried_again(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 600_000)
        await writer.write(0, contents(600_000))
        await writer.abort()
        await writer.abort()
        await self.refused(writer.write(0, b"x"), ServerError)
        await self.refused(writer.close(), ServerError)
        self.assertEqual(await self.stored(server), {})
        await self.store(server, b"again")
        self.assertEqual(await self.stored(server), {0: b"again"})

    async def test_abort_after_close_is_harmless_but_a_second_close_is_refused(self) -> None:
        server = await self.make_server()
        writer = await self.begin(server, 1)
        await writer.write(0, b"x")
        await writer.close()
        await writer.abort()
        await self.refused(writer.close(), ServerError)
        self.assertEqual(await self.stored(server), {0: b"x"})

    async def test_reads_give_what_exists_and_nothing_of_what_follows_the_share(self) -> None:
        server = await self.make_server()
        await self.store(server, b"0123456789")
        reader = (await server.list_shares(INDEX))[0]
        for offset, length, wanted in (
            (0, 10, b"0123456789"),
            (0, 2**40, b"0123456789"),
            (3, 4, b"3456"),
            (8, 100, b"89"),
            (10, 1, b""),
            (2**40, 2**40, b""),
            (5, 0, b""),
        ):
            self.assertEqual(await reader.read(offset, length), wanted)

    async def test_files_that_were_never_stored_have_no_shares(self) -> None:
        server = await self.make_server()
        await self.store(server, b"x")
        self.assertEqual(await server.list_shares(OTHER_INDEX), {})

    async def test_absurd_allocations_are_refused_and_leave_nothing_behind(self) -> None:
        server = await self.make_server()
        for numbers, size in (([-1], 10), ([256], 10), ([0, -5], 10), ([0], -1)):
            await self.refused(server.allocate_shares(INDEX, frozenset(numbers), size, LEASE), ServerError)
        await self.store(server, b"fine")
        self.assertEqual(await self.stored(server), {0: b"fine"})

    async def test_more_than_there_is_room_for_is_not_allocated(self) -> None:
        server = await self.make_server()
        allocation = await server.allocate_shares(INDEX, frozenset([0]), 2**62, LEASE)
        self.assertEqual((set(allocation.existing), set(allocation.writers)), (set(), set()))

    # --- leases and reports ------------------------------------------------------------------------------------------

    async def test_leases_may_be_taken_on_shares_of_either_kind_and_on_nothing(self) -> None:
        server = await self.make_server()
        await server.add_lease(INDEX, OTHER_LEASE)
        await self.store(server, contents(5000))
        await server.add_lease(INDEX, OTHER_LEASE)
        await server.add_lease(INDEX, OTHER_LEASE)
        self.assertEqual(await self.stored(server), {0: contents(5000)})
        await server.test_and_write_slot(OTHER_INDEX, SLOT, {0: SlotWrite([], [(0, b"slot")])}, [])
        await server.add_lease(OTHER_INDEX, OTHER_LEASE)
        found = await server.read_slot(OTHER_INDEX, frozenset(), WHOLE)
        self.assertEqual({number: list(pieces) for number, pieces in found.items()}, {0: [b"slot"]})

    async def test_damage_may_be_reported_even_of_shares_that_are_not_there(self) -> None:
        server = await self.make_server()
        await server.report_corruption("immutable", INDEX, 0, "nothing here")
        await self.store(server, b"x")
        await server.report_corruption("immutable", INDEX, 0, "it smells — of ozone")
        await (await server.list_shares(INDEX))[0].report_corruption("and burns")
        self.assertEqual(await self.stored(server), {0: b"x"})

    # --- mutable slots ---------------------------------------------------------------------------------------------

    async def test_a_slot_is_created_tested_and_rewritten(self) -> None:
        server = await self.make_server()
        self.assertEqual(await self.slot(server), {})
        passed, read = await self.write_slot(server, {3: SlotWrite(EMPTY, [(0, b"first")])}, WHOLE)
        self.assertEqual((passed, read), (True, {}))
        passed, read = await self.write_slot(server, {3: SlotWrite(EMPTY, [(0, b"second")])}, WHOLE)
        self.assertEqual((passed, read), (False, {3: [b"first"]}))
        passed, read = await self.write_slot(
            server, {3: SlotWrite([SlotTest(0, 5, b"first")], [(0, b"second")])}, [ByteRange(1, 2), ByteRange(4, 9)]
        )
        self.assertEqual((passed, read), (True, {3: [b"ir", b"t"]}))
        self.assertEqual(await self.slot(server), {3: b"second"})

    async def test_one_failing_test_keeps_every_share_as_it_was(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"a")]), 1: SlotWrite([], [(0, b"b")])})
        passed, _ = await self.write_slot(
            server,
            {
                0: SlotWrite([SlotTest(0, 1, b"a")], [(0, b"X")]),
                1: SlotWrite([SlotTest(0, 1, b"?")], [(0, b"X")]),
                2: SlotWrite([], [(0, b"X")]),
            },
        )
        self.assertFalse(passed)
        self.assertEqual(await self.slot(server), {0: b"a", 1: b"b"})

    async def test_only_the_write_enabler_it_was_made_with_opens_a_slot(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"mine")])})
        stranger = SlotSecrets(b"?" * 32, OTHER_LEASE)
        for number in (0, 1):
            await self.refused(
                server.test_and_write_slot(INDEX, stranger, {number: SlotWrite([], [(0, b"theirs")])}, []),
                BadWriteEnabler,
            )
        self.assertEqual(await self.slot(server), {0: b"mine"})

    async def test_holes_read_as_zeros_even_where_truncated_data_was(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"secret past")])})
        await self.write_slot(server, {0: SlotWrite([], [], new_length=2)})
        self.assertEqual(await self.slot(server), {0: b"se"})
        await self.write_slot(server, {0: SlotWrite([], [(8, b"!")])})
        self.assertEqual(await self.slot(server), {0: b"se\0\0\0\0\0\0!"})

    async def test_an_empty_write_past_the_end_does_not_extend_a_slot(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"abc"), (50, b"")])})
        self.assertEqual(await self.slot(server), {0: b"abc"})

    async def test_a_larger_new_length_changes_nothing_and_zero_deletes(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"abc")], new_length=100), 1: SlotWrite([], [])})
        self.assertEqual(await self.slot(server), {0: b"abc", 1: b""})
        passed, read = await self.write_slot(
            server, {0: SlotWrite([], [(0, b"ignored")], new_length=0), 7: SlotWrite([], [], new_length=0)}, WHOLE
        )
        self.assertEqual((passed, read), (True, {0: [b"abc"], 1: [b""]}))
        self.assertEqual(await self.slot(server), {1: b""})

    async def test_a_deleted_slot_may_be_made_again_by_anybody(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"abc")])})
        await self.write_slot(server, {0: SlotWrite([], [], new_length=0)})
        self.assertEqual(await self.slot(server), {})
        stranger = SlotSecrets(b"?" * 32, OTHER_LEASE)
        await server.test_and_write_slot(INDEX, stranger, {0: SlotWrite(EMPTY, [(0, b"new")])}, [])
        self.assertEqual(await self.slot(server), {0: b"new"})

    async def test_only_the_shares_asked_for_are_read(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {number: SlotWrite([], [(0, b"%d" % number)]) for number in (0, 1, 2)})
        found = await server.read_slot(INDEX, frozenset([1, 2, 5]), [ByteRange(0, 1), ByteRange(1, 1)])
        self.assertEqual(
            {number: list(pieces) for number, pieces in found.items()}, {1: [b"1", b""], 2: [b"2", b""]}
        )

    async def test_a_write_past_the_largest_size_is_refused_with_all_that_came_with_it(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"abc")])})
        await self.refused(
            server.test_and_write_slot(
                INDEX,
                SLOT,
                {0: SlotWrite([], [(0, b"X")]), 1: SlotWrite([], [(69_105 * 10**12, b"X")])},
                [],
            ),
            ServerError,
        )
        self.assertEqual(await self.slot(server), {0: b"abc"})

    async def test_slot_calls_and_share_calls_do_not_mix(self) -> None:
        server = await self.make_server()
        await self.write_slot(server, {0: SlotWrite([], [(0, b"abc")])})
        self.assertEqual(await server.list_shares(INDEX), {})
        allocation = await server.allocate_shares(INDEX, frozenset([0]), 1, OTHER_LEASE)
        self.assertEqual((set(allocation.existing), set(allocation.writers)), (set(), set()))
        self.assertEqual(await self.slot(server), {0: b"abc"})


class BothWays(StorageServer, WholeShareServer, Protocol):
    """A storage server that takes whole shares as well."""


class WholeShareConformance(StorageServerTests):
    """Mix in beside the other, if the server takes and gives whole shares in one call."""

    async def make_server(self) -> BothWays:
        """A server with nothing on it and room for gigabytes. Clean up with `addCleanup`."""
        raise NotImplementedError

    async def test_whole_shares_are_read_back_either_way_whatever_their_size(self) -> None:
        for size in (0, 1, 3000, 65_536, 65_537, 524_288, LARGEST_WHOLE_SHARE):
            server = await self.make_server()
            shares = {number: contents(size, number) for number in (0, 5, 255)}
            answer = await server.store_shares(INDEX, LEASE, shares)
            self.assertEqual(answer, StoredShares(stored=frozenset(shares)))
            self.assertEqual(await self.stored(server), shares)
            found = await server.read_shares(INDEX, WHOLE)
            self.assertEqual({number: list(pieces) for number, pieces in found.items()},
                             {number: [share] for number, share in shares.items()})

    async def test_whole_shares_need_not_be_of_one_size_nor_be_bytes(self) -> None:
        server = await self.make_server()
        shares = {0: b"short", 1: contents(100_000), 2: b""}
        views = {number: memoryview(bytearray(share)) for number, share in shares.items()}
        answer = await server.store_shares(INDEX, LEASE, views)
        self.assertEqual(answer, StoredShares(stored=frozenset([0, 1, 2])))
        self.assertEqual(await self.stored(server), shares)

    async def test_shares_that_are_there_are_told_and_stay_as_they_are(self) -> None:
        for size in (4, 100_000):
            server = await self.make_server()
            first = {1: contents(size, 1), 7: contents(size, 7)}
            await server.store_shares(INDEX, LEASE, first)
            more = {1: contents(size, 9), 2: contents(size, 2), 7: contents(size, 9)}
            answer = await server.store_shares(INDEX, OTHER_LEASE, more)
            self.assertEqual(answer, StoredShares(already=frozenset([1, 7]), stored=frozenset([2])))
            self.assertEqual(await self.stored(server), first | {2: contents(size, 2)})
            allocation = await server.allocate_shares(INDEX, frozenset([2, 3]), size, LEASE)
            self.assertEqual((set(allocation.existing), set(allocation.writers)), ({1, 2, 7}, {3}))

    async def test_a_server_that_has_other_shares_of_the_file_tells_and_takes_nothing(self) -> None:
        for size in (4, 100_000):
            server = await self.make_server()
            first = {1: contents(size, 1), 7: contents(size, 7)}
            await server.store_shares(INDEX, LEASE, first)
            answer = await server.store_shares(INDEX, OTHER_LEASE, {1: contents(size, 9), 2: contents(size, 2)})
            self.assertEqual(answer, StoredShares(already=frozenset([1, 7]), refused=frozenset([2])))
            self.assertEqual(await self.stored(server), first)

    async def test_of_two_that_store_the_same_share_at_once_one_is_told_it_is_there(self) -> None:
        server = await self.make_server()
        answers = await gather(server.store_shares(INDEX, LEASE, {0: b"same"}) for _ in range(2))
        self.assertEqual(answers, [StoredShares(stored=frozenset([0])), StoredShares(already=frozenset([0]))])
        self.assertEqual(await self.stored(server), {0: b"same"})

    async def test_a_share_that_someone_else_is_writing_is_refused_and_its_writer_goes_on(self) -> None:
        server = await self.make_server()
        writer = (await server.allocate_shares(INDEX, frozenset([0]), 4, LEASE)).writers[0]
        answer = await server.store_shares(INDEX, OTHER_LEASE, {0: b"late", 1: b"free"})
        self.assertEqual(answer, StoredShares(stored=frozenset([1]), refused=frozenset([0])))
        await writer.write(0, b"mine")
        await writer.close()
        self.assertEqual(await self.stored(server), {0: b"mine", 1: b"free"})

    async def test_whole_shares_and_slots_do_not_mix(self) -> None:
        server = await self.make_server()
        await server.test_and_write_slot(INDEX, SLOT, {0: SlotWrite([], [(0, b"slot")])}, [])
        answer = await server.store_shares(INDEX, LEASE, {0: b"share"})
        self.assertEqual(answer, StoredShares(refused=frozenset([0])))
        self.assertEqual(await server.read_shares(INDEX, WHOLE), {})
        found = await server.read_slot(INDEX, frozenset(), WHOLE)
        self.assertEqual({number: list(pieces) for number, pieces in found.items()}, {0: [b"slot"]})

    async def test_absurd_whole_shares_are_refused_and_leave_nothing_behind(self) -> None:
        server = await self.make_server()
        short = LeaseSecrets(b"r" * 31, b"c" * 32)
        for secrets, shares in (
            (LEASE, {-1: b"x"}),
            (LEASE, {0: b"x", 256: b"x"}),
            (LEASE, {0: bytes(LARGEST_WHOLE_SHARE + 1)}),
            (short, {0: b"x"}),
        ):
            await self.refused(server.store_shares(INDEX, secrets, shares), ServerError)
        self.assertEqual(await self.stored(server), {})
        self.assertEqual(await server.store_shares(INDEX, LEASE, {}), StoredShares())

    async def test_ranges_are_read_of_every_share_as_far_as_it_goes(self) -> None:
        server = await self.make_server()
        await server.store_shares(INDEX, LEASE, {0: b"0123456789", 3: b"abc"})
        ranges = [ByteRange(2, 3), ByteRange(8, 100), ByteRange(2**40, 2**40), ByteRange(0, 0)]
        found = await server.read_shares(INDEX, ranges)
        self.assertEqual({number: list(pieces) for number, pieces in found.items()},
                         {0: [b"234", b"89", b"", b""], 3: [b"c", b"", b"", b""]})
        self.assertEqual(await server.read_shares(OTHER_INDEX, ranges), {})
        for absurd in (ByteRange(-1, 5), ByteRange(0, -1)):
            await self.refused(server.read_shares(INDEX, [absurd]), ServerError)
