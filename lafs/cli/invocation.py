"""What a person said before the name of the command: which node directory, and how quiet to be.

Built by lafs.cli.main, handed to every command with `@pass_invocation`. Spec: 08 §1.2, §2.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class Invocation:
    """The global options. `node_directory` is None when `-d` was not given."""

    node_directory: Path | None = None
    quiet: bool = False

    def say(self, text: str) -> None:
        """Print chatter: to stderr, and not at all with `-q`. Results never go through here."""
        if not self.quiet:
            click.echo(text, err=True)

    def directory(self) -> Path:
        """The node directory to use: `-d`; else ~/.lafs if it is there; else ~/.tahoe if it is there; else ~/.lafs."""
        if self.node_directory is not None:
            return self.node_directory
        ours, peers = Path.home() / ".lafs", Path.home() / ".tahoe"
        return peers if peers.is_dir() and not ours.is_dir() else ours


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
