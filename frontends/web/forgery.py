"""When a request speaks for the user of a session: what only one of the gateway's own pages can make a browser send.

A browser sends the session's cookie by itself, whoever makes it ask. So the cookie alone changes nothing: a request that does
must also hold the token that is in the forms of the session's pages. And what a page of another site (another port of this
machine counts, though browsers call it the same site) asks for in the background is answered as if there were no session. A
request that names a cap needs none of this: its authority is the cap, which other sites do not have. Used by `handles`, `routes`
and `entrance`. Spec: 07 §18.
"""
from __future__ import annotations

from frontends.web.errors import Refusal
from frontends.web.request import Request
from frontends.web.safety import SAFE_METHODS, SAME_SITE
from frontends.web.sessions import Session

HEADER = b"X-Form-Token"
FIELD = "form_token"

_VISITED = {"navigate"}, {"document"}
"""Sec-Fetch-Mode and -Dest of a page that the user goes to, in a tab of its own."""


def may_use_session(method: str, sites: list[str], modes: list[str], destinations: list[str]) -> bool:
    """Whether a request with these Sec-Fetch-Site, -Mode and -Dest headers may count as the session's."""
    if all(site in SAME_SITE for site in sites):
        return True
    return method in SAFE_METHODS and (set(modes), set(destinations)) == _VISITED


def require_token(request: Request, session: Session) -> None:
    """Raise Refusal unless `request`, whose form has been read, holds the token of `session`'s pages."""
    token = request.header(HEADER)
    if token is None:
        token = "" if request.form is None else request.form.fields.get(FIELD, "")
    if not session.token_is(token):
        raise Refusal(403, "This request does not come from a page of this session. Reload the page and try again.")
