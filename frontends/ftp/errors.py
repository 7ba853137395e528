"""What an error becomes in FTP: the one table from errors to reply codes. Spec: 09 §18.

What nobody foresaw is logged by its class and place, never by its text, which may hold a cap.
"""
from __future__ import annotations

import traceback
from collections.abc import Sequence

from twisted.logger import Logger

from frontends.ftp.replies import Refusal, Reply
from lafs.errors import (
    DataTooLarge,
    LafsError,
    NoServers,
    NoSpace,
    NoSuchChild,
    NotADirectory,
    NotEnoughShares,
    ServerError,
    SourceFailed,
    UncoordinatedWrite,
    UnhappyUpload,
    UnrecoverableFile,
)

_log = Logger(namespace="lafs.ftp")


class TransferBroken(LafsError):
    """The data connection broke, stalled, or was given up by the client."""


TABLE: Sequence[tuple[type[LafsError], int]] = (
    (TransferBroken, 426),
    (NoSpace, 452),
    (NoServers, 452),
    (UnhappyUpload, 452),
    (DataTooLarge, 552),
    (NotEnoughShares, 451),
    (UnrecoverableFile, 451),
    (UncoordinatedWrite, 451),
    (SourceFailed, 451),
    (ServerError, 451),
    (NoSuchChild, 550),
    (NotADirectory, 550),
)
"""First match wins. All others (wrong kind, not writable, there already) are 550: the command cannot succeed as it is."""


def explain(error: BaseException) -> Reply:
    """What to tell the client about `error`."""
    if isinstance(error, Refusal):
        return error.reply
    for kind, code in TABLE:
        if isinstance(error, kind):
            return Reply(code, str(error))
    if isinstance(error, LafsError):
        return Reply(550, str(error))
    places = traceback.extract_tb(error.__traceback__)
    place = f"{places[-1].filename}:{places[-1].lineno}" if places else "nowhere"
    _log.critical("ftp: {kind} at {place}", kind=type(error).__name__, place=place)
    return Reply(451, "Something went wrong that should not have; the log of this node says where.")
