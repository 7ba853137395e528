"""Folders of shares that a node uses directly: each carries a marker that says it is one, and who it is.

A folder without its marker is taken for a disk that is not mounted, and left alone: shares written into an empty mount point
would vanish when the disk comes back. The identity travels with the disk, wherever it is mounted. Made by `embedded`, used by
`client_node`.
"""

from __future__ import annotations

import re
from pathlib import Path

from lafs.crypto import base32
from lafs.errors import NodeError
from lafs.interfaces import ServerIdentity
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
