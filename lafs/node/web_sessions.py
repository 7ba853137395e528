"""The browser sessions of a node's web page, kept in its directory: private/web_token and private/web_sessions.

Whoever can read the token may open sessions: that is the user of the node, and who else could read its secrets anyway. It is new at
every start. The sessions outlive the process, so that a bookmark still works tomorrow. Called by `client_node`. Spec: 07 §18.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from lafs.crypto import base32
from lafs.errors import NodeError
from lafs.node.files import SECRET, make_private, read_small, write_whole
from lafs.node.keys import RandomBytes
from lafs.node.lifetime import Lifetime
from lafs.tasks import Lane, Timer, forget
from lafs.workers import Workers

if TYPE_CHECKING:
    from frontends.web.sessions import Sessions

SAVING_SECONDS = 1.0
"""What changes within so long is written at once."""

_log = Logger(namespace="lafs.node")


def kept_sessions(directory: Path, reactor: Any, random: RandomBytes, workers: Workers, lifetime: Lifetime) -> Sessions:
    """The sessions of the node in `directory`, those of its last run among them. Raises NodeError."""
    from frontends.web.sessions import Sessions

    private = make_private(directory)
    token = base32.encode(random(32))
    write_whole(private / "web_token", f"{token}\n".encode(), SECRET)
    keeper = _Keeper(private / "web_sessions", reactor, workers)
    sessions = Sessions(reactor, random, token, keeper.changed)
    keeper.sessions = sessions
    try:
        sessions.restore(read_small(keeper.path) or b"")
    except NodeError as error:  # a page to be opened anew is no reason not to start
        _log.warn("{error}; browsers have to be let in again: lafs web", error=error)
    lifetime.then(keeper.stop)
    return sessions


class _Keeper:
    """Writes the sessions down after they have changed."""

    sessions: Sessions

    def __init__(self, path: Path, reactor: Any, workers: Workers) -> None:
        self.path = path
        self._reactor = reactor
        self._workers = workers
        self._timer: Timer | None = None
        self._lane = Lane()

    def changed(self) -> None:
        if self._timer is None:
            self._timer = self._reactor.callLater(SAVING_SECONDS, self._begin)

    async def stop(self) -> None:
        """Write what is not written yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._begin()
        await self._lane.idle()

    def _begin(self) -> None:
        self._timer = None
        forget(self._lane.submit(self._save))

    async def _save(self) -> None:
        try:
            await self._workers.run(write_whole, self.path, self.sessions.saved(), SECRET)
        except NodeError as error:
            _log.warn("{error}; handles made since then end with this process", error=error)
