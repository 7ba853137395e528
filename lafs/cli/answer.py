"""What a gateway answered: its bytes, counted; its text, made fit for a terminal.

Made by lafs.cli.gateway, read by the commands. Nothing a gateway says is trusted with memory, with the terminal or with the
secrecy of a cap. Spec: 07 §15.2 (bodies of errors), 08 §24 C6, C7.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import Any

from lafs.cli.remote_paths import conceal
from lafs.errors import LafsError

PIECE_SIZE = 256 * 1024
"""Bytes moved at a time: large enough that Python's part of the work disappears."""

TEXT_LIMIT = 16 * 1024 * 1024
"""Longest JSON or cap that is read into memory, in bytes."""

ERROR_LIMIT = 4000
"""Most characters of a gateway's error text that are shown."""


UNSEEN = frozenset({"title", "style", "script"})


class Refused(LafsError):
    """The gateway understood and said no. `status` is its HTTP status; the message has its text, without caps."""

    def __init__(self, action: str, status: int, text: str) -> None:
        super().__init__(f"Error during {action}: {text}")
        self.action = action
        self.status = status
        self.text = text


class CutOff(LafsError):
    """An answer that broke off before its end."""


class Answer:
    """One HTTP response whose body has not been read yet."""

    def __init__(self, method: str, response: HTTPResponse) -> None:
        self.method = method
        self.status = response.status
        self._response = response

    def header(self, name: str) -> str:
        """The header's value, "" if it was not sent."""
        return self._response.getheader(name) or ""

    @property
    def length(self) -> int | None:
        """Bytes of the body still to come, if the gateway said."""
        return None if self._response.chunked else self._response.length

    def start(self, size: int) -> bytes:
        """The first `size` bytes of the body; `pieces` has the rest. Raises CutOff if there are fewer."""
        try:
            content = self._response.read(size)
        except (OSError, HTTPException):
            content = b""
        if len(content) < size:
            raise CutOff("the gateway broke off")
        return content

    def pieces(self) -> Iterator[memoryview]:
        """The body, in pieces valid until the next is asked for. Raises CutOff unless all that was announced has come."""
        if self._response.length is None and not self._response.chunked:
            raise CutOff("the gateway did not say how long its answer is, so nobody could tell whether it is complete")
        buffer = memoryview(bytearray(PIECE_SIZE))
        try:
            while count := self._response.readinto(buffer):
                yield buffer[:count]
        except TimeoutError:
            raise CutOff("the gateway sent nothing more for a long time") from None
        except (OSError, HTTPException):
            raise CutOff("the gateway broke off") from None
        if self._response.length:
            raise CutOff("the gateway broke off")

    def text(self) -> str:
        """The whole body as text, for small answers."""
        content = bytearray()
        for piece in self.pieces():
            content += piece
            if len(content) > TEXT_LIMIT:
                raise CutOff("the gateway's answer is absurdly long")
        return content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body parsed as JSON. Raises CutOff if it is not."""
        try:
            return json.loads(self.text())
        except (ValueError, RecursionError):
            raise CutOff("the gateway's answer is not the JSON that was expected; is it a lafs or Tahoe-LAFS node?") from None

    def expect(self, *statuses: int) -> Answer:
        """This answer, if its status is one of those. Raises Refused with the gateway's own words."""
        if self.status in statuses:
            return self
        try:
            body = self._response.read(4 * ERROR_LIMIT)
        except (OSError, HTTPException):
            body = b""
        summary = f"{self.status} {printable(self._response.reason)}".rstrip()
        text = plain_text(body, html="html" in self.header("Content-Type") or body.lstrip()[:1] == b"<")
        raise Refused(self.method, self.status, f"{summary}: {text}" if text else summary)

    def close(self) -> None:
        self._response.close()


def plain_text(body: bytes, html: bool) -> str:
    """The words of an error page: tags, caps and terminal controls removed, no empty lines, bounded."""
    text = body.decode("utf-8", "replace")
    if html:
        text = without_markup(text)
    lines = (" ".join(line.split()) for line in printable(text).splitlines())
    unique = dict.fromkeys(line for line in lines if line and line != "Error")  # the heading of a Tahoe gateway's page
    return conceal("\n".join(unique))[:ERROR_LIMIT]


def printable(text: str) -> str:
    """`text` without characters that would do something to a terminal."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def without_markup(page: str) -> str:
    """The text of an HTML page, without its title, styles and scripts."""
    from html.parser import HTMLParser  # only an error page pays for it

    words: list[str] = []

    class Words(HTMLParser):
        hidden = 0

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.hidden += tag in UNSEEN

        def handle_endtag(self, tag: str) -> None:
            self.hidden -= tag in UNSEEN and self.hidden > 0

        def handle_data(self, data: str) -> None:
            if not self.hidden:
                words.append(data)

    parser = Words()
    parser.feed(page)
    parser.close()
    return "\n".join(words)
