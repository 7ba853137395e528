"""`lafs check`: how one object is, and repairing it. `lafs deep-check`: the same for all below a directory. Spec: 08 §12.3, §12.4.

Output is that of the peer's commands. The exit status is better: 1 unless everything is healthy in the end.
"""
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from lafs.cli.aliases import Aliases, remote_options
from lafs.cli.answer import CutOff
from lafs.cli.gateway import Gateway, find
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.path_completion import complete_remote
from lafs.cli.quoting import quoted
from lafs.cli.record_stream import WALK_SECONDS, Records, records_of, shown_path

PROGRESS_STEP = 100
"""Objects after which a line tells how far a deep check has come."""


def care_options(command: Any) -> Any:
    """What both commands can be asked to do."""
    for name, explanation in (
        ("--add-lease", "Renew the leases as well, so that servers keep the shares."),
        ("--repair", "Make missing and corrupt shares again."),
        ("--verify", "Read and verify every byte on every server, instead of asking what is there."),
        ("--raw", "Print what the gateway tells, as JSON."),
    ):
        command = click.option(name, is_flag=True, help=explanation)(command)
    return command


def query_of(t: str, verify: bool, repair: bool, add_lease: bool) -> str:
    flags = {"verify": verify, "repair": repair, "add-lease": add_lease}
    return f"?t={t}" + "".join(f"&{name}=true" for name, wanted in flags.items() if wanted)


# --- check ---------------------------------------------------------------------------------------------------------------


@click.command("check", short_help="Check, and repair, a file or directory.")
@click.argument("remotes", metavar="[REMOTE]...", nargs=-1, shell_complete=complete_remote)
@care_options
@remote_options
@pass_invocation
def check(
    invocation: Invocation, remotes: tuple[str, ...], raw: bool, verify: bool, repair: bool, add_lease: bool,
    node_url: str | None, dir_cap: str | None,
) -> int:
    """Check how many good shares of REMOTE there are, and where. Exits with 1 if it is not healthy (in the end)."""
    aliases, healthy = Aliases(invocation, dir_cap), True
    with find(invocation, node_url) as gateway:
        gateway.patience = WALK_SECONDS
        for remote in remotes or ("",):
            target = aliases.locate(remote).web_path() + query_of("check", verify, repair, add_lease) + "&output=JSON"
            answer = gateway.send("POST", target).expect(200)
            text = answer.text()
            facts = parsed(text)
            healthy &= is_healthy(facts)
            click.echo(text if raw else "\n".join(description(facts)), nl=not raw or not text.endswith("\n"))
    return 0 if healthy else 1


