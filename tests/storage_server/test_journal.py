"""The journal's files: what was written is found again, and a torn end is seen to be torn."""
from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from storage_server.disk import RealDisk
from storage_server.edits import Change, Edit, Put, Removal
from storage_server.journal import pack_record, read_records

SHARE = "aa/aa" + "b" * 24 + "/"
RECORDS: list[list[Change]] = [
    [Edit(SHARE + "0", (Put(0, b"first"),), create=True), Edit(SHARE + "1", (Put(7, b"x" * 100),))],
    [Removal(SHARE + "0")],
    [Edit(SHARE + "1", (Put(9, b"last"),))],
]
PACKED = [b"".join(pack_record(changes)) for changes in RECORDS]


class Records(SynchronousTestCase):
    def read(self, content: bytes) -> list[list[Change]]:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        file = RealDisk().open(str(path))
        try:
            return read_records(file, file.size())
        finally:
            file.close()

    def test_all_are_found_in_order(self) -> None:
        self.assertEqual(self.read(b"".join(PACKED)), RECORDS)

    def test_a_journal_cut_anywhere_gives_the_whole_records_before_the_cut(self) -> None:
        whole = b"".join(PACKED)
        ends = [sum(map(len, PACKED[:count])) for count in range(4)]
        for cut in range(len(whole)):
            self.assertEqual(self.read(whole[:cut]), RECORDS[: sum(end <= cut for end in ends) - 1])

    def test_a_changed_byte_ends_the_journal_before_its_record(self) -> None:
        start = len(PACKED[0])
        for position in range(start, start + len(PACKED[1])):
            content = bytearray(b"".join(PACKED))
            content[position] ^= 1
            self.assertEqual(self.read(bytes(content)), RECORDS[:1])

    @given(st.binary(max_size=300))
    def test_junk_is_an_empty_journal(self, junk: bytes) -> None:
        self.assertEqual(self.read(junk), [])
        self.assertEqual(self.read(PACKED[0] + junk), RECORDS[:1])

    def test_an_absurd_length_is_not_believed(self) -> None:
        record = bytearray(PACKED[0])
        record[4:12] = b"\xff" * 8
        self.assertEqual(self.read(bytes(record)), [])
