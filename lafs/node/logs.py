"""The log of a node: Twisted's lines on a stream, with nothing in them that would open a file or reach a node.

No code writes caps or FURLs into the log on purpose; what libraries write (a refused connection to a FURL, an exception quoting
its argument) is washed here, on the way out. Begun by `process`. Spec: 08 §23.1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, Any, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEventAsClassicLogText,
    globalLogBeginner,
)
from twisted.python.logfile import LogFile

from lafs.errors import NodeError

LOG_FILE_SIZE = 10_000_000
LOG_FILES = 5
"""A log file is at most so many bytes; so many older ones are kept."""

_SECRETS = (
    (re.compile(r"(URI(?::|%3A)[A-Z0-9-]+(?::|%3A))[A-Za-z0-9:%]+", re.IGNORECASE), r"\1[CENSORED]"),
    (re.compile(r"(pb(?:\+\w+)?://[^\s/@'\"]*@[^\s/'\"]*/)[^\s'\">,)]+"), r"\1[CENSORED]"),
    (re.compile(r"\bpriv-v0-[a-z2-7]+"), "priv-v0-[CENSORED]"),
)
"""Caps (also as in a URL), the last part of FURLs, private keys."""

_CHATTER = re.compile(r"PassivePort starting on \d+$|\(TCP Port \d+ Closed\)$")
"""What Twisted says of ports that open and close for every file."""


def washed(text: str) -> str:
    """`text` without the secrets in it."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def rotated(path: Path) -> IO[str]:
    """A file to append lines to, which begins anew when it is large. Raises NodeError."""
    try:
        # Its types do not say so, but a LogFile takes text.
        make: Any = LogFile
        return cast("IO[str]", make(path.name, str(path.parent), LOG_FILE_SIZE, maxRotatedFiles=LOG_FILES))
    except (OSError, AssertionError) as error:  # the latter is how it says that the directory is not there
        reason = getattr(error, "strerror", None) or "its directory is not there"
        raise NodeError(f"the log file {path} cannot be written: {reason}") from None


def begin(stream: IO[str]) -> None:
    """Send everything that is logged from now on, from level info, to `stream`."""
    # Any: the types of these classes do not say that they provide the interfaces.
    levels: Any = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    lines: Any = FileLogObserver(stream, _line)
    observer: Any = FilteringLogObserver(lines, [levels])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def _line(event: LogEvent) -> str | None:
    text = formatEventAsClassicLogText(event)
    return None if text is None or _CHATTER.search(text.rstrip()) else washed(text)
