"""`lafs completion SHELL`: the script that teaches a shell to complete lafs commands and options."""
from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lafs.errors import ConfigurationError

HOW = """\
Print a script that completes lafs commands and options in SHELL.

\b
bash:  lafs completion bash > ~/.local/share/bash-completion/completions/lafs
zsh:   lafs completion zsh > "${fpath[1]}/_lafs"
fish:  lafs completion fish > ~/.config/fish/completions/lafs.fish
"""


@click.command(help=HOW, short_help="Print a completion script for your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    maker = get_completion_class(shell)
    if maker is None:
        raise ConfigurationError(f"no completion is known for {shell}")
    click.echo(maker(context.find_root().command, {}, "lafs", "_LAFS_COMPLETE").source())
