"""What the server says on the control connection: a code for programs and a line for people. Pure. RFC 959 §4.2.

A name that was stored by somebody else may hold anything: what would end a line or steer a terminal is replaced.
"""
from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from lafs.errors import LafsError

_UNSAYABLE = dict.fromkeys((*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029), "?")


@frozen
class Reply:
    """One reply; `between` are the lines between the first and the last of a long one."""

    code: int
    text: str
    between: Sequence[str] = ()
    last: str = "End"

    def encode(self) -> bytes:
        """The reply as it is sent. No more lines than it should have, whatever is in them."""
        if not self.between:
            lines = [f"{self.code} {one_line(self.text)}"]
        else:
            middle = (f" {one_line(line)}" for line in self.between)
            lines = [f"{self.code}-{one_line(self.text)}", *middle, f"{self.code} {one_line(self.last)}"]
        return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


class Refusal(LafsError):
    """A command that is answered with an error: raised for what is wrong with the command itself."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def reply(self) -> Reply:
        return Reply(self.code, str(self))


def one_line(text: str) -> str:
    """`text` without line ends and control characters."""
    return text.translate(_UNSAYABLE)
