"""The status page of an introducer: how many announcements and subscribers it has, for people and as JSON. Spec: 07 §14."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Site

from frontends.web.errors import Refusal
from frontends.web.safety import ALWAYS, PLAIN_POLICY, Guard
from lafs.introducer.server import IntroducerService

_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Introducer</title></head>
<body><h1>Introducer</h1>
<h2>Storage servers</h2><ul>{servers}</ul>
<h2>Clients</h2><ul>{clients}</ul>
</body></html>
"""


def make_site(service: IntroducerService, allowed_hosts: Iterable[str]) -> Site:
    """The site with the one page. `allowed_hosts`: names other than local ones by which browsers may call it."""
    make: Any = Site
    site: Site = make(_Page(service, Guard(allowed_hosts)))
    site.log = lambda request: None  # type: ignore[method-assign]
    return site


class _Page(Resource):
    """Answers for the root, and 404 for everything below."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, service: IntroducerService, guard: Guard) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._service = service
        self._guard = guard

    def render(self, request: Any) -> bytes:
        for line in (ALWAYS + b"Content-Security-Policy: " + PLAIN_POLICY + b"\r\n").splitlines():
            name, _, value = line.partition(b": ")
            request.setHeader(name, value)
        try:
            host = request.requestHeaders.getRawHeaders(b"Host", [])
            self._guard.admit(request.method.decode("latin-1"), host, [], [], request.getHost().host, False)
        except Refusal as refusal:
            return _answer(request, "text/plain", str(refusal), refusal.status)
        if any(request.postpath[:1]) or request.method not in (b"GET", b"HEAD", b"POST"):
            return _answer(request, "text/plain", "No Such Resource", 404)
        if request.args.get(b"t") == [b"json"]:
            return _answer(request, "application/json", json.dumps(self._service.summary(), indent=1) + "\n")
        return _answer(request, "text/html", self._html())

    def _html(self) -> str:
        servers = (
            f"{entry.announcement.nickname} ({entry.announcement.server_id})" for entry in self._service.announced("storage")
        )
        clients = (f"{info.nickname} ({info.version})" for info in self._service.subscribers("storage"))
        return _PAGE.format(servers=_items(servers), clients=_items(clients))


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts) or "<li>none</li>"


def _answer(request: Any, kind: str, text: str, status: int = 200) -> bytes:
    body = text.encode("utf-8")
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", f"{kind}; charset=utf-8".encode())
    request.setHeader(b"Content-Length", str(len(body)).encode())
    return b"" if request.method == b"HEAD" else body
