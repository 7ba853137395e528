"""What this process knows of one mutable file, shared by all its nodes, whatever their caps; and the registry of these.

The lane makes the changes of one process follow each other. The rest is memory that saves round trips, and is believed only as
far as it can be checked: the keys are, contents are kept with the version they belong to, and of the share map only the holders are
used, to be asked first. The highest sequence number is remembered to notice servers that show an older version.
"""
from __future__ import annotations

from collections import OrderedDict
from typing import Final
from weakref import WeakValueDictionary

from attrs import define, field, frozen

from lafs.crypto.aes import ctr
from lafs.crypto.derivations import write_key_of_private_key
from lafs.crypto.rsa import PrivateKey
from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import GridServer
from lafs.mutable.examination import Examiner
from lafs.mutable.share_layout import Prefix
from lafs.tasks import Lane

SLOTS_KEPT: Final = 256
NUMBERS_KEPT: Final = 100_000
LARGEST_CONTENTS: Final = 256 * 1024
"""Bytes of contents that are kept for the next change of them."""


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


@define(eq=False)
class Slot:
    """One mutable file. `highest` is the largest sequence number that was read or written here."""

    storage_index: StorageIndex
    examiner: Examiner
    lane: Lane = field(factory=Lane)
    signing_key: SigningKey | None = None
    holders: tuple[GridServer, ...] = ()
    highest: int = 0
    newest: tuple[Prefix, bytes] | None = field(default=None, repr=False)
    """Contents of a version, if they are small."""

    def keep(self, prefix: Prefix, contents: bytes) -> None:
        """Remember the contents of a version."""
        self.newest = (prefix, contents) if len(contents) <= LARGEST_CONTENTS else None

    def contents_of(self, prefix: Prefix) -> bytes | None:
        """The contents of that version, if they are remembered."""
        return self.newest[1] if self.newest is not None and self.newest[0] == prefix else None

    def saw(self, sequence_number: int) -> None:
        """A version with this number was there, whole."""
        self.highest = max(self.highest, sequence_number)


class Slots:
    """The slots of one client: one object for each file in use, so that they are one lane."""

    def __init__(self) -> None:
        self._all: WeakValueDictionary[tuple[StorageIndex, bytes], Slot] = WeakValueDictionary()
        self._recent: OrderedDict[tuple[StorageIndex, bytes], Slot] = OrderedDict()
        self._highest: OrderedDict[StorageIndex, int] = OrderedDict()

    def get(self, storage_index: StorageIndex, fingerprint: bytes) -> Slot:
        """The slot of a file. A forged cap, with another fingerprint, shares nothing with the true one."""
        name = (storage_index, fingerprint)
        slot = self._all.get(name)
        if slot is None:
            slot = Slot(storage_index, Examiner(fingerprint), highest=self._highest.get(storage_index, 0))
            self._all[name] = slot
        self._recent[name] = slot
        self._recent.move_to_end(name)
        if len(self._recent) > SLOTS_KEPT:
            (forgotten, _), old = self._recent.popitem(last=False)
            self._highest[forgotten] = max(old.highest, self._highest.get(forgotten, 0))
            self._highest.move_to_end(forgotten)
            if len(self._highest) > NUMBERS_KEPT:
                self._highest.popitem(last=False)
        return slot
