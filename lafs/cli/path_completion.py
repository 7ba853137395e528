"""What a shell may put behind a half-written remote path: aliases, and names below them. Quiet whenever something fails.

Asked by the shell's TAB through lafs.cli.completion's script; the gateway is given a moment, no more. Spec: 08 §3.2.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lafs.cli.invocation import Invocation
from lafs.errors import LafsError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PATIENCE_SECONDS = 2.0
MOST = 500


def complete_remote(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Aliases, or the names in the directory that `incomplete` has come to."""
    from click.shell_completion import CompletionItem

    try:
        return [CompletionItem(text) for text in candidates(invocation_of(context), context.params.get("node_url"), incomplete)]
    except (LafsError, OSError):
        return []


def complete_place(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Remote paths, and local files as the shell knows them."""
    from click.shell_completion import CompletionItem

    return complete_remote(context, parameter, incomplete) or [CompletionItem(incomplete, type="file")]


def invocation_of(context: click.Context) -> Invocation:
    """The global options: the group's callback does not run for a TAB."""
    root = context.find_root().params
    directory = root.get("node_directory")
    return Invocation(directory.expanduser() if directory else None, quiet=True)


def candidates(invocation: Invocation, node_url: str | None, incomplete: str) -> list[str]:
    from lafs.cli.aliases import Aliases
    from lafs.cli.gateway import find
    from lafs.cli.remote_objects import describe

    aliases = Aliases(invocation)
    if ":" not in incomplete and "/" not in incomplete:
        return [f"{name}:" for name in sorted(aliases.table) if name.startswith(incomplete)]
    outer, slash, start = incomplete.rpartition("/")
    if not slash:
        alias, colon, start = incomplete.rpartition(":")
        outer = alias + colon
    with find(invocation, node_url) as gateway:
        gateway.patience = PATIENCE_SECONDS
        children = describe(gateway, aliases.locate(outer).web_path()).children
    names = [name for name in sorted(children) if name.startswith(start) and name.isprintable()]
    return [outer + slash + name + "/" * children[name].is_directory for name in names[:MOST]]
