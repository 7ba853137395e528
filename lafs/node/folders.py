"""Folders of shares that a node uses directly: each carries a marker that says it is one, and who it is.

A folder without its marker is taken for a disk that is not mounted, and left alone: shares written into an empty mount point
would vanish when the disk comes back. The identity travels with the disk, wherever it is mounted. Made by `embedded`, used by
`client_node`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from lafs.crypto import base32
from lafs.errors import LafsError, NodeError
from lafs.interfaces import ServerIdentity
from lafs.node import settings
from lafs.node.config import Configuration
from lafs.node.files import PUBLIC, read_text, write_whole
from lafs.node.keys import RandomBytes

MARKER = "lafs-folder"

_SAYS = """\
This folder holds encrypted shares of a lafs node. Keep this file: without it the node takes the disk for missing.
id: {id}
"""


def adopt(directory: Path, random: RandomBytes) -> None:
    """Make `directory` a folder of shares, unless it is one; its parent must exist. Raises NodeError."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise NodeError(f"the storage folder {directory} cannot be made: {error.strerror}") from None
    if read_text(directory / MARKER) is None:
        write_whole(directory / MARKER, _SAYS.format(id=base32.encode(random(32))).encode(), PUBLIC)


def identify(name: str, directory: Path) -> ServerIdentity:
    """Who the folder is, as a storage server called `name`. Raises NodeError if it is not there, or not a folder of ours."""
    text = read_text(directory / MARKER)
    if text is None:
        state = f"holds no file {MARKER}" if directory.is_dir() else "is not there"
        raise NodeError(f"storage folder {name}: {directory} {state}; is its disk mounted?")
    found = re.search(r"^id: ([a-z2-7]{52})$", text, re.MULTILINE)
    try:
        key = base32.decode(found[1] if found else "")
        if len(key) != 32:
            raise ValueError
    except ValueError:
        raise NodeError(f"storage folder {name}: {directory / MARKER} is damaged; restore the line 'id: ...'") from None
    return ServerIdentity(f"v0-{base32.encode(key)}", nickname=name, permutation_seed=key, lease_seed=key[:20])


class Folders:
    """The folders that a configuration names. `use` begins to use one; `warn` is told what a person should know."""

    def __init__(
        self,
        configuration: Configuration,
        use: Callable[[ServerIdentity, Path, settings.Folder], Awaitable[object]],
        warn: Callable[[str], object],
    ) -> None:
        self._configuration = configuration
        self._use = use
        self._warn = warn
        self._missing = dict(configuration.folders)
        self._names: dict[str, str] = {}

    async def start(self) -> None:
        """Use every folder that is there; say which are not."""
        for name in list(self._missing):
            try:
                await self._take(name)
            except LafsError as error:
                self._warn(f"Warning: {error}. Starting without it")

    async def look_again(self) -> None:
        """Use the folders that were missing and are there now: a disk may be mounted late."""
        for name in list(self._missing):
            try:
                await self._take(name)
            except LafsError:
                continue
            self._warn(f"Storage folder {name} is there now, and used")

    async def _take(self, name: str) -> None:
        folder = self._missing[name]
        directory = self._configuration.path(folder.directory)
        identity = identify(name, directory)
        if (other := self._names.get(identity.server_id, name)) != name:
            raise NodeError(f"storage folder {name} is a copy of {other}: it has the same marker")
        await self._use(identity, directory, folder)
        self._names[identity.server_id] = name
        del self._missing[name]
