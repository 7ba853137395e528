"""`lafs web`: the page of the running node in a web browser, with the user's files in it. Also what `webopen` and `lafs up` open.

The browser is not given the capability but a ticket, which works once: the node takes it for a session of that browser, and calls
things by names there that are worth nothing elsewhere. Whoever can read private/web_token of the node gets tickets. Spec: 07 §18.
"""
from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import click

from lafs.cli.aliases import DEFAULT, Aliases, content, read, remote_options
from lafs.cli.gateway import Gateway, find
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.path_completion import complete_remote
from lafs.cli.remote_paths import RemotePath
from lafs.errors import LafsError

FORM = "application/x-www-form-urlencoded"


@click.command("web", short_help="Show your files in the web browser.")
@click.argument("remote", metavar="[REMOTE]", required=False, shell_complete=complete_remote)
@click.option("-i", "--info", is_flag=True, help="Show what is known of it.")
@click.option("--print", "only_print", is_flag=True, help="Print the address instead, to be opened once, within ten minutes.")
@remote_options
@pass_invocation
def web(
    invocation: Invocation, remote: str | None, info: bool, only_print: bool, node_url: str | None, dir_cap: str | None
) -> None:
    """Show REMOTE, or else your root directory, in the web browser.

    The page's links work only in the browser that was opened like this, and hold no capabilities.
    """
    place = Aliases(invocation, dir_cap).locate(remote) if remote else None
    with find(invocation, node_url) as gateway:
        address = page_address(invocation, gateway, place, info, own=node_url is None)
    if only_print:
        click.echo(address)
    else:
        import webbrowser

        if not webbrowser.open(address):
            click.echo(f"There is no browser here. Open this address in one, within ten minutes: {address}")


def page_address(
    invocation: Invocation, gateway: Gateway, place: RemotePath | None = None, info: bool = False, own: bool = True
) -> str:
    """The address that shows `place`: one with a ticket if this is our `own` node and it gives tickets. Raises LafsError."""
    directory = invocation.directory()
    token = content(directory / "private" / "web_token").strip() if own else ""
    query = "?t=info" if info and place is not None else ""
    if not token:
        # A node of Tahoe-LAFS, or one elsewhere: it shows what the address names.
        return gateway.address.url + (place.web_path() if place is not None else "") + query
    cap, path = ("", "") if place is None else (place.cap or "", place.web_path().partition("/")[2].partition("/")[2])
    fields = {"home": root_cap(directory), "cap": cap, "path": path + query}
    headers = {"Authorization": f"lafs {token}", "Content-Type": FORM}
    answer = gateway.send("POST", "session/tickets", urlencode(fields).encode("ascii"), headers)
    return gateway.address.url + answer.expect(200).text().strip()


def root_cap(directory: Path) -> str:
    """The directory that paths begin with, "" if there is none."""
    return read(directory, lambda text: None).get(DEFAULT, "")


def address_of_files(invocation: Invocation) -> str | None:
    """The address that shows the user's files in a browser, for `lafs up`; None if the node gives none."""
    try:
        with find(invocation, None) as gateway:
            return page_address(invocation, gateway)
    except (LafsError, OSError):
        return None
