"""What the server knows of one client, from its greeting to its last word; and what a client may be told to obey.

Made by `control`, changed by the verbs.
"""
from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from attrs import define, field, frozen

from frontends.ftp.data_connection import DataConnection
from frontends.ftp.listings import FACTS
from frontends.ftp.passive import Ends, PassivePort
from frontends.ftp.replies import Refusal, Reply
from frontends.paths import Names
from frontends.virtual_tree import Tree
from lafs.capability import Cap
from lafs.tasks import Clock


class PasswordCheck(Protocol):
    """Who may log in: `frontends.accounts.Accounts`."""

    async def check_password(self, name: str, password: str) -> Cap | None: ...


@frozen
class Tools:
    """What all sessions of a server share.

    `contexts` are TLS context factories for (control, data) connections. `choose` picks a number below the one it is given.
    `passive_ports` empty: any. `passive_address`: the IPv4 address to tell clients, when it is not ours (behind NAT).
    """

    reactor: Any
    clock: Clock
    accounts: PasswordCheck
    tree_of: Callable[[Cap], Tree]
    contexts: tuple[Any, Any]
    choose: Callable[[int], int]
    allow_plain: bool = False
    passive_ports: Sequence[int] = ()
    passive_address: str | None = None


class Line(Protocol):
    """The control connection, as the verbs see it."""

    def say(self, reply: Reply) -> None: ...

    def start_tls(self, reply: Reply) -> None:
        """Send `reply`, and go on in TLS."""
        ...


@define(eq=False)
class Session:
    """`restart` is the offset of the next transfer; `failures` counts those to log in."""

    tools: Tools
    line: Line
    ends: Ends
    is_secure: bool = False
    user: str | None = None
    failures: int = 0
    logged_in: Tree | None = None
    current: Names = ()
    is_text: bool = True
    restart: int = 0
    renaming: Names | None = None
    has_buffer_size: bool = False
    protects_data: bool = False
    only_epsv: bool = False
    facts: tuple[str, ...] = FACTS
    passive: PassivePort | None = field(default=None)
    is_transferring: bool = False

    @property
    def tree(self) -> Tree:
        if self.logged_in is None:
            raise Refusal(530, "Log in first: USER and PASS.")
        return self.logged_in

    def log_out(self) -> None:
        """Forget who this is, and what was begun."""
        self.user = self.logged_in = self.renaming = None
        self.current, self.restart = (), 0
        self.forget_data()

    def forget_data(self) -> None:
        """Give up the data connection, if there is one or one was expected."""
        passive, self.passive = self.passive, None
        if passive is not None:
            passive.close()

    def expect_data(self) -> int:
        """Open a passive port in place of any other. Returns its number; raises Refusal."""
        self.forget_data()
        tools = self.tools
        passive = PassivePort(self.ends, tools.clock, tools.contexts[1] if self.protects_data else None)
        number = passive.listen(tools.reactor, tools.passive_ports, tools.choose)
        self.passive = passive
        return number

    def check_data(self) -> PassivePort:
        """The port that the data connection comes in by. Raises Refusal if there can be none."""
        if not self.protects_data and not self.tools.allow_plain:
            raise Refusal(521, "Data connections must be protected: PBSZ 0 and PROT P.")
        if self.passive is None:
            raise Refusal(425, "Say PASV or EPSV first.")
        return self.passive

    @asynccontextmanager
    async def data(self, purpose: str) -> AsyncIterator[DataConnection]:
        """The data connection, announced to the client as `purpose`. It is cut if the body of the `with` fails."""
        passive = self.check_data()
        self.line.say(Reply(150, purpose))
        try:
            yield await passive.connection()
        except BaseException:
            self.forget_data()
            raise
        finally:
            # A finished connection may still be waiting for its client to agree: it ends by itself.
            self.passive = None
