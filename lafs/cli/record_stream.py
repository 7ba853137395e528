"""What a gateway tells of a walk: one JSON object a line, for as long as it takes. Used by `manifest` and `deep-check`.

A line that begins with ERROR: and all behind it is for people. Spec: 04 §12, 08 §12.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from lafs.cli.answer import Answer, CutOff, plain_text
from lafs.cli.gateway import Gateway

WALK_SECONDS = 7 * 86400.0
"""How long a gateway may be silent while it works on a large file."""

LONGEST_LINE = 64 * 1024 * 1024
TROUBLE_LIMIT = 64 * 1024


class Records:
    """The objects of a walk, as they come. Afterwards: was it `complete`, and what `trouble` was told.

    `line` is the one of the record given out last. A line that is no JSON is told on stderr, and passed over.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.line = ""
        self.trouble = ""
        self.complete = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for raw in self._lines():
            if self.trouble or raw.startswith(b"ERROR:"):
                if len(self.trouble) < TROUBLE_LIMIT:
                    self.trouble += plain_text(raw, html=False) + "\n"
                continue
            try:
                record = json.loads(raw)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                click.echo(f"ERROR could not decode/parse a line of {len(raw)} bytes", err=True)
                continue
            self.complete = record.get("type") == "stats"
            self.line = raw.decode("ascii", "backslashreplace")
            yield record

    def _lines(self) -> Iterator[bytes]:
        rest = bytearray()
        for piece in self._answer.pieces():
            start = len(rest)
            rest += piece
            if b"\n" in rest[start:]:
                *lines, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                yield from filter(None, lines)
            if len(rest) > LONGEST_LINE:
                raise CutOff("the gateway's answer is absurdly long")
        if rest:
            yield bytes(rest)


def records_of(gateway: Gateway, target: str) -> Records:
    """Start a walk. Raises Refused."""
    return Records(gateway.send("POST", target).expect(200))


def shown_path(record: dict[str, Any]) -> str:
    """The names that lead to the object, joined."""
    path = record.get("path")
    return "/".join(map(str, path)) if isinstance(path, list) else ""
