"""A session of SFTP over a tree in memory: bytes in, bytes out. Spec: 09 §3, §6, §9, §12, §16."""
from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from frontends.sftp import wire
from frontends.sftp.session import MOST_BYTES, MOST_HANDLES, MOST_REQUESTS, Session
from frontends.sftp.wire import BadPacket, Fields, FileAttributes, Splitter, packed_attributes, packed_string
from tests.frontends.tree_on_grid import GridTree
from tests.memory_grid import random_bytes

CONTENTS = random_bytes(300_000, seed=4)
NOTHING = packed_attributes(FileAttributes())
CREATE = wire.FLAG_WRITE | wire.FLAG_CREATE | wire.FLAG_TRUNCATE


class Client:
    """Sends requests and keeps the replies by their ids."""

    def __init__(self, at: GridTree) -> None:
        self.at = at
        self.replies: dict[int, tuple[int, Fields]] = {}
        self.greeting = b""
        self.made_room = 0
        self._splitter = Splitter()
        self._number = 0
        self.session = Session(at.tree, at.grid.clock, self)

    def send(self, packet: bytes) -> None:
        """As the session's output: a reply."""
        self._splitter.feed(packet)
        while (reply := self._splitter.next()) is not None:
            if reply[0] == wire.VERSION:
                self.greeting = reply
            else:
                fields = Fields(reply, 1)
                self.replies[fields.number()] = reply[0], fields

    def may_take_more(self) -> None:
        self.made_room += 1

    def greet(self) -> Client:
        self.session.feed(struct.pack(">LBL", 5, wire.INIT, 3))
        return self

    def ask(self, kind: int, *fields: bytes) -> int:
        """Send a request; its id."""
        self._number += 1
        body = struct.pack(">BL", kind, self._number) + b"".join(fields)
        self.session.feed(struct.pack(">L", len(body)) + body)
        return self._number

    def answer(self, request: int) -> tuple[int, Fields]:
        for _ in range(200):
            if request in self.replies:
                return self.replies[request]
            self.at.pass_time(0.05)
        raise AssertionError("no reply")

    def status(self, kind: int, *fields: bytes) -> tuple[int, bytes]:
        found, reply = self.answer(self.ask(kind, *fields))
        assert found == wire.STATUS, found
        return reply.number(), reply.string()

    def open(self, path: str, flags: int) -> bytes:
        found, reply = self.answer(self.ask(wire.OPEN, packed_string(path.encode()), struct.pack(">L", flags), NOTHING))
        assert found == wire.HANDLE, (reply.number(), reply.string())
        return packed_string(reply.string())

    def write(self, path: str, contents: bytes) -> None:
        handle = self.open(path, CREATE)
        self.status(wire.WRITE, handle, struct.pack(">Q", 0), packed_string(contents[: wire.LARGEST_DATA]))
        for start in range(wire.LARGEST_DATA, len(contents), wire.LARGEST_DATA):
            self.status(wire.WRITE, handle, struct.pack(">Q", start), packed_string(contents[start : start + wire.LARGEST_DATA]))
        assert self.status(wire.CLOSE, handle)[0] == wire.OK


