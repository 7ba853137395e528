"""The `lafs` command: global options, and the table of commands. Installed as the console script. Spec: 08 §1.

A command's code is imported when that command runs, never before: `lafs get` must not pay for Twisted.
"""
from __future__ import annotations

from pathlib import Path

import click

from lafs import __version__
from lafs.cli.commands import Lazy, LazyGroup
from lafs.cli.invocation import Invocation

COMMANDS = {
    "up": Lazy("lafs.cli.nodes:up", "Start a grid of one machine: no configuration.", "Nodes"),
    "run": Lazy("lafs.cli.nodes:run", "Run the node in a node directory, in the foreground.", "Nodes"),
    "create-node": Lazy("lafs.cli.nodes:create_node", "Create a node that stores shares for others.", "Nodes"),
    "create-client": Lazy("lafs.cli.nodes:create_client", "Create a node that only uses the grid.", "Nodes"),
    "create-introducer": Lazy("lafs.cli.nodes:create_introducer", "Create an introducer.", "Nodes"),
    "put": Lazy("lafs.cli.files:put", "Store a file on the grid and print its capability.", "Files"),
    "get": Lazy("lafs.cli.files:get", "Fetch a file from the grid.", "Files"),
    "cp": Lazy("lafs.cli.copying:cp", "Copy files and directories to, from and on the grid.", "Files"),
    "ls": Lazy("lafs.cli.listing:ls", "List a directory.", "Files"),
    "mkdir": Lazy("lafs.cli.directories:mkdir", "Make a directory.", "Files"),
    "mv": Lazy("lafs.cli.directories:mv", "Move or rename an entry.", "Files"),
    "ln": Lazy("lafs.cli.directories:ln", "Give a file or directory one more name.", "Files"),
    "rm": Lazy("lafs.cli.directories:rm", "Remove an entry from a directory.", "Files"),
    "unlink": Lazy("lafs.cli.directories:unlink", "Remove an entry from a directory.", "Files"),
    "web": Lazy("lafs.cli.web:web", "Show your files in the web browser.", "Files"),
    "webopen": Lazy("lafs.cli.directories:webopen", "Show a file or directory in the web browser.", "Files"),
    "mount": Lazy("lafs.cli.mount:mount", "Show a directory of the grid as a folder of this machine.", "Files"),
    "unmount": Lazy("lafs.cli.mount:unmount", "Take away a mounted folder.", "Files"),
    "create-alias": Lazy("lafs.cli.naming:create_alias", "Make a directory and give it a short name.", "Aliases"),
    "add-alias": Lazy("lafs.cli.naming:add_alias", "Give a directory a short name.", "Aliases"),
    "list-aliases": Lazy("lafs.cli.naming:list_aliases", "Show the aliases and their capabilities.", "Aliases"),
    "hash-password": Lazy("lafs.cli.mount:hash_password", "Make a line of an accounts file, for SFTP and FTP.", "Aliases"),
    "recovery": Lazy("lafs.cli.recovery:recovery", "Show how to save a directory's capability.", "Aliases"),
    "check": Lazy("lafs.cli.health:check", "Check, and repair, a file or directory.", "Care"),
    "deep-check": Lazy("lafs.cli.health:deep_check", "Check, and repair, everything below a directory.", "Care"),
    "manifest": Lazy("lafs.cli.tree_facts:manifest", "List everything below a directory, with capabilities.", "Care"),
    "stats": Lazy("lafs.cli.tree_facts:stats", "Count and measure everything below a directory.", "Care"),
    "status": Lazy("lafs.cli.status:status", "Show what the node is connected to and what it is doing.", "Care"),
    "completion": Lazy("lafs.cli.completion:completion", "Print a completion script for your shell.", "Care"),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-d", "--node-directory", metavar="DIR", type=click.Path(path_type=Path),
    help="The node directory to use. Default: ~/.lafs if it exists, else ~/.tahoe.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@click.version_option(__version__, "-V", "--version", "--version-and-path", message=f"lafs/{__version__}")
@click.pass_context
def main(context: click.Context, node_directory: Path | None, quiet: bool) -> None:
    """Store files on a grid of servers that cannot read them.

    A capability ("cap", URI:...) is printed for everything stored. Whoever holds it can read the file; nobody else can.
    """
    directory = None if node_directory is None else node_directory.expanduser()
    context.obj = Invocation(directory, quiet)
