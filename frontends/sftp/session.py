"""One client's requests, carried out on a tree. `channel` feeds it bytes and takes its replies.

Every request is answered, whatever happens to it. At most so many are carried out at once, and what they hold in memory is bounded:
the rest waits, and the SSH window closes. When the connection ends without a close, nothing half written is stored.
Spec: 09 §§6-13.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from frontends.open_files import Attributes, OpenFile
from frontends.paths import names_of, path_of
from frontends.refusals import Refused
from frontends.sftp import wire
from frontends.sftp.presentation import (
    change_of,
    flags_of,
    long_name,
    may_make_directory,
    packed_space,
    shown,
    status_of,
)
from frontends.sftp.wire import BadPacket, Fields, FileAttributes
from frontends.virtual_tree import Tree
from lafs.errors import LafsError, NotADirectory
from lafs.interfaces import Bytes
from lafs.tasks import Clock, spawn

_log = Logger(namespace="lafs.sftp")

EXTENSIONS: Mapping[bytes, bytes] = {
    b"posix-rename@openssh.com": b"1",
    b"statvfs@openssh.com": b"2",
    b"fstatvfs@openssh.com": b"2",
    b"fsync@openssh.com": b"1",
    b"limits@openssh.com": b"1",
}

MOST_REQUESTS = 128
"""Carried out at once."""

MOST_BYTES = 8 * 1024 * 1024
"""Of file contents in requests that are being carried out, asked for or given."""

MOST_HANDLES = 256
LARGEST_NAMES = 64 * 1024
"""Bytes of entries in one reply to READDIR."""

Answer = Callable[[int, Fields], Awaitable[bytes]]


class Output(Protocol):
    """Where replies go."""

    def send(self, packet: bytes) -> None: ...

    def may_take_more(self) -> None:
        """Requests were carried out: `feed` may be given more."""
        ...


class Session:
    """What one login does with `tree`. `clock` tells the time for listings."""

    def __init__(self, tree: Tree, clock: Clock, output: Output) -> None:
        self._tree = tree
        self._clock = clock
        self._output = output
        self._splitter = wire.Splitter()
        self._handles: dict[bytes, OpenFile | Iterator[bytes]] = {}
        self._next_handle = 0
        self._greeted = False
        self._requests: set[Deferred[None]] = set()
        self._bytes = 0
        self._taking = False
        self._idle: list[Deferred[None]] = []
        self.ended = False
        self._answers: Mapping[int, Answer] = {
            wire.OPEN: self._open,
            wire.CLOSE: self._close,
            wire.READ: self._read,
            wire.WRITE: self._write,
            wire.LSTAT: self._stat,
            wire.STAT: self._stat,
            wire.FSTAT: self._stat_handle,
            wire.SETSTAT: self._set_attributes,
            wire.FSETSTAT: self._set_attributes_of_handle,
            wire.OPENDIR: self._open_directory,
            wire.READDIR: self._read_directory,
            wire.REMOVE: self._remove,
            wire.MKDIR: self._make_directory,
            wire.RMDIR: self._remove_directory,
            wire.REALPATH: self._real_path,
            wire.RENAME: self._rename,
            wire.EXTENDED: self._extended,
        }
        self._extensions: Mapping[bytes, Answer] = {
            b"posix-rename@openssh.com": self._posix_rename,
            b"statvfs@openssh.com": self._space,
            b"fstatvfs@openssh.com": self._space,
            b"fsync@openssh.com": self._sync,
            b"limits@openssh.com": self._limits,
        }

    # --- its life ---

    @property
    def is_full(self) -> bool:
        """Whether it should be fed no more for now."""
        return len(self._requests) >= MOST_REQUESTS or self._bytes >= MOST_BYTES

    def feed(self, data: Bytes) -> None:
        """Take bytes from the client. Raises BadPacket when no more can be understood."""
        self._splitter.feed(data)
        self._take()

    async def finished(self) -> None:
        """Return when all requests so far are answered."""
        while self._requests:
            idle: Deferred[None] = Deferred(lambda _: None)
            self._idle.append(idle)
            await idle

    def end(self) -> None:
        """The connection is gone. Files that were not closed are not stored; a close that has begun goes on."""
        if self.ended:
            return
        self.ended = True
        handles, self._handles = self._handles, {}
        for handle in handles.values():
            if not isinstance(handle, Iterator):
                handle.abandon()

    def _take(self) -> None:
        if self._taking:
            return  # A request that is answered at once makes room while others are being taken.
        self._taking = True
        try:
            while not self.is_full and not self.ended and (packet := self._splitter.next()) is not None:
                self._handle(packet)
        finally:
            self._taking = False

    def _handle(self, packet: bytes) -> None:
        kind = packet[0]
        if not self._greeted:
            if kind != wire.INIT:
                raise BadPacket("a session must begin with INIT")
            self._greeted = True
            self._output.send(wire.version_reply(EXTENSIONS))
            return
        fields = Fields(packet, 1)
        request = fields.number()
        weight = len(packet) if kind == wire.WRITE else 0
        if kind == wire.READ:
            weight = wire.LARGEST_DATA if len(packet) < 4 else min(wire.LARGEST_DATA, int.from_bytes(packet[-4:], "big"))
        self._bytes += weight
        work = spawn(self._respond(kind, request, fields))
        if work.called:
            self._bytes -= weight
            return
        self._requests.add(work)
        work.addBoth(self._done, work, weight)

    def _done(self, _: object, work: Deferred[None], weight: int) -> None:
        self._requests.discard(work)
        self._bytes -= weight
        if not self._requests:
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)
        if not self.ended and not self._taking:
            try:
                self._take()
            except BadPacket:
                self.ended = True
            self._output.may_take_more()

    async def _respond(self, kind: int, request: int, fields: Fields) -> None:
        answer = self._answers.get(kind)
        try:
            if answer is None:
                reply = wire.status_reply(request, wire.OP_UNSUPPORTED, "this is not supported")
            else:
                reply = await answer(request, fields)
        except CancelledError:
            reply = wire.status_reply(request, wire.FAILURE, "stopped")
        except Exception as error:
            if not isinstance(error, LafsError | BadPacket):
                _log.error("{error} in a request of kind {kind}", error=type(error).__name__, kind=kind)
            reply = wire.status_reply(request, *status_of(error))
        if not self.ended:
            self._output.send(reply)

    # --- files ---

    async def _open(self, request: int, fields: Fields) -> bytes:
        path, flags, attributes = names_of(fields.string()), fields.number(), fields.attributes()
        self._check_handles()
        file = await self._tree.open(path, flags_of(flags))
        if self.ended:
            file.abandon()
            raise Refused("failure", "the connection is gone")
        change = change_of(FileAttributes(modified=attributes.modified, extended=attributes.extended))
        if change.touches_metadata and flags & wire.FLAG_WRITE:
            await file.set_attributes(change)
        return self._give_handle(request, file)

    async def _close(self, request: int, fields: Fields) -> bytes:
        # A handle ends with the request, so that nobody can use it while it is being stored.
        handle = self._handles.pop(fields.string(), None)
        if handle is None:
            raise BadPacket("no such handle")
        if not isinstance(handle, Iterator):
            try:
                await handle.close()
            except LafsError as error:
                # Some clients do not wait for the answer.
                _log.warn("a file that was closed could not be stored: {error}", error=type(error).__name__)
                raise
        return _done_reply(request)

    async def _read(self, request: int, fields: Fields) -> bytes:
        file, offset, size = self._file(fields), fields.long(), fields.number()
        data = await file.read_chunk(offset, min(size, wire.LARGEST_DATA))
        if not data:
            return wire.status_reply(request, wire.EOF, "end of file")
        return wire.data_reply(request, data)

    async def _write(self, request: int, fields: Fields) -> bytes:
        file, offset, data = self._file(fields), fields.long(), fields.view()
        if offset + len(data) > 2**63 - 1:
            raise BadPacket("no file is so large")
        await file.write_chunk(offset, data)
        return _done_reply(request)

    async def _sync(self, request: int, fields: Fields) -> bytes:
        await self._file(fields).sync()
        return _done_reply(request)

    # --- attributes ---

    async def _stat(self, request: int, fields: Fields) -> bytes:
        return wire.attributes_reply(request, shown(await self._tree.attributes(names_of(fields.string()))))

    async def _stat_handle(self, request: int, fields: Fields) -> bytes:
        return wire.attributes_reply(request, shown(await self._file(fields).attributes()))

    async def _set_attributes(self, request: int, fields: Fields) -> bytes:
        await self._tree.set_attributes(names_of(fields.string()), change_of(_checked(fields.attributes())))
        return _done_reply(request)

    async def _set_attributes_of_handle(self, request: int, fields: Fields) -> bytes:
        await self._file(fields).set_attributes(change_of(_checked(fields.attributes())))
        return _done_reply(request)

    # --- directories ---

    async def _open_directory(self, request: int, fields: Fields) -> bytes:
        self._check_handles()
        children = await self._tree.list(names_of(fields.string()))
        return self._give_handle(request, _pages(children, self._clock.seconds()))

    async def _read_directory(self, request: int, fields: Fields) -> bytes:
        handle = self._handles.get(fields.string())
        if not isinstance(handle, Iterator):
            raise BadPacket("no such handle")
        page = next(handle, None)
        if page is None:
            return wire.status_reply(request, wire.EOF, "no more names")
        # The id is that of this request.
        return page[:5] + request.to_bytes(4, "big") + page[9:]

    async def _make_directory(self, request: int, fields: Fields) -> bytes:
        path, attributes = names_of(fields.string()), fields.attributes()
        may_make_directory(attributes)
        try:
            await self._tree.make_directory(path)
        except NotADirectory:
            raise Refused("failure", "cannot create directory because there is a file in the way") from None
        return _done_reply(request)

    async def _remove_directory(self, request: int, fields: Fields) -> bytes:
        await self._tree.remove_directory(names_of(fields.string()))
        return _done_reply(request)

    # --- names ---

    async def _remove(self, request: int, fields: Fields) -> bytes:
        await self._tree.remove(names_of(fields.string()))
        return _done_reply(request)

    async def _rename(self, request: int, fields: Fields) -> bytes:
        return await self._move(request, fields, overwrite=False)

    async def _posix_rename(self, request: int, fields: Fields) -> bytes:
        return await self._move(request, fields, overwrite=True)

    async def _move(self, request: int, fields: Fields, *, overwrite: bool) -> bytes:
        try:
            source, target = fields.string(), fields.string()
            fields.end()
        except BadPacket:
            what = "posix-rename@openssh.com" if overwrite else "rename"
            raise BadPacket(f"could not parse {what} request") from None
        await self._tree.rename(names_of(source), names_of(target), overwrite)
        return _done_reply(request)

    async def _real_path(self, request: int, fields: Fields) -> bytes:
        path = path_of(names_of(fields.string())).encode("utf-8")
        return wire.name_reply(request, [wire.name_entry(path, b"", FileAttributes())])

    # --- extensions ---

    async def _extended(self, request: int, fields: Fields) -> bytes:
        answer = self._extensions.get(fields.string())
        if answer is None:
            return wire.status_reply(request, wire.OP_UNSUPPORTED, "this extension is not supported")
        return await answer(request, fields)

    async def _space(self, request: int, fields: Fields) -> bytes:
        return wire.extended_reply(request, packed_space(self._tree.space()))

    async def _limits(self, request: int, fields: Fields) -> bytes:
        numbers = (wire.LARGEST_PACKET, wire.LARGEST_DATA, wire.LARGEST_DATA, MOST_HANDLES)
        return wire.extended_reply(request, b"".join(number.to_bytes(8, "big") for number in numbers))

    # --- handles ---

    def _check_handles(self) -> None:
        if len(self._handles) >= MOST_HANDLES:
            raise Refused("failure", "too many open files")

    def _give_handle(self, request: int, opened: OpenFile | Iterator[bytes]) -> bytes:
        self._next_handle += 1
        handle = self._next_handle.to_bytes(8, "big")
        self._handles[handle] = opened
        return wire.handle_reply(request, handle)

    def _file(self, fields: Fields) -> OpenFile:
        handle = self._handles.get(fields.string())
        if handle is None or isinstance(handle, Iterator):
            raise BadPacket("no such handle")
        return handle


def _done_reply(request: int) -> bytes:
    return wire.status_reply(request, wire.OK, "done")


def _checked(attributes: FileAttributes) -> FileAttributes:
    if attributes.size is not None and attributes.size > 2**63 - 1:
        raise BadPacket("new size is not a valid nonnegative integer")
    return attributes


def _pages(children: Mapping[str, Attributes], now: float) -> Iterator[bytes]:
    """Replies to READDIR, with an id of 0."""
    page: list[bytes] = []
    size = 0
    for name, attributes in children.items():
        long = long_name(name, attributes, now).encode("utf-8")
        entry = wire.name_entry(name.encode("utf-8"), long, shown(attributes))
        if size + len(entry) > LARGEST_NAMES and page:
            yield _page(page)
            page, size = [], 0
        page.append(entry)
        size += len(entry)
    if page:
        yield _page(page)


def _page(entries: Sequence[bytes]) -> bytes:
    return wire.name_reply(0, entries)
