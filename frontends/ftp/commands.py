"""What a client says on the control connection: bytes into lines, lines into commands. Pure; called by `control`.

RFC 959 §5.3, RFC 2640 §3.1 (UTF-8). A line is bounded, whatever comes: one that is too long is cut, and refused when it is parsed.
"""
from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import field, frozen

from frontends.ftp.replies import Refusal

LONGEST_LINE = 8 * 1024
"""Bytes of a command: a path may hold a cap and a few dozen names."""

_TELNET = re.compile(rb"\xff[\xf0-\xfa]|\xff[\xfb-\xfe].", re.DOTALL)
"""Telnet commands. Old clients send two of them before ABOR; in UTF-8 the byte 255 does not occur."""

_VERB = re.compile(rb"([A-Za-z]{3,4})(?: (.*))?", re.DOTALL)


@frozen
class Command:
    """One command. The argument may be a password."""

    verb: str
    argument: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The argument. Raises Refusal if it is not UTF-8."""
        try:
            return self.argument.decode("utf-8")
        except UnicodeDecodeError:
            raise Refusal(501, "Names and passwords must be UTF-8.") from None


def parse(line: bytes) -> Command:
    """The command in `line`, which has no line end. Raises Refusal.

    One blank ends the verb; all that follows belongs to the argument, as names may begin and end with blanks.
    """
    if len(line) > LONGEST_LINE:
        raise Refusal(500, "This line is too long.")
    found = _VERB.fullmatch(_TELNET.sub(b"", line))
    if found is None:
        raise Refusal(500, "This is not a command.")
    verb, argument = found.groups()
    if argument and (b"\0" in argument or b"\r" in argument):
        raise Refusal(501, "No name holds a line end or a NUL.")
    return Command(verb.decode("ascii").upper(), argument or b"")


class Lines:
    """Bytes as they come, into lines. Holds one unfinished line at most, and of that no more than can be used."""

    def __init__(self) -> None:
        self._begun = bytearray()

    @property
    def is_empty(self) -> bool:
        """No line has been begun."""
        return not self._begun

    def feed(self, data: bytes) -> Sequence[bytes]:
        """The lines that `data` completes, without CR LF (or the bare LF of sloppy clients)."""
        *whole, rest = data.split(b"\n")
        lines = []
        for piece in whole:
            self._keep(piece)
            lines.append(bytes(self._begun.removesuffix(b"\r")))
            self._begun.clear()
        self._keep(rest)
        return lines

    def _keep(self, piece: bytes) -> None:
        # One byte for the CR, and one that tells a line that is too long from one that is just short enough.
        self._begun += piece[: max(0, LONGEST_LINE + 2 - len(self._begun))]
