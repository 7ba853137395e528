"""Mutable slots: authorise, test, read, and plan a write, all from one look at a bucket.

Synchronous; runs in worker threads. Nothing is changed here: a write becomes a list of changes that the store commits
through its journal, so that it happens to all shares named or to none. Everything is checked before anything is planned.
Spec: 05 §6; the peer's defects D5-D8 are not copied.
"""
from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import define, field

from lafs.crypto import base32
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadWriteEnabler, CorruptContainer, NoSpace, ServerError
from lafs.interfaces import ByteRange, SlotTest, SlotWrite
from storage_server.directories import Places
from storage_server.edits import Change, Edit, Planned, Put, Removal, Step, gathered
from storage_server.files_beside import FilesBeside
from storage_server.leases import LeaseTerms
from storage_server.mutable_container import DATA_OFFSET, MutableContainer
from storage_server.reads import ReadBudget, check_ranges, length_within
from storage_server.share_files import OpenShare, Readable, ShareFiles, read_lease_area
from storage_server.space import Room

FRESH_SIZE: Final = DATA_OFFSET + 4


SlotOutcome = tuple[bool, Mapping[int, Sequence[bytes]]]
"""Whether all tests held, and what was read of each share before it was written."""


@define(eq=False)
class _Survey:
    """What was found in a bucket: named shares with their lease areas, what was read, whether tests hold."""

    shares: dict[int, tuple[MutableContainer, bytes]] = field(factory=dict)
    read: dict[int, Sequence[bytes]] = field(factory=dict)
    passed: bool = True


