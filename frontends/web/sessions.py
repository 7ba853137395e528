"""Browser sessions, and the handles that stand for caps within them.

A session is opened with a ticket that only somebody who can read this node's token file gets, is carried by a cookie, and gives
caps short names of its own. Handles are what the page's links hold, so that address bar, history and bookmarks of a browser hold
nothing that is worth anything without the browser's cookie. Pure: clock and randomness are passed in, and whoever made the
`Sessions` keeps what `saved()` returns (lafs/node/web_sessions). Called by `entrance`, `handles` and `addresses`.

What is told of a cookie, here and on the disk, is its hash.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from attrs import define, field, frozen

from lafs.capability import Cap, parse
from lafs.crypto import base32
from lafs.errors import BadCapability
from lafs.tasks import Clock

RandomBytes = Callable[[int], bytes]

SESSION_SECONDS = 90 * 86_400
"""A session that nobody uses for so long has ended."""

NOTED_SECONDS = 3_600
"""How exactly it is known when a session was used last: so the file need not be written for each request."""

RENEWAL_SECONDS = 86_400
"""How often a browser in use is told to keep its cookie for longer."""

TICKET_SECONDS = 600

MOST_SESSIONS = 20
MOST_HANDLES = 500
"""In one session. The one that was not used for longest makes room."""

MOST_TICKETS = 50

_FORMAT = 1


@define(eq=False)
class Session:
    """One browser's."""

    cookie_hash: bytes = field(repr=False)
    form_token: str = field(repr=False)
    """What the forms of its pages, and only they, know."""
    used: float
    """When, in seconds since the epoch; an hour more or less."""
    renewed: float = 0.0
    """When its cookie was sent last."""
    home: Cap | None = field(default=None, repr=False)
    """The directory that its user begins with."""
    handles: dict[str, Cap] = field(factory=dict, repr=False)
    """Those used last stand last."""
    names: dict[str, str] = field(factory=dict, repr=False)
    """Handle of each cap text."""

    @property
    def key(self) -> bytes:
        """Tells this session from all others."""
        return sha256(self.form_token.encode("ascii")).digest()

    def token_is(self, candidate: str) -> bool:
        return compare_digest(candidate.encode("utf-8", "replace"), self.form_token.encode("ascii"))


@frozen
class Ticket:
    """The right to open one session, once."""

    home: Cap | None = field(repr=False)
    to: Cap | None = field(repr=False)
    """What to show first; None for the session's home."""
    path: str = field(default="", repr=False)
    """Below `to`, as in a URL, with its query."""
    expires: float = 0.0


