"""What the text of a configuration option may be: one small parser for each kind of value.

Pure: each takes the text and returns the value, or raises ValueError with a message that says what is allowed (never
quoting a FURL). Used by the tables in `settings`. Spec: 08 §§19-21, 05 §16.1.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable
from datetime import date as day
from ipaddress import IPv4Address

from lafs.crypto import base32
from lafs.protocol.furl import BadFurl, Furl

Parse = Callable[[str], object]

_BOOLEANS = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}
_SIZE = re.compile(r"([0-9]{1,30})([KMGTPE]?)(I?)B?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]{1,9})\s*(day|days|mo|month|months|year|years)")
_SECONDS = {"day": 86_400, "mo": 31 * 86_400, "month": 31 * 86_400, "year": 365 * 86_400}
_ZERO_PORT = re.compile(r"(tcp6?:)?(port=)?0+(:.*)?")


def text(value: str) -> str:
    return value


def boolean(value: str) -> bool:
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise ValueError(f"Not a boolean: {value!r}; write true or false") from None


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A parser of decimal numbers from `least` to `most`."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"\s*[0-9]{1,20}\s*", value) or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {value!r}")
        return int(value)

    return parse


def optional(parse: Callable[[str], object], *nothing: str) -> Parse:
    """Like `parse`, but an empty value (or one of `nothing`) is the same as no value: None."""
    return lambda value: None if value.strip() in ("", *nothing) else parse(value)


def one_of(*names: str) -> Callable[[str], str]:
    """A parser of one word of a list, in any case."""

    def parse(value: str) -> str:
        if value.strip().lower() not in names:
            raise ValueError(f"must be one of {', '.join(names)}, not {value!r}")
        return value.strip().lower()

    return parse


def path(value: str) -> str:
    """A path; relative ones are meant from the node directory, and `~` is an ordinary character."""
    if not value or "\0" in value:
        raise ValueError("must be a path")
    return value


def size(value: str) -> int:
    """Bytes: `1000`, `1G` (10⁹), `1GiB` (2³⁰), `100MB`. Nothing between the number and the unit."""
    found = _SIZE.fullmatch(value.strip())
    if not found:
        raise ValueError(f"must be a size such as 500MB, 1G or 10GiB, not {value!r}")
    number, unit, binary = found.groups()
    base: int = 1024 if binary else 1000
    return int(number) * int(base ** " KMGTPE".index(unit.upper() or " "))


def reserve(value: str) -> int:
    """A size; empty is none."""
    return size(value) if value.strip() else 0


def duration(value: str) -> int:
    """Seconds: `60 days`, `2mo`, `1 year`; a month is 31 days, a year 365."""
    found = _DURATION.fullmatch(value.strip())
    if not found:
        raise ValueError(f"must be a duration such as 60 days, 2 months or 1 year, not {value!r}")
    return int(found.group(1)) * _SECONDS[found.group(2).rstrip("s")]


def date(value: str) -> int:
    """Seconds since the epoch of the midnight (UTC) that begins the day `YYYY-MM-DD`."""
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value.strip()):
            raise ValueError
        return timegm(day.fromisoformat(value.strip()).timetuple())
    except ValueError:
        raise ValueError(f"must be a date such as 2026-01-31, not {value!r}") from None


def furl(value: str) -> str:
    """A FURL. Its last part is a secret, so no message quotes it."""
    value = value.strip()
    if "#" in value:
        raise ValueError("contained an unescaped '#' character")
    try:
        Furl.parse(value)
    except BadFurl as error:
        raise ValueError(f"must be a FURL, pb://TUBID@HOST:PORT/NAME: {error}") from None
    return value


def names(value: str) -> tuple[str, ...]:
    """A list separated by commas; blanks around names and empty names do not count."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def content_host(value: str) -> str:
    """A host name for the contents of files, `[https://]NAME[:PORT]`: every name below it leads here too; or `none`."""
    value = value.strip()
    if value and not re.fullmatch(r"(https?://)?(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?", value):
        raise ValueError(f"must be a name such as files.example.org or https://files.example.org:8443, not {value!r}")
    return value


def public_key(value: str) -> str:
    """The text of an Ed25519 public key, `pub-v0-...`."""
    value = value.strip()
    try:
        if not value.startswith("pub-v0-") or len(base32.decode_lax(value.removeprefix("pub-v0-"))) != 32:
            raise ValueError
    except ValueError:
        raise ValueError("must be a public key: pub-v0- and 52 characters") from None
    return value


def tub_port(value: str) -> tuple[str, ...]:
    """Endpoints to listen on, comma-separated; a bare number is a TCP port. `disabled`: the empty tuple."""
    if not value.strip():
        raise ValueError("tub.port must not be empty; write a port, or disabled")
    if value.strip() == "disabled":
        return ()
    endpoints = names(value)
    if any(_ZERO_PORT.fullmatch(endpoint) for endpoint in endpoints):
        raise ValueError("tub.port cannot be 0: you must choose.")
    return tuple(endpoint_text(endpoint) for endpoint in endpoints)


def tub_location(value: str) -> tuple[str, ...]:
    """Connection hints to publish, comma-separated, `AUTO` among them. `disabled`: the empty tuple."""
    if not value.strip():
        raise ValueError("tub.location must not be empty; write AUTO, tcp:HOST:PORT, or disabled")
    if value.strip() == "disabled":
        return ()
    hints = names(value)
    for hint in hints:
        if "/" in hint or "@" in hint or any(character.isspace() for character in hint):
            raise ValueError(f"{hint!r} is not a connection hint such as tcp:HOST:PORT")
    return hints


def port_range(value: str) -> tuple[int, ...]:
    """TCP ports, `50000-50099`; empty is any."""
    if not value.strip():
        return ()
    found = re.fullmatch(r"\s*([0-9]{1,5})\s*-\s*([0-9]{1,5})\s*", value)
    if not found or not 0 < int(found[1]) <= int(found[2]) <= 65_535:
        raise ValueError(f"must be a range of ports such as 50000-50099, not {value!r}")
    return tuple(range(int(found[1]), int(found[2]) + 1))


def ipv4_address(value: str) -> str:
    try:
        return str(IPv4Address(value.strip()))
    except ValueError:
        raise ValueError(f"must be an IPv4 address such as 192.0.2.1, not {value!r}") from None


def endpoint_text(value: str) -> str:
    """A Twisted endpoint string; one that starts with a digit is a TCP port. What is certainly wrong is refused."""
    value = value.strip()
    if not value.isprintable():
        raise ValueError("must be an endpoint such as tcp:3456:interface=127.0.0.1")
    if value[:1].isdigit():
        value = f"tcp:{value}"
    kind, colon, rest = value.partition(":")
    number = rest.partition(":")[0].removeprefix("port=")
    if not colon or (kind in ("tcp", "tcp6") and not re.fullmatch(r"[0-9]{1,5}", number)) or not rest:
        raise ValueError(f"{value!r} is not an endpoint such as tcp:3456:interface=127.0.0.1")
    if kind in ("tcp", "tcp6") and int(number) > 65_535:
        raise ValueError(f"there is no port {number}")
    return value
