"""Capability strings: whoever holds one has the authority it names, and no more. Spec: 01 §12, §13.

`parse` reads a cap as programs write it and never fails: what it cannot read becomes an `UnknownCap`, to be carried along
untouched. `from_user` reads a cap as a person pastes it. The values themselves are in lafs/capability_kinds.py; the rest of the
house imports them from here. The command line imports this file, so it imports nothing slow.
"""
from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from lafs.capability_kinds import (
    HASH_SIZE,
    IMMUTABLE_PREFIX,
    KEY_SIZE,
    LITERAL_LIMIT,
    READONLY_PREFIX,
    Cap,
    DirectoryCap,
    Fault,
    FileCap,
    ImmutableReadCap,
    ImmutableVerifyCap,
    LiteralCap,
    MutableFormat,
    MutableReadCap,
    MutableVerifyCap,
    MutableWriteCap,
    UnknownCap,
    directory_label,
)
from lafs.crypto import base32
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadCapability

__all__ = [
    "IMMUTABLE_PREFIX",
    "LITERAL_LIMIT",
    "READONLY_PREFIX",
    "Cap",
    "DirectoryCap",
    "Fault",
    "FileCap",
    "ImmutableReadCap",
    "ImmutableVerifyCap",
    "LiteralCap",
    "MutableFormat",
    "MutableReadCap",
    "MutableVerifyCap",
    "MutableWriteCap",
    "UnknownCap",
    "from_user",
    "parse",
]


