"""The file in which a node keeps what one introducer told it: a YAML list, as the peer writes it. Pure. Spec: 05 §13.5.

It is this node's own file, but people copy such files about: whatever cannot be used is left out.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import yaml

from lafs.protocol.announcements import Announcement, BadAnnouncement, of_fields

LARGEST: Final = 64 * 1024 * 1024

# libyaml is twenty times faster, and not everywhere.
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def pack(announcements: Iterable[Announcement]) -> bytes:
    """The file that holds `announcements`."""
    entries = [{"ann": dict(each.fields), "key_s": each.server_id} for each in announcements]
    text = yaml.dump(entries, Dumper=_Dumper, default_flow_style=False, sort_keys=True)
    return str(text).encode("utf-8")


def unpack(data: bytes) -> list[Announcement]:
    """The announcements in the file, unsigned. Never raises."""
    if len(data) > LARGEST:
        return []
    try:
        entries = yaml.load(data, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    if not isinstance(entries, list):
        return []
    announcements = []
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("key_s"), str):
            try:
                announcements.append(of_fields(entry["key_s"], entry.get("ann")))
            except BadAnnouncement:
                continue
    return announcements
