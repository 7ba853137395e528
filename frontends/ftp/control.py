"""The control connection: commands in, one after the other, and replies out. Made by `server`.

Theory of operation. Lines are queued; one coroutine takes them, carries each out, and says its reply before it takes the next.
The exception is ABOR while a transfer runs: it does not wait its turn, but cancels what runs. Then both are answered, 426 and
226. A connection that is lost cancels what runs, too: so an upload whose client died is not stored, though its data connection
may have looked finished. A client that sends commands faster than they are carried out is not read from; one that says nothing
is sent away.

When a client starts TLS, everything that came before it in clear must be forgotten: whoever is on the line could have put commands
there that would be obeyed as if they had come protected. Nothing honest is ever there; so the connection is cut.
"""
from __future__ import annotations

import socket
from collections import deque
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from frontends.ftp.commands import Command, Lines, parse
from frontends.ftp.errors import explain
from frontends.ftp.passive import Ends
from frontends.ftp.replies import Refusal, Reply
from frontends.ftp.session import Session, Tools
from frontends.ftp.verbs import KEEP_RENAMING, KEEP_RESTART, VERBS
from lafs.errors import TimedOut
from lafs.tasks import Timer, spawn, within

MOST_WAITING = 64
"""Commands that may wait for their turn."""

LOGIN_SECONDS = 60.0
"""How long a client may take to log in."""

IDLE_SECONDS = 900.0
"""How long it may then say nothing."""

PARTING_SECONDS = 5.0
"""How long the last reply may take to be read."""

_WEB_VERBS = frozenset({"GET", "HEAD", "POST", "PUT"})
_ENDS = frozenset({221, 421})
"""Replies after which the connection is closed."""


@implementer(IPushProducer)
class ControlConnection(Protocol):
    """One client."""

    transport: Any

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._lines = Lines()
        self._commands: deque[bytes] = deque()
        self._held = False
        self._full = False
        self._waiting: Deferred[None] | None = None
        self._lost = False
        self._session: Session
        self._current: Deferred[Reply | None] | None = None
        self._was_aborted = False
        self._stranger_since = tools.clock.seconds()
        self._parting: Timer | None = None
        self._serving: Deferred[None] | None = None

    # --- the transport's side ---

    def connectionMade(self) -> None:
        transport = self.transport
        self._session = Session(self._tools, self, Ends.of(transport))
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        # Clients mark the last byte of ABOR as urgent, and the kernel takes it out of the stream unless it is told not to.
        handle = transport.getHandle()
        if isinstance(handle, socket.socket):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        transport.registerProducer(self, True)
        self._serving = spawn(self._serve())
        self._serving.addErrback(lambda _: None if self._lost else transport.abortConnection())

    def dataReceived(self, data: bytes) -> None:
        # All of them, before the first is obeyed: `start_tls` must see what came with it.
        self._commands.extend(self._lines.feed(data))
        self._abort_if_asked()
        if len(self._commands) > MOST_WAITING and not self._held:
            self._held = True
            self.transport.pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        if self._parting is not None and self._parting.active():
            self._parting.cancel()
        if self._serving is not None:
            self._serving.cancel()
        self._session.log_out()

    def pauseProducing(self) -> None:
        """The client does not read its replies: it gets no more until it does."""
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        self._wake()

    def stopProducing(self) -> None:
        pass

    # --- for the verbs ---

    def say(self, reply: Reply) -> None:
        if not self._lost:
            self.transport.write(reply.encode())

    def start_tls(self, reply: Reply) -> None:
        if self._commands or not self._lines.is_empty:
            raise Refusal(421, "Commands after AUTH, before its answer: somebody may be tampering with this connection.")
        self.say(reply)
        self.transport.startTLS(self._tools.contexts[0])

    # --- one command after the other ---

    async def _serve(self) -> None:
        self.say(Reply(220, "Ready."))
        while not self._lost:
            try:
                line = await within(self._patience(), self._tools.clock, self._next())
            except TimedOut:
                self._end(Reply(421, "Nothing was said for too long."))
                return
            reply = await self._answer(line)
            if reply is not None and reply.code in _ENDS:
                self._end(reply)
                return
            if reply is not None:
                self.say(reply)

    def _patience(self) -> float:
        """Seconds to wait for the next command."""
        now = self._tools.clock.seconds()
        if self._session.logged_in is not None:
            self._stranger_since = now
            return IDLE_SECONDS
        return max(0.0, self._stranger_since + LOGIN_SECONDS - now)

    def _end(self, reply: Reply) -> None:
        self.say(reply)
        self._session.log_out()
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        # Who reads nothing, or over TLS does not agree, would otherwise stay for ever.
        self._parting = self._tools.clock.callLater(PARTING_SECONDS, self.transport.abortConnection)

    async def _next(self) -> bytes:
        """The next command, once the client has taken the replies to those before."""
        while self._full or not self._commands:
            self._waiting = Deferred(self._forget)
            await self._waiting
        line = self._commands.popleft()
        if self._held and len(self._commands) <= MOST_WAITING // 2:
            self._held = False
            self.transport.resumeProducing()
        return line

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _forget(self, _: object) -> None:
        self._waiting = None

    async def _answer(self, line: bytes) -> Reply | None:
        """Carry out the command in `line`. None: its reply is said already."""
        session, name = self._session, ""
        try:
            command = parse(line)
            name = command.verb
            self._current = spawn(_carry_out(session, command))
            self._abort_if_asked()
            return await self._current
        except CancelledError:
            if self._lost or not self._was_aborted:
                raise
            return Reply(426, "The transfer was given up, as you asked.")
        except Exception as error:
            return explain(error)
        finally:
            self._current, self._was_aborted = None, False
            if name not in KEEP_RESTART:
                session.restart = 0
            if name not in KEEP_RENAMING:
                session.renaming = None


    def _abort_if_asked(self) -> None:
        if self._current is not None and self._session.is_transferring and any(map(_is_abort, self._commands)):
            self._was_aborted = True
            self._current.cancel()


async def _carry_out(session: Session, command: Command) -> Reply | None:
    verb = VERBS.get(command.verb)
    if command.verb in _WEB_VERBS:
        # Somebody's page may be making a browser talk to us, with commands in the body of a request.
        raise Refusal(421, "This is no web server.")
    if verb is None:
        raise Refusal(500, "This command is not known.")
    if not verb.is_public and session.logged_in is None:
        raise Refusal(530, "Log in first: USER and PASS.")
    if verb.needs_argument and not command.argument:
        raise Refusal(501, f"{command.verb} needs an argument.")
    if not verb.is_transfer:
        return await verb.handler(session, command)
    session.is_transferring = True
    try:
        return await verb.handler(session, command)
    finally:
        session.is_transferring = False


def _is_abort(line: bytes) -> bool:
    try:
        return parse(line).verb == "ABOR"
    except Refusal:
        return False
