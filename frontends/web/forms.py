"""Forms in request bodies. The file in a multipart form streams: it is read, through here, while the browser sends it.

The fields before the file are known when the upload starts; those after it only when it ends. Forms that are sent by a
program in any order therefore still work as long as the file is small, or what comes late does not change what to do with it.
Spec: 07 §4 "Where arguments come from".
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from attrs import field, frozen
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from frontends.web.body import Body
from frontends.web.errors import Refusal
from lafs.errors import SourceFailed
from lafs.interfaces import Source
from lafs.sources import BytesSource

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"

SMALL_FILE = 1024 * 1024
"""A file up to this size is read whole before anything is done with the form."""

MOST_FIELD_BYTES = 1024 * 1024
"""Bytes in all fields but the file, together."""

MOST_FIELDS = 200


@frozen
class FormFile:
    """The file in a form."""

    name: str
    source: Source


@frozen
class Form:
    """A form: its fields, its file, and those fields that come after a file too large to be read first."""

    fields: Mapping[str, str] = field(repr=False)
    file: FormFile | None = None
    late: _MultipartReader | None = None

    async def late_fields(self) -> Mapping[str, str]:
        """The fields after a large file, once that has been read to its end. Raises Refusal, SourceFailed."""
        return {} if self.late is None else await self.late.rest()


def form_kind(content_type: str | None) -> str | None:
    """MULTIPART or URLENCODED if the body is a form."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind if kind in (MULTIPART, URLENCODED) else None


async def read_form(body: Body, content_type: str) -> Form:
    """Read a form up to its file, or to its end if that is small or there is none. Raises Refusal, SourceFailed."""
    if form_kind(content_type) == URLENCODED:
        return await _read_urlencoded(body)
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary or not boundary.isascii():
        raise Refusal(400, "A multipart form must name its boundary.")
    reader = _MultipartReader(body, boundary)
    fields = await reader.fields()
    if reader.file_name is None:
        return Form(fields)
    start = await reader.read(SMALL_FILE + 1)
    if len(start) > SMALL_FILE:
        return Form(fields, FormFile(reader.file_name, _FormFileSource(reader, start)), reader)
    return Form({**await reader.fields(), **fields}, FormFile(reader.file_name, BytesSource(start)))


async def _read_urlencoded(body: Body) -> Form:
    text = await body.read(MOST_FIELD_BYTES + 1)
    if len(text) > MOST_FIELD_BYTES:
        raise Refusal(413, "The form is too large.")
    fields: dict[str, str] = {}
    for name, value in urlencoded_pairs(text, MOST_FIELDS):
        fields.setdefault(_text(name), _text(value))
    return Form(fields)


def urlencoded_pairs(text: bytes, most: int) -> list[tuple[bytes, bytes]]:
    """Names and values, unquoted, of a query or an urlencoded form. Raises Refusal if there are more than `most`."""
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=most)
    except ValueError:
        raise Refusal(400, "The request has too many arguments.") from None
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "The fields of a form must be UTF-8.") from None


class _MultipartReader:
    """Walks through a multipart body: fields, then the file in pieces, then fields again. Reads no further than it must."""

    def __init__(self, body: Body, boundary: str) -> None:
        self.file_name: str | None = None
        """The name that came with the file, once the walk has met it."""
        self._body = body
        self._parser = PushMultipartParser(boundary, max_header_size=16 * 1024, header_charset="utf8")
        self._events: Iterator[MultipartSegment | bytes | None] = iter(())
        self._in_file = False
        self._left = MOST_FIELD_BYTES
        self._fields_left = MOST_FIELDS
        self._surplus = b""
        self._rest: dict[str, str] | None = None

    async def rest(self) -> dict[str, str]:
        """The fields after the file, as often as they are asked for."""
        if self._rest is None:
            self._rest = await self.fields()
        return self._rest

    async def fields(self) -> dict[str, str]:
        """The fields up to the file, or up to the end of the form."""
        fields: dict[str, str] = {}
        while isinstance(segment := await self._event(), MultipartSegment):
            if segment.name == "file" and self.file_name is None:
                self.file_name = segment.filename or ""
                self._in_file = True
                break
            value = await self._field()
            fields.setdefault(segment.name, _text(value))
        return fields

    async def read(self, size: int) -> bytes:
        """The next `size` bytes of the file; fewer only at its end."""
        pieces = [self._surplus]
        missing = size - len(self._surplus)
        while missing > 0 and self._in_file:
            piece = await self._event()
            if isinstance(piece, bytes):
                pieces.append(piece)
                missing -= len(piece)
            else:
                self._in_file = False
        whole = b"".join(pieces)
        self._surplus = whole[size:]
        return whole[:size] if self._surplus else whole

    async def _field(self) -> bytes:
        self._fields_left -= 1
        value = bytearray()
        while isinstance(piece := await self._event(), (bytes, bytearray)):
            value += piece
            self._left -= len(piece)
            if self._left < 0:
                break
        if self._left < 0 or self._fields_left < 0:
            raise Refusal(413, "The fields of the form are too large, or too many.")
        return bytes(value)

    async def _event(self) -> MultipartSegment | bytes | None:
        """The next thing in the form: the head of a part, a piece of its value, or None at the end of a part or of the form."""
        while True:
            try:
                for event in self._events:
                    return event
                if self._parser.closed:
                    return None
                # At the end of the body this is b"", which closes the parser, or raises if the form is not whole.
                self._events = self._parser.parse(await self._body.read_some())
            except MultipartError:
                raise Refusal(400, "The form in the body of the request is malformed.") from None


class _FormFileSource:
    """The file of a form as the source of an upload: `start` has been read already, the rest follows. Implements `Source`."""

    def __init__(self, reader: _MultipartReader, start: bytes) -> None:
        self._reader = reader
        self._start = start

    @property
    def size(self) -> int | None:
        return None

    @property
    def rewindable(self) -> bool:
        return False

    async def read(self, size: int) -> bytes:
        start, self._start = self._start[:size], self._start[size:]
        return start + await self._reader.read(size - len(start))

    async def rewind(self) -> None:
        raise SourceFailed("a request body can be read only once")

    async def close(self) -> None:
        self._start = b""
