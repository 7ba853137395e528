"""What Foolscap costs at the very least: the calls of an upload or a download over TLS and loopback, and nothing done with them.

    python -m benchmarks.bare_foolscap serve PORT                prints a FURL, serves until it is killed
    python -m benchmarks.bare_foolscap send|fetch BYTES FURL     moves so many bytes, 1 MiB in each call
    python -m benchmarks.bare_foolscap store FILES FURL...       stores so many small shares on each: allocate, write, close

All but `serve` print the CPU seconds that it took this process. Run as child processes by `floors`, so that each end's
processor time is its own.
"""
from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from foolscap.api import DictOf, Referenceable, RemoteInterface, SetOf, Tub, TupleOf
from foolscap.schema import ByteStringConstraint
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lafs.tasks import gather, spawn

PIECE = 1024 * 1024
DATA = ByteStringConstraint(PIECE)

# Its type depends on the system, and its module does not say so.
reactor: Any = _reactor

CALLS_UNDER_WAY = 10
"""As many as there are servers in the race: a client that sends to all of them has so many calls under way."""


SMALL_SHARE = 4000
"""Bytes of a share of a 10 kB file, 3-of-10, with its hashes."""

SECRET = ByteStringConstraint(32)


# Foolscap reads the signatures of these methods, and finds the interfaces by their names.
class RIBareWriter(RemoteInterface):
    __remote_name__ = "RIBareWriter.benchmarks.lafs"

    def write(offset=int, data=DATA):  # type: ignore[no-untyped-def]  # noqa: N805
        return None

    def close():  # type: ignore[no-untyped-def,misc]
        return None


class RIBareStore(RemoteInterface):
    __remote_name__ = "RIBareStore.benchmarks.lafs"

    def write(offset=int, data=DATA):  # type: ignore[no-untyped-def]  # noqa: N805
        return None

    def allocate(index=SECRET, renew=SECRET, cancel=SECRET, numbers=SetOf(int), size=int, canary=Referenceable):  # type: ignore[no-untyped-def]  # noqa: B008, N805
        return TupleOf(SetOf(int), DictOf(int, RIBareWriter))

    def read(offset=int, length=int):  # type: ignore[no-untyped-def]  # noqa: N805
        return DATA


@implementer(RIBareWriter)
class BareWriter(Referenceable):
    """One share, forgotten as it comes."""

    def remote_write(self, offset: int, data: bytes) -> None:
        return None

    def remote_close(self) -> None:
        return None


@implementer(RIBareStore)
class BareStore(Referenceable):
    """Takes bytes and forgets them; gives bytes it always had."""

    def __init__(self) -> None:
        self._piece = bytes(PIECE)

    def remote_write(self, offset: int, data: bytes) -> None:
        return None

    def remote_allocate(
        self, index: bytes, renew: bytes, cancel: bytes, numbers: set[int], size: int, canary: Any
    ) -> tuple[set[int], dict[int, BareWriter]]:
        return set(), {number: BareWriter() for number in numbers}

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


async def store(files: int, furls: Sequence[str]) -> None:
    """Store one small share on each server, so many times over, and print what it cost this process."""
    tub = Tub()
    tub.startService()
    servers = await gather([tub.getReference(furl) for furl in furls])
    canary, data = Referenceable(), bytes(SMALL_SHARE)

    async def share(server: Any, number: int) -> None:
        _, writers = await server.callRemote("allocate", bytes(32), bytes(32), bytes(32), {number}, SMALL_SHARE, canary)
        written = writers[number].callRemote("write", 0, data)
        await writers[number].callRemote("close")
        await written

    started = time.process_time()
    for _ in range(files):
        await gather([share(server, number) for number, server in enumerate(servers)])
    print(time.process_time() - started, flush=True)


def main() -> None:
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
        return
    count, furls = int(sys.argv[2]), sys.argv[3:]
    moving = spawn(store(count, furls) if sys.argv[1] == "store" else move(sys.argv[1], furls[0], count))
    moving.addErrback(lambda failure: print(failure.getTraceback(), file=sys.stderr))
    moving.addBoth(lambda _: reactor.stop())
    reactor.run()


if __name__ == "__main__":
    main()
