"""The gateway's pages: Jinja2 templates under templates/, always escaped, and the few files under static/ that they use."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from frontends.web.answers import quoted

HERE = Path(__file__).parent

ASSETS = {
    "css/lafs.css": (b"text/css; charset=utf-8", "lafs.css"),
    "img/lafs.svg": (b"image/svg+xml", "lafs.svg"),
}
"""Path below the root: its type, and the file under static/."""


class Pages:
    """Renders templates. All values are escaped; there are no scripts."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["size"] = readable_size
        self._environment.filters["ago"] = readable_age
        self._environment.filters["quoted"] = quoted

    def render(self, template: str, /, **values: Any) -> str:
        """The HTML of templates/`template`.html. `base` leads from the page back to the root, "" or "../" and so on."""
        return self._environment.get_template(f"{template}.html").render(**values)


def load_assets() -> dict[str, tuple[bytes, bytes]]:
    """Path: (type, contents)."""
    return {path: (kind, (HERE / "static" / name).read_bytes()) for path, (kind, name) in ASSETS.items()}


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
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"