class Slots:
    """The mutable shares of one store."""

    def __init__(self, files: ShareFiles, beside: FilesBeside, room: Room, node_id: bytes) -> None:
        self._files = files
        self._beside = beside
        self._room = room
        self._node_id = node_id

    def read(
        self, storage_index: StorageIndex, share_numbers: frozenset[int], ranges: Sequence[ByteRange]
    ) -> Mapping[int, Sequence[bytes]]:
        """The ranges of the named shares that are there, of all if none is named. Raises ServerError, OSError."""
        check_ranges(ranges)
        budget = ReadBudget()
        found: dict[int, Sequence[bytes]] = {}
        for share in self._files.each(storage_index):
            if share.number in share_numbers or not share_numbers:
                found[share.number] = _read(share.file, _mutable(share), ranges, budget)
        return found

    def plan(
        self,
        storage_index: StorageIndex,
        write_enabler: bytes,
        terms: LeaseTerms,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
        promised: int,
    ) -> Planned[SlotOutcome]:
        """What a test-and-write finds and would do: nothing, if a test failed.

        `promised` bytes of the room are taken by uploads in progress.
        Raises BadWriteEnabler, CorruptContainer, DataTooLarge, NoSpace, ServerError, OSError.
        """
        check_ranges(ranges)
        for write in writes.values():
            _check_write(write)
        survey = self._survey(storage_index, write_enabler, writes, ranges)
        if not survey.passed:
            return Planned((), (False, survey.read))
        changes: list[Change] = []
        growth = 0
        touched = False
        for number, write in sorted(writes.items()):
            path = Places.share(storage_index, number)
            if write.new_length == 0:
                if number in survey.shares:
                    changes.append(Removal(path))
                    touched = True
                continue
            edit, needed, changed = self._plan_share(path, write, survey.shares.get(number), write_enabler, terms)
            growth += needed
            touched = touched or changed
            if edit.steps:
                changes.append(edit)
        self._check_room(growth, touched, promised)
        return Planned(changes, (True, survey.read))

    def create(
        self,
        storage_index: StorageIndex,
        write_enabler: bytes,
        terms: LeaseTerms,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
        promised: int,
    ) -> SlotOutcome | None:
        """Carry out a test-and-write of a single share, if it is not there yet; otherwise None. Raises as `plan`.

        The share is synced then, and lasts when its bucket is settled. For large ones: the journal would write them twice.
        """
        (number,) = writes
        if number in self._files.numbers(storage_index):
            return None
        planned = self.plan(storage_index, write_enabler, terms, writes, ranges, promised)
        for change in planned.changes:
            assert isinstance(change, Edit), "what is not there cannot be removed"
            self._beside.make(storage_index, number, change.steps)
        return planned.result

    def _survey(
        self,
        storage_index: StorageIndex,
        write_enabler: bytes,
        writes: Mapping[int, SlotWrite],
        ranges: Sequence[ByteRange],
    ) -> _Survey:
        survey = _Survey()
        budget = ReadBudget()
        there = self._files.numbers(storage_index)
        for share in self._files.each(storage_index, there):
            container = _mutable(share)
            _authorise(container, write_enabler)
            survey.read[share.number] = _read(share.file, container, ranges, budget)
            if share.number in writes:
                survey.shares[share.number] = (container, read_lease_area(share.file, container))
                for test in writes[share.number].tests:
                    survey.passed = _holds(share.file, container, test) and survey.passed
        for number in writes.keys() - survey.read.keys():
            if number in there:
                raise CorruptContainer("a share that was to be written cannot be understood")
            survey.passed = survey.passed and not any(test.specimen for test in writes[number].tests)
        return survey

    def _plan_share(
        self,
        path: str,
        write: SlotWrite,
        present: tuple[MutableContainer, bytes] | None,
        write_enabler: bytes,
        terms: LeaseTerms,
    ) -> tuple[Edit, int, bool]:
        """The edit of one share, the room it needs, and whether it is more than a lease."""
        steps: list[Step] = []
        growth = 0
        if present is None:
            container = MutableContainer.fresh(self._node_id, write_enabler)
            lease_area = bytes(sum(size for _, size in container.lease_areas))
            steps.append(Put(0, container.pack()))
            growth = FRESH_SIZE
        else:
            container, lease_area = present
        written = container.write(write.writes, write.new_length, lease_area)
        steps += written.steps
        changed = bool(steps)
        lease = written.after.take_lease(lease_area, terms, self._node_id)
        steps += lease.steps
        edit = Edit(path, steps) if present is not None else Edit(path, gathered(steps), create=True)
        return edit, growth + written.growth + lease.growth, changed

    def _check_room(self, growth: int, touched: bool, promised: int) -> None:
        if touched and self._room.readonly:
            raise NoSpace("the server takes no writes")
        if growth and growth > self._room.available() - promised:
            raise NoSpace("the server has no room for this write")


def _mutable(share: OpenShare) -> MutableContainer:
    if not isinstance(share.container, MutableContainer):
        raise CorruptContainer("the shares of this file are not mutable")
    return share.container


def _authorise(container: MutableContainer, write_enabler: bytes) -> None:
    if not hmac.compare_digest(container.write_enabler, write_enabler):
        recorder = base32.encode(container.node_id)
        raise BadWriteEnabler(f"The write enabler was recorded by nodeid '{recorder}'.")


def _read(
    file: Readable, container: MutableContainer, ranges: Sequence[ByteRange], budget: ReadBudget
) -> Sequence[bytes]:
    pieces = []
    for asked in ranges:
        length = length_within(container.data_length, asked.offset, asked.length)
        budget.spend(length)
        pieces.append(file.read(DATA_OFFSET + asked.offset, length) if length else b"")
    return pieces


def _holds(file: Readable, container: MutableContainer, test: SlotTest) -> bool:
    length = length_within(container.data_length, test.offset, test.length)
    if length != len(test.specimen):
        return False
    return not length or file.read(DATA_OFFSET + test.offset, length) == test.specimen


def _check_write(write: SlotWrite) -> None:
    check_ranges(write.tests)
    if any(offset < 0 for offset, _ in write.writes) or (write.new_length is not None and write.new_length < 0):
        raise ServerError("a share cannot be written before its start, nor be of negative length")
