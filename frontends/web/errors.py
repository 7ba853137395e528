"""What an error becomes on the web: the one table from errors to status and text.

Texts begin with the names that scripts written for the peer look for. Nothing here quotes a cap, and an error that nobody expected
becomes an incident number, under which the log has the rest. Spec: 07 §15.
"""
from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from itertools import count

from attrs import frozen
from twisted.logger import Logger

from lafs.errors import (
    BadCapability,
    BadChild,
    BadCiphertext,
    BadDirectory,
    ChildExists,
    ChildOfWrongKind,
    CircularMove,
    DataTooLarge,
    LafsError,
    NewerVersionAway,
    NoServers,
    NoShares,
    NoSuchChild,
    NotADirectory,
    NotEnoughShares,
    NotWriteable,
    SourceFailed,
    TimedOut,
    UncoordinatedWrite,
    UnhappyUpload,
    UnrecoverableFile,
)
from lafs.tasks import Clock

_log = Logger(namespace="lafs.web")


class Refusal(LafsError):
    """An answer that is an error: raised by handlers for what is wrong with the request itself."""

    def __init__(self, status: int, text: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = tuple(headers)


class JsonWanted(LafsError):
    """An error to be told in JSON, as the thing itself would have been."""

    def __init__(self, cause: LafsError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@frozen
class Explanation:
    """What the client is told: a status, a title for a page, and the text."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


_DETAIL = "\n\nThe full error message is:\n{detail}"

TABLE: Sequence[tuple[type[LafsError], int, str]] = (
    (BadCapability, 400, "{detail}"),
    (SourceFailed, 400, "The upload stopped: {detail}"),
    (DataTooLarge, 413, "FileTooLargeError: {detail}"),
    (UnhappyUpload, 503, "UploadUnhappinessError: {detail}"),
    (NoServers, 503, "NoServersError: {detail}"),
    (
        NoShares,
        410,
        "NoSharesError: no share of this file could be found; its servers may be away, or it may be lost." + _DETAIL,
    ),
    (
        NotEnoughShares,
        410,
        "NotEnoughSharesError: some shares of this file were found, but too few to read it; servers may be away, or shares lost "
        "or damaged." + _DETAIL,
    ),
    (
        BadCiphertext,
        410,
        "BadCiphertextError: the shares of this file are sound, but they do not make up what its cap names." + _DETAIL,
    ),
    (NewerVersionAway, 409, "NewerVersionAwayError: {detail}"),
    (
        UnrecoverableFile,
        410,
        "UnrecoverableFileError: the directory (or mutable file) could not be retrieved; its servers may be away, or it may be "
        "lost." + _DETAIL,
    ),
    (BadDirectory, 410, "BadDirectoryError: the directory was retrieved, but cannot be understood." + _DETAIL),
    (NoSuchChild, 404, "{detail}"),
    (NotADirectory, 400, "{detail}"),
    (ChildExists, 409, "There was already a child by that name, and you asked me to not replace it."),
    (ChildOfWrongKind, 409, "{detail}"),
    (CircularMove, 409, "{detail}"),
    (NotWriteable, 403, "NotWriteableError: {detail}"),
    (UncoordinatedWrite, 409, "UncoordinatedWriteError: {detail}"),
    (TimedOut, 504, "TimedOut: {detail}"),
)
"""First match wins, so subclasses stand before their bases."""

_CAP = re.compile(r"(URI(?::|%3A)[A-Z0-9-]+(?::|%3A))[A-Za-z0-9:%]+", re.IGNORECASE)


def censored(text: str) -> str:
    """`text` without the caps in it."""
    return _CAP.sub(r"\1[CENSORED]", text)


class Explainer:
    """Turns exceptions into explanations, and logs those that nobody expected."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = count(1)

    def explain(self, error: BaseException) -> Explanation:
        """What to tell the client about `error`."""
        if isinstance(error, Refusal):
            return Explanation(error.status, str(error), error.headers)
        if isinstance(error, BadChild):
            return Explanation(400, f"{error.kind}: {error}")
        for kind, status, text in TABLE:
            if isinstance(error, kind):
                return Explanation(status, text.format(detail=error))
        if isinstance(error, LafsError):
            return Explanation(500, f"{type(error).__name__}: {error}")
        number = self.report(error)
        return Explanation(500, f"Something went wrong that should not have. The log of this node has it as incident {number}.")

    def report(self, error: BaseException) -> str:
        """Log `error` with its traceback, without caps. Returns the incident number that it is logged under."""
        number = f"{int(self._clock.seconds())}-{next(self._numbers)}"
        story = censored("".join(traceback.format_exception(error)))
        _log.critical("web: incident {number}: {story}", number=number, story=story)
        return number
