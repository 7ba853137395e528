"""The files in which the owner of a node lists others: introducers.yaml and servers.yaml.

Read once at start by `services`; written by the commands that make nodes. A mistake in one is reported with the file and the
entry; an empty file is an empty list. Spec: 05 §15.4, §15.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lafs.errors import ConfigurationError
from lafs.node import values
from lafs.node.config import Configuration
from lafs.node.files import SECRET, read_small, write_whole


def introducers(configuration: Configuration) -> Mapping[str, str]:
    """Petname -> FURL of the introducers of a client: those of the file, and that of the deprecated option."""
    path = configuration.path("private/introducers.yaml")
    found: dict[str, str] = {}
    for petname, entry in _entries(path, "introducers").items():
        if not _is_petname(petname):
            raise ConfigurationError(f"{path}: a petname is a word: no slashes, not {petname!r}")
        furl = entry.get("furl") if isinstance(entry, dict) else None
        try:
            if not isinstance(furl, str):
                raise ValueError("needs a furl: pb://TUBID@HOST:PORT/NAME")
            found[petname] = values.furl(furl)
        except ValueError as error:
            raise ConfigurationError(f"{path}: introducer {petname}: {error}") from None
    if configuration.client.introducer:
        if "default" in found:
            raise ConfigurationError(
                f"[client] introducer.furl is the introducer 'default', which {path} names too; remove one of them"
            )
        found["default"] = configuration.client.introducer
    return found


def static_servers(configuration: Configuration) -> Mapping[str, Mapping[str, Any]]:
    """Server id -> entry, as written (`ann`, perhaps `connections`), of the storage servers the owner wrote down."""
    path = configuration.path("private/servers.yaml")
    entries = _entries(path, "storage")
    return {server_id: entry for server_id, entry in entries.items() if isinstance(server_id, str) and isinstance(entry, dict)}


def write_introducers(path: Path, furls: Mapping[str, str]) -> None:
    """Write introducers.yaml at `path`: petname -> FURL."""
    import yaml

    data = {"introducers": {petname: {"furl": furl} for petname, furl in furls.items()}}
    write_whole(path, yaml.safe_dump(data, default_flow_style=False).encode(), SECRET)


def _entries(path: Path, top: str) -> Mapping[Any, Any]:
    """The mapping under `top` of a YAML file; empty if the file, its contents or the key are missing."""
    data = read_small(path)
    if not data or not data.strip():
        return {}
    import yaml  # costs 20 ms, and most storage servers have no such file

    try:
        document = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{path}{line}: is not YAML") from None
    entries = document.get(top) if isinstance(document, dict) else document
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise ConfigurationError(f"{path}: should be '{top}:' and below it one entry for each, by name")
    return entries


def _is_petname(petname: object) -> bool:
    return isinstance(petname, str) and petname.isprintable() and not {"/", "\\", "\0"} & set(petname) and bool(petname)
