"""What the node says of itself: the welcome page, operations, statistics, and the files that the pages use. Spec: 07 §12, §13."""
from __future__ import annotations

import re
from collections.abc import Mapping

import lafs
from frontends.web.answers import Answer, Reply, page, structure
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.request import Request
from lafs.node_status import NodeStatus

OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

SHOWN_ON_WELCOME = 5
SHOWN_AS_ACTIVITY = 80

OPERATION_TITLES = {"upload": "Upload", "download": "Download", "publish": "Change", "retrieve": "Read"}

_PERCENTILE = re.compile(r"[._](\d+)_(\d+)_percentile$")
_NOT_IN_METRIC_NAMES = re.compile(r"[^a-zA-Z0-9_:]")


async def welcome(gateway: Gateway, request: Request) -> Reply:
    """`/`: who this node is, what it knows, and the forms to store and fetch files."""
    if any(request.segments):
        raise Refusal(404, "No Such Resource")
    if _form_of(request, ("html", "json")) == "json":
        return structure(overview(gateway.status))
    status = gateway.status
    servers = sorted(status.servers(), key=lambda server: (not server.connected, server.nickname, server.server_id))
    spaces = [server.available_space for server in servers if server.connected and server.available_space is not None]
    markup = gateway.pages.render(
        "welcome",
        at=request.addresses,
        version=lafs.__version__,
        nickname=status.nickname,
        node_id=status.node_id,
        introducers=status.introducers(),
        servers=servers,
        space=sum(spaces) if spaces else None,
        now=gateway.clock.seconds(),
        default_format=gateway.default_format,
        operations=gateway.history.newest(SHOWN_ON_WELCOME),
        titles=OPERATION_TITLES,
    )
    return page(markup)


def overview(status: NodeStatus) -> dict[str, object]:
    """The welcome page for programs. Spec: 07 §13.1."""
    return {
        "introducers": {"statuses": [introducer.connection for introducer in status.introducers()]},
        "servers": [
            {
                "nodeid": server.server_id,
                "connection_status": server.connection,
                "available_space": server.available_space,
                "nickname": server.nickname,
                "version": server.version,
                "last_received_data": server.last_received,
            }
            for server in status.servers()
        ],
    }


async def operations(gateway: Gateway, request: Request) -> Reply:
    """`/status`: uploads and downloads, under way and lately finished."""
    _one_page(request)
    active, recent = gateway.history.active(), gateway.history.recent()
    form = _form_of(request, ("html", "json", "live"))
    if form == "live":
        return structure([each.live() for each in gateway.history.newest(SHOWN_AS_ACTIVITY)])
    if form == "json":
        return structure(
            {"active": [each.summary() for each in active], "recent": [each.summary() for each in recent]}
        )
    markup = gateway.pages.render(
        "operations",
        at=request.addresses,
        operations=gateway.history.newest(SHOWN_AS_ACTIVITY),
        titles=OPERATION_TITLES,
    )
    return page(markup)


async def statistics(gateway: Gateway, request: Request) -> Reply:
    """`/statistics`: counters and current values."""
    _one_page(request)
    counters, stats = gateway.status.counters(), gateway.status.stats()
    form = _form_of(request, ("html", "json", "openmetrics"))
    if form == "json":
        return structure({"counters": dict(counters), "stats": dict(stats)})
    if form == "openmetrics":
        return Answer(openmetrics(counters, stats).encode("utf-8"), content_type=OPENMETRICS)
    return page(
        gateway.pages.render(
            "statistics", at=request.addresses, counters=sorted(counters.items()), stats=sorted(stats.items())
        )
    )


def openmetrics(counters: Mapping[str, int], stats: Mapping[str, float | int | None]) -> str:
    """Counters and stats in the text format of OpenMetrics, sorted by name. Spec: 07 §13.2."""
    lines = [f"tahoe_counters_{_metric(name)} {value}" for name, value in sorted(counters.items())]
    lines += [
        f"tahoe_stats_{_metric(name)} {'NaN' if value is None else value}" for name, value in sorted(stats.items())
    ]
    return "\n".join([*lines, "# EOF", ""])


def _metric(name: str) -> str:
    quantile = _PERCENTILE.search(name)
    if quantile is None:
        return _NOT_IN_METRIC_NAMES.sub("_", name)
    stem = _NOT_IN_METRIC_NAMES.sub("_", name[: quantile.start()])
    return f'{stem}{{quantile="0.{quantile[1]}{quantile[2]}"}}'


async def helper(gateway: Gateway, request: Request) -> Reply:
    """`/helper_status?t=json`: this node runs no upload helper."""
    _one_page(request)
    if _form_of(request, ("html", "json")) == "json":
        return structure({})
    raise Refusal(404, "No Such Resource")


async def asset(gateway: Gateway, request: Request) -> Reply:
    """A file that the pages use."""
    found = gateway.assets.get("/".join([request.mount, *(each.decode("latin-1") for each in request.segments)]))
    if found is None:
        raise Refusal(404, "No Such Resource")
    content_type, contents = found
    return Answer(contents, content_type=content_type, cache=b"private, max-age=300")


def _one_page(request: Request) -> None:
    """Only the page itself, with or without a trailing slash."""
    if any(request.segments) or len(request.segments) > 1:
        raise Refusal(404, "No Such Resource")


def _form_of(request: Request, known: tuple[str, ...]) -> str:
    """The format that t= asks for, in any case; the first of `known` if it does not. Raises Refusal."""
    wanted = request.arguments.t.lower() or known[0]
    if wanted not in known:
        raise Refusal(400, f"Unknown t value: '{request.arguments.t}'")
    return wanted