def parse(text: str | bytes, deep_immutable: bool = False) -> Cap:
    """The cap in `text`; an UnknownCap if there is none, or one that its prefix (or `deep_immutable`) does not allow.

    Nothing is trimmed or unquoted. Bytes are UTF-8; what is not survives in an UnknownCap as surrogate escapes.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    writable_allowed = mutable_allowed = not deep_immutable
    bare = text
    if text.startswith(IMMUTABLE_PREFIX):
        bare = text.removeprefix(IMMUTABLE_PREFIX)
        writable_allowed = mutable_allowed = False
    elif text.startswith(READONLY_PREFIX):
        bare = text.removeprefix(READONLY_PREFIX)
        writable_allowed = False
    if not writable_allowed:
        kind = _CONSTRAINED.get(bare[: bare.find(":", len("URI:")) + 1])
        if kind is not None and (kind.writable or not mutable_allowed):
            return UnknownCap(text, _constraint(kind, mutable_allowed))
    if not bare.startswith("URI:"):
        return UnknownCap(text)
    label, colon, body = bare.removeprefix("URI:").partition(":")
    inner_label = _FILE_LABELS.get(label, label)
    reader = _READERS.get(inner_label)
    if reader is None or not colon:
        return UnknownCap(text)
    try:
        file_cap = reader(body.removesuffix("\n"))
    except ValueError:
        return UnknownCap(text, _MALFORMED)
    cap = file_cap if inner_label == label else DirectoryCap(file_cap)
    return cap.spelled(bare) if _is_canonical(inner_label, body) else cap


def _is_canonical(label: str, body: str) -> bool:
    """Whether `body`, which could be read, is what would be written, as it nearly always is. False if in doubt.

    Base32 has one spelling only. So what else there can be is zeros before a number, hints behind a cap, the end of a line.
    """
    return body.count(":") == _COLONS.get(label) and ":0" not in body and not body.endswith("\n")


@frozen
class _Constrained:
    """A kind of cap that may not stand everywhere."""

    description: str
    writable: bool


_CONSTRAINED = {
    "URI:SSK:": _Constrained("URI:SSK file writecap", writable=True),
    "URI:SSK-RO:": _Constrained("URI:SSK-RO readcap to a mutable file", writable=False),
    "URI:MDMF:": _Constrained("URI:MDMF file writecap", writable=True),
    "URI:MDMF-RO:": _Constrained("URI:MDMF-RO readcap to a mutable file", writable=False),
    "URI:DIR2:": _Constrained("URI:DIR2 directory writecap", writable=True),
    "URI:DIR2-RO:": _Constrained("URI:DIR2-RO readcap to a mutable directory", writable=False),
    "URI:DIR2-MDMF:": _Constrained("URI:DIR2-MDMF directory writecap", writable=True),
    "URI:DIR2-MDMF-RO:": _Constrained("URI:DIR2-MDMF-RO readcap to a mutable directory", writable=False),
    # Names reserved for trying how clients treat caps of the future.
    "x-tahoe-future-test-writeable:": _Constrained("x-tahoe-future-test-writeable: testing cap", writable=True),
    "x-tahoe-future-test-mutable:": _Constrained("x-tahoe-future-test-mutable: testing cap", writable=False),
}
"""By all that comes before the second colon of a cap, or before the first of one with a name of its own; and that colon."""

_MALFORMED = Fault("malformed", "The capability is damaged: it has the beginning of one, but not its form.")


def _constraint(kind: _Constrained, mutable_allowed: bool) -> Fault:
    if mutable_allowed:
        return Fault("must-be-readonly", f"{kind.description} used in a read-only context")
    return Fault("must-be-deep-immutable", f"{kind.description} used in an immutable context")


def _bytes(text: str, size: int) -> bytes:
    if len(text) != -(-size * 8 // 5):
        raise ValueError("a field of the wrong length")
    return base32.decode(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a decimal number")
    return int(text)


def _read_immutable(body: str) -> ImmutableReadCap:
    key, root, needed, total, size = body.split(":")
    return ImmutableReadCap(
        _bytes(key, KEY_SIZE), _bytes(root, HASH_SIZE), _number(needed), _number(total), _number(size)
    )


def _read_immutable_verifier(body: str) -> ImmutableVerifyCap:
    index, root, needed, total, rest = body.split(":", 4)
    # The first implementation never looked at what follows the size, so caps with something there are in use.
    size = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return ImmutableVerifyCap(
        StorageIndex(_bytes(index, KEY_SIZE)), _bytes(root, HASH_SIZE), _number(needed), _number(total), _number(size)
    )


def _read_literal(body: str) -> LiteralCap:
    return LiteralCap(base32.decode(body))


def _mutable_fields(body: str, mutable_format: MutableFormat) -> tuple[bytes, bytes]:
    """Key (or storage index) and fingerprint. Old MDMF caps have hints after them, which say nothing any more."""
    fields = body.split(":", 2)
    if len(fields) > 2 and mutable_format == "MDMF":
        del fields[2]
    key, fingerprint = fields
    return _bytes(key, KEY_SIZE), _bytes(fingerprint, HASH_SIZE)


def _writer(mutable_format: MutableFormat) -> Callable[[str], FileCap]:
    return lambda body: MutableWriteCap(mutable_format, *_mutable_fields(body, mutable_format))


def _reader(mutable_format: MutableFormat) -> Callable[[str], FileCap]:
    return lambda body: MutableReadCap(mutable_format, *_mutable_fields(body, mutable_format))


def _verifier(mutable_format: MutableFormat) -> Callable[[str], FileCap]:
    def read(body: str) -> FileCap:
        index, fingerprint = _mutable_fields(body, mutable_format)
        return MutableVerifyCap(mutable_format, StorageIndex(index), fingerprint)

    return read


_READERS: dict[str, Callable[[str], FileCap]] = {
    "CHK": _read_immutable,
    "CHK-Verifier": _read_immutable_verifier,
    "LIT": _read_literal,
    "SSK": _writer("SDMF"),
    "SSK-RO": _reader("SDMF"),
    "SSK-Verifier": _verifier("SDMF"),
    "MDMF": _writer("MDMF"),
    "MDMF-RO": _reader("MDMF"),
    "MDMF-Verifier": _verifier("MDMF"),
}
"""Label between "URI:" and the next colon -> what reads the rest. They raise ValueError."""

_COLONS = {"CHK": 4, "LIT": 0, "SSK": 1, "SSK-RO": 1, "SSK-Verifier": 1, "MDMF": 1, "MDMF-RO": 1, "MDMF-Verifier": 1}
"""Label -> colons in the rest, as it is written. Not of CHK-Verifier, whose end can be anything."""

_FILE_LABELS = {directory_label(label): label for label in _READERS}
"""DIR2 holds its entries in an SSK file, DIR2-MDMF-RO in an MDMF-RO one, and so on."""


# --- people -------------------------------------------------------------------------------------------------------------

_WRAPPING = " \t\r\n<>\"'`"
_DIRECTORY_ROOTS = ("uri", "cap")
_FILE_ROOTS = ("file", "named")
"""After these a name to save under may follow the cap; after the others, the path of something inside the directory."""
_NAMED = "@@named="


def from_user(text: str) -> Cap:
    """The cap in what a person typed or pasted: blanks, quotes and the address of a web gateway around it are taken off.

    Raises BadCapability, with a message for that person which quotes nothing of it.
    """
    bare = text.strip(_WRAPPING)
    if "://" in bare:
        bare = _cap_of_address(bare)
    elif "%3" in bare and ":" not in bare:
        bare = _unquoted(bare)
    cap = parse(bare)
    if not isinstance(cap, UnknownCap):
        return cap
    if cap.error is None:
        raise BadCapability(
            "This is not a capability. One begins with URI: and the name of its kind, as in URI:CHK: for a file"
            " or URI:DIR2: for a directory. Capital letters matter."
        )
    if cap.error.kind == "malformed":
        raise BadCapability(
            "This capability is damaged. Copy it again, whole: it is easy to lose its end, or to break it between lines."
        )
    raise BadCapability(f"This capability may not be used here: {cap.error.message}.")


def _cap_of_address(address: str) -> str:
    """The text of the cap in the address of a gateway's page. Raises BadCapability."""
    from urllib.parse import parse_qs, urlsplit  # slow to import, seldom needed

    try:
        parts = urlsplit(address)
    except ValueError:
        raise BadCapability("This is not a web address that can be understood. Paste the capability itself.") from None
    # A gateway may live below a path of a larger site, so the root may be any segment.
    segments = parts.path.split("/")
    for position, root in enumerate(segments[:-1]):
        text = _unquoted(segments[position + 1])
        if root in _DIRECTORY_ROOTS + _FILE_ROOTS and text:
            inside = segments[position + 2] if len(segments) > position + 2 else ""
            if inside and root in _DIRECTORY_ROOTS and not inside.startswith(_NAMED):
                raise BadCapability(
                    "This web address leads to something inside a directory. Give the capability of that thing, or the"
                    " capability of the directory and the path as such."
                )
            return text
    asked = parse_qs(parts.query, errors="surrogateescape").get("uri", [])
    if len(asked) == 1:
        return asked[0]
    raise BadCapability(
        "This web address has no capability in it. The address of a file or directory goes on with /uri/ after the name"
        " of the gateway."
    )


def _unquoted(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text, errors="surrogateescape")
