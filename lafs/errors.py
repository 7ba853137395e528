"""Every error that crosses a room's wall.

Few and typed: each says what was being done, to what, why it failed and what a person can do. No message may hold a cap,
a key, a secret or a path of a server's disk. Front ends map these classes to their own codes, each in one table.
"""
from __future__ import annotations


class LafsError(Exception):
    """Base of all errors raised on purpose. `str()` of it may be shown to any user."""


# --- what a user handed over -------------------------------------------------------------------------------------


class BadCapability(LafsError):
    """A cap string that cannot be read, or does not grant what the operation needs. The message never quotes it."""


class ConfigurationError(LafsError):
    """A configuration file or command line that cannot be used; names the file, the line and the nearest known name."""


class NodeError(LafsError):
    """A node directory or process that is not in the state an operation needs (already running, not a node, ...)."""


# --- talking to one server: raised by every implementation of `StorageServer` ----------------------------------------


class ServerError(LafsError):
    """One server failed one request. Never fatal to an operation by itself: there are other servers."""


class ServerGone(ServerError):
    """The connection to the server was lost, or there is none."""


class TimedOut(ServerError):
    """No answer within the time allowed."""


class NoSpace(ServerError):
    """The server has no room for what was asked, or takes nothing (read-only)."""


class ConflictingWrite(ServerError):
    """A write to a share that differs from bytes written there before."""


class DataTooLarge(ServerError):
    """A write past the size that was allocated, or past the largest size a container can have."""


class BadWriteEnabler(ServerError):
    """The write enabler presented is not the one the slot was created with."""


class CorruptContainer(ServerError):
    """A share file on disk that cannot be understood. Hurts nothing but that share."""


# --- the grid as a whole ---------------------------------------------------------------------------------------------


class NoServers(LafsError):
    """An upload with no server to go to."""


class UnhappyUpload(LafsError):
    """The shares could not be spread as wanted; the message says which servers took, had or refused which shares."""


class NotEnoughShares(LafsError):
    """Some shares were found, but fewer than needed; the message says what was found, where, and what is needed."""


class NoShares(NotEnoughShares):
    """No share at all was found."""


class CorruptShare(LafsError):
    """Bytes of one share that fail verification. Costs that share, never the download.

    `start` and `end` are the offending byte range inside the share, for the report to its server.
    """

    def __init__(self, reason: str, start: int = 0, end: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.start = start
        self.end = end


class BadCiphertext(LafsError):
    """Enough valid shares decode to something that fails the file's own hash: its uploader was dishonest."""


class SourceFailed(LafsError):
    """The bytes to be uploaded stopped coming: the client went away, or a local file changed or could not be read."""


# --- mutable files and directories -----------------------------------------------------------------------------------


class UnrecoverableFile(LafsError):
    """No version of a mutable file (or directory) can be put together from the shares that were found."""


class RolledBack(UnrecoverableFile):
    """Only older versions of a mutable file are found than were seen before in this process."""


class NewerVersionAway(UnrecoverableFile):
    """A change refused because there are signs of a newer version, of which too few shares can be found to build on it."""


class UncoordinatedWrite(LafsError):
    """Someone else wrote the same mutable file at the same time, again and again; our change is not in it."""


class RepairRefused(LafsError):
    """A repair that may lose a version of a mutable file, and was not forced."""


class NotWriteable(LafsError):
    """A change through a cap that only reads."""


class BadDirectory(LafsError):
    """The contents of a directory cannot be understood."""


class NoSuchChild(LafsError):
    """A directory has no child of that name. `name` is that name; it is the whole message after "No such child: "."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such child: {name}")
        self.name = name


class ChildExists(LafsError):
    """A child of that name is there, and was not to be replaced."""


class ChildOfWrongKind(LafsError):
    """A child that is a directory where a file was to be removed, or a file where a directory was."""


class NotADirectory(LafsError):
    """A path goes on below something that has no children. `name` is the component that was looked for there.

    `unknown` says that it is no file either, but something of which this version knows nothing.
    """

    def __init__(self, name: str, unknown: bool = False) -> None:
        message = "What should hold {!r} is of a kind that is not known" if unknown else "Files have no children named {!r}"
        super().__init__(message.format(name))
        self.name = name
        self.unknown = unknown


class CircularMove(LafsError):
    """A directory was to be moved into itself or below itself, where nobody would find it again."""


class BadChild(LafsError):
    """Caps that cannot be stored as a child; `kind` is the peer's name of the rule broken. Spec: 04 §3.5."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
