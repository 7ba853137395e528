"""Short names for directories' caps: NODEDIR/private/aliases, shared with Tahoe-LAFS. Spec: 08 §3.1, §24 C13, C14.

Used by every command that takes a remote path. A person may edit the file: a line that cannot be read is reported and costs
nothing but itself. Entries are added under a lock and by renaming, so that no crash and no second command loses one.
"""
from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from lafs.cli.gateway import node_url_option
from lafs.cli.invocation import Invocation
from lafs.cli.quoting import quoted
from lafs.cli.remote_paths import CAP_PREFIXES, RemotePath, parse
from lafs.errors import BadCapability, ConfigurationError

DEFAULT = "tahoe"
"""The alias of a path that names none. Both programs must find it, so it has the older one's name."""

FILE_LIMIT = 16 * 1024 * 1024


class Aliases:
    """What names mean for one run of a command. Read when first needed."""

    def __init__(self, invocation: Invocation, dir_cap: str | None = None) -> None:
        self._invocation = invocation
        self._dir_cap = dir_cap
        self._table: dict[str, str] | None = None

    @property
    def table(self) -> dict[str, str]:
        if self._table is None:
            self._table = read(self._invocation.directory(), self._invocation.say)
            if self._dir_cap is not None:
                cap = parse(self._dir_cap)
                if not cap.is_directory_cap or cap.cap is None:
                    raise ConfigurationError("--dir-cap must be the capability of a directory (URI:DIR2...)")
                self._table[DEFAULT] = cap.cap
        return self._table

    def locate(self, text: str) -> RemotePath:
        """What `text` names, with its cap. Raises BadCapability for an alias that is not there or is none."""
        place = parse(text)
        if place.cap is None:
            alias = DEFAULT if place.alias is None else place.alias
            place = replace(place, cap=self._cap_of(alias, default=place.alias is None), alias=alias)
        return replace(place, path="") if place.path == "/" else place

    def _cap_of(self, alias: str, default: bool) -> str:
        cap = self.table.get(alias)
        if cap is None and default:
            raise BadCapability(
                f"No alias specified, and the default '{DEFAULT}' alias doesn't exist. "
                f"To create it, use 'lafs create-alias {DEFAULT}'."
            )
        if cap is None:
            raise BadCapability(
                f"Unknown alias {quoted(alias)}, please create it with 'lafs add-alias' or 'lafs create-alias'."
            )
        if not is_directory_cap(cap):
            raise BadCapability(f"the alias {quoted(alias)} does not hold the capability of a directory")
        return cap


def remote_options(command: Callable[..., object]) -> Callable[..., object]:
    """--node-url and --dir-cap, which every command with remote paths has."""
    option = click.option("--dir-cap", metavar="CAP", help=f"The directory to use for the alias '{DEFAULT}'.")
    return node_url_option(option(command))


def is_directory_cap(text: str) -> bool:
    return text.startswith(CAP_PREFIXES) and RemotePath(cap=text).is_directory_cap and "/" not in text


def read(directory: Path, warn: Callable[[str], None]) -> dict[str, str]:
    """The table of a node directory. A file that is missing or unreadable is an empty one."""
    table = {}
    root = content(directory / "private" / "root_dir.cap").strip()
    if root:
        table[DEFAULT] = root
    path = directory / "private" / "aliases"
    for number, line in enumerate(content(path).split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, cap = line.partition(":")
        if colon:
            table[name] = cap.strip()
        else:  # the line may be a cap: it is not shown
            warn(f"warning: line {number} of {path} is not NAME: CAP, and is skipped")
    return table


def content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(FILE_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""


def checked_name(text: str) -> str:
    """The name a person gives an alias, without a final colon. Raises ConfigurationError for one that could not be used."""
    name = text.removesuffix(":")
    for wrong, what in ((":" in name, "colons"), (" " in name, "spaces"), ("/" in name, "slashes")):
        if wrong:
            raise ConfigurationError(f"Alias names cannot contain {what}.")
    if not name or not name.isprintable() or name.startswith("#") or f"{name}:" in CAP_PREFIXES:
        raise ConfigurationError(f"{quoted(name)} cannot be the name of an alias.")
    return name


@contextmanager
def adding(directory: Path, name: str) -> Iterator[Callable[[str], None]]:
    """Give a function that adds NAME: CAP. What could prevent that is found out before: the new cap may be the only copy.

    Raises ConfigurationError if the name is taken; OSError.
    """
    private = directory / "private"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if name in read(directory, lambda text: None):
            raise ConfigurationError(f"Alias {quoted(name)} already exists!")
        path, temporary = private / "aliases", private / "aliases.tmp"
        before = path.read_bytes() if path.exists() else b""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "wb") as file:

            def add(cap: str) -> None:
                ending = b"" if before.endswith(b"\n") or not before else b"\n"
                file.write(before + ending + f"{name}: {cap}\n".encode())
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
                os.fsync(lock)

            try:
                yield add
            finally:
                temporary.unlink(missing_ok=True)
    finally:
        os.close(lock)
