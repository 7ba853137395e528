"""Who may come in over SSH: passwords and keys of the accounts file, checked as Conch asks for it. Spec: 09 §2, §3."""
# ruff: noqa: N803, N815 - Twisted's names
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.conch.error import ValidPublicKey
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from zope.interface import implementer

from frontends.accounts import Accounts, TooManyLogins
from frontends.sftp.channel import SftpUser
from frontends.sftp.conch_log import CONCH_LOG
from frontends.virtual_tree import Tree
from lafs.capability import Cap
from lafs.tasks import Clock, spawn

SMALLEST_RSA_BITS = 2048
_BROKEN_ALGORITHMS = (b"ssh-rsa", b"ssh-dss")
"""Signatures over SHA-1. RSA keys sign with rsa-sha2-256 and -512 as well."""


class Login(SSHUserAuthServer):
    """A minute to log in, and a few attempts. `Accounts` slows those with passwords."""

    _log = CONCH_LOG
    attemptsBeforeDisconnect = 8
    loginTimeout = 60
    passwordDelay = 0


@implementer(ICredentialsChecker)
class KeyChecker:
    """Public keys."""

    credentialInterfaces = (ISSHPrivateKey,)

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def requestAvatarId(self, credentials: Any) -> bytes:
        name: bytes = credentials.username
        if credentials.algName in _BROKEN_ALGORITHMS or not self._accounts.accepts_key(_text(name), credentials.blob):
            raise UnauthorizedLogin("no such key")
        if not credentials.signature:
            raise ValidPublicKey
        if not _signed(credentials):
            raise UnauthorizedLogin("wrong signature")
        return name


@implementer(ICredentialsChecker)
class PasswordChecker:
    """Passwords."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes]:
        return spawn(self._check(credentials.username, credentials.password))

    async def _check(self, name: bytes, password: bytes) -> bytes:
        try:
            root = await self._accounts.check_password(_text(name), password.decode("utf-8", "surrogateescape"))
        except TooManyLogins:
            root = None
        if root is None:
            raise UnauthorizedLogin("wrong name or password")
        return name


@implementer(IRealm)
class Realm:
    """Gives whoever is let in the tree of their account."""

    def __init__(self, accounts: Accounts, tree: Callable[[Cap], Tree], clock: Clock) -> None:
        self._accounts = accounts
        self._tree = tree
        self._clock = clock

    def requestAvatar(self, avatarId: bytes, mind: object, *interfaces: Any) -> tuple[Any, SftpUser, Callable[[], None]]:
        account = self._accounts.account(_text(avatarId))
        if account is None or IConchUser not in interfaces:
            raise UnauthorizedLogin("no such account")
        return IConchUser, SftpUser(self._tree(account.root), self._clock), lambda: None


def make_portal(accounts: Accounts, tree: Callable[[Cap], Tree], clock: Clock) -> Portal:
    # mypy does not see that classes implement interfaces of zope.
    realm: Any = Realm(accounts, tree, clock)
    checkers: list[Any] = [KeyChecker(accounts), PasswordChecker(accounts)]
    return Portal(realm, checkers)


def _signed(credentials: Any) -> bool:
    try:
        key = Key.fromString(credentials.blob)
        if key.type() == "RSA" and key.size() < SMALLEST_RSA_BITS:
            return False
        # The algorithm inside the signature must be the one that was announced, which is not a broken one.
        kind = credentials.signature[4 : 4 + int.from_bytes(credentials.signature[:4], "big")]
        return kind not in _BROKEN_ALGORITHMS and bool(key.verify(credentials.signature, credentials.sigData))
    except (BadKeyError, ValueError, TypeError, IndexError):
        return False


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
