"""`lafs status`: which servers and introducers the node is connected to, what it has moved, what it is doing.

Exits 2 when no gateway answers, as the peer does. Spec: 08 §13; 07 §12, §13.1, §13.2.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from lafs.cli.answer import CutOff, Refused, printable
from lafs.cli.commands import report
from lafs.cli.gateway import Gateway, Unreachable, find, node_url_option
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.quantities import duration_text, size_text

UNREACHABLE = 2

TYPE_LABELS = {
    "upload": "put", "download": "get", "retrieve": "retr", "publish": "pub", "mapupdate": "mapup",
}
"""What the peer calls the kinds of operation. Spec: 08 §13."""

TRANSFERS = frozenset({"upload", "download"})
UPLOAD_STAGES = ("progress-hash", "progress-ciphertext", "progress-encode-push")

Table = Sequence[Sequence[str]]


@click.command(short_help="Show what the node is connected to and what it is doing.")
@click.option("-v", "--verbose", is_flag=True, help="Show all operations, not only uploads and downloads.")
@click.option("--json", "as_json", is_flag=True, help="Print all that the gateway says, as JSON.")
@node_url_option
@pass_invocation
def status(invocation: Invocation, verbose: bool, as_json: bool, node_url: str | None) -> None:
    """Show the servers and introducers the node is connected to, what it has moved, and what it is doing.

    Exits with 2 if no gateway answers.
    """
    try:
        with find(invocation, node_url) as gateway:
            facts = {
                "node": ask(gateway, "?t=json"),
                "statistics": ask(gateway, "statistics?t=json"),
                "operations": ask(gateway, "status?t=json"),
            }
    except (Unreachable, Refused, CutOff) as error:
        report(error)
        sys.exit(UNREACHABLE)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        for line in overview(facts, verbose, now=time.time()):
            click.echo(printable(line))


def ask(gateway: Gateway, target: str) -> dict[str, Any]:
    """One JSON object of the gateway. Raises Unreachable, Refused, CutOff."""
    answer = gateway.get(target).expect(200).json()
    if not isinstance(answer, dict):
        raise CutOff("the gateway answered with JSON of another kind than was asked for")
    return answer


def overview(facts: Mapping[str, Mapping[str, Any]], verbose: bool, now: float) -> Iterator[str]:
    """All lines of the report. Anything missing or of the wrong kind in `facts` is left out, not an error."""
    yield from introducers(facts["node"])
    yield from servers(facts["node"], now)
    yield ""
    yield from totals(facts["statistics"])
    yield ""
    yield from operations(facts["operations"], verbose)


def introducers(node: Mapping[str, Any]) -> Iterator[str]:
    statuses = listed(mapped(node.get("introducers")).get("statuses"))
    connected = sum(is_connected(each) for each in statuses)
    yield f"Introducers: {connected} of {len(statuses)} connected" if statuses else "Introducers: none"
    for each in statuses:
        yield f"  {each}"


def servers(node: Mapping[str, Any], now: float) -> Iterator[str]:
    known = [mapped(each) for each in listed(node.get("servers"))]
    connected = sum(is_connected(each.get("connection_status")) for each in known)
    yield f"Servers: {connected} of {len(known)} connected" if known else "Servers: none known"
    rows = [
        (
            "yes" if is_connected(each.get("connection_status")) else "no",
            str(each.get("nickname") or "-"),
            str(each.get("nodeid") or "-").removeprefix("v0-")[:8],
            size_or_dash(each.get("available_space")),
            str(each.get("version") or "-"),
            ago(each.get("last_received_data"), now),
            str(each.get("connection_status") or "-"),
        )
        for each in sorted(known, key=lambda each: str(each.get("nickname")))
    ]
    if rows:
        yield from table([("up", "nickname", "id", "space", "version", "heard", "connection"), *rows])


def totals(statistics: Mapping[str, Any]) -> Iterator[str]:
    counters, current = mapped(statistics.get("counters")), mapped(statistics.get("stats"))
    uptime = number(current.get("node.uptime"))
    yield "Statistics" + (f" (for last {duration_text(uptime)})" if uptime is not None else "") + ":"
    for verb, name in (("uploaded", "uploader"), ("downloaded", "downloader")):
        moved = number(counters.get(f"{name}.bytes_{verb}")) or 0
        files = number(counters.get(f"{name}.files_{verb}")) or 0
        yield f"  {verb:>10} {size_text(moved)} in {int(files)} files"


def operations(status_page: Mapping[str, Any], verbose: bool) -> Iterator[str]:
    """The active and the recent operations: transfers only, unless `verbose`."""
    skipped = 0
    for name, title in (("active", "Active operations"), ("recent", "Recent operations")):
        found = [mapped(each) for each in listed(status_page.get(name))]
        shown = [each for each in found if verbose or each.get("type") in TRANSFERS]
        skipped += len(found) - len(shown)
        if not shown:
            yield f"No {title.lower()}."
            continue
        yield f"{title}:"
        rows = [
            (
                TYPE_LABELS.get(str(each.get("type")), "???"),
                str(each.get("storage-index-string") or "-"),
                str(each.get("mode")) if each.get("type") == "mapupdate" else size_or_dash(each.get("total-size")),
                *([fraction_done(each)] if name == "active" else []),
                str(each.get("status") or "-"),
            )
            for each in shown
        ]
        heading = ("type", "storage index", "size", *(["done"] if name == "active" else []), "status message")
        yield from table([heading, *rows])
    if skipped:
        yield f"Skipped {skipped} non-upload/download operations; use --verbose to see"


def fraction_done(operation: Mapping[str, Any]) -> str:
    """How much of an active transfer is done: for an upload the mean of its three stages."""
    stages = UPLOAD_STAGES if operation.get("type") == "upload" else ("progress",)
    values = [number(operation.get(stage)) for stage in stages]
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.0%}" if len(known) == len(stages) else "?"


def table(rows: Table) -> Iterator[str]:
    """The rows as lines, columns padded to their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def is_connected(connection: object) -> bool:
    """Whether a connection status says so: "Connected to ..." for Foolscap, "connected" for HTTP storage."""
    return str(connection).lower().startswith("connected")


def size_or_dash(value: object) -> str:
    size = number(value)
    return "-" if size is None else size_text(size)


def ago(moment: object, now: float) -> str:
    at = number(moment)
    return "-" if at is None else f"{duration_text(max(0.0, now - at))} ago"


def number(value: object) -> float | None:
    """The number that `value` is: finite, not negative, and no boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e30:
        return None
    return value


def mapped(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
