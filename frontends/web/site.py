"""The gateway put together: `make_site` returns the factory that a listening port serves.

For each exchange: check who asks, parse, find the answer, send it; an error becomes an answer of its own as long as nothing
has been sent, and afterwards cuts the connection. Spec: 07 §1, §15, §18.
"""
from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocolNegotiationFactory, IReactorTime
from twisted.web.http import HTTPFactory, datetimeToString
from zope.interface import implementer

from frontends.web import content_origin, forgery, handles, routes
from frontends.web.access_log import AccessLog, Write, to_node_log
from frontends.web.addresses import Visit
from frontends.web.answers import Answer, Reply, page, structure, text
from frontends.web.channel import HTTP_2, Channel, Exchange
from frontends.web.content_labels import ContentLabels
from frontends.web.errors import Explainer, JsonWanted, Refusal
from frontends.web.gateway import Files, Gateway
from frontends.web.history import History
from frontends.web.pages import Pages, load_assets
from frontends.web.request import Request
from frontends.web.safety import ALWAYS, Admission, Guard, page_policy
from frontends.web.sessions import RandomBytes, Session, Sessions
from lafs.capability import MutableFormat
from lafs.node_status import NodeStatus
from lafs.statistics import Counters
from lafs.tasks import Clock, spawn
from lafs.workers import InlineWorkers, Workers

IDLE_SECONDS = 60
"""Between requests."""


def make_site(
    files: Files,
    status: NodeStatus,
    *,
    clock: Clock,
    counters: Counters,
    allowed_hosts: Iterable[str] = (),
    content_host: str = "",
    default_format: MutableFormat = "SDMF",
    sessions: Sessions | None = None,
    random: RandomBytes = os.urandom,
    access_log: Write = to_node_log,
    workers: Workers | None = None,
    static: Path | None = None,
    save_incident: Callable[[str], Awaitable[None]] | None = None,
) -> GatewaySite:
    """The gateway of a node. `allowed_hosts` are names, without port, other than local ones by which browsers may call it.

    `content_host` is the setting that `ContentHosts` reads. `default_format` is that of new directories, where a request names
    none. Without `sessions`, there are none. Without `workers`, large pages are made on the reactor's thread. `static` is the
    folder shown under /static; `save_incident` keeps what a user writes about some trouble.
    """
    sessions = sessions or Sessions(clock, random)
    labels = ContentLabels(clock, random)
    gateway = Gateway(
        files,
        status,
        clock,
        History(clock.seconds),
        Pages(),
        load_assets(),
        Explainer(clock),
        sessions,
        labels,
        default_format,
        workers or InlineWorkers(),
        random,
        static,
        save_incident,
    )
    return GatewaySite(gateway, Guard(allowed_hosts, content_host), counters, AccessLog(random, access_log))


