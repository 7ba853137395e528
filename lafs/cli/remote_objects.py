"""What a gateway tells of files and directories, as frozen values; and the small requests that make and link them.

Used by the commands for directories and by `cp`. A gateway's JSON is not trusted to have any shape. Spec: 07 §8; 08 §5.
"""
from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from lafs.cli.answer import CutOff, Refused
from lafs.cli.gateway import Gateway
from lafs.cli.remote_paths import CAP_PREFIXES

DIRECTORY, FILE, UNKNOWN = "dirnode", "filenode", "unknown"


@dataclass(frozen=True)
class RemoteObject:
    """A file, a directory, or something this version knows nothing of."""

    kind: str
    write_cap: str = field(default="", repr=False)
    read_cap: str = field(default="", repr=False)
    size: int | None = None
    is_mutable: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    children: Mapping[str, RemoteObject] = field(default_factory=dict)

    @property
    def cap(self) -> str:
        """The most powerful cap there is, "" if none."""
        return self.write_cap or self.read_cap

    @property
    def is_directory(self) -> bool:
        return self.kind == DIRECTORY


def read_object(content: Any, with_children: bool = True) -> RemoteObject:
    """From `[KIND, {...}]`. Raises CutOff for anything else."""
    if not (isinstance(content, list) and len(content) == 2 and isinstance(content[0], str) and isinstance(content[1], dict)):
        raise CutOff("the gateway's answer does not describe a file or a directory; is it a lafs or Tahoe-LAFS node?")
    kind, facts = content
    metadata, children = facts.get("metadata"), facts.get("children")
    size = facts.get("size")
    return RemoteObject(
        kind=kind if kind in (DIRECTORY, FILE) else UNKNOWN,
        write_cap=text_of(facts.get("rw_uri")),
        read_cap=text_of(facts.get("ro_uri")),
        size=size if type(size) is int and size >= 0 else None,
        is_mutable=facts.get("mutable") is True,
        metadata=metadata if isinstance(metadata, dict) else {},
        children={name: read_object(child, with_children=False) for name, child in children.items()}
        if with_children and isinstance(children, dict) else {},
    )


def text_of(value: Any) -> str:
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""


def describe(gateway: Gateway, target: str) -> RemoteObject:
    """What is at `target` ("uri/CAP/NAME"). Raises Refused, with status 404 if there is nothing."""
    return read_object(gateway.get(f"{target}?t=json").expect(200).json())


def find_object(gateway: Gateway, target: str) -> RemoteObject | None:
    """What is at `target`, or None."""
    try:
        return describe(gateway, target)
    except Refused as error:
        if error.status != 404:
            raise
        return None


def make_directory(gateway: Gateway, target: str = "uri", file_format: str | None = None) -> str:
    """Make a directory at `target` and on the way to it, or take the one that is there: its cap."""
    query = "?t=mkdir" + (f"&format={file_format.upper()}" if file_format else "")
    return expect_cap(gateway.send("POST", target + query).expect(200, 201).text())


def make_directory_of(gateway: Gateway, children: Mapping[str, RemoteObject]) -> str:
    """Make an unlinked directory that has these children from its first version on: its cap."""
    # Of a new directory a gateway stores what it is told, and adds no times. Spec: 04 §5.3.
    now = time.time()
    body = pack_children(children, {"metadata": {"tahoe": {"linkcrtime": now, "linkmotime": now}}})
    return expect_cap(gateway.send("POST", "uri?t=mkdir-with-children", body).expect(200, 201).text())


def set_children(gateway: Gateway, directory_cap: str, children: Mapping[str, RemoteObject]) -> None:
    """Link all of these in one change of the directory."""
    gateway.send("POST", f"{below(directory_cap)}?t=set_children", pack_children(children)).expect(200, 201).text()


def link(gateway: Gateway, target: str, cap: str) -> None:
    """Make `target` a name of what `cap` is. Raises Refused, with 409 if a directory has that name."""
    gateway.send("PUT", f"{target}?t=uri&replace=only-files", cap.encode()).expect(200, 201).text()


def pack_children(children: Mapping[str, RemoteObject], besides: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    return json.dumps({name: [child.kind, {**caps_of(child), **besides}] for name, child in children.items()}).encode()


def caps_of(child: RemoteObject) -> dict[str, str]:
    return {name: cap for name, cap in (("rw_uri", child.write_cap), ("ro_uri", child.read_cap)) if cap}


def below(cap: str, *names: str) -> str:
    """The address of what has this path below `cap`; a name may have any character in it."""
    return "/".join(["uri", *(quote(part.encode("utf-8", "surrogateescape"), safe="") for part in (cap, *names))])


def expect_cap(text: str) -> str:
    cap = text.strip()
    if not cap.startswith(CAP_PREFIXES) or not text_of(cap):
        raise CutOff("the gateway did not answer with a capability; is it a lafs or Tahoe-LAFS node?")
    return cap
