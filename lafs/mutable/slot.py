"""What this process knows of one mutable file, shared by all its nodes, whatever their caps; and the registry of these.

The lane makes the changes of one process follow each other. The rest is memory that saves round trips, and is believed only as
far as it can be checked: the keys are; contents and hashes are kept with the version they belong to. The picture of what this
process wrote last lets the next change be written without a look: servers carry it out only if they still have what the picture
shows, and where one refuses, all are looked at. The highest sequence number is remembered to notice servers that show an older
version.
"""
from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final
from weakref import WeakValueDictionary

from attrs import define, field, frozen

from lafs.crypto.aes import ctr
from lafs.crypto.derivations import write_key_of_private_key
from lafs.crypto.rsa import PrivateKey
from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import GridServer
from lafs.mutable.examination import Examiner
from lafs.mutable.proofs import Proofs
from lafs.mutable.share_layout import Prefix
from lafs.mutable.share_map import ShareMap
from lafs.tasks import Lane

SLOTS_KEPT: Final = 256
NUMBERS_KEPT: Final = 100_000
LARGEST_CONTENTS: Final = 256 * 1024
"""Bytes of contents that are kept for the next change of them; and of block hashes for the next read."""

CONTENTS_KEPT: Final = 32 * 1024 * 1024
"""Bytes of the contents of all files together."""

PICTURE_SECONDS: Final = 60.0
"""So long after a write of ours the next is sent without a look at the servers first. Where others write too, a look comes first:
two who write from memory would each have to notice every time that the other was there."""

FAILURES_KEPT: Final = 8


@frozen
class SigningKey:
    """A private key that was checked against the caps of its file, and how it lies in the shares."""

    key: PrivateKey
    encrypted: bytes = field(repr=False)
    write_key: bytes = field(repr=False)

    @classmethod
    def decrypted(cls, encrypted: bytes, write_key: bytes, public_key: bytes) -> SigningKey:
        """From what a share holds. Raises ValueError if it is not the key of this file. Spec: 03 §15."""
        der = ctr(write_key, encrypted)
        if write_key_of_private_key(der) != write_key:
            raise ValueError("the private key is another")
        key = PrivateKey.parse_owners(der)
        if key.public_key.der != public_key:
            raise ValueError("the private key belongs to another public key")
        return cls(key, encrypted, write_key)

    @classmethod
    def of(cls, key: PrivateKey) -> SigningKey:
        """Of a new file."""
        write_key = key.write_key
        return cls(key, ctr(write_key, key.der), write_key)


@frozen(eq=False)
class Picture:
    """Where all shares are of a version that this process has written whole, and that nothing else was found beside.

    `servers` were connected then, in their order for this file: with others there may be more to be found.
    """

    prefix: Prefix
    shares: ShareMap
    servers: tuple[GridServer, ...]
    taken_at: float


@define(eq=False)
class Slot:
    """One mutable file. `highest` is the largest sequence number that was read or written here."""

    storage_index: StorageIndex
    examiner: Examiner
    memory: ContentsMemory = field(factory=lambda: ContentsMemory(CONTENTS_KEPT), repr=False)
    lane: Lane = field(factory=Lane)
    signing_key: SigningKey | None = None
    holders: tuple[GridServer, ...] = ()
    highest: int = 0
    picture: Picture | None = None
    shared_until: float = 0.0
    """Until then somebody else is to be reckoned with."""
    newest: tuple[Prefix, bytes] | None = field(default=None, repr=False)
    """Contents of a version, if they are small."""
    failed: deque[Prefix] = field(factory=lambda: deque(maxlen=FAILURES_KEPT))
    """Versions that this process began to write, and nobody was told "done"."""
    _proofs: Proofs | None = None

    def keep(self, prefix: Prefix, contents: bytes) -> None:
        """Remember the contents of a version."""
        small = len(contents) <= LARGEST_CONTENTS
        self.newest = (prefix, contents) if small else None
        self.memory.used(self, len(contents) if small else 0)

    def contents_of(self, prefix: Prefix) -> bytes | None:
        """The contents of that version, if they are remembered."""
        return self.newest[1] if self.newest is not None and self.newest[0] == prefix else None

    def forget_contents(self) -> None:
        self.newest = None
        self.memory.used(self, 0)

    def proofs(self, prefix: Prefix) -> Proofs:
        """What is known of the block hashes of that version; what is learned is remembered, if it is not large."""
        if self._proofs is not None and self._proofs.prefix == prefix:
            return self._proofs
        return self.remember(Proofs(prefix))

    def remember(self, proofs: Proofs) -> Proofs:
        """These are the block hashes that the next reader of the version will ask for."""
        size = proofs.prefix.geometry.block_tree_size * proofs.prefix.total
        self._proofs = proofs if size <= LARGEST_CONTENTS else None
        return proofs

    def saw(self, sequence_number: int) -> None:
        """A version with this number was there, whole."""
        self.highest = max(self.highest, sequence_number)

    def noticed(self, shares: ShareMap) -> None:
        """The servers were asked: is what is remembered still so?"""
        picture = self.picture
        if picture is not None and any(share.prefix != picture.prefix for share in shares.found.values()):
            self.picture = None


class ContentsMemory:
    """Bounds the contents that all slots keep: those that were not used for longest are forgotten."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._total = 0
        self._kept: OrderedDict[Slot, int] = OrderedDict()

    def used(self, slot: Slot, size: int) -> None:
        """`slot` keeps so many bytes now."""
        self._total += size - self._kept.pop(slot, 0)
        if size:
            self._kept[slot] = size
        while self._total > self._size and len(self._kept) > 1:
            oldest, weight = self._kept.popitem(last=False)
            self._total -= weight
            oldest.newest = None


class Slots:
    """The slots of one client: one object for each file in use, so that they are one lane."""

    def __init__(self) -> None:
        self._memory = ContentsMemory(CONTENTS_KEPT)
        self._all: WeakValueDictionary[tuple[StorageIndex, bytes], Slot] = WeakValueDictionary()
        self._recent: OrderedDict[tuple[StorageIndex, bytes], Slot] = OrderedDict()
        self._highest: OrderedDict[StorageIndex, int] = OrderedDict()

    def get(self, storage_index: StorageIndex, fingerprint: bytes) -> Slot:
        """The slot of a file. A forged cap, with another fingerprint, shares nothing with the true one."""
        name = (storage_index, fingerprint)
        slot = self._all.get(name)
        if slot is None:
            highest = self._highest.get(storage_index, 0)
            slot = Slot(storage_index, Examiner(fingerprint), self._memory, highest=highest)
            self._all[name] = slot
        self._recent[name] = slot
        self._recent.move_to_end(name)
        if len(self._recent) > SLOTS_KEPT:
            (forgotten, _), old = self._recent.popitem(last=False)
            old.forget_contents()
            self._highest[forgotten] = max(old.highest, self._highest.get(forgotten, 0))
            self._highest.move_to_end(forgotten)
            if len(self._highest) > NUMBERS_KEPT:
                self._highest.popitem(last=False)
        return slot
