"""`lafs manifest`: all there is below a directory, by path. `lafs stats`: counted and measured. Spec: 08 §12.1, §12.2."""
from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import click

from lafs.cli.aliases import Aliases, remote_options
from lafs.cli.answer import CutOff
from lafs.cli.gateway import find
from lafs.cli.health import finished_well
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.path_completion import complete_remote
from lafs.cli.quoting import quoted
from lafs.cli.record_stream import WALK_SECONDS, records_of, shown_path

# --- manifest ------------------------------------------------------------------------------------------------------------


@click.command("manifest", short_help="List everything below a directory, with capabilities.")
@click.argument("remote", metavar="[REMOTE]", required=False, default="", shell_complete=complete_remote)
@click.option("-s", "--storage-index", is_flag=True, help="Print storage indexes only.")
@click.option("--verify-cap", is_flag=True, help="Print verify caps only.")
@click.option("--repair-cap", is_flag=True, help="Print repair caps only.")
@click.option("-r", "--raw", is_flag=True, help="Print what the gateway tells, a JSON object a line.")
@remote_options
@pass_invocation
def manifest(
    invocation: Invocation, remote: str, storage_index: bool, verify_cap: bool, repair_cap: bool, raw: bool,
    node_url: str | None, dir_cap: str | None,
) -> int:
    """List the directory REMOTE and all below it: capability and path. Exits with 1 if something could not be read."""
    target = Aliases(invocation, dir_cap).locate(remote).web_path() + "?t=stream-manifest"
    only = "storage-index" if storage_index else "verifycap" if verify_cap else "repaircap" if repair_cap else ""
    with find(invocation, node_url) as gateway:
        gateway.patience = WALK_SECONDS
        records = records_of(gateway, target)
        for record in records:
            if raw:
                click.echo(records.line)
            elif record.get("type") in ("file", "directory", "unknown"):
                for line in manifest_lines(record, only):
                    click.echo(line)
        click.echo(records.trouble, nl=False, err=not raw)
        return 0 if finished_well(records) else 1


def manifest_lines(record: dict[str, Any], only: str) -> Iterable[str]:
    """What is printed of one object: nothing, if only something is wanted that it has not."""
    if only:
        value = record.get(only)
        if value:
            yield quoted(str(value), marks=False)
        return
    path = quoted(shown_path(record), marks=False).replace("\n", "\\x0a")
    yield f"{quoted(str(record.get('cap') or ''), marks=False)} {path}"


# --- stats ---------------------------------------------------------------------------------------------------------------

COUNTS = ("count-immutable-files", "count-mutable-files", "count-literal-files", "count-files", "count-directories")

SIZES = (
    "size-immutable-files", "size-mutable-files", "size-literal-files", "size-directories", "largest-directory",
    "largest-immutable-file",
)  # fmt: skip


@click.command("stats", short_help="Count and measure everything below a directory.")
@click.argument("remote", metavar="[REMOTE]", required=False, default="", shell_complete=complete_remote)
@click.option("-r", "--raw", is_flag=True, help="Print what the gateway tells, as JSON.")
@remote_options
@pass_invocation
def stats(invocation: Invocation, remote: str, raw: bool, node_url: str | None, dir_cap: str | None) -> int:
    """Count and measure the directory REMOTE and all below it. Exits with 1 if something could not be read."""
    handle = base64.b32encode(os.urandom(16)).decode("ascii").rstrip("=").lower()
    start = f"{Aliases(invocation, dir_cap).locate(remote).web_path()}?t=start-deep-stats&ophandle={handle}"
    look = f"operations/{handle}?t=status&output=JSON&release-after-complete=true"
    with find(invocation, node_url) as gateway:
        gateway.send("POST", start).expect(200, 302, 303).text()
        for pause in pauses():
            time.sleep(pause)
            answer = gateway.get(look).expect(200)
            text = answer.text()
            facts = read_stats(text)
            if facts["finished"]:
                break
    unread = facts.get("count-unreadable-directories", 0)
    click.echo(text if raw else "\n".join(report(facts)), nl=not text.endswith("\n") or not raw)
    if unread:
        click.echo(f"lafs: {unread} directories could not be read, and are not counted with what is in them", err=True)
    return 1 if unread else 0


def pauses() -> Iterator[float]:
    """Seconds to wait before each look at the operation: short ones first, for most trees are small."""
    return chain((0.05, 0.1, 0.2, 0.5, 1.0, 2.0), repeat(5.0))


def read_stats(text: str) -> dict[str, Any]:
    """The statistics in an answer. Raises CutOff for anything else."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or not isinstance(facts.get("finished"), bool):
        raise CutOff("the gateway's answer is not the statistics of a tree; is it a lafs or Tahoe-LAFS node?")
    return facts


def report(facts: dict[str, Any]) -> Iterator[str]:
    """As the peer prints it."""
    yield "Counts and Total Sizes:"
    width = max(map(len, COUNTS + SIZES))
    for name in COUNTS + SIZES:
        value = facts.get(name)
        if isinstance(value, int):
            size = f"    {both_sizes(value)}" if name in SIZES and value > 1000 else ""
            yield f"{name:>{width}}: {value}{size}"
    buckets = [each for each in facts.get("size-files-histogram", ()) if is_bucket(each)]
    if buckets:
        yield "Size Histogram:"
        yield from histogram(buckets)


def is_bucket(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(number, int) for number in value)


def histogram(buckets: list[list[int]]) -> Iterator[str]:
    highest = max(len(str(maximum)) for _, maximum, _ in buckets)
    widest = max(len(str(count)) for _, _, count in buckets)
    previous: int | None = None
    for minimum, maximum, count in buckets:
        if previous is not None and minimum != previous + 1:
            yield "   ..."
        previous = maximum
        yield f"{minimum:>{highest}}-{maximum:<{highest}} : {count:>{widest}}    {both_sizes(maximum)}"


def both_sizes(size: int) -> str:
    return f"({abbreviated(size, 1000, 'B')}, {abbreviated(size, 1024, 'iB')})"


def abbreviated(size: int, step: int, unit: str) -> str:
    """Below 1024 as it is; else in powers of `step`, with two decimals."""
    if size < 1024:
        return f"{size} B"
    scaled = float(size)
    for prefix in "kMGTPE":
        scaled /= step
        if scaled < step or prefix == "E":
            return f"{scaled:.2f} {prefix}{unit}"
    raise AssertionError("unreachable")
