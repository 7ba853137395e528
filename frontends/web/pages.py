"""The gateway's pages: Jinja2 templates under templates/, always escaped, and the few files under static/ that they use."""
from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from frontends.web.answers import quoted
from frontends.web.listing_rows import Row

HERE = Path(__file__).parent

SCRIPT = b"text/javascript; charset=utf-8"

ASSETS = {
    "css/lafs.css": (b"text/css; charset=utf-8", "lafs.css"),
    "img/lafs.svg": (b"image/svg+xml", "lafs.svg"),
    **{f"js/{path.name}": (SCRIPT, f"js/{path.name}") for path in sorted((HERE / "static" / "js").glob("*.js"))},
}
"""Path below the root: its type, and the file under static/."""

KIND_NAMES = {
    "folder": "Folder",
    "image": "Picture",
    "video": "Video",
    "audio": "Sound",
    "text": "Text",
    "document": "Document",
    "archive": "Archive",
    "file": "File",
    "unknown": "Unknown",
}

_MISLEADING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Characters that are not seen, but change what is: "evil<U+202E>gpj.exe" would be read as "evilexe.jpg"."""


class Pages:
    """Renders templates. All values are escaped; no script stands in a page."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            size=readable_size,
            ago=readable_age,
            span=readable_span,
            quoted=quoted,
            shown=shown,
            moment=readable_moment,
            iso=iso_moment,
            meta=readable_row,
            kind_name=KIND_NAMES.__getitem__,
        )
        self._environment.globals["section"] = ""

    def render(self, template: str, /, **values: Any) -> str:
        """The HTML of templates/`template`.html. Most need `at`, the request's addresses."""
        return self._environment.get_template(f"{template}.html").render(**values)


def load_assets() -> dict[str, tuple[bytes, bytes]]:
    """Path: (type, contents)."""
    return {path: (kind, (HERE / "static" / name).read_bytes()) for path, (kind, name) in ASSETS.items()}


# --- for people ------------------------------------------------------------------------------------------------------------


def shown(name: str) -> str:
    """A name as a page shows it: with a mark for every character that would show it differently from what it is."""
    return _MISLEADING.sub("\ufffd", name)


def readable_size(size: int | None) -> str:
    """A number of bytes for people."""
    if size is None:
        return "unknown"
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} PB"


def readable_age(seconds: float) -> str:
    """How long ago, for people."""
    return f"{readable_span(seconds)} ago" if seconds >= 60 else "just now"


def readable_span(seconds: float) -> str:
    """How long, for people."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"


def readable_moment(seconds: int) -> str:
    """A moment, in UTC; a script shows it in the time of its reader."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def iso_moment(seconds: int) -> str:
    """A moment for the attribute `datetime`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def readable_row(row: Row) -> str:
    """Size and time in one line, for narrow screens."""
    size = [] if row.size is None else [readable_size(row.size)]
    return " · ".join(size + ([] if row.modified is None else [readable_moment(row.modified)]))
