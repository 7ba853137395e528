"""What a client is told when the server's disk fails: the kind of trouble, never a path, a byte or an errno of ours.

The operator's log gets the reason; the client gets a typed error. Spec: 05 §11.5, §19 D5.
"""
from __future__ import annotations

import errno
from typing import Final

from lafs.errors import NoSpace, ServerError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def as_server_error(error: Exception) -> ServerError:
    """The error to raise to a client for `error`; itself if it is one that may be shown."""
    if isinstance(error, ServerError):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        return NoSpace("the server's disk is full")
    if isinstance(error, OSError):
        return ServerError("the server could not read or write its disk")
    return ServerError("the server failed")


def reason_for_log(error: BaseException) -> str:
    """What the operator may read about `error`: its kind and the system's text, without file names."""
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror or 'unknown'}"
    return type(error).__name__
