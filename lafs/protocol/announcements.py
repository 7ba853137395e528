"""Announcements: what a server tells the world of itself, signed, by way of introducers.

An announcement travels as an envelope of three byte strings: a JSON text, an Ed25519 signature of exactly these bytes,
and the key, which is also the id of the server. Introducers and their clients call `verify` on everything they hear
and `compare` to know whether it is news; servers call `sign`. Whatever is wrong with an envelope raises
`BadAnnouncement` and nothing else, so that one of them never spoils the others. Spec: 05 §12.3, §13.1-§13.3.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from attrs import field, frozen

from lafs.crypto import base32
from lafs.crypto.ed25519 import SigningKey, VerifyingKey
from lafs.errors import LafsError
from lafs.protocol.remote_interfaces import LARGEST_ANNOUNCEMENT

STORAGE: Final = "storage"
"""The only service that nodes of today announce."""

DEEPEST: Final = 20
"""Levels of lists and objects in the JSON of an announcement. Real ones have two."""

MOST_VALUES: Final = 2000
"""Values of any kind in it: short ones take a hundred times more memory than text. Real ones have some twenty."""

LONGEST_SERVICE_NAME: Final = 100
LONGEST_SERVER_ID: Final = 200

_PREFIX: Final = "v0-"
_SIGNATURE_SIZE: Final = 64
_MARKS: Final = frozenset({"seqnum", "nonce"})


class BadAnnouncement(LafsError):
    """An announcement that is malformed, not signed by whom it names, or would harm those who hear it."""


@frozen
class Envelope:
    """An announcement as it travels; `Announcement.envelope` is passed on unchanged."""

    message: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    key: bytes

    @classmethod
    def open(cls, value: object) -> Envelope:
        """From whatever came over the wire. Raises BadAnnouncement for anything but a tuple of three byte strings."""
        if not isinstance(value, tuple) or len(value) != 3:
            raise BadAnnouncement("an announcement is a tuple of three byte strings")
        message, signature, key = value
        if not (isinstance(message, bytes) and isinstance(signature, bytes) and isinstance(key, bytes)):
            raise BadAnnouncement("only signed announcements recognized")
        return cls(message, signature, key)

    def as_tuple(self) -> tuple[bytes, bytes, bytes]:
        """What is sent."""
        return (self.message, self.signature, self.key)


@frozen
class Announcement:
    """What one server says of one service it offers. Made by `verify` or, unsigned, by `of_fields`."""

    server_id: str
    service_name: str
    fields: Mapping[str, Any] = field(repr=False)
    """All of it, unknown fields too."""
    envelope: Envelope | None = field(default=None, eq=False, repr=False)
    """As it was signed; None when it comes from a file of this node."""

    @property
    def sequence_number(self) -> int | None:
        """Grows with every publication of a server."""
        number = self.fields.get("seqnum")
        return number if isinstance(number, int) else None

    @property
    def nickname(self) -> str:
        """What its operator calls the server; anything, made safe to show."""
        name = self.fields.get("nickname", "")
        return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)

    @property
    def content(self) -> Mapping[str, Any]:
        """The fields without those that only make publications differ: what is new for its hearers, if it changes."""
        return {name: value for name, value in self.fields.items() if name not in _MARKS}


class News(Enum):
    """What an announcement is to one who already has, or has not, one of the same server and service. Spec: 05 §12.3."""

    NEW = "new"
    UPDATE = "update"
    DUPLICATE = "duplicate"
    NO_SEQUENCE_NUMBER = "no sequence number after one that had it"
    OLD_SEQUENCE_NUMBER = "not newer: perhaps replayed"

    @property
    def counts(self) -> bool:
        """Whether it replaces what is stored, and is passed on."""
        return self in (News.NEW, News.UPDATE)


def compare(stored: Announcement | None, heard: Announcement) -> News:
    """What `heard` is to the holder of `stored`."""
    if stored is None:
        return News.NEW
    if stored.fields == heard.fields:
        return News.DUPLICATE
    if stored.sequence_number is not None:
        if heard.sequence_number is None:
            return News.NO_SEQUENCE_NUMBER
        if heard.sequence_number <= stored.sequence_number:
            return News.OLD_SEQUENCE_NUMBER
    return News.UPDATE


def sign(fields: Mapping[str, Any], key: SigningKey, sequence_number: int, nonce: bytes) -> Envelope:
    """The envelope of `fields`, "service-name" among them, to be published.

    `sequence_number` must be higher than in any earlier publication of this key, and is drawn once, however many
    introducers it goes to (D11). `nonce` is 32 random bytes.
    """
    message = json.dumps({**fields, "seqnum": sequence_number, "nonce": base32.encode(nonce)}).encode("ascii")
    return Envelope(
        message=message,
        signature=(_PREFIX + base32.encode(key.sign(message))).encode("ascii"),
        key=key.verifying_key.server_id.encode("ascii"),
    )


def verify(value: object) -> Announcement:
    """The announcement in an envelope, given as it came over the wire. Raises BadAnnouncement."""
    envelope = Envelope.open(value)
    if len(envelope.message) > LARGEST_ANNOUNCEMENT:
        raise BadAnnouncement("an announcement of absurd size")
    if not envelope.signature or not envelope.key:
        raise BadAnnouncement("only signed announcements recognized")
    signature = _decoded(envelope.signature, "only v0- signatures recognized")
    server_id = envelope.key.decode("ascii", "replace")
    if not server_id.startswith(_PREFIX):
        raise BadAnnouncement("only v0- keys recognized")
    try:
        key = VerifyingKey.of_server(server_id)
    except ValueError:
        raise BadAnnouncement("an announcement with an impossible key") from None
    if key.server_id != server_id:
        raise BadAnnouncement("an announcement whose key has another spelling than its own")
    if len(signature) != _SIGNATURE_SIZE or not key.verify(signature, envelope.message):
        raise BadAnnouncement("an announcement that was not signed with its key")
    return of_fields(server_id, _decoded_json(envelope.message), envelope)


def of_fields(server_id: str, fields: object, envelope: Envelope | None = None) -> Announcement:
    """An announcement of fields that came from elsewhere: a file, or a verified envelope. Raises BadAnnouncement."""
    if not server_id or len(server_id) > LONGEST_SERVER_ID or not server_id.isprintable():
        raise BadAnnouncement("an announcement with an impossible server id")
    if not isinstance(fields, dict):
        raise BadAnnouncement("the content of an announcement is an object")
    _check_plain(fields)
    service_name = fields.get("service-name")
    if not isinstance(service_name, str) or len(service_name) > LONGEST_SERVICE_NAME:
        raise BadAnnouncement("an announcement without a service name")
    sequence_number = fields.get("seqnum", 0)
    if isinstance(sequence_number, bool) or not isinstance(sequence_number, int):
        raise BadAnnouncement("an announcement with a sequence number that is not an integer")
    if not isinstance(fields.get("nickname", ""), str):
        raise BadAnnouncement("an announcement with a nickname that is not a text")
    return Announcement(server_id, service_name, fields, envelope)


def _decoded(prefixed: bytes, otherwise: str) -> bytes:
    text = prefixed.decode("ascii", "replace")
    if not text.startswith(_PREFIX):
        raise BadAnnouncement(otherwise)
    try:
        return base32.decode_lax(text.removeprefix(_PREFIX))
    except ValueError:
        raise BadAnnouncement("an announcement with invalid base32") from None


def _decoded_json(message: bytes) -> object:
    try:
        return json.loads(message.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadAnnouncement("an announcement that is not JSON") from None


def _check_plain(fields: object) -> None:
    """Raises BadAnnouncement for values that would break whoever writes them down again, or compares them.

    Half a surrogate pair cannot be encoded, a NaN differs from itself, depth costs stack, and numbers cost memory.
    """
    level: list[object] = [fields]
    seen = 0
    for _ in range(DEEPEST):
        seen += len(level)
        if seen > MOST_VALUES:
            raise BadAnnouncement("an announcement of absurdly many values")
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.keys())
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str):
                if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
                    raise BadAnnouncement("an announcement with half a character")
            elif isinstance(value, float):
                if not math.isfinite(value):
                    raise BadAnnouncement("an announcement with a number that is none")
            elif value is not None and not isinstance(value, int):
                raise BadAnnouncement("an announcement with a value that JSON has not")
        if not below:
            return
        level = below
    raise BadAnnouncement("an announcement of absurd depth")
