"""Servers that hang, fail, lie and forget: no change is lost, no wrong byte is read, and nothing waits for ever.

Each defect of the peer that spec 03 §16 lists has a test here, or in test_files.py, under its number.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import MutableWriteCap
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import NoSpace, RolledBack, ServerError, UnhappyUpload, UnrecoverableFile
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import ByteRange, SlotSecrets, SlotWrite, StorageServer
from lafs.mutable.node import MutableFile
from lafs.mutable.share_layout import parse_prefix, parse_sections
from lafs.sources import BytesSource
from lafs.tasks import spawn
from tests.memory_grid import Grid, ms, random_bytes
from tests.mutable.slots import all_stored, damage, flip, new_client, numbers_stored, plant, stored
from tests.simulation.machines import Machine

FORMATS: Any = ("SDMF", "MDMF")
SEGMENT = 131073
ROUND_TRIP = 2 * ms(50)


def made(grid: Grid, contents: bytes, format: Any = "SDMF") -> tuple[MutableFile, MutableWriteCap]:
    node = grid.run(grid.client.create_mutable(contents, format))
    assert isinstance(node.cap, MutableWriteCap)
    grid.forget()
    return grid.client.open_mutable(node.cap), node.cap


def exclaimed(contents: bytes) -> bytes:
    return contents + b"!"


class Mask:
    """Stands before an honest server and changes what it says about slots."""

    def __init__(self, honest: StorageServer) -> None:
        self._honest = honest

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._honest, verb)

    async def read_slot(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], ranges: Sequence[ByteRange]
    ) -> Mapping[int, Sequence[bytes]]:
        return await self._honest.read_slot(storage_index, share_numbers, ranges)

    async def test_and_write_slot(
        self, storage_index: StorageIndex, secrets: SlotSecrets, writes: Mapping[int, SlotWrite], ranges: Sequence[ByteRange]
    ) -> tuple[bool, Mapping[int, Sequence[bytes]]]:
        return await self._honest.test_and_write_slot(storage_index, secrets, writes, ranges)


class HungServers(SynchronousTestCase):
    """D12: a server that hangs costs its patience, once."""

    def test_everything_goes_on_without_them(self) -> None:
        for format in FORMATS:
            grid = Grid()
            node, cap = made(grid, random_bytes(1000), format)
            grid.hang(grid.machines[:2])
            for work, patience in (
                (lambda node: node.contents(), 1.5),
                (lambda node: node.overwrite(BytesSource(b"new")), 2.5),
                (lambda node: node.modify(exclaimed), 2.5),
                (lambda node: node.check(), 5.5),
            ):
                grid.forget()
                node = grid.client.open_mutable(cap)
                _, first = grid._measured(work(node))
                self.assertLess(first.elapsed, patience + 4 * ROUND_TRIP)
                _, second = grid._measured(work(node))
                self.assertLess(second.elapsed, 4 * ROUND_TRIP)
            contents, _ = grid.run(node.contents())
            self.assertEqual(contents, b"new!!")
            _, cost = grid._measured(new_client(grid).create_mutable(b"x", format))
            self.assertLess(cost.elapsed, 2.5 + 4 * ROUND_TRIP)

    def test_a_large_read_asks_others(self) -> None:
        grid = Grid()
        contents = random_bytes(3_000_000)
        node, cap = made(grid, contents, "MDMF")
        grid.run(node.version())
        grid.hang(grid.holders_of(cap)[:3])
        sink = grid.sink()
        grid.run(node.read(sink))
        self.assertEqual(sink.content, contents)

    def test_one_that_hangs_in_the_middle_of_a_large_write_delays_it_little(self) -> None:
        grid = Grid()
        node, cap = made(grid, b"small", "MDMF")
        running = spawn(node.overwrite(BytesSource(random_bytes(3_000_000))))
        grid.time.pass_time(0.12)
        grid.hang(grid.machines[:2])
        _, cost = grid._measured(running)
        self.assertLess(cost.elapsed, 3.0)
        self.assertEqual(grid.run(new_client(grid).open_mutable(cap).version()).size, 3_000_000)
        self.assertEqual(len({number for number, sequence in numbers_stored(grid, cap) if sequence == 2}), 10)

    def test_slow_servers_are_waited_for_when_there_are_no_others(self) -> None:
        grid = Grid(latency=2.0)
        node, cap = made(grid, b"far away")
        self.assertEqual(grid.run(node.contents())[0], b"far away")
        grid.run(node.modify(bytes.upper))
        self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"FAR AWAY")


class FailedWrites(SynchronousTestCase):
    """D13: what one server does not take goes to another; what too few take is no success."""

    class Full(Mask):
        async def test_and_write_slot(self, *arguments: Any) -> Any:
            raise NoSpace("full")

    class Deaf(Mask):
        """Refuses to write, whatever it has."""

        async def test_and_write_slot(self, storage_index: Any, secrets: Any, writes: Any, ranges: Any) -> Any:
            return False, await self._honest.read_slot(storage_index, frozenset(), ranges)

    def test_shares_find_another_home(self) -> None:
        for mask in (self.Full, self.Deaf):
            grid = Grid(servers=10)
            grid.disguise(grid.machines[:3], mask)
            node, cap = made(grid, b"contents")
            self.assertEqual([number for number, _ in numbers_stored(grid, cap)], list(range(10)))
            grid.run(node.overwrite(BytesSource(b"new")))
            self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"new")
            self.assertEqual(numbers_stored(grid, cap), [(number, 2) for number in range(10)])

    def test_too_few_servers_are_no_success(self) -> None:
        for mask in (self.Full, self.Deaf):
            grid = Grid(servers=10)
            node, _cap = made(grid, b"contents")
            grid.disguise(grid.machines[:4], mask)
            with self.assertRaises(UnhappyUpload) as caught:
                grid.run(new_client(grid).create_mutable(b"other"))
            self.assertIn("only 6 server(s)", str(caught.exception))
            with self.assertRaises(UnhappyUpload):
                grid.run(node.overwrite(BytesSource(b"new")))

    def test_servers_that_hang_make_it_no_easier_to_be_done(self) -> None:
        for known in (True, False):
            grid = Grid(servers=10, encoding=EncodingParameters(3, 7, 10))
            node, cap = made(grid, b"contents")
            if known:
                grid.run(node.overwrite(BytesSource(b"new")))
            grid.hang(grid.holders_of(cap)[:6])
            _, cost = grid._measured(self.unhappy(node))
            self.assertLess(cost.elapsed, 60)

    async def unhappy(self, node: MutableFile) -> None:
        try:
            await node.overwrite(BytesSource(b"newer"))
        except UnhappyUpload:
            return
        raise AssertionError("a write that four of ten servers took was acknowledged")

    def test_few_servers_are_enough_where_there_are_no_more(self) -> None:
        grid = Grid(servers=2)
        node, cap = made(grid, b"contents")
        grid.run(node.modify(bytes.upper))
        self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"CONTENTS")

    def test_a_cut_at_any_message_leaves_the_old_contents_or_the_new(self) -> None:
        for number in range(0, 40, 3):
            grid = Grid(servers=5, encoding=EncodingParameters(2, 3, 5))
            node, cap = made(grid, b"old")
            grid.cut_at({number, number + 7})
            try:
                grid.run(node.overwrite(BytesSource(b"new")))
                allowed = {b"new"}
            except UnhappyUpload:
                allowed = {b"old", b"new"}
            grid.network.cuts = lambda message: False
            grid.reconnect(grid.machines)
            self.assertIn(grid.run(new_client(grid).open_mutable(cap).contents())[0], allowed)
            grid.run(new_client(grid).open_mutable(cap).modify(lambda contents: contents + b"!"))
            self.assertIn(grid.run(new_client(grid).open_mutable(cap).contents())[0], {each + b"!" for each in allowed})


class BogusShares(SynchronousTestCase):
    def test_d3_unverified_bytes_are_never_signed(self) -> None:
        """A flipped block or tree at the edge of an update is found, and good shares are used."""
        for position in (2167 + 16 + 10, 2167 + 3 * (16 + SEGMENT // 3) - 5, -40):
            grid = Grid(servers=5, encoding=EncodingParameters(3, 3, 5))
            contents = random_bytes(2 * SEGMENT + 99)
            node, cap = made(grid, contents, "MDMF")
            damage(grid, cap, lambda share, position=position: flip(share, position % len(share)), {0, 1})  # type: ignore[misc]
            grid.run(node.update(5, BytesSource(b"patch")))
            found, _ = grid.run(new_client(grid).open_mutable(cap).contents())
            self.assertEqual(found, contents[:5] + b"patch" + contents[10:])

    def test_d6_d7_surplus_shares_hurt_nobody_and_go_with_the_next_write(self) -> None:
        for format in FORMATS:
            grid = Grid(servers=5, encoding=EncodingParameters(2, 3, 5))
            node, cap = made(grid, b"contents", format)
            number, machine, share = all_stored(grid, cap)[0]
            plant(grid, cap, machine, {number: share, 5: share, 200: share})
            self.assertEqual(grid.run(node.contents())[0], b"contents")
            grid.run(node.modify(bytes.upper))
            self.assertEqual(grid.run(node.contents())[0], b"CONTENTS")
            self.assertEqual(numbers_stored(grid, cap), [(each, 2) for each in range(5)])

    def test_d8_a_corrupt_copy_does_not_hide_a_good_one_nor_spin(self) -> None:
        for format in FORMATS:
            for size in (100, 300_000):
                grid = Grid(servers=2, encoding=EncodingParameters(1, 1, 1))
                contents = random_bytes(size)
                _node, cap = made(grid, contents, format)
                _, holder, share = all_stored(grid, cap)[0]
                sections = parse_sections(parse_prefix(share), share)
                for machine in grid.machines:
                    plant(grid, cap, machine, {0: share if machine is holder else flip(share, sections.data.start + 20)})
                for _ in range(3):
                    (found, _), cost = grid._measured(new_client(grid).open_mutable(cap).contents())
                    self.assertEqual(found, contents)
                    self.assertLess(sum(cost.requests.values()), 12)

    def test_d8_nothing_but_corrupt_copies_is_an_error_soon(self) -> None:
        grid = Grid(servers=2, encoding=EncodingParameters(1, 1, 1))
        node, cap = made(grid, random_bytes(300_000))
        damage(grid, cap, lambda share: flip(share, 100_000))
        (outcome, cost) = grid._measured(self.failure_of(node))
        self.assertIsInstance(outcome, UnrecoverableFile)
        self.assertLess(sum(cost.requests.values()), 20)

    async def failure_of(self, node: MutableFile) -> Exception | None:
        try:
            await node.contents()
        except Exception as error:
            return error
        return None

    def test_d9_a_changed_offset_makes_no_version(self) -> None:
        grid = Grid(servers=3, encoding=EncodingParameters(1, 1, 3))
        for format in FORMATS:
            node, cap = made(grid, b"contents", format)
            damage(grid, cap, lambda share: flip(share, 82 if share[0] == 0 else 122), {2})
            self.assertEqual(grid.run(node.contents())[0], b"contents")
            health = grid.run(node.check())
            self.assertEqual(health.recoverable_versions + health.unrecoverable_versions, 1)
            grid.run(node.modify(bytes.upper))
            self.assertEqual(numbers_stored(grid, cap), [(0, 2), (1, 2), (2, 2)])

    def test_d10_reports_name_the_share_once(self) -> None:
        reports: list[tuple[str, int]] = []

        class Clerk(Mask):
            async def report_corruption(self, kind: Any, storage_index: Any, share_number: int, reason: str) -> None:
                reports.append((kind, share_number))

        grid = Grid(servers=4, encoding=EncodingParameters(2, 2, 4))
        node, cap = made(grid, random_bytes(300_000))
        damage(grid, cap, lambda share: flip(share, 100_000), {1})
        grid.disguise(grid.machines, Clerk)
        for _ in range(3):
            grid.run(node.contents())
            grid.client.open_mutable(cap)._slot.newest = None
        self.assertEqual(reports, [("mutable", 1)])

    def test_d14_an_unusable_private_key_is_an_error_that_says_so(self) -> None:
        grid = Grid(servers=3, encoding=EncodingParameters(2, 2, 3))
        node, cap = made(grid, b"contents")
        damage(grid, cap, lambda share: flip(share, len(share) - 5), {0, 1})
        grid.run(node.modify(lambda contents: contents + b"!"))
        damage(grid, cap, lambda share: flip(share, len(share) - 5))
        with self.assertRaisesRegex(UnrecoverableFile, "private key"):
            grid.run(new_client(grid).open_mutable(cap).overwrite(BytesSource(b"new")))
        self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"contents!")

    def test_d11_verification_reads_everything(self) -> None:
        for format in FORMATS:
            for size in (0, 500):
                grid = Grid(servers=3, encoding=EncodingParameters(2, 2, 3))
                _node, cap = made(grid, random_bytes(size), format)
                _, _, share = all_stored(grid, cap)[0]
                sections = parse_sections(parse_prefix(share), share)
                parts = [sections.verification_key, sections.signature, sections.chain, sections.block_tree, sections.private_key]
                if size:
                    parts.append(sections.data)
                whole = {number: share for number, _, share in all_stored(grid, cap)}
                for part in parts:
                    damage(grid, cap, lambda share, part=part: flip(share, part.end - 1), {1})  # type: ignore[misc]
                    health = grid.run(new_client(grid).open_mutable(cap).check(verify=True))
                    self.assertEqual([place.number for place in health.corrupt], [1])
                    self.assertFalse(health.healthy)
                    damage(grid, cap, lambda share, whole=whole: whole[1], {1})  # type: ignore[misc]

    def test_d11_of_every_copy(self) -> None:
        for format in FORMATS:
            grid = Grid(servers=2, encoding=EncodingParameters(1, 1, 1))
            _node, cap = made(grid, random_bytes(500), format)
            _, holder, share = all_stored(grid, cap)[0]
            tree = parse_sections(parse_prefix(share), share).block_tree
            for machine in grid.machines:
                plant(grid, cap, machine, {0: share if machine is holder else flip(share, tree.start)})
            health = grid.run(new_client(grid).open_mutable(cap).check(verify=True))
            self.assertEqual([place.server.identity for place in health.corrupt], [
                machine.identity for machine in grid.machines if machine is not holder
            ])

    def test_d17_d18_any_cap_checks(self) -> None:
        grid = Grid()
        _, cap = made(grid, random_bytes(5000))
        for each in (cap, cap.readonly(), cap.verifier()):
            for verify in (False, True):
                health = grid.run(new_client(grid).open_mutable(each).check(verify, add_lease=True))
                self.assertEqual(health.summary, "Healthy")

    def test_shares_of_another_version_byte_are_replaced(self) -> None:
        grid = Grid(servers=3, encoding=EncodingParameters(2, 2, 3))
        node, cap = made(grid, b"contents")
        damage(grid, cap, lambda share: b"\x07" + share[1:], {1})
        grid.run(node.modify(bytes.upper))
        self.assertEqual(numbers_stored(grid, cap), [(0, 2), (1, 2), (2, 2)])


class Liars(SynchronousTestCase):
    """One server cannot keep a file from being written, nor make it lie."""

    class Inventor(Mask):
        """Claims that it has a share that nobody has written, of a version beyond all others."""

        async def test_and_write_slot(self, *arguments: Any) -> Any:
            written, found = await self._honest.test_and_write_slot(*arguments)
            return written, {**found, 9: [b"\0" + b"\xff" * 100]}

        async def read_slot(self, storage_index: Any, share_numbers: Any, ranges: Any) -> Any:
            found = dict(await self._honest.read_slot(storage_index, share_numbers, ranges))
            if not share_numbers:
                found[9] = [(b"\0" + b"\xff" * 5000)[: each.length] for each in ranges]
            return found

    class Noise(Mask):
        async def read_slot(self, storage_index: Any, share_numbers: Any, ranges: Any) -> Any:
            return {number: [b"\1" * each.length for each in ranges] for number in (0, 1, 254, 255)}

    class Malformed(Mask):
        async def read_slot(self, storage_index: Any, share_numbers: Any, ranges: Any) -> Any:
            return {0: [], 1: [b"1", b"2", b"3"]}

    class Broken(Mask):
        async def read_slot(self, *arguments: Any) -> Any:
            raise ServerError("broken")

    def test_they_cost_nothing_but_themselves(self) -> None:
        for mask in (self.Inventor, self.Noise, self.Malformed, self.Broken):
            grid = Grid(servers=5, encoding=EncodingParameters(2, 3, 5))
            node, cap = made(grid, b"contents")
            grid.disguise(grid.machines[:1], mask)
            _, cost = grid._measured(node.modify(bytes.upper))
            self.assertLess(cost.elapsed, 3.0)
            self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"CONTENTS")
            grid.run(node.overwrite(BytesSource(b"new")))
            self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"new")


class Rollback(SynchronousTestCase):
    """Old shares put back are noticed by those who have seen newer ones."""

    def rolled_back(self) -> tuple[Grid, MutableFile, MutableWriteCap]:
        grid = Grid(servers=5, encoding=EncodingParameters(2, 3, 5))
        node, cap = made(grid, b"old")
        before: dict[Machine, dict[int, bytes]] = {each: stored(grid, each, cap.storage_index) for each in grid.machines}
        grid.run(node.overwrite(BytesSource(b"new")))
        for machine, shares in before.items():
            plant(grid, cap, machine, shares)
        return grid, node, cap

    def test_old_contents_are_not_read_as_the_newest(self) -> None:
        grid, node, cap = self.rolled_back()
        works: list[Callable[[], Any]] = [node.contents, node.version, lambda: node.modify(bytes.upper)]
        for work in works:
            with self.assertRaises(RolledBack):
                grid.run(work())
        self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"old")

    def test_new_contents_are_written_above_all_that_was(self) -> None:
        grid, node, _cap = self.rolled_back()
        self.assertEqual(grid.run(node.overwrite(BytesSource(b"newest"))).sequence_number, 3)
        self.assertEqual(grid.run(node.contents())[0], b"newest")

    def test_some_old_servers_are_outvoted(self) -> None:
        grid = Grid(servers=5, encoding=EncodingParameters(2, 3, 5))
        node, cap = made(grid, b"old")
        before = {each: stored(grid, each, cap.storage_index) for each in grid.machines[:2]}
        grid.run(node.overwrite(BytesSource(b"new")))
        for machine, shares in before.items():
            plant(grid, cap, machine, shares)
        self.assertEqual(grid.run(new_client(grid).open_mutable(cap).contents())[0], b"new")


class Cancelled(SynchronousTestCase):
    def test_nothing_is_left_behind(self) -> None:
        for moment in (ms(10), ms(60), ms(110), ms(160), ms(260)):
            grid = Grid()
            node, cap = made(grid, random_bytes(1_000_000), "MDMF")
            for work in (
                lambda node: node.contents(),
                lambda node: node.overwrite(BytesSource(b"new contents")),
                lambda node: node.update(5, BytesSource(b"x")),
            ):
                running = spawn(work(node))
                running.addErrback(lambda _: None)
                grid.time.pass_time(moment)
                running.cancel()
                self.assertEqual(grid.leftovers(), [])
            grid.run(node.modify(lambda contents: contents[:10]))
            self.assertEqual(len(grid.run(new_client(grid).open_mutable(cap).contents())[0]), 10)
