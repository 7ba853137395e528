"""A request parsed once: path, arguments and headers as values that the handlers read. Spec: 07 §3, §4."""
from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast
from urllib.parse import quote, unquote_to_bytes

from attrs import evolve, field, frozen

from frontends.web.addresses import Addresses, Visit
from frontends.web.channel import Exchange
from frontends.web.errors import Refusal
from frontends.web.forms import Form, urlencoded_pairs
from frontends.web.sessions import Session
from lafs.crypto.rsa import PrivateKey
from lafs.interfaces import Replace

MOST_ARGUMENTS = 1000

BOOLEANS = {
    **dict.fromkeys(("true", "t", "1", "on"), True),
    **dict.fromkeys(("false", "f", "0", "off"), False),
}

FileFormat = Literal["CHK", "SDMF", "MDMF"]

FORMATS = ("CHK", "SDMF", "MDMF")


@frozen
class Arguments:
    """Named texts from the query and, below it, from a form. Of repeated names the first counts. Values may hold caps."""

    _values: Mapping[str, str] = field(factory=dict, repr=False)

    @classmethod
    def parse(cls, query: bytes) -> Arguments:
        """From the raw query of a URL. Raises Refusal."""
        if not query:
            return cls()
        values: dict[str, str] = {}
        for name, value in urlencoded_pairs(query, MOST_ARGUMENTS):
            values.setdefault(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        return cls(values)

    def over(self, fields: Mapping[str, str]) -> Arguments:
        """These arguments, and those of `fields` whose name is not among them."""
        return Arguments({**fields, **self._values})

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def items_without(self, name: str) -> list[tuple[str, str]]:
        """All arguments but `name`, in order."""
        return [(key, value) for key, value in self._values.items() if key != name]

    @property
    def t(self) -> str:
        """What is to be done with the object."""
        t = self.get("t").strip()
        if not t.isascii():
            raise Refusal(400, "The argument t= must be ASCII.")
        return t

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean argument. Raises Refusal for what is no boolean, the empty text included."""
        if name not in self:
            return default
        value = self.get(name)
        try:
            return BOOLEANS[value.lower()]
        except KeyError:
            raise Refusal(400, f"invalid boolean argument: {value.encode()!r}") from None

    def file_format(self) -> FileFormat:
        """The format for a new file: CHK unless format= or mutable= say otherwise. Raises Refusal."""
        if "format" not in self:
            return "SDMF" if self.flag("mutable") else "CHK"
        value = self.get("format")
        if value.upper() not in FORMATS:
            raise Refusal(400, f"Unknown format: {value}, I know CHK, SDMF, MDMF")
        return cast(FileFormat, value.upper())

    def replace(self) -> Replace:
        """What may happen to a child that is there already. Raises Refusal."""
        value = self.get("replace", "true").lower()
        if value == "only-files":
            return "only-files"
        if value not in BOOLEANS:
            raise Refusal(400, f"invalid replace= argument: {self.get('replace')!r}")
        return "always" if BOOLEANS[value] else "never"

    def offset(self) -> int | None:
        """Where in a mutable file to write. Raises Refusal."""
        if "offset" not in self:
            return None
        value = self.get("offset").strip()
        if re.fullmatch(r"-?[0-9]{1,19}", value) is None:
            raise Refusal(400, "offset= must be a decimal number.")
        if int(value) < 0:
            raise Refusal(400, "PUT to a mutable file: Invalid offset")
        return int(value)

    def private_key(self) -> PrivateKey | None:
        """The key for a new mutable object. Raises Refusal."""
        if "private-key" not in self:
            return None
        try:
            return PrivateKey.parse_owners(base64.urlsafe_b64decode(self.get("private-key").encode("ascii")))
        except ValueError:
            raise Refusal(
                400, "private-key= must be the urlsafe base64 of the DER of an RSA key. Private Key must be 2048 bits."
            ) from None


@frozen
class Request:
    """What a client asks."""

    method: str
    mount: str
    """The first segment of the path."""
    segments: tuple[bytes, ...] = field(repr=False)
    """The others, each percent-decoded on its own."""
    arguments: Arguments
    exchange: Exchange = field(repr=False)
    visit: Visit = field(repr=False)
    form: Form | None = field(default=None, repr=False)
    """The form in the body of a POST; its plain fields are among the arguments."""
    handle: str | None = field(default=None, repr=False)
    """The handle in place of which a cap is now the first segment; "" for /h alone. None: the client named a cap, or nothing."""

    @classmethod
    def of(cls, exchange: Exchange, visit: Visit) -> Request:
        """Parse. Raises Refusal."""
        if not exchange.target.startswith(b"/"):
            raise Refusal(400, "The target of a request must be a path.")
        path, _, query = exchange.target.partition(b"?")
        mount, *segments = [unquote_to_bytes(segment) for segment in path[1:].split(b"/")]
        return cls(
            exchange.method.decode("ascii"),
            mount.decode("utf-8", "replace"),
            tuple(segments),
            Arguments.parse(query),
            exchange,
            visit,
        )

    @property
    def base(self) -> str:
        """From here to the root of the gateway: "../" for each directory that the path lies in."""
        return "../" * len(self.segments)

    @property
    def session(self) -> Session | None:
        """The browser session that the request belongs to."""
        return self.visit.session

    @property
    def addresses(self) -> Addresses:
        """Where the links of a page that answers this lead."""
        if self.handle is not None:
            root = f"h/{self.handle}".removesuffix("/")
        elif self.mount in ("uri", "cap") and self.segments:
            root = f"{self.mount}/{quote(self.segments[0], safe='')}"
        else:
            root = ""
        return Addresses(self.base, root, self.visit)

    def header(self, name: bytes) -> str | None:
        """The (first) value of a request header."""
        values = self.headers(name)
        return values[0] if values else None

    def headers(self, name: bytes) -> Sequence[str]:
        return [value.decode("latin-1") for value in self.exchange.requestHeaders.getRawHeaders(name, [])]

    def with_form(self, form: Form) -> Request:
        return evolve(self, form=form, arguments=self.arguments.over(form.fields))
