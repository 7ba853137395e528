"""The verbs by which a client logs in, protects itself and takes its leave. Spec: 09 §18, §19; RFC 959 §4.1.1, RFC 4217.

A password is never taken in clear unless the configuration allows it: the refusal comes at USER, before it is sent.
"""
from __future__ import annotations

from twisted.logger import Logger

from frontends.accounts import TooManyLogins
from frontends.ftp.commands import Command
from frontends.ftp.replies import Refusal, Reply
from frontends.ftp.session import Session

_log = Logger(namespace="lafs.ftp")

MOST_FAILURES = 3
"""Wrong passwords before the connection is closed. Each is answered late, by `Accounts`."""

_TLS_NAMES = ("TLS", "TLS-C", "SSL", "TLS-P")


async def user(session: Session, command: Command) -> Reply:
    if not session.is_secure and not session.tools.allow_plain:
        raise Refusal(530, "This server takes passwords only over TLS: AUTH TLS.")
    session.log_out()
    session.user = command.text
    return Reply(331, "Password, please.")


async def password(session: Session, command: Command) -> Reply:
    name, session.user = session.user, None
    if name is None:
        raise Refusal(503, "Say USER first.")
    try:
        root = await session.tools.accounts.check_password(name, command.text)
    except TooManyLogins as problem:
        return Reply(421, str(problem))
    if root is None:
        session.failures += 1
        _log.warn("ftp: a login from {host} failed", host=session.ends.client)
        if session.failures >= MOST_FAILURES:
            return Reply(421, "Too many wrong passwords.")
        return Reply(530, "No such name, or a wrong password.")
    session.failures = 0
    session.logged_in = session.tools.tree_of(root)
    return Reply(230, "Welcome.")


async def auth(session: Session, command: Command) -> None:
    if command.text.upper() not in _TLS_NAMES:
        raise Refusal(504, "Only AUTH TLS is known.")
    if session.is_secure:
        raise Refusal(503, "This connection is protected already.")
    session.log_out()
    session.line.start_tls(Reply(234, "TLS, now."))
    session.is_secure = True


async def buffer_size(session: Session, command: Command) -> Reply:
    if not session.is_secure:
        raise Refusal(503, "Say AUTH TLS first.")
    session.has_buffer_size = True
    return Reply(200, "PBSZ=0")


async def protection(session: Session, command: Command) -> Reply:
    if not session.has_buffer_size:
        raise Refusal(503, "Say AUTH TLS and PBSZ 0 first.")
    level = command.text.upper()
    if level not in ("P", "C"):
        raise Refusal(536 if level in ("S", "E") else 504, "Only PROT P and PROT C are known.")
    if level == "C" and not session.tools.allow_plain:
        raise Refusal(534, "Data connections must be protected here.")
    session.protects_data = level == "P"
    session.forget_data()  # a port that was opened for the other kind
    return Reply(200, "Data connections will be " + ("protected." if session.protects_data else "in clear."))


async def goodbye(session: Session, command: Command) -> Reply:
    return Reply(221, "Goodbye.")