@implementer(IProtocolNegotiationFactory)
class GatewaySite(HTTPFactory):
    """The factory of the gateway's connections."""

    protocol = Channel  # type: ignore[assignment]

    def __init__(self, gateway: Gateway, guard: Guard, counters: Counters, access_log: AccessLog) -> None:
        super().__init__(timeout=IDLE_SECONDS, reactor=cast(IReactorTime, gateway.clock))
        self._gateway = gateway
        self._guard = guard
        self._counters = counters
        self._access_log = access_log
        self._explainer = gateway.explainer
        self._headers = (-1, b"")

    def buildProtocol(self, addr: Any) -> Any:
        channel: Any = super().buildProtocol(addr)
        channel.site = self
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """What to agree on over TLS. Without an answer, clients that ask are turned away."""
        return [*([HTTP_2] if find_spec("h2") else []), b"http/1.1"]

    def startFactory(self) -> None:
        """Twisted's would open its own access log."""

    def stopFactory(self) -> None:
        """Slow operations end with the gateway."""
        self._gateway.operations.stop()

    def common_headers(self) -> bytes:
        """The lines that every answer has, Date among them. Made anew once a second."""
        now = int(self._gateway.clock.seconds())
        if self._headers[0] != now:
            self._headers = (now, ALWAYS + b"Date: %s\r\n" % datetimeToString(now))  # type: ignore[no-untyped-call]
        return self._headers[1]

    def serve(self, exchange: Exchange) -> Deferred[None]:
        """Work on an exchange. Never fails; cancelled when the client goes away."""
        return spawn(self._serve(exchange))

    def answered(self, exchange: Exchange) -> None:
        """Log and count an exchange that is over."""
        self._counters.count("web.requests")
        client = getattr(exchange.channel.connection.getPeer(), "host", "-")
        method, target = exchange.method.decode("latin-1"), exchange.target.decode("latin-1")
        self._access_log.note(client, method, target, exchange.status, exchange.sent, exchange.for_contents)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await (await self._reply(exchange)).send(exchange)
        except (Exception, CancelledError) as error:
            if not exchange.gone:
                await self._fail(exchange, error)

    async def _reply(self, exchange: Exchange) -> Reply:
        admission = self._admit(exchange)
        exchange.page_policy = page_policy(admission.origin, admission.content_host)
        exchange.for_contents = admission.label is not None
        request = Request.of(exchange, self._visit(exchange, admission))
        if admission.label is not None:
            return await content_origin.answer(self._gateway, request, admission.label)
        detour = handles.detour(request)
        if detour is not None:
            return detour
        request = handles.resolved(request)
        return handles.without_caps(request, await routes.answer(self._gateway, request))

    def _admit(self, exchange: Exchange) -> Admission:
        headers = exchange.requestHeaders
        return self._guard.admit(
            exchange.method.decode("ascii"),
            headers.getRawHeaders(b"Host", []),
            headers.getRawHeaders(b"Origin", []),
            headers.getRawHeaders(b"Sec-Fetch-Site", []),
            getattr(exchange.channel.connection.getHost(), "host", ""),
            exchange.channel.secure,
            exchange.header(b"User-Agent"),
        )

    def _visit(self, exchange: Exchange, admission: Admission) -> Visit:
        session = None if admission.label is not None else self._session(exchange)
        return Visit(self._gateway.sessions, self._gateway.labels, session, admission.content_host, admission.origin)

    def _session(self, exchange: Exchange) -> Session | None:
        """The session that the cookie of a request carries, if the request may speak for it."""
        cookies = exchange.headers(b"Cookie")
        site, mode, destination = (exchange.headers(b"Sec-Fetch-" + name) for name in (b"Site", b"Mode", b"Dest"))
        if not cookies or not forgery.may_use_session(exchange.method.decode("ascii"), site, mode, destination):
            return None
        host, secure = exchange.header(b"Host"), exchange.channel.secure
        found = handles.session_of(self._gateway.sessions, cookies, handles.cookie_name(host, secure))
        if found is None:
            return None
        session, cookie = found
        if self._gateway.sessions.renewal_due(session):
            exchange.extra_headers.append(handles.set_cookie(host, secure, cookie))
        return session

    async def _fail(self, exchange: Exchange, error: BaseException) -> None:
        """Answer with the error, if that is still possible; else cut the connection, so that nobody takes a part for the whole."""
        if exchange.started:
            if not isinstance(error, Refusal):
                self._explainer.explain(error)
            exchange.abort()
            return
        try:
            await self._explain(exchange, error).send(exchange)
        except Exception as second:
            self._explainer.report(second)
            exchange.abort()

    def _explain(self, exchange: Exchange, error: BaseException) -> Answer:
        if isinstance(error, JsonWanted):
            explanation = self._explainer.explain(error.cause)
            return structure({"error": explanation.text}, explanation.headers, status=explanation.status)
        explanation = self._explainer.explain(error)
        # Browsers name HTML; programs ask for anything, for plain text, or for nothing in particular.
        if any(b"text/html" in accepted for accepted in exchange.requestHeaders.getRawHeaders(b"Accept", [])):
            template = "no_session" if isinstance(error, handles.NoSession) else "error"
            markup = self._gateway.pages.render(template, status=explanation.status, text=explanation.text)
            return page(markup, explanation.status, explanation.headers)
        return text(explanation.text, explanation.status, explanation.headers)
