"""The floor: processor time that the work itself must cost a gateway, whoever wrote it.

Hashes, cipher and erasure code as their libraries do them, over the very bytes a file makes, plus moving its shares over bare
Foolscap. Used by the race, in the same run, so that machine and moment are the same.
"""
from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import zfec
from attrs import frozen
from Crypto.Cipher import AES

from tests.process.grids import Encoding
from tests.process.harness import free_port, processor_seconds

SEGMENT = 1024 * 1024


@frozen
class Floor:
    """Processor seconds of one direction, by what they are spent on."""

    hashing: float
    cipher: float
    coding: float
    moving: float

    @property
    def total(self) -> float:
        return self.hashing + self.cipher + self.coding + self.moving


def upload_floor(size: int, encoding: Encoding) -> Floor:
    """Storing `size` bytes with a convergent key."""
    expansion = encoding.total / encoding.needed
    return Floor(
        # The key, the ciphertext, each segment of it, each block of each share.
        hashing=_hashing(size) * 3 + _hashing(int(size * expansion)),
        cipher=_cipher(size),
        coding=_coding(size, encoding),
        moving=_moving("send", int(size * expansion)),
    )


def download_floor(size: int) -> Floor:
    """Reading `size` bytes from the shares that need no decoding."""
    return Floor(hashing=_hashing(size) * 2, cipher=_cipher(size), coding=0.0, moving=_moving("fetch", size))


def _cost(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _segments(size: int) -> int:
    return -(-size // SEGMENT)


def _hashing(size: int) -> float:
    segment = os.urandom(SEGMENT)
    return _cost(lambda: [hashlib.sha256(segment).digest() for _ in range(_segments(size))]) * size / (_segments(size) * SEGMENT)


def _cipher(size: int) -> float:
    segment = os.urandom(SEGMENT)
    stream = AES.new(bytes(16), AES.MODE_CTR, nonce=b"", initial_value=0)
    return _cost(lambda: [stream.encrypt(segment) for _ in range(_segments(size))]) * size / (_segments(size) * SEGMENT)


def _coding(size: int, encoding: Encoding) -> float:
    """Only the check blocks are work: the first blocks are the segment itself."""
    encoder = zfec.Encoder(encoding.needed, encoding.total)
    blocks = [os.urandom(SEGMENT // encoding.needed) for _ in range(encoding.needed)]
    checks = tuple(range(encoding.needed, encoding.total))
    return _cost(lambda: [encoder.encode(blocks, checks) for _ in range(_segments(size))]) * size / (_segments(size) * SEGMENT)


def _moving(direction: str, size: int) -> float:
    with _servers(1) as servers:
        return _bare(direction, size, servers)


def small_upload_floor(servers: int, files: int = 100) -> tuple[float, float]:
    """Storing a small file on so many servers: processor seconds of (gateway, all servers), for the calls alone."""
    with _servers(servers) as bare:
        before = sum(_spent(each) for each in bare)
        gateway = _bare("store", files, bare)
        return gateway / files, (sum(_spent(each) for each in bare) - before) / files


@frozen
class _Server:
    furl: str
    pid: int


@contextmanager
def _servers(count: int) -> Iterator[list[_Server]]:
    """Bare Foolscap servers, each a process."""
    with ExitStack() as stack:
        started = []
        for _ in range(count):
            server = stack.enter_context(subprocess.Popen([*_MODULE, "serve", str(free_port())], stdout=subprocess.PIPE, text=True))
            stack.callback(server.kill)
            started.append(server)
        yield [_Server(server.stdout.readline().strip(), server.pid) for server in started if server.stdout is not None]


_MODULE = (sys.executable, "-m", "benchmarks.bare_foolscap")


def _bare(work: str, count: int, servers: list[_Server]) -> float:
    furls = [server.furl for server in servers]
    return float(subprocess.run([*_MODULE, work, str(count), *furls], capture_output=True, text=True, check=True).stdout)


def _spent(server: _Server) -> float:
    return processor_seconds(server.pid)
