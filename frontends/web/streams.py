"""Walks whose results are sent as they come, one JSON object a line: `t=stream-manifest`, `t=stream-deep-check`. Spec: 04 §12.

Nothing is kept, so a walk may be as long as it likes; and it goes no faster than its reader. The line of statistics at the end is
the proof that it was complete.
"""
from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from attrs import frozen

from frontends.web.answers import Reply
from frontends.web.channel import Exchange
from frontends.web.checking import Json, Wish, examine, walk_frame
from frontends.web.deep_operations import unhurried
from frontends.web.errors import Explainer
from frontends.web.gateway import Gateway
from frontends.web.request import Request
from frontends.web.safety import PLAIN_POLICY
from frontends.web.targets import Target
from lafs.directory.deep_statistics import DeepStatistics
from lafs.directory.deep_walk import Visit
from lafs.directory.examination import examined
from lafs.errors import LafsError


@frozen
class Lines:
    """An answer of lines that are not known yet. If they fail, the last one says so, as clients of the peer expect. A `Reply`."""

    lines: AsyncGenerator[str, None]
    explainer: Explainer

    async def send(self, exchange: Exchange) -> None:
        head = [
            (b"Cache-Control", b"no-store"),
            (b"Content-Security-Policy", PLAIN_POLICY),
            (b"Content-Type", b"text/plain; charset=utf-8"),
        ]
        exchange.start_unmeasured(200, head)
        async with aclosing(self.lines) as lines:
            try:
                async for line in lines:
                    exchange.write_piece(line.encode("ascii", "backslashreplace") + b"\n")
                    await exchange.drained()
            except Exception as error:
                exchange.write_piece(error_line(self.explainer, error).encode("ascii", "backslashreplace") + b"\n")
        exchange.finish_unmeasured()


def error_line(explainer: Explainer, error: BaseException, count: int = 1) -> str:
    """What ends a stream that cannot be complete: the name of the (first) error, and what it says. Spec: 04 §12.4."""
    # Of an error that nobody foresaw, the text may hold a secret: the explainer tells only an incident number.
    name, colon, reason = " ".join(explainer.explain(error).text.split()).partition(": ")
    if not colon or not name.isidentifier():
        name, reason = type(error).__name__, f"{name}{colon}{reason}"
    return f"ERROR: {name}({reason})" if count == 1 else f"ERROR: {name}(of {count} directories, the first: {reason})"


async def manifest(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=stream-manifest`. If a directory cannot be read, the others are still told, and the last line is an error."""
    return Lines(_manifest(gateway, gateway.files.walk(target.known)), gateway.explainer)


async def _manifest(gateway: Gateway, visits: AsyncGenerator[Visit, None]) -> AsyncGenerator[str, None]:
    statistics = DeepStatistics()
    failure: LafsError | None = None
    count = 0
    async with aclosing(unhurried(visits, gateway.clock)) as unhurried_visits:
        async for visit in unhurried_visits:
            statistics.add(visit)
            yield json.dumps(visit.record())
            if visit.error is not None:
                count += 1
                failure = failure or visit.error
    yield _last(statistics) if failure is None else error_line(gateway.explainer, failure, count)


async def deep_check(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=stream-deep-check`. A directory that cannot be read has a line like everything else: it is not healthy."""
    wish = Wish.of(request.arguments)
    return Lines(_deep_check(gateway, gateway.files.walk(target.known), wish), gateway.explainer)


async def _deep_check(gateway: Gateway, visits: AsyncGenerator[Visit, None], wish: Wish) -> AsyncGenerator[str, None]:
    statistics = DeepStatistics()
    look = partial(examine, gateway.files, wish)
    async with aclosing(examined(unhurried(visits, gateway.clock), look)) as findings:
        async for visit, found in findings:
            statistics.add(visit)
            record: Json = {**visit.record(), **walk_frame(found, wish)}
            if visit.error is not None:
                record["error"] = gateway.explainer.explain(visit.error).text
            yield json.dumps(record)
    yield _last(statistics)


def _last(statistics: DeepStatistics) -> str:
    return json.dumps({"type": "stats", "stats": statistics.as_json()})


STREAMS = {"stream-manifest": manifest, "stream-deep-check": deep_check}
"""By the argument `t` of a POST on a directory."""
