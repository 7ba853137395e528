"""Whether a grid manager lets a server take new shares. Pure. Called by the broker for every upload. Spec: 05 §18.4.

A client may name the public keys of grid managers it trusts. Then only servers that show an unexpired certificate,
signed by one of them, are offered new shares; reading from the others goes on as before.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import frozen

from lafs.crypto import base32
from lafs.crypto.ed25519 import VerifyingKey
from lafs.protocol.storage_announcement import Certificate


@frozen
class Endorsement:
    """A certificate whose signature was verified: the server of this id may take shares until then."""

    server_id: str
    expires: datetime


def endorsements(certificates: Iterable[Certificate], managers: Sequence[VerifyingKey]) -> tuple[Endorsement, ...]:
    """What the `managers` say in `certificates`. A certificate that is malformed, or not theirs, says nothing.

    Verified once when a server is heard of; only the expiry changes afterwards.
    """
    found = (_endorsement(certificate, managers) for certificate in certificates)
    return tuple(each for each in found if each is not None)


def upload_permitted(
    server_id: str, endorsed: Iterable[Endorsement], managers: Sequence[VerifyingKey], now: datetime
) -> bool:
    """Whether the server may be offered new shares at `now`, a time with a zone. Without managers, every server may."""
    if not managers:
        return True
    return any(each.server_id == server_id and each.expires > now for each in endorsed)


def _endorsement(certificate: Certificate, managers: Sequence[VerifyingKey]) -> Endorsement | None:
    try:
        signature = base32.decode_lax(certificate.signature)
        text = certificate.certificate.encode("utf-8")
        if not any(manager.verify(signature, text) for manager in managers):
            return None
        content = json.loads(text)
        public_key, expires = content["public_key"], datetime.fromisoformat(content["expires"])
        if expires.tzinfo is None or not public_key.startswith("pub-"):
            return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Endorsement(public_key.removeprefix("pub-"), expires)
