"""Children in the JSON of a request body: what is to be put into a directory. Spec: 07 §9.4."""
from __future__ import annotations

import json
from typing import Any

from frontends.web.body import Body
from frontends.web.errors import Refusal
from lafs.capability_slots import child_caps
from lafs.errors import BadChild
from lafs.interfaces import NewChild

MOST_BYTES = 64 * 1024 * 1024
"""Of a body that describes children: it is kept in memory."""

_SHAPE = 'The body must be a JSON object of names, each with ["filenode" or "dirnode", {"rw_uri" or "ro_uri": CAP, ...}].'


async def read_children(body: Body) -> list[NewChild]:
    """The children described in a request body; none if it is empty. Raises Refusal, BadChild, SourceFailed."""
    text = await body.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise Refusal(413, "The children described are too many.")
    return parse_children(text)


def parse_children(text: bytes) -> list[NewChild]:
    """Raises Refusal for anything but JSON of the right shape, BadChild for a child without caps."""
    if not text.strip():
        return []
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise Refusal(400, _SHAPE)
    return [_child(name, entry) for name, entry in value.items()]


def _child(name: str, entry: Any) -> NewChild:
    if not (isinstance(entry, list) and len(entry) >= 2 and isinstance(entry[1], dict)):
        raise Refusal(400, _SHAPE)
    facts = entry[1]
    metadata = facts.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise Refusal(400, _SHAPE)
    return new_child(name, _slot(facts, "rw_uri"), _slot(facts, "ro_uri"), metadata)


def new_child(name: str, writable: str, readonly: str = "", metadata: dict[str, Any] | None = None) -> NewChild:
    """A child with these caps. Raises BadChild if there are none."""
    if not writable and not readonly:
        raise BadChild("BadURIError", "a child needs a cap, and there is none for one of those to be added.")
    return NewChild(name, child_caps(writable, readonly), metadata)


def _slot(facts: dict[str, Any], key: str) -> str:
    value = facts.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(400, _SHAPE)
    return value.strip()
