"""`lafs mkdir`, `unlink` (`rm`), `mv`, `ln`, `webopen`. Spec: 08 §§9.1, 9.5-9.7, §24 C1-C4."""
from __future__ import annotations

import unicodedata
from dataclasses import replace

import click

from lafs.cli.aliases import Aliases, remote_options
from lafs.cli.answer import Refused
from lafs.cli.gateway import Gateway, find
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.path_completion import complete_remote
from lafs.cli.remote_objects import RemoteObject, describe, link, make_directory
from lafs.cli.remote_paths import RemotePath
from lafs.errors import BadCapability


class SameThing(BadCapability):
    """A name would be given to what has it already, or a directory would be put into itself."""


@click.command("mkdir", short_help="Make a directory.")
@click.argument("remote", metavar="[REMOTE]", required=False, shell_complete=complete_remote)
@click.option(
    "--format", "file_format", type=click.Choice(["SDMF", "MDMF"], case_sensitive=False), help="The kind of directory to make."
)
@remote_options
@pass_invocation
def mkdir(
    invocation: Invocation, remote: str | None, file_format: str | None, node_url: str | None, dir_cap: str | None
) -> None:
    """Make a directory and print its capability. With REMOTE it is linked there; missing directories on the way are made."""
    target = "uri"
    if remote:
        place = Aliases(invocation, dir_cap).locate(remote)
        if place.path:
            target = replace(place, path=place.path.removesuffix("/")).web_path()
    with find(invocation, node_url) as gateway:
        click.echo(make_directory(gateway, target, file_format))


def _unlink(invocation: Invocation, remote: str, node_url: str | None, dir_cap: str | None) -> None:
    """Remove the entry REMOTE from its directory.

    What it names stays on the grid, and whoever has its capability can still read it. A directory is unlinked whole.
    """
    place = Aliases(invocation, dir_cap).locate(remote)
    if not place.path:
        raise BadCapability("'lafs unlink' can only unlink directory entries, so a path must be given.")
    with find(invocation, node_url) as gateway:
        gateway.send("DELETE", place.web_path()).expect(200).text()
    click.echo("200 OK")


def removing(name: str) -> click.Command:
    """The command under one of its two names."""
    argument = click.argument("remote", metavar="REMOTE", shell_complete=complete_remote)
    return click.command(name, short_help="Remove an entry from a directory.")(argument(remote_options(pass_invocation(_unlink))))


unlink = removing("unlink")
rm = removing("rm")


@click.command("mv", short_help="Move or rename an entry.")
@click.argument("source", metavar="FROM", shell_complete=complete_remote)
@click.argument("target", metavar="TO", shell_complete=complete_remote)
@remote_options
@pass_invocation
def mv(invocation: Invocation, source: str, target: str, node_url: str | None, dir_cap: str | None) -> int:
    """Give what is at FROM the name TO, and remove the name FROM.

    A directory as ALIAS:, CAP or PATH/ takes it under its old name. Exits with 2 if only the removing failed.
    """
    with find(invocation, node_url) as gateway:
        aliases = Aliases(invocation, dir_cap)
        origin = aliases.locate(source)
        if not origin.path:
            raise BadCapability("only an entry of a directory can be moved, so FROM must have a path")
        try:
            link_again(gateway, origin, aliases.locate(target))
        except Refused as error:
            raise Refused(error.action, error.status, f"{error.text}\nNOT removing the original") from None
        try:
            gateway.send("DELETE", origin.web_path()).expect(200).text()
        except Refused as error:
            click.echo(f"lafs: Error deleting original after move: {error}", err=True)
            return 2
    click.echo("OK")
    return 0


@click.command("ln", short_help="Give a file or directory one more name.")
@click.argument("source", metavar="FROM", shell_complete=complete_remote)
@click.argument("target", metavar="TO", shell_complete=complete_remote)
@remote_options
@pass_invocation
def ln(invocation: Invocation, source: str, target: str, node_url: str | None, dir_cap: str | None) -> None:
    """Give what is at FROM the name TO as well. A directory as ALIAS:, CAP or PATH/ takes it under its old name."""
    with find(invocation, node_url) as gateway:
        aliases = Aliases(invocation, dir_cap)
        link_again(gateway, aliases.locate(source), aliases.locate(target))
    click.echo("OK")


def link_again(gateway: Gateway, source: RemotePath, target: RemotePath) -> None:
    """Link what is at `source` at `target`. Raises Refused, SameThing."""
    if not target.path or target.path.endswith("/"):
        name = names_of(source)[-1:]
        if not name:
            raise BadCapability("what is to be linked has no name of its own: give TO one")
        target = replace(target, path="/".join([*names_of(target), *name]))
    found = describe(gateway, source.web_path())
    refuse_same_thing(gateway, source, target, found)
    if not found.cap:
        raise BadCapability("the gateway does not tell the capability of what is to be linked")
    try:
        link(gateway, target.web_path(), found.cap)
    except Refused as error:
        if error.status != 409:
            raise
        raise BadCapability("You can't overwrite a directory with a file") from None


def refuse_same_thing(gateway: Gateway, source: RemotePath, target: RemotePath, found: RemoteObject) -> None:
    """Raise SameThing if the two are one entry, under whatever aliases, or if a directory would go below itself."""
    here, there = names_of(source), names_of(target)
    if source.cap == target.cap and here == there and here:
        raise SameThing("FROM and TO are the same entry")
    if found.is_directory:
        for depth in range(len(there)):
            if reader_of(gateway, replace(target, path="/".join(there[:depth]))) == found.read_cap:
                raise SameThing("a directory cannot be put into itself")
    if here and here[-1:] == there[-1:]:
        parents = [reader_of(gateway, replace(place, path="/".join(names_of(place)[:-1]))) for place in (source, target)]
        if parents[0] and parents[0] == parents[1]:
            raise SameThing("FROM and TO are the same entry")


def reader_of(gateway: Gateway, place: RemotePath) -> str:
    """The read cap of what is at `place`, "" if there is nothing. Raises Refused if that cannot be found out."""
    try:
        return gateway.get(f"{place.web_path()}?t=readonly-uri").expect(200).text().strip()
    except Refused as error:
        if error.status != 404:
            raise
        return ""


def names_of(place: RemotePath) -> list[str]:
    """The names on the way, as the grid keeps them."""
    return [unicodedata.normalize("NFC", name) for name in place.path.split("/") if name]


@click.command("webopen", short_help="Show a file or directory in the web browser.")
@click.argument("remote", metavar="[REMOTE]", required=False, shell_complete=complete_remote)
@click.option("-i", "--info", is_flag=True, help="Show what is known of it.")
@remote_options
@pass_invocation
def webopen(invocation: Invocation, remote: str | None, info: bool, node_url: str | None, dir_cap: str | None) -> None:
    """Show REMOTE, or the gateway's first page, in the web browser."""
    import webbrowser

    from lafs.cli.web import page_address

    place = Aliases(invocation, dir_cap).locate(remote) if remote else None
    with find(invocation, node_url) as gateway:
        webbrowser.open(page_address(invocation, gateway, place, info, own=node_url is None))
