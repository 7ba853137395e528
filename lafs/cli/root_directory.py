"""The root directory that `lafs up` makes on its first start, so that paths work at once. Called in a thread of its own."""
from __future__ import annotations

import click

from lafs.cli import aliases
from lafs.cli.gateway import find
from lafs.cli.invocation import Invocation
from lafs.cli.remote_objects import make_directory
from lafs.errors import LafsError


def make_root(invocation: Invocation) -> None:
    """Make a directory with the default alias, unless there is such an alias. If it fails, the next start tries again."""
    if aliases.DEFAULT in aliases.read(invocation.directory(), lambda text: None):
        return
    try:
        with find(invocation, None) as gateway, aliases.adding(invocation.directory(), aliases.DEFAULT) as add:
            add(make_directory(gateway))
    except (LafsError, OSError):
        return
    click.echo(f" Your root directory is made: `lafs ls`, `lafs cp -r FOLDER {aliases.DEFAULT}:`.")
    click.echo(" `lafs recovery` shows the text that brings it back; keep it in a safe place (--qr: for a telephone).")
