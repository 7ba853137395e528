"""Who may log in, with which passwords or SSH keys, and to which cap: the accounts file. Used by SFTP and FTP. Spec: 09 §2, §15 S9.

A line is `NAME PASSWORD ROOTCAP` or `NAME KEYTYPE KEY [COMMENT] ROOTCAP`; PASSWORD should be a hash (`lafs hash-password` makes the
line). The file is read again when it changes. A line that cannot be used is logged by its number and skipped: it must not keep
others out.
"""
from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve, field, frozen
from twisted.logger import Logger

from frontends.passwords import NOBODYS, check_stored, matches
from lafs.capability import Cap, UnknownCap, parse
from lafs.errors import LafsError
from lafs.tasks import Clock, Lane, sleep
from lafs.workers import Workers

_log = Logger(namespace="lafs.accounts")

FAILURE_SECONDS = 2.0
"""How long whoever fails to log in waits for the answer."""

MOST_WAITING = 32
"""Passwords being checked at once; each may take memory. Who comes when so many wait is refused."""

LARGEST_FILE = 4 * 1024 * 1024
KEY_TYPES = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")


@frozen
class Account:
    """One account: all of `passwords` and `keys` (SSH public keys in wire format) open it."""

    root: Cap = field(repr=False)
    passwords: tuple[str, ...] = field(default=(), repr=False)
    keys: tuple[bytes, ...] = field(default=(), repr=False)


class TooManyLogins(LafsError):
    """More people try to log in at once than can be checked."""


class Accounts:
    """The accounts in the files at `paths`; in which order they are looked at, if a name is in several."""

    def __init__(self, paths: Path | Sequence[Path], workers: Workers, clock: Clock) -> None:
        self._files = [_File(path) for path in ([paths] if isinstance(paths, Path) else paths)]
        self._workers = workers
        self._clock = clock
        self._checks = Lane()
        self._waiting = 0

    def account(self, name: str) -> Account | None:
        """The account called `name` now."""
        for file in self._files:
            account = file.accounts().get(name)
            if account is not None:
                return account
        return None

    async def check_password(self, name: str, password: str) -> Cap | None:
        """The root that `name` may see with `password`; None, after a while, if it is not theirs. Raises TooManyLogins.

        One check after the other: each takes a tenth of a second of a processor, and guessing must not take all of them.
        """
        if self._waiting >= MOST_WAITING:
            raise TooManyLogins("too many people are trying to log in; try again later")
        account = self.account(name)
        stored = account.passwords if account is not None and account.passwords else (NOBODYS,)
        self._waiting += 1
        try:
            found = await self._checks.submit(lambda: self._workers.run(_any_matches, password, stored))
        finally:
            self._waiting -= 1
        if account is not None and found:
            return account.root
        await sleep(FAILURE_SECONDS, self._clock)
        return None

    def accepts_key(self, name: str, key: bytes) -> bool:
        """Whether whoever has the private half of `key` (a public key in SSH's wire format) may log in as `name`."""
        account = self.account(name)
        return account is not None and key in account.keys


class _File:
    """One accounts file. What cannot be read any more keeps what was read of it; a file that is gone has no accounts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._accounts: Mapping[str, Account] = {}

    def accounts(self) -> Mapping[str, Account]:
        try:
            state = self._path.stat()
            seen = (state.st_mtime_ns, state.st_size, state.st_ino)
            if seen != self._seen:
                with self._path.open("rb") as file:
                    self._accounts = read_accounts(file.read(LARGEST_FILE))
                self._seen = seen
        except FileNotFoundError:
            self._accounts, self._seen = {}, None
        except OSError as problem:
            _log.warn("the accounts file cannot be read: {problem}", problem=problem.strerror)
        return self._accounts


def _any_matches(password: str, stored: tuple[str, ...]) -> bool:
    results = [matches(password, each) for each in stored]  # all of them, whichever it is
    return any(results)


def read_accounts(text: bytes) -> Mapping[str, Account]:
    """The accounts in `text`. Of several lines for one name all passwords and keys count, and the last cap."""
    accounts: dict[str, Account] = {}
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        try:
            name, account = _account([word.decode("utf-8") for word in words])
        except ValueError as problem:
            reason = "it is not UTF-8" if isinstance(problem, UnicodeDecodeError) else str(problem)
            _log.warn("line {number} of the accounts file is skipped: {reason}", number=number, reason=reason)
            continue
        before = accounts.get(name, account)
        if before is not account:
            account = evolve(account, passwords=before.passwords + account.passwords, keys=before.keys + account.keys)
        accounts[name] = account
    return accounts


def _account(words: list[str]) -> tuple[str, Account]:
    """Raises ValueError, with a message that quotes nothing of the line."""
    if len(words) < 3:
        raise ValueError("it should be NAME PASSWORD CAP, or NAME KEYTYPE KEY CAP")
    root = parse(words[-1])
    if isinstance(root, UnknownCap):
        raise ValueError("it does not end with a capability")
    if words[1].startswith(KEY_TYPES):
        return words[0], Account(root, keys=(_key(words),))
    if len(words) > 3:
        raise ValueError("a password cannot contain spaces; have it hashed with: lafs hash-password")
    check_stored(words[1])
    return words[0], Account(root, passwords=(words[1],))


def _key(words: list[str]) -> bytes:
    if len(words) < 4:
        raise ValueError("it should be NAME KEYTYPE KEY CAP")
    try:
        blob = b64decode(words[2], validate=True)
    except ValueError:
        blob = b""
    kind = words[1].encode()
    if blob[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind:
        raise ValueError("the key is damaged")
    return blob
