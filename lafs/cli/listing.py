"""`lafs ls`. Spec: 08 §9.2, §24 C10."""
from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from lafs.cli.aliases import Aliases, remote_options
from lafs.cli.answer import Refused
from lafs.cli.gateway import Unreachable, find
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.path_completion import complete_remote
from lafs.cli.quoting import quoted
from lafs.cli.remote_objects import DIRECTORY, UNKNOWN, RemoteObject, read_object

RECENT_SECONDS = 180 * 86400
"""Older dates show the year and not the time of day."""


UNREACHABLE = 255
"""Exit status when no gateway answers, as scripts know it of the peer's. Spec: 08 §1.3."""


@click.command("ls", short_help="List a directory.")
@click.argument("remote", metavar="[REMOTE]", required=False, default="", shell_complete=complete_remote)
@click.option("-l", "long", is_flag=True, help="Show rights, size and date as well.")
@click.option("--modified", is_flag=True, help="With -l, show when an entry was last changed, not when it was made.")
@click.option("-F", "--classify", is_flag=True, help="Mark directories /, changeable files *, and what is unknown ?.")
@click.option("--uri", is_flag=True, help="Show the capabilities.")
@click.option("--readonly-uri", is_flag=True, help="Show the capabilities that only read.")
@click.option("--json", "as_json", is_flag=True, help="Print what the gateway tells, as JSON.")
@remote_options
@pass_invocation
def ls(
    invocation: Invocation, remote: str, long: bool, modified: bool, classify: bool, uri: bool, readonly_uri: bool,
    as_json: bool, node_url: str | None, dir_cap: str | None,
) -> int:
    """List the directory REMOTE, or show the file REMOTE: ALIAS:PATH, CAP/PATH, or PATH below the alias 'tahoe'."""
    place = Aliases(invocation, dir_cap).locate(remote.removesuffix("/"))
    with find(invocation, node_url) as gateway:
        try:
            answer = gateway.get(f"{place.web_path()}?t=json").expect(200)
        except Unreachable as error:
            click.echo(f"lafs: {error}", err=True)
            return UNREACHABLE
        except Refused as error:
            click.echo("lafs: No such file or directory" if error.status == 404 else f"lafs: {error}", err=True)
            return 2 if error.status == 404 else error.status % 256
        if as_json:
            click.echo(checked_json(answer.text()))
            return 0
        found = read_object(answer.json())
    name = place.path.rstrip("/").rpartition("/")[2]
    objects = found.children if found.is_directory else {name: found}
    rows = [
        [*(details(child, modified) if long else ()), *([child.cap] if uri else ()), *([child.read_cap] if readonly_uri else ()),
         shown(child_name) + (mark(child) if classify else "")]
        for child_name, child in sorted(objects.items())
    ]
    for line in layout(rows):
        click.echo(line)
    if any(child.kind == UNKNOWN for child in objects.values()):
        click.echo("\nThis listing included unknown objects. Using a gateway of a newer version\nmay help.", err=True)
    return 0


def checked_json(text: str) -> str:
    if not all(" " <= character <= "~" or character in "\r\n" for character in text):
        raise Refused("GET", 200, "the gateway's JSON holds characters that could do something to a terminal")
    return text


def shown(name: str) -> str:
    """Raw for programs; fit for the screen if there is one, or if the output could not hold it."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        name.encode(encoding)
    except UnicodeEncodeError:
        return quoted(name, encoding=encoding)
    return quoted(name) if sys.stdout.isatty() and not name.isprintable() else name


def mark(child: RemoteObject) -> str:
    return "/" if child.is_directory else "?" if child.kind == UNKNOWN else "*" * bool(child.write_cap)


def details(child: RemoteObject, modified: bool) -> tuple[str, str, str]:
    """Rights, size and date."""
    kind = {DIRECTORY: "d", UNKNOWN: "?"}.get(child.kind, "-")
    rights = f"{'r' if child.read_cap else '-'}{'w' if child.write_cap else '-'}{'x' if child.is_directory else '-'}"
    size = "-" if child.is_directory else "?" if child.size is None or child.kind == UNKNOWN else str(child.size)
    return kind + rights, size, date_text(child.metadata, modified)


def date_text(metadata: Mapping[str, Any], modified: bool) -> str:
    tahoe = metadata.get("tahoe")
    links = tahoe if isinstance(tahoe, dict) else {}
    when = links.get("linkmotime" if modified else "linkcrtime", metadata.get("mtime" if modified else "ctime"))
    if not isinstance(when, int | float):
        return "-"
    try:
        recent = when > time.time() - RECENT_SECONDS
        return time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", time.localtime(when))
    except (OverflowError, ValueError, OSError):
        return "-"


def layout(rows: list[list[str]]) -> list[str]:
    """Columns as wide as their widest cell. A column of caps, or the only one, is left-justified; all others right."""
    lines = [""] * len(rows)
    for cells in zip(*rows, strict=True):
        width = max(map(len, cells))
        left = len(rows[0]) == 1 or any(cell.startswith("URI") for cell in cells)
        for number, cell in enumerate(cells):
            lines[number] += (cell.ljust(width) if left else cell.rjust(width)) + " "
    return [line.rstrip(" ") for line in lines]
