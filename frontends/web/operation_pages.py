"""Slow operations over the web: `t=start-...` of a directory begins one, `/operations/HANDLE` shows it. Spec: 07 §11.2, §11.3."""
from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from urllib.parse import quote

from frontends.web.answers import Reply, page, quoted, redirect, structure, text
from frontends.web.checking import Wish, check_frame, output_of, repair_frame, results_page
from frontends.web.deep_operations import DeepCheck, DeepOperation, DeepSize, DeepStats, Manifest
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.operations import LONGEST_SECONDS, Operation
from frontends.web.request import Arguments, Request
from frontends.web.targets import Target
from lafs.capability import DirectoryCap
from lafs.health import RepairResults

SHOWN_ON_PAGE = 2000
"""Rows of a table."""

Starter = Callable[[Gateway, DirectoryCap, Arguments], DeepOperation]
Handler = Callable[[Gateway, Request, Target], Awaitable[Reply]]


def _starting(make: Starter) -> Handler:
    """The handler that starts what `make` makes."""

    async def start(gateway: Gateway, request: Request, target: Target) -> Reply:
        handle = request.arguments.get("ophandle")
        if not handle:
            raise Refusal(400, "slow operation requires ophandle=")
        cap = target.known
        assert isinstance(cap, DirectoryCap)
        gateway.operations.start(handle, make(gateway, cap, request.arguments), retain_seconds(request.arguments))
        output = request.arguments.get("output")
        return redirect(f"/operations/{quoted(handle)}" + (f"?output={quote(output, safe='')}" if output else ""))

    return start


STARTS: Mapping[str, Handler] = {
    "start-manifest": _starting(lambda gateway, cap, _: Manifest(gateway, cap)),
    "start-deep-size": _starting(lambda gateway, cap, _: DeepSize(gateway, cap)),
    "start-deep-stats": _starting(lambda gateway, cap, _: DeepStats(gateway, cap)),
    "start-deep-check": _starting(lambda gateway, cap, arguments: DeepCheck(gateway, cap, Wish.of(arguments))),
}
"""By the argument `t` of a POST on a directory."""


def retain_seconds(arguments: Arguments) -> int | None:
    """How long the client wants results to be kept. Raises Refusal for what is no such number."""
    if "retain-for" not in arguments:
        return None
    value = arguments.get("retain-for").strip()
    if re.fullmatch(r"[0-9]{1,9}", value) is None or int(value) > LONGEST_SECONDS:
        raise Refusal(400, "retain-for= must be a number of seconds.")
    return int(value)


async def operation(gateway: Gateway, request: Request) -> Reply:
    """`/operations/HANDLE`, and `/operations/HANDLE/STORAGE-INDEX` of a deep check."""
    if request.method not in ("GET", "HEAD", "POST"):
        raise Refusal(405, "Operations are looked at with GET, and cancelled with POST.", ((b"Allow", b"GET, HEAD, POST"),))
    handle, *rest = [segment.decode("utf-8", "replace") for segment in request.segments] or [""]
    if not handle:
        raise Refusal(405, "/operations must be followed by a handle.")
    arguments = request.arguments
    if request.method == "POST" and arguments.t == "cancel":
        try:
            return _status(request, gateway, gateway.operations.get(handle), handle)
        finally:
            gateway.operations.cancel(handle)
    found = gateway.operations.get(handle, retain_seconds(arguments), arguments.flag("release-after-complete"))
    if any(rest):
        return _detail(gateway, request, found, rest)
    return _status(request, gateway, found, handle)


def _status(request: Request, gateway: Gateway, found: Operation, handle: str) -> Reply:
    if found.failure is not None:
        raise found.failure
    match found:
        case DeepCheck():
            return _deep_check(gateway, request, found, handle)
        case Manifest():
            return _manifest(gateway, request, found, handle)
        case DeepSize():
            return _size(request, found)
        case DeepStats():
            return structure({**found.statistics(), "finished": found.finished, **found.losses()})
    raise Refusal(404, f"unknown/expired handle '{handle}'")


def _detail(gateway: Gateway, request: Request, found: Operation, rest: list[str]) -> Reply:
    storage_index = rest[0]
    details = found.details.get(storage_index) if isinstance(found, DeepCheck) and not any(rest[1:]) else None
    if details is None:
        raise Refusal(404, f"No detailed results for SI {storage_index}")
    repair = details if isinstance(details, RepairResults) else None
    results = details.before if isinstance(details, RepairResults) else details
    if output_of(request.arguments, ("html", "json")) == "json":
        return structure(check_frame(results) if repair is None else repair_frame(repair))
    return results_page(gateway, request, results, repair)


# --- how each kind is shown ----------------------------------------------------------------------------------------------


def _deep_check(gateway: Gateway, request: Request, found: DeepCheck, handle: str) -> Reply:
    if output_of(request.arguments, ("html", "json")) == "json":
        return structure(found.as_json())
    return page(gateway.pages.render("deep_check", at=request.addresses, operation=found, handle=handle, most=SHOWN_ON_PAGE))


def _manifest(gateway: Gateway, request: Request, found: Manifest, handle: str) -> Reply:
    output = output_of(request.arguments, ("html", "text", "json"))
    if output == "text":
        lines = [_finished(found), *(f"{'/'.join(path)} {cap or ''}" for path, cap in found.entries)]
        return text("".join(f"{line}\n" for line in lines))
    if output == "json":
        facts: dict[str, object] = {"stats": found.statistics(), "finished": found.finished, "origin": found.origin}
        if found.finished:
            facts["manifest"] = [[list(path), cap] for path, cap in found.entries]
            facts["verifycaps"], facts["storage-index"] = sorted(found.verify_caps), sorted(found.storage_indexes)
        return structure({**facts, **found.losses()})
    rows = list(islice(found.entries, SHOWN_ON_PAGE))
    markup = gateway.pages.render("manifest", at=request.addresses, operation=found, handle=handle, rows=rows)
    return page(markup)


def _size(request: Request, found: DeepSize) -> Reply:
    if output_of(request.arguments, ("html", "text", "json")) == "json":
        return structure({"finished": found.finished, "size": found.statistics(), **found.losses()})
    return text(f"{_finished(found)}\n" + (f"size: {found.size}\n" if found.finished else ""))


def _finished(found: Operation) -> str:
    return f"finished: {'yes' if found.finished else 'no'}"
