"""How a browser gets in: `/session/tickets`, `/open?ticket=...`, and out again: `/session/close`.

Whoever can read the node's token file (the `lafs` command of the same user) asks for a ticket, and gives the browser an address
with it. The ticket works once and not for long, so it does not matter who finds that address in the history later. Spec: 07 §18.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from attrs import evolve

from frontends.web.addresses import root_of
from frontends.web.answers import Reply, redirect, text
from frontends.web.errors import Refusal
from frontends.web.forgery import require_token
from frontends.web.forms import form_kind, read_form
from frontends.web.gateway import Gateway
from frontends.web.handles import NoSession, set_cookie
from frontends.web.request import Request
from frontends.web.safety import SAME_SITE
from lafs.capability import Cap, DirectoryCap, UnknownCap, parse

SCHEME = "lafs "
"""Of the Authorization header."""


async def open_session(gateway: Gateway, request: Request) -> Reply:
    """`GET /open?ticket=TICKET`: a cookie, and on to what the ticket is for."""
    if request.segments:
        raise Refusal(404, "No Such Resource")
    # A page of another site does not choose which session its visitor is in; and what is only fetched ahead spends no ticket.
    foreign = any(site not in SAME_SITE for site in request.headers(b"Sec-Fetch-Site"))
    if request.method != "GET" or foreign or request.header(b"Sec-Purpose") is not None:
        raise NoSession
    ticket = gateway.sessions.redeem(request.arguments.get("ticket"))
    if ticket is None:
        raise NoSession
    session, cookie = gateway.sessions.open(request.session)
    gateway.sessions.settle(session, ticket.home)
    request.exchange.extra_headers = [_cookie(request, cookie)]
    to, path = ticket.to or session.home, ticket.path
    if to is None:
        return redirect("./", 303)
    if isinstance(to, DirectoryCap) and not path.startswith("?"):
        path = f"/{path}"
    return redirect(root_of(to, evolve(request.visit, session=session)) + path, 303)


async def session(gateway: Gateway, request: Request) -> Reply:
    """`/session/...`."""
    action = ACTIONS.get(b"/".join(request.segments))
    if action is None:
        raise Refusal(404, "No Such Resource")
    if request.method != "POST":
        raise Refusal(405, "This is for POST only.", ((b"Allow", b"POST"),))
    content_type = request.header(b"Content-Type")
    if content_type is not None and form_kind(content_type) is not None:
        request = request.with_form(await read_form(request.exchange.body, content_type))
    return await action(gateway, request)


async def _new_ticket(gateway: Gateway, request: Request) -> Reply:
    """`POST /session/tickets`, with the node's token: the answer is the address to open, relative to the root of the gateway.

    Fields: `home`, the cap of the directory to begin with; `cap` and `path`, what to show first.
    """
    authorization = request.header(b"Authorization") or ""
    if not authorization.startswith(SCHEME) or not gateway.sessions.token_is(authorization.removeprefix(SCHEME)):
        raise Refusal(401, "This needs the token of the node, private/web_token.", ((b"WWW-Authenticate", b'lafs realm="lafs"'),))
    fields = {} if request.form is None else request.form.fields
    home, to = _cap(fields, "home"), _cap(fields, "cap")
    if home is not None and not isinstance(home, DirectoryCap):
        raise Refusal(400, "home= must be the cap of a directory.")
    return text("open?ticket=" + gateway.sessions.new_ticket(home, to, fields.get("path", "")))


def _cap(fields: Mapping[str, str], name: str) -> Cap | None:
    cap = parse(fields[name]) if fields.get(name) else None
    if isinstance(cap, UnknownCap):
        raise Refusal(400, f"{name}= is no cap that this node knows.")
    return cap


async def _close(gateway: Gateway, request: Request) -> Reply:
    """`POST /session/close`: the browser forgets, and so does the gateway."""
    if request.session is None:
        raise NoSession
    require_token(request, request.session)
    gateway.sessions.close(request.session)
    gateway.labels.forget(request.session.key)
    request.exchange.extra_headers = [_cookie(request, "")]
    return redirect(request.base, 303)


def _cookie(request: Request, value: str) -> tuple[bytes, bytes]:
    return set_cookie(request.header(b"Host") or "", request.exchange.channel.secure, value)


ACTIONS: Mapping[bytes, Callable[[Gateway, Request], Awaitable[Reply]]] = {b"tickets": _new_ticket, b"close": _close}
