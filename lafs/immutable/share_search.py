"""Asking servers which shares of one file they have.

The first wave goes out at once, in permuted order and large enough to find what is needed with some to spare; more
follow only when a read comes short, and then in growing waves. A server that does not answer in time is not waited
for: another is asked beside it. What is found goes into the share map; whoever listens is told that something
changed, and looks for himself.

One search for a file, shared by all its reads; it stops when the last of them leaves. Spec: 02 §12.1.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from lafs.errors import ServerError
from lafs.immutable.file_facts import FileFacts
from lafs.immutable.server_speeds import ServerSpeeds
from lafs.immutable.share_density import ShareDensity
from lafs.immutable.share_map import ShareMap
from lafs.immutable.whole_shares import find_shares
from lafs.interfaces import Grid, GridServer
from lafs.tasks import Clock, Timer, spawn, within

FIND_TIMEOUT: Final = 15.0
"""Seconds after which a server is taken not to answer at all."""

SPARES: Final = 1
"""Shares looked for at first beyond those needed: one server may be slow or lost without a read noticing."""


_log = Logger(namespace="lafs.download")


class ShareSearch:
    """Who has been asked for the shares of one file, and who is still to be asked.

    `failures` are the servers that did not say what they have, with the reason, of the search since the last `restart`.
    """

    def __init__(
        self,
        facts: FileFacts,
        grid: Grid,
        clock: Clock,
        speeds: ServerSpeeds,
        density: ShareDensity,
        shares: ShareMap,
    ) -> None:
        self._facts = facts
        self._grid = grid
        self._clock = clock
        self._speeds = speeds
        self._density = density
        self._shares = shares
        self._listeners: dict[Callable[[], None], None] = {}  # In order: one run of a test must be like the next.
        self._asking: dict[GridServer, Deferred[None]] = {}
        self._overdue: dict[GridServer, Timer | None] = {}
        self._answered: set[GridServer] = set()
        self._wave = 0
        self.failures: dict[GridServer, Exception] = {}

    # --- for the reads of the file --------------------------------------------------------------------------

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever an answer came, failed to come, or is late."""
        self._listeners[changed] = None

    def leave(self, changed: Callable[[], None]) -> None:
        """The opposite of `listen`. With the last listener gone, questions in flight are given up."""
        self._listeners.pop(changed, None)
        if not self._listeners:
            self._stop()

    def begin(self) -> None:
        """Forget servers that are gone; ask the first wave unless that was done."""
        servers = self._servers()
        self._shares.keep_only(servers)
        if not self._wave:
            wanted = self._facts.cap.needed + SPARES
            self._ask(max(wanted, min(self._facts.cap.total, self._density.servers_for(wanted))))

    def hunt(self, more: int) -> bool:
        """See that at least `more` servers are being asked.

        Whether there is hope: somebody new was asked, or an answer is still to come, late ones included.
        """
        asked = self.asked
        if self._in_time() < more:
            self._ask(max(more, self._wave))
        return self.asked > asked or bool(self._asking)

    @property
    def begun(self) -> bool:
        """Whether anybody was ever asked since the last `restart`."""
        return bool(self._wave)

    def restart(self) -> None:
        """Ask everybody again: what was found before is no longer there."""
        self._answered.clear()
        self.failures.clear()
        self._wave = 0
        self.begin()

    @property
    def asked(self) -> int:
        """The number of servers that were asked."""
        return len(self._answered | self._asking.keys())

    @property
    def promising(self) -> bool:
        """Whether answers are to come from servers that are not late."""
        return self._in_time() > 0

    # --- asking ---------------------------------------------------------------------------------------------

    def _servers(self) -> list[GridServer]:
        return list(self._grid.for_reading(self._facts.cap.storage_index))

    def _in_time(self) -> int:
        """Servers being asked that have still time to answer."""
        return sum(1 for server in self._asking if self._overdue.get(server) is not None)

    def _ask(self, count: int) -> None:
        """Ask the next `count` servers; those suspected of hanging are asked in passing and not counted."""
        self._wave = max(2 * self._wave, count)
        now = self._clock.seconds()
        for server in self._servers():
            if count <= 0:
                break
            if server in self._asking or server in self._answered:
                continue
            suspect = self._speeds.is_suspect(server, now)
            count -= not suspect
            delay = self._speeds.hedge_delay()
            self._overdue[server] = None if suspect else self._clock.callLater(delay, self._late, server)
            asking = spawn(self._question(server))
            if server not in self._answered:
                self._asking[server] = asking
                asking.addErrback(lambda _: None)

    async def _question(self, server: GridServer) -> None:
        started = self._clock.seconds()
        try:
            question = find_shares(server, self._facts.cap.storage_index, self._facts.likely_share_size)
            readers = await within(FIND_TIMEOUT, self._clock, question)
        except CancelledError:
            raise
        except Exception as error:
            # Whatever it was, it is this server's affair only, and whoever listens must hear of it.
            if not isinstance(error, ServerError):
                _log.failure("looking for shares on {server} failed", server=server.identity.short_name)
            self.failures[server] = error
            self._shares.update(server, {})
        else:
            self._speeds.answered(server, self._clock.seconds() - started)
            self._density.saw(bool(readers))
            self._shares.update(server, readers)
        finally:
            self._done(server)
            self._changed()

    def _done(self, server: GridServer) -> None:
        self._asking.pop(server, None)
        self._answered.add(server)
        timer = self._overdue.pop(server, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _late(self, server: GridServer) -> None:
        self._overdue[server] = None
        self._speeds.suspect(server, self._clock.seconds())
        self._changed()

    def _changed(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _stop(self) -> None:
        for server, asking in list(self._asking.items()):
            asking.cancel()
            # It never answered, so that it is asked again when more is needed.
            self._answered.discard(server)
