"""FURLs, the unguessable addresses of Foolscap objects, and the connection hints in them.

A FURL grants whatever its object grants, so neither its repr nor any error shows the last part. Called wherever one
comes in: announcements, configuration, key files. Spec: 05 §16.1 (last paragraph), §16.2.
"""
from __future__ import annotations

import re
from typing import Final

from attrs import field, frozen

from lafs.crypto import base32
from lafs.errors import LafsError

LONGEST_FURL: Final = 8192
MOST_HINTS: Final = 32
"""All hints are tried at once; an announcement must not make every client call on hundreds of addresses."""

TUB_ID_LENGTH: Final = 32

_FURL = re.compile(r"pb://([^@/]+)@([^/]*)/(.+)", re.DOTALL)
_VISIBLE = re.compile(r"[!-~]+")
_TCP_LIKE = re.compile(
    r"""(?: (?P<kind>tcp|tor|i2p) : )?          # left out in old hints: tcp is meant
        (?P<host> \[ [0-9A-Fa-f:.]+ (?:%[0-9A-Za-z.]+)? \] | [0-9A-Za-z.-]+ )
        : (?P<port> [0-9]{1,5} )""",
    re.VERBOSE,
)


class BadFurl(LafsError):
    """A text that is no FURL, or no hint, that could be used. Never quotes it."""


@frozen
class Hint:
    """One way to reach a Tub: a host and port, and the kind of network they are in (`tcp`, `tor`, `i2p`).

    `host` is a DNS name, an IPv4 address, or an IPv6 address without its brackets.
    """

    kind: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Hint:
        """From `tcp:HOST:PORT`, its old form `HOST:PORT`, `tor:HOST:PORT` or `i2p:HOST:PORT`. Raises BadFurl."""
        found = _TCP_LIKE.fullmatch(text)
        if not found or not 0 < int(found["port"]) < 65536:
            raise BadFurl("not a connection hint like tcp:HOST:PORT, with an IPv6 address as [ADDRESS]")
        return cls(found["kind"] or "tcp", found["host"].strip("[]"), int(found["port"]))

    @property
    def text(self) -> str:
        """The hint as it is written in a FURL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}:{host}:{self.port}"


@frozen
class Furl:
    """The address of one object: which Tub has it, where that may be reached, and the object's secret name."""

    tub_id: str
    """32 base32 characters: the hash of the Tub's certificate."""
    hints: tuple[str, ...]
    """As they were written, whether this program has a use for them or not; perhaps none."""
    name: str = field(repr=False)
    """The secret: a swissnum."""

    @classmethod
    def parse(cls, text: str) -> Furl:
        """Raises BadFurl for anything else than a FURL that could be used."""
        if len(text) > LONGEST_FURL:
            raise BadFurl("a FURL of absurd length")
        found = _FURL.fullmatch(text)
        if not found or not _VISIBLE.fullmatch(text):
            raise BadFurl("a FURL looks like pb://TUBID@HINTS/NAME")
        tub_id = found[1][:TUB_ID_LENGTH].lower()
        try:
            base32.decode(tub_id)
        except ValueError:
            raise BadFurl("the TubID of a FURL is 32 characters of base32") from None
        if len(tub_id) != TUB_ID_LENGTH:
            raise BadFurl("the TubID of a FURL is 32 characters of base32")
        hints = tuple(found[2].split(",")) if found[2] else ()
        if not all(hints) or len(hints) > MOST_HINTS:
            raise BadFurl("a FURL with an empty hint, or with too many")
        return cls(tub_id, hints, found[3])

    @property
    def text(self) -> str:
        """The FURL as it is written. A secret."""
        return f"pb://{self.tub_id}@{','.join(self.hints)}/{self.name}"

    @property
    def tub_id_bytes(self) -> bytes:
        """The 20 bytes that `tub_id` stands for: the seed of the secrets shown to this server. Spec: 05 §14.1."""
        return base32.decode(self.tub_id)
