"""Requests that name a handle instead of a cap: `/h/HANDLE/...` is answered as `/uri/CAP/...` is, within its session.

The rewriting happens once, before the routes are looked up; so everything that can be done with a cap can be done with a handle.
What is different is the way back: an answer to a change holds no cap, contents are for the gateway's own pages only, and whoever
goes to a cap's address in a session is led to that of its handle. Called by `site`. Spec: 07 §18.
"""
from __future__ import annotations

from attrs import evolve

from frontends.web.addresses import root_of
from frontends.web.answers import OWN_PAGES_ONLY, TEXT, Answer, Contents, Reply, redirect
from frontends.web.errors import Refusal
from frontends.web.request import Request
from frontends.web.safety import SAFE_METHODS
from frontends.web.sessions import SESSION_SECONDS, Session, Sessions
from lafs.capability import UnknownCap, parse

MOUNT = "h"

MOST_COOKIES = 20


class NoSession(Refusal):
    """A handle, or a ticket, that opens nothing. The page about it says how to get in."""

    def __init__(self) -> None:
        super().__init__(403, "This address works only in the browser session that it was made in. To open one, run: lafs web")


# --- cookies ---------------------------------------------------------------------------------------------------------------


def cookie_name(host: str, secure: bool) -> str:
    """The name of the cookie. Cookies know no ports, so the port is in the name: two gateways of one machine need two cookies."""
    port = host.rpartition(":")[2]
    name = f"lafs-session-{port}" if port.isascii() and port.isdigit() else "lafs-session"
    return f"__Host-{name}" if secure else name


def set_cookie(host: str, secure: bool, value: str) -> tuple[bytes, bytes]:
    """The header that makes a browser keep the cookie; with an empty value, forget it."""
    age = SESSION_SECONDS if value else 0
    text = f"{cookie_name(host, secure)}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
    return b"Set-Cookie", text.encode("ascii")


def session_of(sessions: Sessions, cookies: list[str], name: str) -> tuple[Session, str] | None:
    """The session that one of the cookies in the Cookie headers carries, and that cookie's value."""
    pairs = [pair.strip().partition("=") for header in cookies for pair in header.split(";", MOST_COOKIES)[:MOST_COOKIES]]
    for key, _, value in pairs:
        session = sessions.of_cookie(value) if key == name else None
        if session is not None:
            return session, value
    return None


# --- there -----------------------------------------------------------------------------------------------------------------


def resolved(request: Request) -> Request:
    """`request` with a cap in place of its handle. Raises Refusal."""
    if request.mount != MOUNT:
        return request
    if request.session is None:
        raise NoSession
    handle, *names = request.segments or (b"",)
    if not handle and not names:
        return evolve(request, mount="uri", segments=(), handle="")
    text = handle.decode("latin-1")
    cap = request.visit.sessions.cap_of(request.session, text)
    if cap is None:
        raise Refusal(404, "This address is not known in your browser session, or no longer.")
    return evolve(request, mount="uri", segments=(cap.text.encode("utf-8", "surrogateescape"), *names), handle=text)


def detour(request: Request) -> Reply | None:
    """To the handle's address, for a user who goes to a cap's: so that the cap does not stay in sight."""
    visited = request.header(b"Sec-Fetch-Mode") == "navigate" and request.header(b"Sec-Fetch-Dest") == "document"
    if not visited or request.session is None or request.method != "GET" or request.mount not in ("uri", "cap"):
        return None
    if request.arguments.t not in ("", "info") or not any(request.segments):
        return None
    cap = parse(request.segments[0])
    if isinstance(cap, UnknownCap):
        return None
    path, question, query = request.exchange.target.decode("latin-1").partition("?")
    rest = "".join("/" + name for name in path.split("/")[3:])
    return redirect(f"{request.base}{root_of(cap, request.visit)}{rest}{question}{query}")


# --- and back --------------------------------------------------------------------------------------------------------------


def without_caps(request: Request, reply: Reply) -> Reply:
    """What may be sent of `reply` to a request that named a handle."""
    if request.handle is None:
        return reply
    if isinstance(reply, Contents):
        return evolve(reply, headers=(*reply.headers, OWN_PAGES_ONLY))
    if isinstance(reply, Answer) and request.method not in SAFE_METHODS and _is_one_word(reply):
        return evolve(reply, body=b"")  # the API answers changes with the cap of what was changed
    return reply


def _is_one_word(answer: Answer) -> bool:
    return answer.content_type == TEXT and answer.status < 400 and len(answer.body.split()) == 1
