"""The one table of verbs: what each does, who may say it, and what it needs. RFC 959 §5.3.1, RFC 2228, 2389, 2428, 3659."""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from attrs import frozen

from frontends.ftp import verbs_access as access
from frontends.ftp import verbs_transfer as transfer
from frontends.ftp import verbs_tree as tree
from frontends.ftp.commands import Command
from frontends.ftp.listings import FACTS
from frontends.ftp.replies import Reply
from frontends.ftp.session import Session

Handler = Callable[[Session, Command], Awaitable[Reply | None]]
"""None: the reply has been said already."""


@frozen
class Verb:
    """`needs_argument`: without one it is refused. `is_public`: it may be said before logging in.

    `is_transfer`: it uses the data connection, and ABOR can end it.
    """

    handler: Handler
    needs_argument: bool = False
    is_public: bool = False
    is_transfer: bool = False


async def system(session: Session, command: Command) -> Reply:
    return Reply(215, "UNIX Type: L8")


async def nothing(session: Session, command: Command) -> Reply:
    return Reply(200, "Yes.")


async def unneeded(session: Session, command: Command) -> Reply:
    return Reply(202, "No need to.")


async def features(session: Session, command: Command) -> Reply:
    chosen = "".join(f"{fact}{'*' if fact in session.facts else ''};" for fact in FACTS)
    told = ("AUTH TLS", "EPSV", "MDTM", "MFMT", f"MLST {chosen}", "PBSZ", "PROT", "REST STREAM", "SIZE", "TVFS", "UTF8")
    return Reply(211, "Features", told)


async def status(session: Session, command: Command) -> Reply:
    if command.argument:
        return Reply(504, "LIST and MLST tell of files.")
    return Reply(
        211,
        "Status",
        (
            f"Control connection: {'TLS' if session.is_secure else 'in clear'}",
            f"Data connections: {'TLS' if session.protects_data else 'in clear'}",
            f"TYPE {'A' if session.is_text else 'I'}, STRU F, MODE S",
        ),
    )


async def usage(session: Session, command: Command) -> Reply:
    return Reply(214, "These are known:", tuple(sorted(VERBS)))


VERBS: Mapping[str, Verb] = {
    # access
    "USER": Verb(access.user, needs_argument=True, is_public=True),
    "PASS": Verb(access.password, is_public=True),
    "AUTH": Verb(access.auth, needs_argument=True, is_public=True),
    "PBSZ": Verb(access.buffer_size, needs_argument=True, is_public=True),
    "PROT": Verb(access.protection, needs_argument=True, is_public=True),
    "QUIT": Verb(access.goodbye, is_public=True),
    # about the server
    "FEAT": Verb(features, is_public=True),
    "HELP": Verb(usage, is_public=True),
    "NOOP": Verb(nothing, is_public=True),
    "OPTS": Verb(tree.options, needs_argument=True, is_public=True),
    "STAT": Verb(status),
    "SYST": Verb(system, is_public=True),
    # the tree
    "CDUP": Verb(tree.change_up),
    "CWD": Verb(tree.change_directory, needs_argument=True),
    "DELE": Verb(tree.delete, needs_argument=True),
    "MDTM": Verb(tree.modified, needs_argument=True),
    "MFMT": Verb(tree.set_modified, needs_argument=True),
    "MKD": Verb(tree.make_directory, needs_argument=True),
    "MLST": Verb(tree.facts),
    "PWD": Verb(tree.working_directory),
    "RMD": Verb(tree.remove_directory, needs_argument=True),
    "RNFR": Verb(tree.rename_from, needs_argument=True),
    "RNTO": Verb(tree.rename_to, needs_argument=True),
    "SITE": Verb(tree.site, needs_argument=True),
    "SIZE": Verb(tree.size, needs_argument=True),
    "XCUP": Verb(tree.change_up),
    "XCWD": Verb(tree.change_directory, needs_argument=True),
    "XMKD": Verb(tree.make_directory, needs_argument=True),
    "XPWD": Verb(tree.working_directory),
    "XRMD": Verb(tree.remove_directory, needs_argument=True),
    # transfers
    "ABOR": Verb(transfer.abort),
    "ALLO": Verb(unneeded),
    "APPE": Verb(transfer.append, needs_argument=True, is_transfer=True),
    "EPRT": Verb(transfer.active),
    "EPSV": Verb(transfer.extended_passive),
    "LIST": Verb(transfer.list_long, is_transfer=True),
    "MLSD": Verb(transfer.list_facts, is_transfer=True),
    "MODE": Verb(transfer.only("S"), needs_argument=True),
    "NLST": Verb(transfer.list_names, is_transfer=True),
    "PASV": Verb(transfer.passive),
    "PORT": Verb(transfer.active),
    "REST": Verb(transfer.restart, needs_argument=True),
    "RETR": Verb(transfer.retrieve, needs_argument=True, is_transfer=True),
    "STOR": Verb(transfer.store, needs_argument=True, is_transfer=True),
    "STRU": Verb(transfer.only("F"), needs_argument=True),
    "TYPE": Verb(transfer.representation, needs_argument=True),
}

KEEP_RESTART = frozenset({"REST", "PASV", "EPSV"})
"""After any other verb REST is forgotten. Some clients open the data connection between it and the transfer."""

KEEP_RENAMING = frozenset({"RNFR"})
