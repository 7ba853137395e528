"""What moving bytes over Foolscap costs at the very least: 1 MiB in each call, TLS, loopback, and nothing else.

    python -m benchmarks.bare_foolscap serve                     prints a FURL, serves until it is killed
    python -m benchmarks.bare_foolscap send|fetch FURL BYTES     moves so many bytes, prints CPU seconds of this process

Run as child processes by `floors`, so that each end's processor time is its own.
"""
from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

from foolscap.api import Referenceable, RemoteInterface, Tub
from foolscap.schema import ByteStringConstraint
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lafs.tasks import spawn

PIECE = 1024 * 1024
DATA = ByteStringConstraint(PIECE)

# Its type depends on the system, and its module does not say so.
reactor: Any = _reactor

CALLS_UNDER_WAY = 10
"""As many as there are servers in the race: a client that sends to all of them has so many calls under way."""


# Foolscap reads the signatures of these methods, and finds the interface by its name.
class RIBareStore(RemoteInterface):
    __remote_name__ = "RIBareStore.benchmarks.lafs"

    def write(offset=int, data=DATA):  # type: ignore[no-untyped-def]  # noqa: N805
        return None

    def read(offset=int, length=int):  # type: ignore[no-untyped-def]  # noqa: N805
        return DATA


@implementer(RIBareStore)
class BareStore(Referenceable):
    """Takes bytes and forgets them; gives bytes it always had."""

    def __init__(self) -> None:
        self._piece = bytes(PIECE)

    def remote_write(self, offset: int, data: bytes) -> None:
        return None

    def remote_read(self, offset: int, length: int) -> bytes:
        return self._piece[:length]


def serve(port: int) -> None:
    """Print a FURL and serve for ever."""
    tub = Tub(certFile=f"{tempfile.mkdtemp()}/tub.pem")
    tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
    tub.setLocation(f"tcp:127.0.0.1:{port}")
    tub.startService()
    print(tub.registerReference(BareStore()), flush=True)
    reactor.run()


async def move(direction: str, furl: str, size: int) -> None:
    """Move `size` bytes and print what it cost this process."""
    tub = Tub()
    tub.startService()
    store = await tub.getReference(furl)
    data = bytes(PIECE)
    calls = -(-size // PIECE)
    started = time.process_time()
    waiting: list[Deferred[Any]] = []
    for number in range(calls):
        if direction == "send":
            waiting.append(store.callRemote("write", number * PIECE, data))
        else:
            waiting.append(store.callRemote("read", number * PIECE, PIECE))
        if len(waiting) >= CALLS_UNDER_WAY:
            await waiting.pop(0)
    for each in waiting:
        await each
    print(time.process_time() - started, flush=True)


def main() -> None:
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
        return
    moving = spawn(move(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    moving.addErrback(lambda failure: print(failure.getTraceback(), file=sys.stderr))
    moving.addBoth(lambda _: reactor.stop())
    reactor.run()


if __name__ == "__main__":
    main()
