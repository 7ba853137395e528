"""One operation of the history; the storage server of this node; saving a report of trouble. Spec: 07 §12, §13.4, §13.5."""
from __future__ import annotations

import re
from datetime import UTC, datetime

from frontends.web import node_pages
from frontends.web.answers import Reply, page, structure, text
from frontends.web.errors import Refusal, censored
from frontends.web.forms import form_kind, read_form
from frontends.web.gateway import Gateway
from frontends.web.history import Operation
from frontends.web.request import Request

_STORAGE = "storage_server."


async def status(gateway: Gateway, request: Request) -> Reply:
    """`/status`, and `/status/KIND-N`: one upload, download, change or reading of a mutable file."""
    if not any(request.segments):
        return await node_pages.operations(gateway, request)
    name, *rest = [segment.decode("utf-8", "replace") for segment in request.segments]
    if any(rest) or len(rest) > 1:
        raise Refusal(404, "No Such Resource")
    if name.count("-") != 1:
        raise Refusal(400, f"no '-' in '{name}'")
    found = gateway.history.named(name)
    if found is None:
        raise Refusal(404, "No such operation: it was forgotten, or never was.")
    form = request.arguments.t.lower() or "html"
    if form == "json":
        return structure(found.summary())
    if form != "html":
        raise Refusal(400, f"Unknown t value: '{request.arguments.t}'")
    title, times = node_pages.OPERATION_TITLES[found.kind], _times(found)
    return page(gateway.pages.render("one_operation", at=request.addresses, operation=found, title=title, times=times))


def _times(operation: Operation) -> list[tuple[str, str]]:
    moments = [("Began", operation.started), ("Ended", operation.ended)]
    return [
        (title, datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))
        for title, moment in moments
        if moment is not None
    ]


async def storage(gateway: Gateway, request: Request) -> Reply:
    """`/storage`: what the storage server of this node has room for and has done. It has no crawlers, so theirs are empty."""
    if any(request.segments) or len(request.segments) > 1:
        raise Refusal(404, "No Such Resource")
    values = {name: value for name, value in gateway.status.stats().items() if name.startswith(_STORAGE)}
    counters = {name: value for name, value in gateway.status.counters().items() if name.startswith(_STORAGE)}
    form = request.arguments.t.lower() or "html"
    if form == "json":
        if not values:
            return structure({})
        crawlers = {"bucket-counter": {}, "lease-checker": {}, "lease-checker-progress": {"cycle-in-progress": False}}
        return structure({"stats": values, **crawlers})
    if form != "html":
        raise Refusal(400, f"Unknown t value: '{request.arguments.t}'")
    markup = gateway.pages.render(
        "storage", at=request.addresses, values=sorted(values.items()), counters=sorted(counters.items())
    )
    return page(markup)


async def report_incident(gateway: Gateway, request: Request) -> Reply:
    """`POST /report_incident`: keeps what somebody wrote about some trouble, for the operator of the node."""
    if request.method != "POST":
        raise Refusal(400, "/report_incident can only be used with POST")
    if any(request.segments):
        raise Refusal(404, "No Such Resource")
    if gateway.save_incident is None:
        raise Refusal(503, "This node keeps no reports.")
    content_type = request.header(b"Content-Type")
    details = request.arguments.get("details")
    if content_type is not None and form_kind(content_type) is not None:
        form = await read_form(request.exchange.body, content_type)
        details = details or form.fields.get("details", "")
    await gateway.save_incident(censored(re.sub(r"[^\n\t -~\xa0-\uffff]", " ", details)))
    return text("An incident report has been saved to logs/incidents/ in the node directory.")