class Sessions:
    """All sessions of one gateway."""

    def __init__(
        self, clock: Clock, random: RandomBytes, token: str = "", changed: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._random = random
        self._token = token
        self._changed = changed
        self._sessions: dict[bytes, Session] = {}
        self._tickets: dict[bytes, Ticket] = {}

    # --- tickets -------------------------------------------------------------------------------------------------------------

    def token_is(self, candidate: str) -> bool:
        """Whether `candidate` is the text of this node's token file. Without such a file nothing is."""
        return bool(self._token) and compare_digest(candidate.encode("utf-8", "replace"), self._token.encode("ascii"))

    def new_ticket(self, home: Cap | None, to: Cap | None = None, path: str = "") -> str:
        """A secret that opens one session within ten minutes."""
        secret = self._secret()
        _make_room(self._tickets, MOST_TICKETS)
        self._tickets[_hash(secret)] = Ticket(home, to, path, self._clock.seconds() + TICKET_SECONDS)
        return secret

    def redeem(self, secret: str) -> Ticket | None:
        """The ticket, once; None if it is spent, too old, or none at all."""
        ticket = self._tickets.pop(_hash(secret), None)
        return ticket if ticket is not None and ticket.expires > self._clock.seconds() else None

    # --- sessions ------------------------------------------------------------------------------------------------------------

    def open(self, previous: Session | None = None) -> tuple[Session, str]:
        """A session, and its cookie. If it is `previous` that goes on, under a new cookie, then its handles stay good.

        The old cookie ends in any case: whoever had put it there shall not share what is opened now.
        """
        cookie, now = self._secret(), self._clock.seconds()
        if previous is None:
            self._forget_stale()
            _make_room(self._sessions, MOST_SESSIONS, lambda key: self._sessions[key].used)
            session = Session(_hash(cookie), self._secret(), now)
        else:
            session = previous
            self._sessions.pop(session.cookie_hash, None)
            session.cookie_hash = _hash(cookie)
        session.used = session.renewed = now
        self._sessions[session.cookie_hash] = session
        self._changed()
        return session, cookie

    def of_cookie(self, cookie: str) -> Session | None:
        """The session that `cookie` carries, if it still goes on."""
        session = self._sessions.get(_hash(cookie))
        if session is None:
            return None
        now = self._clock.seconds()
        if session.used + SESSION_SECONDS <= now:
            self.close(session)
            return None
        if session.used + NOTED_SECONDS <= now:
            session.used = now
            self._changed()
        return session

    def renewal_due(self, session: Session) -> bool:
        """Whether to send the cookie of `session` again; it is then counted as sent."""
        now = self._clock.seconds()
        if session.renewed + RENEWAL_SECONDS > now:
            return False
        session.renewed = now
        return True

    def close(self, session: Session) -> None:
        """End a session; its cookie and handles are worth nothing from now on."""
        if self._sessions.pop(session.cookie_hash, None) is not None:
            self._changed()

    def settle(self, session: Session, home: Cap | None) -> None:
        """Say where the user of `session` begins. None: where it was."""
        if home is not None and (session.home is None or session.home.text != home.text):
            session.home = home
            self._changed()

    def _forget_stale(self) -> None:
        now = self._clock.seconds()
        for session in [each for each in self._sessions.values() if each.used + SESSION_SECONDS <= now]:
            self.close(session)

    # --- handles -------------------------------------------------------------------------------------------------------------

    def handle_for(self, session: Session, cap: Cap) -> str:
        """The handle of `cap` in `session`, always the same one."""
        handle = session.names.get(cap.text)
        if handle is not None:
            session.handles[handle] = session.handles.pop(handle)
            return handle
        while len(session.handles) >= MOST_HANDLES:
            # What its user begins with stays, however seldom it is looked at.
            oldest = next(name for name, each in session.handles.items() if session.home is None or each.text != session.home.text)
            del session.names[session.handles.pop(oldest).text]
        handle = base32.encode(self._random(15))
        session.handles[handle] = cap
        session.names[cap.text] = handle
        self._changed()
        return handle

    def cap_of(self, session: Session, handle: str) -> Cap | None:
        """What `handle` stands for in `session`."""
        cap = session.handles.pop(handle, None)
        if cap is not None:
            session.handles[handle] = cap
        return cap

    # --- keeping -------------------------------------------------------------------------------------------------------------

    def saved(self) -> bytes:
        """Everything that should outlive the process. It holds caps."""
        sessions = [
            {
                "cookie": session.cookie_hash.hex(),
                "form_token": session.form_token,
                "used": session.used,
                "home": None if session.home is None else session.home.text,
                "handles": {handle: cap.text for handle, cap in session.handles.items()},
            }
            for session in self._sessions.values()
        ]
        return json.dumps({"format": _FORMAT, "sessions": sessions}, indent=1).encode("ascii")

    def restore(self, saved: bytes) -> None:
        """Go on where `saved` was made. What cannot be understood is left out: its users open a session anew."""
        try:
            sessions = list(_read(json.loads(saved)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return
        self._sessions = {session.cookie_hash: session for session in sessions[-MOST_SESSIONS:]}
        self._forget_stale()

    def _secret(self) -> str:
        return base32.encode(self._random(32))


def _read(saved: Any) -> Iterator[Session]:
    if saved["format"] != _FORMAT:
        return
    for entry in saved["sessions"]:
        session = Session(
            bytes.fromhex(entry["cookie"]),
            str(entry["form_token"].encode("ascii"), "ascii"),
            float(entry["used"]),
            home=None if entry["home"] is None else parse(entry["home"]),
        )
        for handle, text in list(entry["handles"].items())[-MOST_HANDLES:]:
            try:
                cap = parse(text)
            except BadCapability:
                continue
            session.handles[str(handle)] = cap
            session.names[cap.text] = str(handle)
        yield session


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "replace")).digest()


def _make_room(table: dict[bytes, Any], most: int, age: Callable[[bytes], float] | None = None) -> None:
    """Take the oldest out of `table` until one more fits."""
    while len(table) >= most:
        del table[next(iter(table)) if age is None else min(table, key=age)]
