"""TYPE A: text with CR LF at the ends of lines on the wire, and LF in the file. Pure. RFC 959 §3.1.1.1.

A conversion is fed piece by piece, and knows what the piece before ended with.
"""
from __future__ import annotations

import re
from typing import Protocol

_BARE_LF = re.compile(rb"(?<!\r)\n")


class Conversion(Protocol):
    """Bytes in, bytes out."""

    def convert(self, data: bytes) -> bytes: ...

    def end(self) -> bytes:
        """What was held back."""
        ...


class AsIs:
    """TYPE I."""

    def convert(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class ToWire:
    """LF becomes CR LF; a CR LF that is in the file already stays as it is."""

    def __init__(self) -> None:
        self._after_cr = False

    def convert(self, data: bytes) -> bytes:
        if not data:
            return b""
        first, self._after_cr = self._after_cr and data[:1] == b"\n", data.endswith(b"\r")
        if first:
            return b"\n" + _BARE_LF.sub(b"\r\n", data[1:])
        return _BARE_LF.sub(b"\r\n", data)

    def end(self) -> bytes:
        return b""


class FromWire:
    """CR LF becomes LF; every other CR is kept."""

    def __init__(self) -> None:
        self._held = b""

    def convert(self, data: bytes) -> bytes:
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")

    def end(self) -> bytes:
        held, self._held = self._held, b""
        return held
