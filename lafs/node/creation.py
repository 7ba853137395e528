"""Making node directories: whole, or not at all.

A directory is built beside its place and renamed into it, so that a failure leaves nothing that blocks a second try. Called by
the create-* commands and `lafs up`. Spec: 08 §6.3, §24 C16, C21, C28.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from lafs.errors import NodeError
from lafs.node.config import OUR_FILE, Kind, read
from lafs.node.configuration_file import escaped
from lafs.node.files import make_private, write_whole

_HEADER = """\
# The configuration of this lafs node, read when it starts ('lafs run').
# Every section and option is described in docs/configuration.md. Percent signs must be doubled.
"""


@frozen
class Plan:
    """What a new node directory shall say. `sections` are written in order: section -> option -> value."""

    kind: Kind
    sections: Mapping[str, Mapping[str, str]]
    introducers: Mapping[str, str] = field(factory=dict, repr=False)

    def text(self) -> str:
        """The lafs.cfg of it. Raises ConfigurationError for a value that cannot be written."""
        parts = [_HEADER]
        for section, options in self.sections.items():
            lines = (f"{option} = {escaped(value)}".rstrip() for option, value in options.items())
            parts.append("\n".join([f"[{section}]", *lines, ""]))
        return "\n".join(parts)


def create(directory: Path, plan: Plan, finish: Callable[[Path], None] = lambda _: None) -> None:
    """Make `directory` the node directory of `plan`; it may exist if it is empty.

    `finish` is called with the directory under construction, to add what else it needs. Raises NodeError,
    ConfigurationError; then nothing is left behind.
    """
    text = plan.text()
    with _construction(directory) as site:
        make_private(site)
        if plan.introducers:
            from lafs.node.known_nodes import write_introducers

            write_introducers(site / "private" / "introducers.yaml", plan.introducers)
        write_whole(site / OUR_FILE, text.encode("utf-8"))
        read(site)  # what cannot run is not to be made
        finish(site)


def is_taken(directory: Path) -> bool:
    """Whether something is at `directory` already that a new node would disturb."""
    try:
        return any(directory.iterdir())
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True


@contextmanager
def _construction(directory: Path) -> Iterator[Path]:
    directory = directory.resolve()
    site: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        site = _site(directory)
        yield site
        _move_in(site, directory)
    except OSError as error:
        raise NodeError(f"'{directory}' cannot be made: {error.strerror}") from None
    finally:
        if site is not None:
            shutil.rmtree(site, ignore_errors=True)


def _site(directory: Path) -> Path:
    """An empty directory on the same file system, to build in: beside if we may, else (a mount point) inside."""
    name = f".{directory.name}.{os.getpid()}.new"
    beside = directory.parent / name
    if not os.path.ismount(directory) and os.access(directory.parent, os.W_OK):
        beside.mkdir(mode=0o700)
        return beside
    inside = directory / name
    inside.mkdir(mode=0o700)
    return inside


def _move_in(site: Path, directory: Path) -> None:
    if site.parent != directory:
        if directory.exists():
            directory.rmdir()
        site.rename(directory)
        return
    # Inside, the configuration goes last: without it, what is there is not a node yet.
    for child in sorted(site.iterdir(), key=lambda each: each.name == OUR_FILE):
        child.rename(directory / child.name)


def petnames(furls: Sequence[str]) -> Mapping[str, str]:
    """Names for introducers given without: default, introducer-2, introducer-3, ..."""
    names = ["default", *(f"introducer-{number}" for number in range(2, len(furls) + 1))]
    return dict(zip(names, dict.fromkeys(furls), strict=False))