class Sessions(SynchronousTestCase):
    """One client's session."""

    def setUp(self) -> None:
        self.at = GridTree()
        self.client = Client(self.at).greet()

    def test_the_greeting_names_version_3_and_the_extensions_in_the_peers_order(self) -> None:
        greeting = self.client.greeting
        self.assertEqual(greeting[:5], struct.pack(">BL", wire.VERSION, 3))
        found = [greeting.index(name) for name in (b"posix-rename@", b"statvfs@", b"fstatvfs@", b"fsync@", b"limits@")]
        self.assertEqual(found, sorted(found))

    def test_a_session_begins_with_its_greeting_or_not_at_all(self) -> None:
        client = Client(self.at)
        self.assertRaises(BadPacket, client.ask, wire.STAT, packed_string(b"/"))

    def test_what_is_written_is_read_and_ends(self) -> None:
        self.client.write("file", CONTENTS)
        handle, read = self.client.open("file", wire.FLAG_READ), b""
        while len(read) < len(CONTENTS):
            kind, reply = self.client.answer(self.client.ask(wire.READ, handle, struct.pack(">QL", len(read), 10**6)))
            self.assertEqual(kind, wire.DATA)
            read += reply.string()
        self.assertEqual(read, CONTENTS)
        self.assertEqual(self.client.status(wire.READ, handle, struct.pack(">QL", len(CONTENTS), 1))[0], wire.EOF)

    def test_a_request_that_is_not_known_or_cut_short_is_answered(self) -> None:
        self.assertEqual(self.client.status(99)[0], wire.OP_UNSUPPORTED)
        for kind in (*range(wire.OPEN, wire.RENAME + 1), wire.EXTENDED):
            code, _ = self.client.status(kind, b"\0\0")
            self.assertIn(code, (wire.BAD_MESSAGE, wire.OP_UNSUPPORTED), kind)
        self.assertEqual(self.client.status(wire.EXTENDED, packed_string(b"new@x"))[0], wire.OP_UNSUPPORTED)

    def test_a_handle_that_was_closed_is_none_any_more(self) -> None:
        self.client.write("file", CONTENTS[:100])
        handle = self.client.open("file", wire.FLAG_READ)
        self.client.status(wire.CLOSE, handle)
        for kind, more in ((wire.READ, struct.pack(">QL", 0, 1)), (wire.CLOSE, b""), (wire.FSTAT, b""), (wire.READDIR, b"")):
            self.assertEqual(self.client.status(kind, handle, more), (wire.BAD_MESSAGE, b"no such handle"))

    def test_an_error_is_told_in_any_script(self) -> None:
        self.assertEqual(self.client.status(wire.STAT, packed_string("nösuch".encode())), (wire.NO_SUCH_FILE, "nösuch".encode()))

    def test_an_end_without_close_stores_nothing_but_what_was_closed(self) -> None:
        half, whole = self.client.open("half", CREATE), self.client.open("whole", CREATE)
        for handle in (half, whole):
            self.client.status(wire.WRITE, handle, struct.pack(">Q", 0), packed_string(CONTENTS[:1000]))
        self.client.ask(wire.CLOSE, whole)
        self.client.session.end()
        self.at.pass_time(10)
        self.assertEqual((self.at.names(), self.at.read("whole")), (["whole"], CONTENTS[:1000]))

    def test_a_file_whose_open_was_not_answered_when_the_connection_broke_is_let_go(self) -> None:
        self.client.ask(wire.OPEN, packed_string(b"new"), struct.pack(">L", CREATE | wire.FLAG_EXCLUSIVE), NOTHING)
        self.client.session.end()
        self.at.pass_time(10)
        self.assertEqual(list(self.at.tools.writers._all), [])

    def test_requests_and_their_bytes_are_bounded_and_all_are_answered(self) -> None:
        self.client.write("file", CONTENTS)
        handle = self.client.open("file", wire.FLAG_READ)
        self.at.grid.hang(self.at.grid.machines)
        asked = [self.client.ask(wire.STAT, packed_string(b"file %d" % number)) for number in range(2)]
        self.at.pass_time(2)
        asked += [self.client.ask(wire.STAT, packed_string(b"other/file %d" % number)) for number in range(3 * MOST_REQUESTS)]
        self.assertLessEqual(len(self.client.session._requests), MOST_REQUESTS)
        self.assertTrue(self.client.session.is_full)
        self.at.grid.thaw(self.at.grid.machines)
        for request in asked:
            self.client.answer(request)
        self.assertFalse(self.client.session.is_full)
        self.assertGreater(self.client.made_room, 0)
        reads = [self.client.ask(wire.READ, handle, struct.pack(">QL", 0, wire.LARGEST_DATA)) for _ in range(100)]
        self.assertLessEqual(self.client.session._bytes, MOST_BYTES + wire.LARGEST_DATA)
        for request in reads:
            self.assertEqual(self.client.answer(request)[0], wire.DATA)

    def test_no_more_than_so_many_handles(self) -> None:
        self.client.write("file", b"x" * 100)
        for _ in range(MOST_HANDLES):
            self.client.open("file", wire.FLAG_READ)
        code, text = self.client.status(wire.OPEN, packed_string(b"file"), struct.pack(">L", wire.FLAG_READ), NOTHING)
        self.assertEqual((code, text), (wire.FAILURE, b"too many open files"))

    def test_directories_are_listed_in_pages_that_clients_take(self) -> None:
        for number in range(30):
            self.at.mkdir(f"{number:0200}")
        kind, reply = self.client.answer(self.client.ask(wire.OPENDIR, packed_string(b"/")))
        self.assertEqual(kind, wire.HANDLE)
        handle, names = packed_string(reply.string()), set()
        while (answer := self.client.answer(self.client.ask(wire.READDIR, handle)))[0] == wire.NAME:
            for _ in range(answer[1].number()):
                names.add(answer[1].string())
                self.assertIn(b"drwxrwxrwx", answer[1].string())
                answer[1].attributes()
        self.assertEqual(len(names), 30)

    def test_a_directory_is_made_unless_a_file_is_in_the_way_or_it_should_be_protected(self) -> None:
        self.client.write("file", b"x" * 100)
        cases = ((b"a/b", NOTHING, wire.OK), (b"a/b", NOTHING, wire.OK), (b"/", NOTHING, wire.OK), (b"file", NOTHING, wire.FAILURE),
                 (b"file/x", NOTHING, wire.FAILURE),
                 (b"c", packed_attributes(FileAttributes(permissions=0o555)), wire.PERMISSION_DENIED))  # fmt: skip
        for path, attributes, code in cases:
            self.assertEqual(self.client.status(wire.MKDIR, packed_string(path), attributes)[0], code, path)

    def test_posix_rename_answers_with_a_status_and_replaces(self) -> None:
        self.client.write("a", b"a" * 100)
        self.client.write("b", b"b" * 100)
        self.assertEqual(self.client.status(wire.RENAME, packed_string(b"a"), packed_string(b"b"))[0], wire.PERMISSION_DENIED)
        name = packed_string(b"posix-rename@openssh.com")
        self.assertEqual(self.client.status(wire.EXTENDED, name, packed_string(b"a"), packed_string(b"b"))[0], wire.OK)
        self.assertEqual(self.client.status(wire.EXTENDED, name, packed_string(b"a"))[0], wire.BAD_MESSAGE)
        self.assertEqual((self.at.names(), self.at.read("b")), (["b"], b"a" * 100))

    def test_space_and_limits_are_told(self) -> None:
        for name, count in ((b"statvfs@openssh.com", 11), (b"limits@openssh.com", 4)):
            kind, reply = self.client.answer(self.client.ask(wire.EXTENDED, packed_string(name), packed_string(b"/")))
            numbers = [reply.long() for _ in range(count)]
            reply.end()
            self.assertEqual((kind, numbers[0]), (wire.EXTENDED_REPLY, 1024 if count == 11 else wire.LARGEST_PACKET))

    def test_attributes_given_when_a_file_is_opened_are_kept(self) -> None:
        attributes = packed_attributes(FileAttributes(accessed=7, modified=7))
        _, reply = self.client.answer(self.client.ask(wire.OPEN, packed_string(b"f"), struct.pack(">L", CREATE), attributes))
        self.client.status(wire.CLOSE, packed_string(reply.string()))
        self.assertEqual(self.at.stat("f").modified, 7)
