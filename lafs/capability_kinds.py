"""The kinds of capability, as frozen values: what each grants, its text, and what less it can be turned into.

Imported through lafs/capability.py, which reads them. Their text is asked for by name (`.text`) and never shows in a repr, an
error or a log. Spec: 01 §12.2 to §12.4.
"""
from __future__ import annotations

from functools import cached_property
from typing import Literal, Self, TypeAlias

from attrs import frozen

from lafs.crypto import base32
from lafs.crypto.derivations import (
    MOST_SHARES,
    read_key_of_write_key,
    storage_index_of_mutable_read_key,
    storage_index_of_read_key,
)
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadCapability

KEY_SIZE = 16
HASH_SIZE = 32
LARGEST_FILE = 2**63 - 1
LITERAL_LIMIT = 55
"""Contents of so many bytes or fewer are written into the cap itself. Longer ones are still read."""

MutableFormat = Literal["SDMF", "MDMF"]
FaultKind = Literal["malformed", "must-be-readonly", "must-be-deep-immutable", "must-not-be-unknown-rw"]

_LABELS: dict[MutableFormat, str] = {"SDMF": "SSK", "MDMF": "MDMF"}


class _Cap:
    """What all caps share."""

    __slots__ = ()

    is_readonly: bool = True
    is_mutable: bool = False

    @property
    def text(self) -> str:
        """The canonical text. Handle with care: it is the authority itself."""
        raise NotImplementedError

    def spelled(self, text: str) -> Self:
        """The same cap, which need not make its text because it was read from it; `text` is canonical."""
        object.__setattr__(self, "text", text)
        return self

    @property
    def readonly_text(self) -> str | None:
        """The text of `readonly()`, made without it. Directories have thousands of children."""
        return self.text

    @property
    def verifier_text(self) -> str | None:
        """The text of `verifier()`, likewise."""
        index = self.storage_index
        return None if index is None else _weaker(self.text, "-Verifier", index.text)

    @property
    def storage_index(self) -> StorageIndex | None:
        return None

    def check_ranges(self) -> None:
        """Raise BadCapability if the numbers in the cap are none a file can have. To be called before using them."""

    def __repr__(self) -> str:
        where = f" storage index {self.storage_index.abbreviated}" if self.storage_index else ""
        return f"<{type(self).__name__}{where}>"


def _check_file_numbers(needed: int, total: int, size: int) -> None:
    if not 1 <= needed <= total <= MOST_SHARES:
        raise BadCapability(
            f"The capability asks for an impossible number of shares (at most {MOST_SHARES} are possible):"
            " it is damaged or forged."
        )
    if not 1 <= size <= LARGEST_FILE:
        raise BadCapability("The capability names an impossible file size: it is damaged or forged.")


@frozen(repr=False)
class ImmutableReadCap(_Cap):
    """Reads one immutable file. `size` in bytes."""

    key: bytes
    ueb_hash: bytes
    needed: int
    total: int
    size: int

    @cached_property
    def text(self) -> str:
        return _join("CHK", self.key, self.ueb_hash, self.needed, self.total, self.size)

    @property
    def storage_index(self) -> StorageIndex:
        return storage_index_of_read_key(self.key)

    def readonly(self) -> ImmutableReadCap:
        return self

    def verifier(self) -> ImmutableVerifyCap:
        return ImmutableVerifyCap(self.storage_index, self.ueb_hash, self.needed, self.total, self.size)

    def check_ranges(self) -> None:
        _check_file_numbers(self.needed, self.total, self.size)


@frozen(repr=False)
class ImmutableVerifyCap(_Cap):
    """Checks the shares of one immutable file without being able to read it."""

    storage_index: StorageIndex
    ueb_hash: bytes
    needed: int
    total: int
    size: int

    @cached_property
    def text(self) -> str:
        return _join("CHK-Verifier", self.storage_index.raw, self.ueb_hash, self.needed, self.total, self.size)

    def readonly(self) -> ImmutableVerifyCap:
        return self

    def verifier(self) -> ImmutableVerifyCap:
        return self

    def check_ranges(self) -> None:
        _check_file_numbers(self.needed, self.total, self.size)


@frozen(repr=False)
class LiteralCap(_Cap):
    """Is its own contents. There is nothing to store, so nothing to verify."""

    content: bytes

    @cached_property
    def text(self) -> str:
        return _join("LIT", self.content)

    def readonly(self) -> LiteralCap:
        return self

    def verifier(self) -> None:
        return None


@frozen(repr=False)
class MutableWriteCap(_Cap):
    """Reads and writes one mutable file."""

    format: MutableFormat
    write_key: bytes
    fingerprint: bytes

    is_readonly = False
    is_mutable = True

    @cached_property
    def read_key(self) -> bytes:
        return read_key_of_write_key(self.write_key)

    @property
    def readonly_text(self) -> str:
        return _weaker(self.text, "-RO", base32.encode(self.read_key))

    @cached_property
    def text(self) -> str:
        return _join(_LABELS[self.format], self.write_key, self.fingerprint)

    @property
    def storage_index(self) -> StorageIndex:
        return storage_index_of_mutable_read_key(self.read_key)

    def readonly(self) -> MutableReadCap:
        return MutableReadCap(self.format, self.read_key, self.fingerprint)

    def verifier(self) -> MutableVerifyCap:
        return MutableVerifyCap(self.format, self.storage_index, self.fingerprint)


