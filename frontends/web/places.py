"""Where a page is, as it was asked for: the names on the way to it, and links to each of them.

A page never cares whether its address begins with a cap or, in a browser session, with a handle that stands for one: it links to
what is above and below it relative to itself.
"""
from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote

from attrs import evolve, field, frozen

from frontends.web.request import Request


@frozen
class Place:
    """Something below /uri/CAP or /h/HANDLE. `up` leads from the page to what that names, a directory; `path` goes down again."""

    up: str
    path: tuple[str, ...] = ()
    last: str = field(default="", repr=False)
    """The last segment of the page's address, where that does not end in a slash."""

    @classmethod
    def of(cls, request: Request) -> Place:
        """What `request` asks for."""
        address = request.exchange.target.partition(b"?")[0].decode("latin-1")
        _mount, *segments = address[1:].split("/")
        names = [unquote(segment, errors="replace") for segment in segments[1:] if segment]
        last = segments[-1] if segments else ""
        depth = len(segments) - 2  # directories between what the first segment names and the page
        up = "../" * depth or "./"
        return cls(up if depth >= 0 else f"./{quote(unquote(last), safe='')}/", tuple(names), last)

    @property
    def directory_url(self) -> str:
        """The address of it, as a directory: relative names go on from there."""
        return self.up + "".join(quote(name, safe="") + "/" for name in self.path)

    @property
    def url(self) -> str:
        """The address of it, as a file."""
        return self.directory_url.removesuffix("/") if self.path or self.last else self.up

    @property
    def name(self) -> str:
        """The last name on the way, "" at the root."""
        return self.path[-1] if self.path else ""

    @property
    def parent(self) -> Place | None:
        """The directory it is in, as far as the address says."""
        return evolve(self, path=self.path[:-1]) if self.path else None

    @property
    def trail(self) -> Sequence[Place]:
        """Every place from the root to this."""
        return [evolve(self, path=self.path[:length]) for length in range(len(self.path) + 1)]
