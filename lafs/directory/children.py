"""What the entries of a directory mean to the holder of one of its caps, and how a child becomes an entry.

Pure. Spec: 04 §2.4, §2.5, §3, §4.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NoReturn

from attrs import field, frozen

from lafs.capability import DirectoryCap, Fault, MutableWriteCap
from lafs.capability_slots import ChildCaps, child_caps
from lafs.crypto.directory_entries import decrypt_write_cap, encrypt_write_cap
from lafs.directory.packing import Entries, Entry, name_in_directory, packed, read_metadata
from lafs.errors import BadChild
from lafs.interfaces import Child, Listing, Metadata, NewChild

_PADDING = b" "
"""Old writers left it behind caps."""


@frozen
class View:
    """From where a directory is looked at: with its write key or without, and whether it is an immutable one."""

    write_key: bytes | None = field(default=None, repr=False)
    immutable: bool = False

    @classmethod
    def through(cls, cap: DirectoryCap) -> View:
        content = cap.content
        if isinstance(content, MutableWriteCap):
            return cls(content.write_key)
        return cls(immutable=not content.is_mutable)

    @cached_property
    def _no_write_cap(self) -> bytes:
        """The field of all entries that hold none: most children are files that never change."""
        return encrypt_write_cap(self._writing(), b"")

    def child(self, entry: Entry) -> Child:
        """What `entry` grants from here. If its caps break a rule, they are none, and say which."""
        fields = entry.fields
        readonly = _text(fields.readonly)
        damaged = False
        if self.write_key is None or not fields.write_field or fields.write_field == self._no_write_cap:
            caps = child_caps(None, readonly, self.immutable)
        else:
            decrypted = decrypt_write_cap(self.write_key, fields.write_field)
            caps = child_caps(_text(decrypted.text), readonly)
            damaged = not decrypted.authentic
            if damaged:
                caps = _of_damaged(caps, child_caps(None, readonly))
        return Child(entry.name, caps, read_metadata(fields.metadata), damaged)

    def entry(self, name: str, caps: ChildCaps, metadata: Metadata) -> Entry:
        """`caps` as an entry. Raises BadChild for those that must not be stored here, and names that cannot be."""
        name = name_in_directory(name)
        if caps.fault is not None:
            _refuse(name, caps.fault)
        if self.immutable and not caps.allowed_in_immutable_directory:
            _refuse(name, _MUTABLE_CHILD)
        writable = _bytes(caps.writable)
        return self._packed(
            name,
            _bytes(caps.stored_readonly(self.immutable)),
            self._write_field(writable),
            metadata,
        )

    def altered(self, entry: Entry, child: Child) -> Entry:
        """`child`, which is that of `entry` but for name and metadata, as an entry.

        A write cap that could not be read is carried along: whoever damaged it may know how to mend it.
        """
        if not child.damaged:
            return self.entry(child.name, child.caps, child.metadata)
        return self._packed(
            child.name, _bytes(child.caps.stored_readonly(self.immutable)), entry.fields.write_field, child.metadata
        )

    def _write_field(self, writable: bytes) -> bytes:
        if self.immutable:
            return b""
        return encrypt_write_cap(self._writing(), writable) if writable else self._no_write_cap

    def _writing(self) -> bytes:
        assert self.write_key is not None, "entries of mutable directories are made with the write key"
        return self.write_key

    def _packed(self, name: str, readonly: bytes, write_field: bytes, metadata: Metadata) -> Entry:
        try:
            return Entry.of(name, readonly, write_field, metadata)
        except ValueError:
            raise BadChild(
                "ValueError", "a child's name or metadata has something in it that cannot be stored: half a character, for example"
            ) from None

    def listing(self, entries: Entries, known: Listed | None = None) -> Listed:
        """All children. Those of entries that are as in `known`, seen from here before, are taken from there."""
        children: dict[str, Child] = {}
        left_out: dict[str, Fault] = {}
        old_entries = known.entries.by_name if known is not None else {}
        old_children = known.listing.children if known is not None else {}
        for name, entry in entries.by_name.items():
            old = old_entries.get(name)
            child = old_children.get(name) if old is not None and (old is entry or old.raw == entry.raw) else None
            if child is None:
                child = self.child(entry)
            if child.caps.fault is None:
                children[name] = child
            else:
                left_out[name] = child.caps.fault
        return Listed(entries, Listing(children, len(entries.contents), left_out))


@frozen(eq=False)
class Listed:
    """A listing, the entries it was made from, and what was made of it: by the function that did."""

    entries: Entries
    listing: Listing
    renderings: dict[Callable[[Listing], object], object] = field(factory=dict, init=False, repr=False)


def pack_children(children: Iterable[NewChild], view: View) -> Entries:
    """A new directory. Metadata is stored as given, and no link times are added. Raises BadChild. Spec: 04 §5.3."""
    return packed([view.entry(child.name, child.caps, child.metadata or {}) for child in children])


def _of_damaged(caps: ChildCaps, readonly: ChildCaps) -> ChildCaps:
    """What to grant when the MAC is wrong.

    Writers without a MAC existed, and the first implementation never checks. A write cap from which the very read cap beside
    it follows cannot have been made up or garbled; any other is not used.
    """
    proven = caps.known is not None and readonly.known is not None and caps.known.readonly() == readonly.known
    return caps if proven else readonly


def _text(slot: bytes) -> str | None:
    stripped = slot.rstrip(_PADDING)
    return stripped.decode("utf-8", "surrogateescape") if stripped else None


def _bytes(slot: str | None) -> bytes:
    return (slot or "").encode("utf-8", "surrogateescape")


_MUTABLE_CHILD = Fault("must-be-deep-immutable", "a mutable child of an immutable directory")

_REFUSALS = {
    "must-not-be-unknown-rw": (
        "MustNotBeUnknownRWError",
        "an operation to add a child named {name} specified an unknown cap in a write slot. What it grants cannot be judged,"
        " so it must not be shown to readers of the directory; give its read cap as well.",
    ),
    "must-be-deep-immutable": (
        "MustBeDeepImmutableError",
        "a cap passed to this operation for the child named {name} was required to be immutable, and is not.",
    ),
    "must-be-readonly": (
        "MustBeReadonlyError",
        "a cap passed to this operation for the child named {name} was required to be read-only, and is not.",
    ),
    "malformed": (
        "BadURIError",
        "a cap passed to this operation for the child named {name} is damaged: it has the beginning of one, but not its form.",
    ),
}
"""Kind of fault -> the peer's name of it, and what to say. Spec: 04 §3.5."""


def _refuse(name: str, fault: Fault) -> NoReturn:
    kind, message = _REFUSALS[fault.kind]
    raise BadChild(kind, message.format(name=repr(name)))
