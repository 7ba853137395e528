"""`lafs create-alias`, `add-alias`, `list-aliases`. Spec: 08 §8, §24 C13, C14."""
from __future__ import annotations

import json
import sys

import click

from lafs.cli import aliases
from lafs.cli.gateway import find, node_url_option
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.quoting import quoted
from lafs.cli.remote_objects import make_directory
from lafs.cli.remote_paths import parse
from lafs.errors import BadCapability


@click.command("create-alias", short_help="Make a directory and give it a short name.")
@click.argument("name", metavar="ALIAS[:]")
@node_url_option
@pass_invocation
def create_alias(invocation: Invocation, name: str, node_url: str | None) -> None:
    """Make a new, empty directory on the grid, and remember its capability under the name ALIAS.

    Whoever has the directory's capability has all that is in it: see `lafs recovery` for how not to lose it.
    """
    name = aliases.checked_name(name)
    with find(invocation, node_url) as gateway, aliases.adding(invocation.directory(), name) as add:
        cap = make_directory(gateway)
        try:
            add(cap)
        except OSError:
            click.echo(cap)  # the only copy there is
            raise
    click.echo(f"Alias {quoted(name)} created")


@click.command("add-alias", short_help="Give a directory a short name.")
@click.argument("name", metavar="ALIAS[:]")
@click.argument("cap", metavar="CAP")
@click.option("-u", "--node-url", metavar="URL", expose_value=False, help="Accepted for old scripts; not needed.")
@pass_invocation
def add_alias(invocation: Invocation, name: str, cap: str) -> None:
    """Remember the capability CAP of a directory under the name ALIAS. CAP may be - to read it from standard input.

    Other people on this machine can see what is typed behind a command's name while it runs: - avoids that.
    """
    from lafs.capability import DirectoryCap, from_user

    name = aliases.checked_name(name)
    text = sys.stdin.readline() if cap == "-" else cap
    place = parse(text.strip())
    known = from_user(place.cap or text)
    if place.path or not isinstance(known, DirectoryCap):
        raise BadCapability("an alias must be the capability of a directory (URI:DIR2...)")
    with aliases.adding(invocation.directory(), name) as add:
        add(known.text)
    click.echo(f"Alias {quoted(name)} added")


@click.command("list-aliases", short_help="Show the aliases and their capabilities.")
@click.option("--json", "as_json", is_flag=True, help="Print both capabilities of each, as JSON.")
@click.option("--readonly-uri", is_flag=True, help="Show the capabilities that only read.")
@click.option("-u", "--node-url", metavar="URL", expose_value=False, help="Accepted for old scripts; not needed.")
@pass_invocation
def list_aliases(invocation: Invocation, as_json: bool, readonly_uri: bool) -> None:
    """Show the aliases and the capabilities of their directories."""
    table = dict(sorted(aliases.read(invocation.directory(), invocation.say).items()))
    whole = {name: cap for name, cap in table.items() if aliases.is_directory_cap(cap)}
    readers = whole
    if as_json or readonly_uri:
        from lafs.capability import DirectoryCap
        from lafs.capability import parse as parse_cap

        caps = {name: parse_cap(cap) for name, cap in whole.items()}
        readers = {name: cap.readonly().text for name, cap in caps.items() if isinstance(cap, DirectoryCap)}
    for name in table.keys() - readers.keys():
        invocation.say(f"warning: the alias {quoted(name)} does not hold the capability of a directory, and is skipped")
    if as_json:
        both = {name: {"readwrite": whole[name], "readonly": reader} for name, reader in readers.items()}
        click.echo(json.dumps(both, indent=4))
        return
    shown = readers if readonly_uri else whole
    encoding = sys.stdout.encoding or "utf-8"
    width = max((len(quoted(name)) for name in shown), default=0)
    for name, cap in shown.items():
        click.echo(f"{name.encode(encoding, 'namereplace').decode(encoding):>{width}}: {cap}")