@frozen(repr=False)
class MutableReadCap(_Cap):
    """Reads one mutable file."""

    format: MutableFormat
    read_key: bytes
    fingerprint: bytes

    is_mutable = True

    @cached_property
    def text(self) -> str:
        return _join(_LABELS[self.format] + "-RO", self.read_key, self.fingerprint)

    @property
    def storage_index(self) -> StorageIndex:
        return storage_index_of_mutable_read_key(self.read_key)

    def readonly(self) -> MutableReadCap:
        return self

    def verifier(self) -> MutableVerifyCap:
        return MutableVerifyCap(self.format, self.storage_index, self.fingerprint)


@frozen(repr=False)
class MutableVerifyCap(_Cap):
    """Checks the shares of one mutable file without being able to read it."""

    format: MutableFormat
    storage_index: StorageIndex
    fingerprint: bytes

    @cached_property
    def text(self) -> str:
        return _join(_LABELS[self.format] + "-Verifier", self.storage_index.raw, self.fingerprint)

    def readonly(self) -> MutableVerifyCap:
        return self

    def verifier(self) -> MutableVerifyCap:
        return self


FileCap: TypeAlias = (
    ImmutableReadCap | ImmutableVerifyCap | LiteralCap | MutableWriteCap | MutableReadCap | MutableVerifyCap
)


@frozen(repr=False)
class DirectoryCap(_Cap):
    """Grants to the directory what `content` grants to the file that holds its entries."""

    content: FileCap

    @property
    def is_readonly(self) -> bool:  # type: ignore[override]
        return self.content.is_readonly

    @property
    def is_mutable(self) -> bool:  # type: ignore[override]
        return self.content.is_mutable

    @cached_property
    def text(self) -> str:
        label, _, body = self.content.text.removeprefix("URI:").partition(":")
        return f"URI:{directory_label(label)}:{body}"

    @property
    def readonly_text(self) -> str:
        content = self.content
        if isinstance(content, MutableWriteCap):
            return _weaker(self.text, "-RO", base32.encode(content.read_key))
        return self.text

    @property
    def storage_index(self) -> StorageIndex | None:
        return self.content.storage_index

    def readonly(self) -> DirectoryCap:
        return DirectoryCap(self.content.readonly())

    def verifier(self) -> DirectoryCap | None:
        inner = self.content.verifier()
        return None if inner is None else DirectoryCap(inner)

    def check_ranges(self) -> None:
        self.content.check_ranges()

    def __repr__(self) -> str:
        return f"<DirectoryCap {self.content!r}>"


@frozen
class Fault:
    """Why a text is no cap, or not one that may stand where it does. The message quotes nothing."""

    kind: FaultKind
    message: str


@frozen(repr=False)
class UnknownCap(_Cap):
    """A text that is not understood: perhaps a cap of a later version. Kept as it is, prefix and all; grants nothing here.

    `error` says why, if the text is known to be wrong.
    """

    text: str
    error: Fault | None = None

    @property
    def is_readonly(self) -> bool:  # type: ignore[override]
        """As alleged by its prefix."""
        return self.text.startswith((READONLY_PREFIX, IMMUTABLE_PREFIX))

    @property
    def is_mutable(self) -> bool:  # type: ignore[override]
        """As alleged by its prefix."""
        return not self.text.startswith(IMMUTABLE_PREFIX)

    @property
    def readonly_text(self) -> None:
        return None

    def readonly(self) -> None:
        return None

    def verifier(self) -> None:
        return None


Cap: TypeAlias = FileCap | DirectoryCap | UnknownCap

READONLY_PREFIX = "ro."
IMMUTABLE_PREFIX = "imm."
"""Allegations before a cap that this version may not be able to judge. One of them at most is taken off."""


def directory_label(file_label: str) -> str:
    """The label of the directory cap whose entries are in a file of the kind: DIR2-RO for SSK-RO, DIR2-CHK for CHK."""
    return "DIR2" + (file_label.removeprefix("SSK") if file_label.startswith("SSK") else "-" + file_label)


def _weaker(text: str, suffix: str, key: str) -> str:
    """The text of a cap for the same thing that grants less: its kind has `suffix` in its label, and its first field is `key`.

    Of the label and the fields only these change, from any kind of cap to any weaker one.
    """
    _, label, _, rest = text.split(":", 3)
    return f"URI:{label.removesuffix('-RO').removesuffix('-Verifier')}{suffix}:{key}:{rest}"


def _join(label: str, *fields: bytes | int) -> str:
    parts = [base32.encode(part) if isinstance(part, bytes) else str(part) for part in fields]
    return ":".join(("URI", label, *parts))
