"""Is this a share of that file? The judgement of what servers return, before anything of it is believed. Spec: 03 §3.6, §15.

Pure, but for a memory: the public key, once one has the fingerprint in the cap, and the signatures that were found good.
"""
from __future__ import annotations

from collections import OrderedDict
from typing import Final

from lafs.crypto.rsa import PublicKey
from lafs.errors import CorruptShare
from lafs.mutable.share_layout import MDMF_DATA, Prefix, Section, parse_prefix, parse_sections
from lafs.mutable.share_map import FoundShare, Place

STARTS_SUFFICE: Final = 107 + 2 * MDMF_DATA
"""So many first bytes of a share hold its keys and its signature, whatever their sizes."""

SIGNATURES_KEPT: Final = 64


class Examiner:
    """Knows the shares of one file. One for each file, used by all that read it."""

    def __init__(self, fingerprint: bytes) -> None:
        self._fingerprint = fingerprint
        self._good: OrderedDict[tuple[Prefix, bytes], None] = OrderedDict()
        self.public_key: PublicKey | None = None
        """As soon as any share brought it."""

    def examine(self, place: Place, start: bytes) -> FoundShare:
        """What `start`, the first bytes of the share at `place` (at least STARTS_SUFFICE, if there are so many), is.

        Raises CorruptShare if it is not a share that the owner of the file has signed, with the number it lies under.
        """
        prefix = parse_prefix(start)
        if place.number >= prefix.total:
            raise CorruptShare("a share with a number that its file does not have")
        sections = parse_sections(prefix, start)
        self._check_key(sections.verification_key, start)
        self._check_signature(prefix, sections.signature, start)
        return FoundShare(place, prefix, sections, start)

    def _check_key(self, section: Section, start: bytes) -> None:
        der = section.of(start)
        if self.public_key is None:
            try:
                key = PublicKey.parse(der)
            except ValueError:
                raise CorruptShare("the verification key is none", section.start, section.end) from None
            if key.fingerprint != self._fingerprint:
                raise CorruptShare("the verification key is another", section.start, section.end)
            self.public_key = key
        elif self.public_key.der != der:
            raise CorruptShare("the verification key is another", section.start, section.end)

    def _check_signature(self, prefix: Prefix, section: Section, start: bytes) -> None:
        signature = section.of(start)
        known = (prefix, signature)
        if known not in self._good:
            assert self.public_key is not None
            if not self.public_key.verify(signature, prefix.pack()):
                raise CorruptShare("the signature is wrong", section.start, section.end)
            self._good[known] = None
            if len(self._good) > SIGNATURES_KEPT:
                self._good.popitem(last=False)
