"""The key of a file about to be uploaded: convergent, so that equal contents give equal caps, or random.

Both also find the size of the source, and leave it ready to be read from the start. Spec: 01 §6.3, 02 §4.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from lafs.crypto.derivations import ConvergenceHasher
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import Bytes, Source
from lafs.sources import Recording, read_through
from lafs.workers import Workers

KEY_SIZE = 16


@frozen
class Keyed:
    """A source that is ready to be uploaded: `size` bytes, to be encrypted with `key` (16 bytes)."""

    source: Source
    size: int
    key: bytes = field(repr=False)


class KeyMaker(Protocol):
    """How a node chooses keys."""

    async def key_for(self, source: Source, encoding: EncodingParameters) -> Keyed:
        """Raises SourceFailed. Who calls closes the source in the answer, which may be another than the one given."""
        ...


class RandomKeys:
    """A new key for every upload. A source of known size is read only once, while it is sent."""

    def __init__(self, random_bytes: Callable[[int], bytes], workers: Workers, spool: Path | None) -> None:
        self._random_bytes = random_bytes
        self._workers = workers
        self._spool = spool

    async def key_for(self, source: Source, encoding: EncodingParameters) -> Keyed:
        key = self._random_bytes(KEY_SIZE)
        if source.size is not None:
            return Keyed(source, source.size, key)
        recording = Recording(self._workers, self._spool)
        size = await read_through(source, self._workers, recording.append)
        await recording.rewind()
        return Keyed(recording, size, key)


class ConvergentKeys:
    """Keys that follow from contents, coding parameters and a secret. Reads every source twice, recording it if it must."""

    def __init__(self, secret: bytes, workers: Workers, spool: Path | None) -> None:
        self._secret = secret
        self._workers = workers
        self._spool = spool

    def hasher(self, encoding: EncodingParameters) -> KeyHasher:
        """Finds the key of a source whose bytes come in one by one."""
        return KeyHasher(self._secret, encoding)

    async def key_for(self, source: Source, encoding: EncodingParameters) -> Keyed:
        hasher = KeyHasher(self._secret, encoding, source.size)
        if source.rewindable:
            size = await read_through(source, self._workers, hasher.update)
            await source.rewind()
            return Keyed(source, size, hasher.digest())
        recording = Recording(self._workers, self._spool)

        def absorb(chunk: bytes) -> None:
            hasher.update(chunk)
            recording.append(chunk)

        size = await read_through(source, self._workers, absorb)
        await recording.rewind()
        return Keyed(recording, size, hasher.digest())


class KeyHasher:
    """The convergence hash, begun before the size is known.

    The hash opens with the effective segment size, which depends on the size of files of up to one segment only: so that much is
    held back, and no more.
    """

    def __init__(self, secret: bytes, encoding: EncodingParameters, promised_size: int | None = None) -> None:
        self._secret = secret
        self._encoding = encoding
        self._held_back: list[Bytes] = []
        self._size = 0
        self._hasher: ConvergenceHasher | None = None
        if promised_size is not None and promised_size > encoding.max_segment_size:
            self._begin(promised_size)

    def update(self, chunk: Bytes) -> None:
        self._size += len(chunk)
        if self._hasher is not None:
            self._hasher.update(chunk)
            return
        self._held_back.append(chunk)
        if self._size > self._encoding.max_segment_size:
            self._begin(self._size)

    def digest(self) -> bytes:
        if self._hasher is None:
            self._begin(self._size)
        assert self._hasher is not None
        return self._hasher.digest()

    def _begin(self, size: int) -> None:
        # An empty source has no segments; it becomes a literal cap, and its key is never used.
        segment_size = self._encoding.segment_size_for(max(size, 1))
        self._hasher = ConvergenceHasher(self._secret, self._encoding.needed, self._encoding.total, segment_size)
        for chunk in self._held_back:
            self._hasher.update(chunk)
        self._held_back.clear()
