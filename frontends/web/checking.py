"""How an object is, over the web: `t=check` with `verify=`, `repair=`, `add-lease=`, as JSON and as a page.

Spec: 07 §11.1, 04 §10.
"""
from __future__ import annotations

from attrs import evolve, frozen

from frontends.web.answers import Reply, page, structure
from frontends.web.errors import Refusal
from frontends.web.gateway import Files, Gateway
from frontends.web.request import Arguments, Request
from frontends.web.targets import Target
from frontends.web.uploads import own_place
from lafs.capability import Cap
from lafs.directory.deep_walk import Visit
from lafs.errors import LafsError
from lafs.health import CheckResults, DamagedShare, RepairResults

Json = dict[str, object]

NOTHING_TO_CHECK: Json = {"storage-index": "", "results": {"healthy": True}}
"""Of an object that is on no server."""

NOTHING_TO_REPAIR: Json = {"storage-index": "", "repair-attempted": False}
"""The same, in a walk that repairs."""


@frozen
class Wish:
    """What a check is asked to do."""

    verify: bool = False
    repair: bool = False
    add_lease: bool = False

    @classmethod
    def of(cls, arguments: Arguments) -> Wish:
        """Raises Refusal."""
        return cls(arguments.flag("verify"), arguments.flag("repair"), arguments.flag("add-lease"))


async def check(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`POST ...?t=check`. The answer is 200 whatever is found."""
    wish, output = Wish.of(request.arguments), output_of(request.arguments, ("html", "json"))
    return_to = own_place(request, request.arguments, "return_to")
    results, repair = await _done(gateway.files, target.known, wish)
    if output == "json":
        return structure(repair_frame(repair) if repair is not None else check_frame(results))
    return results_page(gateway, request, results, repair, target.name, return_to)


async def _done(files: Files, cap: Cap, wish: Wish) -> tuple[CheckResults | None, RepairResults | None]:
    if not wish.repair:
        return await files.check(cap, wish.verify, wish.add_lease), None
    repair = await files.check_and_repair(cap, wish.verify, wish.add_lease)
    return (None if repair is None else repair.before), repair


def results_page(
    gateway: Gateway,
    request: Request,
    results: CheckResults | None,
    repair: RepairResults | None,
    name: str = "",
    return_to: str = "",
) -> Reply:
    """The page about one object."""
    nicknames = {server.server_id: server.nickname for server in gateway.status.servers()}
    after = results if repair is None else repair.after
    markup = gateway.pages.render(
        "check", at=request.addresses, name=name, results=after, repair=repair, return_to=return_to, nicknames=nicknames
    )
    return page(markup)


def output_of(arguments: Arguments, known: tuple[str, ...]) -> str:
    """What `output=` asks for, in lower case; the first of `known` if nothing. Raises Refusal."""
    output = arguments.get("output").lower() or known[0]
    if output not in known:
        raise Refusal(400, f"Unknown output value: '{arguments.get('output')}'")
    return output


# --- in a walk -----------------------------------------------------------------------------------------------------------


async def examine(files: Files, wish: Wish, visit: Visit) -> CheckResults | RepairResults | None:
    """Check, or check and repair, one object of a walk; None if it is on no server. That something is wrong is no error."""
    if visit.cap is None:
        return None
    try:
        results, repair = await _done(files, visit.cap, wish)
    except LafsError as error:
        results, repair = hopeless(visit, error), None
        return RepairResults.untouched(results, str(error)) if wish.repair else results
    if visit.error is not None and results is not None and results.healthy:
        # Its shares are as they should be, but what they hold is no directory.
        results = evolve(results, healthy=False, summary=f"Unhealthy: {type(visit.error).__name__}: {visit.error}")
        return RepairResults.untouched(results, str(visit.error)) if wish.repair else results
    return repair if wish.repair else results


def hopeless(visit: Visit, error: LafsError) -> CheckResults:
    """Of an object that cannot even be looked for."""
    return CheckResults(
        storage_index=visit.storage_index,
        summary=f"Unhealthy: {type(error).__name__}: {error}",
        healthy=False,
        recoverable=False,
        happiness=0,
        good_shares=0,
        needed=0,
        total=0,
        good_hosts=0,
        recoverable_versions=0,
        unrecoverable_versions=0,
    )


# --- JSON ----------------------------------------------------------------------------------------------------------------


def check_frame(results: CheckResults | None) -> Json:
    """Check results as JSON."""
    if results is None:
        return NOTHING_TO_CHECK
    return {
        "storage-index": results.storage_index,
        "summary": results.summary,
        "results": {
            "count-happiness": results.happiness,
            "count-shares-good": results.good_shares,
            "count-shares-needed": results.needed,
            "count-shares-expected": results.total,
            "count-good-share-hosts": results.good_hosts,
            "count-corrupt-shares": len(results.corrupt),
            "list-corrupt-shares": [corrupt_entry(each) for each in results.corrupt],
            "servers-responding": list(results.servers_responding),
            "sharemap": {label: list(servers) for label, servers in results.sharemap.items()},
            "count-wrong-shares": results.wrong_shares,
            "count-recoverable-versions": results.recoverable_versions,
            "count-unrecoverable-versions": results.unrecoverable_versions,
            "healthy": results.healthy,
            "recoverable": results.recoverable,
        },
    }


def corrupt_entry(share: DamagedShare) -> list[object]:
    """One of `list-corrupt-shares`."""
    return [share.server_id, share.storage_index, share.share_number]


def repair_frame(repair: RepairResults) -> Json:
    """Results of a check with repair as JSON. Why a repair failed is told under a key of our own."""
    frame: Json = {
        "storage-index": repair.before.storage_index,
        "repair-attempted": repair.attempted,
        "repair-successful": repair.successful,
        "pre-repair-results": check_frame(repair.before),
        "post-repair-results": check_frame(repair.after),
    }
    return {**frame, "repair-trouble": repair.trouble} if repair.trouble else frame


def walk_frame(found: CheckResults | RepairResults | None, wish: Wish) -> Json:
    """What a line of `stream-deep-check` says of its object, under its key."""
    if isinstance(found, RepairResults):
        return {"check-and-repair-results": repair_frame(found)}
    if wish.repair:
        return {"check-and-repair-results": NOTHING_TO_REPAIR}
    return {"check-results": check_frame(found)}
