"""How directories.json writes down children, caps and directories; used by the tests of this room."""
from __future__ import annotations

import json
from typing import Any

from lafs.capability import DirectoryCap, parse
from lafs.capability_kinds import ImmutableReadCap, LiteralCap
from lafs.capability_slots import child_caps
from lafs.directory.children import View
from lafs.interfaces import Child, NewChild
from tests.vectors_loader import load

VECTORS = load("directories")

DEVIATIONS = {
    # id of a vector -> why a child that the peer lets be written to has only the read cap here.
    "writecap-in-ro-slot": "a write cap in the read-only slot grants reading only, also to those who store it there",
    "wrong-key-rw": "a write cap that does not fit its MAC nor the read cap beside it is not used",
    "writecap-in-ro-field": "a write cap in the read-only slot grants reading only",
}

ERRORS = {"ExistingChildError": "ChildExists", "NoSuchChildError": "NoSuchChild", "ChildOfWrongTypeError": "ChildOfWrongKind"}
"""The peer's names of errors that have other names here; those of caps that may not be stored are `BadChild.kind`."""


def new_child(entry: dict[str, Any]) -> NewChild:
    metadata = json.loads(entry["metadata_json"]) if "metadata_json" in entry else entry["metadata"]
    return NewChild(entry["name"], child_caps(entry["rw_uri"], entry["ro_uri"]), metadata)


def view_of(cap: str | None) -> View:
    if cap is None:
        return View(immutable=True)
    directory = parse(cap)
    assert isinstance(directory, DirectoryCap)
    return View.through(directory)


def described(child: Child) -> dict[str, Any]:
    """`child` in the words of the vectors."""
    known, caps = child.cap, child.caps
    verifier = known.verifier() if known is not None else None
    kind, content = "unknown", known
    if isinstance(known, DirectoryCap):
        content = known.content
    if content is not None:
        name = type(content).__name__
        form = "chk" if "Immutable" in name else "lit" if name == "LiteralCap" else content.format.lower()  # type: ignore[union-attr]
        kind = ("dir-" if child.kind == "directory" else "file-") + form
    result: dict[str, Any] = {
        "name": child.name,
        "kind": kind,
        "rw_uri": caps.writable,
        "ro_uri": caps.readonly,
        "verify_uri": verifier.text if verifier is not None else None,
        "storage_index": str(known.storage_index) if known is not None and known.storage_index is not None else None,
        "allowed_in_immutable_directory": caps.allowed_in_immutable_directory,
        "metadata": child.metadata,
    }
    if known is not None:
        result["mutable"] = known.is_mutable
        if isinstance(content, LiteralCap):
            result["size"] = len(content.content)
        if isinstance(content, ImmutableReadCap):
            result["size"] = content.size
    return result