def parsed(text: str) -> dict[str, Any]:
    """The results in `text`. Raises CutOff for anything else."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or not isinstance(facts.get("storage-index"), str):
        raise CutOff("the gateway's answer is not the result of a check; is it a lafs or Tahoe-LAFS node?")
    return facts


def part(facts: Any, *names: str) -> dict[str, Any]:
    """The object at `names` in `facts`; an empty one if there is none."""
    for name in names:
        facts = facts.get(name) if isinstance(facts, dict) else None
    return facts if isinstance(facts, dict) else {}


def is_healthy(facts: dict[str, Any]) -> bool:
    """Whether all is well in the end."""
    if "repair-attempted" in facts:
        after = part(facts, "post-repair-results", "results")
        return not facts["storage-index"] or after.get("healthy") is True
    return part(facts, "results").get("healthy") is True


def description(facts: dict[str, Any]) -> Iterable[str]:
    """Lines for people and scripts."""
    repairing = "pre-repair-results" in facts
    found = part(facts, "pre-repair-results") if repairing else facts
    results = part(found, "results")
    if repairing:
        yield "Summary: " + ("healthy" if results.get("healthy") is True else "not healthy")
    elif "repair-attempted" in facts:
        yield "Summary: Healthy (LIT)"
    else:
        yield "Summary: " + clean(found.get("summary") or "Healthy (LIT)")
    yield " storage index: " + clean(found.get("storage-index", ""))
    names = ("count-shares-good", "count-shares-needed", "count-shares-expected", "count-wrong-shares")
    if all(name in results for name in names):
        good, needed, expected, wrong = (clean(results[name]) for name in names)
        yield f" good-shares: {good} (encoding is {needed}-of-{expected})"
        yield f" wrong-shares: {wrong}"
    corrupt = list(corrupt_shares(results))
    if corrupt:
        yield " corrupt shares:"
        yield from (f"  server {server}, SI {index}, shnum {number}" for server, index, number in corrupt)
    if facts.get("repair-attempted") is True:
        yield " repair successful" if facts.get("repair-successful") is True else " repair failed"
    if facts.get("repair-trouble"):
        yield f"  {clean(facts['repair-trouble'])}"


def corrupt_shares(results: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    listed = results.get("list-corrupt-shares")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, list) and len(each) == 3:
            yield clean(each[0]), clean(each[1]), clean(each[2])


def clean(value: Any) -> str:
    """Fit for a terminal."""
    return quoted(str(value), marks=False).replace("\n", " ")


# --- deep-check ----------------------------------------------------------------------------------------------------------


class Tally:
    """What a deep check has found."""

    def __init__(self) -> None:
        self.checked = self.healthy_before = self.healthy_after = self.attempted = self.successful = 0

    def add(self, facts: dict[str, Any]) -> None:
        self.checked += 1
        before = part(facts, "pre-repair-results") if "pre-repair-results" in facts else facts
        self.healthy_before += not facts["storage-index"] or part(before, "results").get("healthy") is True
        self.healthy_after += is_healthy(facts)
        self.attempted += facts.get("repair-attempted") is True
        self.successful += facts.get("repair-successful") is True

    def summary(self, repair: bool) -> Iterable[str]:
        before = f"{self.healthy_before} healthy, {self.checked - self.healthy_before} unhealthy"
        if not repair:
            yield f"done: {self.checked} objects checked, {before}"
            return
        yield f"done: {self.checked} objects checked"
        yield f" pre-repair: {before}"
        failed = self.attempted - self.successful
        yield f" {self.attempted} repairs attempted, {self.successful} successful, {failed} failed"
        yield f" post-repair: {self.healthy_after} healthy, {self.checked - self.healthy_after} unhealthy"


@click.command("deep-check", short_help="Check, and repair, everything below a directory.")
@click.argument("remotes", metavar="[REMOTE]...", nargs=-1, shell_complete=complete_remote)
@care_options
@click.option("-v", "--verbose", is_flag=True, help="Print a line for each object.")
@remote_options
@pass_invocation
def deep_check(
    invocation: Invocation, remotes: tuple[str, ...], raw: bool, verify: bool, repair: bool, add_lease: bool, verbose: bool,
    node_url: str | None, dir_cap: str | None,
) -> int:
    """Check the directory REMOTE and all below it. Exits with 1 unless everything could be checked and is healthy (in the end)."""
    aliases, well = Aliases(invocation, dir_cap), True
    with find(invocation, node_url) as gateway:
        gateway.patience = WALK_SECONDS
        for remote in remotes or ("",):
            target = aliases.locate(remote).web_path() + query_of("stream-deep-check", verify, repair, add_lease)
            well &= check_all(gateway, target, raw, repair, verbose)
    return 0 if well else 1


def check_all(gateway: Gateway, target: str, raw: bool, repair: bool, verbose: bool) -> bool:
    """Whether everything could be checked and is healthy in the end."""
    tally, records = Tally(), records_of(gateway, target)
    for record in records:
        if raw:
            click.echo(records.line)
        facts = record.get("check-and-repair-results", record.get("check-results"))
        if not isinstance(facts, dict) or not isinstance(facts.get("storage-index"), str):
            continue
        tally.add(facts)
        if not raw:
            for line in progress(record, facts, tally, verbose):
                click.echo(line)
    if raw:
        click.echo(records.trouble, nl=False)
    elif records.trouble:
        click.echo(records.trouble, nl=False, err=True)
    else:
        for line in tally.summary(repair):
            click.echo(line)
    return finished_well(records) and tally.healthy_after == tally.checked


def finished_well(records: Records) -> bool:
    """Whether a walk was complete. Says so if it broke off without a word."""
    if not records.complete and not records.trouble:
        raise CutOff("the gateway broke off")
    return records.complete and not records.trouble


def progress(record: dict[str, Any], facts: dict[str, Any], tally: Tally, verbose: bool) -> Iterable[str]:
    """What is said of one object."""
    before = part(facts, "pre-repair-results") if "pre-repair-results" in facts else facts
    results = part(before, "results")
    if verbose:
        path = shown_path(record)
        name = quoted(path if path else "<root>").replace("\n", "\\x0a")
        if "repair-attempted" in facts:
            summary = "healthy" if not facts["storage-index"] or results.get("healthy") is True else "not healthy"
        else:
            summary = clean(before.get("summary") or "Healthy (LIT)")
        yield f"{name}: {summary}"
    elif record.get("error"):
        yield f"{quoted(shown_path(record) or '<root>')}: {clean(record['error'])}"
    for server, index, number in corrupt_shares(results):
        yield f" corrupt: server {server}, SI {index}, shnum {number}"
    if facts.get("repair-attempted") is True:
        yield " repair successful" if facts.get("repair-successful") is True else " repair failed"
    if tally.checked % PROGRESS_STEP == 0:
        yield f"{tally.checked} objects checked.."
