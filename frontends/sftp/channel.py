"""A session inside an SSH connection: bytes both ways under the windows of SSH, and how it begins and ends. Spec: 09 §3, §12, §16.

Conch opens a channel's window again as soon as bytes arrive, and keeps what the client's window does not let through in one string;
here the window opens as requests are carried out, and replies wait in a queue, put together into large packets.
"""
# ruff: noqa: N803 - Twisted's names
from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.connection import MSG_CHANNEL_DATA, SSHConnection

from frontends.sftp.conch_log import CONCH_LOG
from frontends.sftp.session import Session
from frontends.sftp.wire import BadPacket
from frontends.virtual_tree import Tree
from lafs.interfaces import Bytes
from lafs.tasks import Clock, forget, sleep

WINDOW = 4 * 1024 * 1024
"""Bytes that a client may have sent which no request was made of yet."""

LARGEST_SSH_PACKET = 256 * 1024 - 2048
"""Of contents. OpenSSH takes 256 KiB with everything around it."""

_ONLY_SFTP = (
    b"This server supports only the SFTP protocol: no shell, no commands, and not the old SCP protocol (scp without -O works).\n"
)
_STANDARD_ERROR = 1
_SYNC = b"sync"


class SftpUser(ConchUser):
    """Somebody who has logged in, and may open sessions that speak SFTP; nothing else, no forwarding above all."""

    def __init__(self, tree: Tree, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tree = tree
        self.clock = clock
        self.channelLookup[b"session"] = SftpChannel


class Connection(SSHConnection):
    """Lets a channel say itself when its window opens, and refuses what is not a channel's."""

    _log = CONCH_LOG
    transport: Any

    def ssh_CHANNEL_DATA(self, packet: bytes) -> None:
        number, size = struct.unpack_from(">2L", packet)
        channel = self.channels[number]
        data = memoryview(packet)[8 : 8 + size]
        if size > channel.localWindowLeft or size > channel.localMaxPacket or len(data) < size:
            self.sendClose(channel)  # type: ignore[no-untyped-call]
            return
        channel.localWindowLeft -= size
        channel.dataReceived(data)

    def send_data(self, channel: SftpChannel, size: int, parts: Sequence[Bytes]) -> None:
        """`size` bytes in `parts`, all of which the client's window and packets have room for."""
        if not channel.localClosed:
            head = struct.pack(">2L", self.channelsToRemoteChannel[channel], size)
            self.transport.send_parts(MSG_CHANNEL_DATA, (head, *parts))

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> int:
        return 0


class SftpChannel(SSHChannel):
    """One channel. It ends with exit status 0: scp takes none at all for a failure."""

    name = b"session"
    conn: Any
    _log = CONCH_LOG

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.update(localWindow=WINDOW, localMaxPacket=LARGEST_SSH_PACKET)
        super().__init__(*arguments, **options)
        self._session: Session | None = None
        self._waiting: deque[bytes] = deque()
        self._sent_of_first = 0
        self._waiting_size = 0
        self._flushing = False
        self._unopened = 0
        self._busy = False
        """A channel does one thing in its life."""

    # --- requests ---

    def request_subsystem(self, data: bytes) -> int:
        if self._busy or data[4:] != b"sftp":
            return 0
        self._busy = True
        assert isinstance(self.avatar, SftpUser)
        self._session = Session(self.avatar.tree, self.avatar.clock, self)
        return 1

    def request_shell(self, data: bytes) -> int:
        return self._refuse()

    def request_exec(self, data: bytes) -> int:
        """One command: `sync` ends when all that was closed is stored, with status 1 if something could not be."""
        if data[4:] != _SYNC or self._busy:
            return self._refuse()
        self._busy = True
        forget(self._sync())
        return 1

    async def _sync(self) -> None:
        assert isinstance(self.avatar, SftpUser)
        await sleep(0, self.avatar.clock)
        self._exit(0 if await self.avatar.tree.stored() else 1)

    def request_pty_req(self, data: bytes) -> int:
        return 1

    def request_env(self, data: bytes) -> int:
        return 0

    def _refuse(self) -> int:
        if self._busy:
            return 0
        self._busy = True
        # After the answer to the request, which is sent when this returns.
        forget(self._say_no())
        return 1

    async def _say_no(self) -> None:
        assert isinstance(self.avatar, SftpUser)
        await sleep(0, self.avatar.clock)
        if not self.localClosed:
            self.writeExtended(_STANDARD_ERROR, _ONLY_SFTP)  # type: ignore[no-untyped-call]
            self._exit(1)

    # --- bytes in ---

    def dataReceived(self, data: Bytes) -> None:
        self._unopened += len(data)
        if self._session is None:
            return
        try:
            self._session.feed(data)
        except BadPacket:
            self._session.end()
            self.loseConnection()
            return
        self._open_window()

    def may_take_more(self) -> None:
        assert self._session is not None
        if self._session.ended:
            self.loseConnection()
        self._open_window()

    def _open_window(self) -> None:
        if self._session is None or self._session.is_full or self.localClosed:
            return
        if self._unopened >= WINDOW // 4:
            size, self._unopened = self._unopened, 0
            self.conn.adjustWindow(self, size)

    def extReceived(self, dataType: int, data: bytes) -> None:
        pass

    # --- bytes out ---

    def send(self, packet: bytes) -> None:
        """Many small replies that are made in one turn of the reactor go out in one packet."""
        self._waiting.append(packet)
        self._waiting_size += len(packet)
        if self._waiting_size >= self.remoteMaxPacket:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            assert isinstance(self.avatar, SftpUser)
            self.avatar.clock.callLater(0, self._flush_later)

    def addWindowBytes(self, data: int) -> None:
        super().addWindowBytes(data)  # type: ignore[no-untyped-call]
        self._flush()

    def _flush_later(self) -> None:
        self._flushing = False
        self._flush()

    def _flush(self) -> None:
        if self.conn is None or self.localClosed:
            self._drop()
            return
        while self._waiting_size and self.remoteWindowLeft:
            size = min(self._waiting_size, self.remoteWindowLeft, self.remoteMaxPacket)
            self.conn.send_data(self, size, self._take(size))
            self.remoteWindowLeft -= size
        if self.closing and not self._waiting:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def _drop(self) -> None:
        self._waiting.clear()
        self._waiting_size = self._sent_of_first = 0

    def _take(self, size: int) -> Sequence[Bytes]:
        self._waiting_size -= size
        parts: list[Bytes] = []
        while size:
            first, start = self._waiting[0], self._sent_of_first
            part = memoryview(first)[start : start + size]
            parts.append(part)
            size -= len(part)
            self._sent_of_first = start + len(part)
            if self._sent_of_first == len(first):
                self._waiting.popleft()
                self._sent_of_first = 0
        return parts

    # --- the end ---

    def eofReceived(self) -> None:
        """The client asks for nothing more. What it asked for is answered first."""
        if self._session is not None:
            forget(self._finish(self._session))
        elif not self._busy:
            self.loseConnection()

    async def _finish(self, session: Session) -> None:
        await session.finished()
        session.end()
        self._exit(0)

    def _exit(self, status: int) -> None:
        if self.localClosed or self.conn is None:
            return
        self._flush()
        self.conn.sendRequest(self, b"exit-status", struct.pack(">L", status))
        self.loseConnection()

    def loseConnection(self) -> None:
        self.closing = 1
        if not self._waiting:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def closeReceived(self) -> None:
        if self._session is not None:
            self._session.end()
        self._drop()
        self.loseConnection()

    def closed(self) -> None:
        if self._session is not None:
            self._session.end()

    def channelOpen(self, specificData: bytes) -> None:
        pass

    def openFailed(self, reason: object) -> None:
        pass
