"""Which child a directory entry means: its two slots, for a cap that may write and one that only reads, judged together.

Used when entries are read and before they are written. Caps of a later version are carried along with no more authority than was
meant: "ro." and "imm." before them say how far they may be trusted. Spec: 01 §13.
"""
from __future__ import annotations

from attrs import field, frozen

from lafs.capability import (
    IMMUTABLE_PREFIX,
    READONLY_PREFIX,
    Cap,
    DirectoryCap,
    Fault,
    MutableVerifyCap,
    UnknownCap,
    parse,
)
from lafs.capability_kinds import ImmutableVerifyCap

_UNKNOWN_CHILD = Fault("must-not-be-unknown-rw", "cannot attach unknown rw cap as child")
_UNKNOWN_IMMUTABLE_CHILD = Fault("must-not-be-unknown-rw", "cannot attach unknown rw cap as immutable child")
_CHILD_OF_TWO_SLOTS = Fault("must-be-deep-immutable", "cannot attach unknown rw cap as immutable child")
_CONTRADICTORY_SLOTS = Fault(
    "must-be-deep-immutable", "cannot accept a child entry that specifies both rw_uri, and ro_uri with an imm. prefix"
)


@frozen
class ChildCaps:
    """What an entry grants: at most one text for each slot.

    `known` is the cap if it is one that this version can open; otherwise the child is unknown, and opaque (no texts at all) if
    `fault` says why it must not be trusted. An entry with a fault must not be stored, nor be dropped when found.
    """

    known: Cap | None = None
    writable: str | None = field(default=None, repr=False)
    readonly: str | None = field(default=None, repr=False)
    fault: Fault | None = None

    @property
    def allowed_in_immutable_directory(self) -> bool:
        if self.fault is not None:
            return False
        return self.writable is None and not (self.known is not None and self.known.is_mutable)

    def attenuated(self) -> ChildCaps:
        """The same child for those who may only read it."""
        if self.writable is None:
            return self
        return ChildCaps(self.known.readonly() if self.known is not None else None, None, self.readonly)

    def stored_readonly(self, deep_immutable: bool) -> str | None:
        """The text for the read-only slot of a stored entry: without what the kind of directory says already."""
        text = self.readonly
        if text is None:
            return None
        if deep_immutable:
            text = text.removeprefix(IMMUTABLE_PREFIX)
        return text.removeprefix(READONLY_PREFIX)


def child_caps(writable: str | None, readonly: str | None, deep_immutable: bool = False) -> ChildCaps:
    """Judge the two slots of an entry; absent and empty are the same. `deep_immutable`: the directory is immutable.

    A write cap in the read-only slot grants reading only, whatever whoever put it there had in mind: that slot is shown to
    readers of the directory.
    """
    writable, readonly = writable or None, readonly or None
    if writable is None and readonly is None:
        return ChildCaps()
    cap = parse(writable or readonly or "", deep_immutable)
    if _opens_something(cap):
        return _known_child(cap if writable else cap.readonly() or cap)
    return _unknown_child(writable, readonly, deep_immutable)


def _opens_something(cap: Cap) -> bool:
    """Whether a child can be made of `cap`: a file, a directory, or the verifier of an immutable file, which does nothing.

    All other verifiers are treated like unknown caps.
    """
    if isinstance(cap, DirectoryCap):
        return not isinstance(cap.content, ImmutableVerifyCap | MutableVerifyCap)
    return not isinstance(cap, UnknownCap | MutableVerifyCap)


def _known_child(cap: Cap) -> ChildCaps:
    return ChildCaps(cap, None if cap.is_readonly else cap.text, cap.readonly_text)


def _unknown_child(writable: str | None, readonly: str | None, deep_immutable: bool) -> ChildCaps:
    fault = _slots_fault(writable, readonly, deep_immutable)
    if fault is not None:
        return ChildCaps(fault=fault)
    if readonly is None:
        writable, readonly = None, writable
    assert readonly is not None  # _slots_fault was given at least one
    alleged = parse(readonly, deep_immutable)
    if isinstance(alleged, UnknownCap) and alleged.error is not None:
        return ChildCaps(fault=alleged.error)
    if deep_immutable:
        return ChildCaps(readonly=IMMUTABLE_PREFIX + _without_prefix(readonly))
    if not _has_prefix(readonly):
        readonly = READONLY_PREFIX + readonly
    return ChildCaps(writable=writable, readonly=readonly)


def _slots_fault(writable: str | None, readonly: str | None, deep_immutable: bool) -> Fault | None:
    """Why an unknown cap cannot be accepted from these slots, judged by which of them are filled."""
    if writable is None:
        return None
    if deep_immutable:
        if readonly is not None:
            return _CHILD_OF_TWO_SLOTS
        return None if writable.startswith(IMMUTABLE_PREFIX) else _UNKNOWN_IMMUTABLE_CHILD
    if readonly is None:
        return None if _has_prefix(writable) else _UNKNOWN_CHILD
    return _CONTRADICTORY_SLOTS if readonly.startswith(IMMUTABLE_PREFIX) else None


def _has_prefix(text: str) -> bool:
    return text.startswith((READONLY_PREFIX, IMMUTABLE_PREFIX))


def _without_prefix(text: str) -> str:
    for prefix in (IMMUTABLE_PREFIX, READONLY_PREFIX):
        if text.startswith(prefix):
            return text.removeprefix(prefix)
    return text
