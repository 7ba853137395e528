"""What a storage server's announcement says, as values: who the server is, where it is, what vouches for it.

Called by the broker for every server it hears of or is told of, and by the introducer, which passes on only what no
subscriber stumbles over. Spec: 05 §13.3, §14, §15.5, §18.4.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from lafs.crypto import base32
from lafs.crypto.derivations import permutation_seed
from lafs.interfaces import ServerIdentity
from lafs.protocol.announcements import STORAGE, Announcement, BadAnnouncement, of_fields
from lafs.protocol.furl import BadFurl, Furl

FURL: Final = "anonymous-storage-FURL"
NURLS: Final = "anonymous-storage-NURLs"
SEED: Final = "permutation-seed-base32"
PLUGINS: Final = "storage-options"
CERTIFICATES: Final = "grid-manager-certificates"

MOST_CERTIFICATES: Final = 32
LONGEST_SEED: Final = 1000
UNNAMED: Final = "<unspecified>"

_PEERS_FURL: Final = re.compile(r"pb://\w+@")


@frozen
class Certificate:
    """What a grid manager says of a server, not yet verified: a JSON text and a signature of it, in base32."""

    certificate: str
    signature: str


@frozen
class StorageAnnouncement:
    """One storage server, as it describes itself."""

    announcement: Announcement = field(repr=False)
    identity: ServerIdentity
    furl: Furl | None
    """Where its Foolscap door is, if it has one."""
    locations: tuple[str, ...] = field(repr=False)
    """Where its HTTPS doors are. Secrets, like FURLs."""
    plugins: tuple[str, ...]
    """Names of the ways to reach it that need a plugin."""
    certificates: tuple[Certificate, ...] = field(repr=False)


def parse(announcement: Announcement) -> StorageAnnouncement:
    """Raises BadAnnouncement for an announcement that is of no storage server, or of an impossible one."""
    if announcement.service_name != STORAGE:
        raise BadAnnouncement("an announcement of another service")
    fields = announcement.fields
    furl = _furl(fields)
    return StorageAnnouncement(
        announcement=announcement,
        identity=ServerIdentity(
            server_id=announcement.server_id,
            nickname=announcement.nickname[:200],
            permutation_seed=_seed(announcement.server_id, fields.get(SEED)),
            lease_seed=furl.tub_id_bytes if furl else b"",
        ),
        furl=furl,
        locations=_texts(fields.get(NURLS, []), NURLS),
        plugins=tuple(_plugin_names(fields.get(PLUGINS, []))),
        certificates=tuple(_certificates(fields.get(CERTIFICATES, []))),
    )


def of_static_entry(server_id: str, fields: Mapping[str, Any]) -> StorageAnnouncement:
    """From the `ann` of an entry in the file of static servers. Raises BadAnnouncement."""
    return parse(of_fields(server_id, {"service-name": STORAGE, **fields}))


def check_for_subscribers(storage: StorageAnnouncement) -> None:
    """Raises BadAnnouncement for what this program would put up with but subscribers of the peer stumble over.

    One such element makes a peer forget an arbitrary part of the other servers in the same message (D13).
    """
    fields = storage.announcement.fields
    if FURL in fields and not _PEERS_FURL.match(fields[FURL]):
        raise BadAnnouncement("an announcement whose FURL some subscribers cannot read")
    if storage.locations and storage.furl is None:
        raise BadAnnouncement("an announcement with HTTPS locations and no FURL, which some subscribers cannot read")
    for each in fields.get(CERTIFICATES, []):
        if not isinstance(each, dict) or _certificate(each) is None:
            raise BadAnnouncement("an announcement with a malformed grid manager certificate")


def _furl(fields: Mapping[str, Any]) -> Furl | None:
    if FURL not in fields:
        return None
    text = fields[FURL]
    if not isinstance(text, str):
        raise BadAnnouncement("an announcement whose FURL is not a text")
    try:
        return Furl.parse(text)
    except BadFurl as error:
        raise BadAnnouncement(f"an announcement with an impossible FURL: {error}") from None


def _seed(server_id: str, announced: object) -> bytes:
    if announced is not None and not (isinstance(announced, str) and len(announced) <= LONGEST_SEED):
        raise BadAnnouncement("an announcement with an impossible permutation seed")
    try:
        return permutation_seed(server_id, announced)
    except ValueError:
        raise BadAnnouncement("an announcement with an impossible permutation seed") from None


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadAnnouncement(f"an announcement whose {name} are not a list of texts")
    return tuple(value)


def _plugin_names(options: object) -> list[str]:
    if not isinstance(options, list):
        raise BadAnnouncement(f"an announcement whose {PLUGINS} are not a list")
    return [option["name"] for option in options if isinstance(option, dict) and isinstance(option.get("name"), str)]


def _certificates(value: object) -> list[Certificate]:
    """Those that could be verified; a malformed one vouches for nothing and harms nobody."""
    if not isinstance(value, list):
        raise BadAnnouncement(f"an announcement whose {CERTIFICATES} are not a list")
    found = [_certificate(each) for each in value[:MOST_CERTIFICATES] if isinstance(each, dict)]
    return [each for each in found if each is not None]


def _certificate(value: Mapping[str, object]) -> Certificate | None:
    certificate, signature = value.get("certificate"), value.get("signature")
    if not isinstance(certificate, str) or not isinstance(signature, str):
        return None
    try:
        base32.decode_lax(signature)
    except ValueError:
        return None
    return Certificate(certificate, signature)
