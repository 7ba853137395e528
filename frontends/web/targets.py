"""What a path below /uri leads to. Spec: 07 §3.

A path begins with a cap and goes on with names. It leads to an object, or to a name that is not there yet, which some requests
then make. Whatever a request makes on the way appears when its arguments have been found good, and not before.
"""
from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from attrs import field, frozen

from frontends.web.errors import Refusal
from frontends.web.gateway import Files
from lafs.capability import Cap, DirectoryCap, UnknownCap, parse
from lafs.directory.directory import Directory
from lafs.errors import NoSuchChild, NotWriteable
from lafs.interfaces import Child, Metadata


@frozen
class Target:
    """What a request is about, and the name it is asked for under ("" if it has none)."""

    cap: Cap | None
    """None for a name that is not there."""
    name: str = ""
    parent: Directory | None = None
    """The directory in which the name is, or would be; or, if some of those on the way are missing, the last that is there."""
    child: Child | None = None
    """The entry in it."""
    missing: tuple[str, ...] = ()
    """The names that are not there, `name` the last of them."""
    slash: bool = False
    """The path ends in a slash, as those of directories may."""
    passed: tuple[Directory, ...] = field(default=(), repr=False)

    @property
    def known(self) -> Cap:
        """The cap, of an object that is there."""
        assert self.cap is not None, "handlers of missing objects do not ask for their caps"
        return self.cap

    @property
    def metadata(self) -> Metadata | None:
        """What the directory says of the object, if it was reached through one."""
        return None if self.child is None else self.child.metadata

    @property
    def writable_parent(self) -> Directory:
        """The directory that a change of the link goes to. Raises Refusal if there is none, NotWriteable."""
        if self.parent is None:
            raise Refusal(400, "This needs a name in a directory; a cap by itself is linked nowhere.")
        if self.parent.cap.is_readonly:
            raise NotWriteable("The directory is reached through a cap that only reads. To change it, use the one that writes.")
        return self.parent

    def require_writable(self) -> None:
        """Raise what `writable_parent` raises: before a body is read, or anything is made in vain."""
        _ = self.writable_parent


def name_in_path(segment: bytes) -> str:
    """A name in a path. Raises Refusal unless it is UTF-8."""
    try:
        return unicodedata.normalize("NFC", segment.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refusal(400, "A name in a path must be UTF-8.") from None


async def find(files: Files, segments: Sequence[bytes], creating: bool, blindly: bool = False) -> Target:
    """Follow a path. Raises Refusal where it goes on below what has no children, and what reading a directory raises.

    `creating` says that the request makes what is missing; so a file in its way is a conflict. `blindly`: it does the same whatever
    is there, so a name right below a directory that may be changed counts as missing, and a round trip is saved.
    """
    start = parse(segments[0])
    if blindly and len(segments) == 2 and segments[1] and isinstance(start, DirectoryCap) and not start.is_readonly:
        name, directory = name_in_path(segments[1]), files.open_directory(start)
        return Target(None, name, directory, None, (name,), False, (directory,))
    if b"" in segments[1:-1]:
        raise Refusal(400, "The webapi does not allow empty pathname components, i.e. a double slash")
    slash = len(segments) > 1 and segments[-1] == b""
    names = [name_in_path(segment) for segment in (segments[1:-1] if slash else segments[1:])]
    trail = await files.follow(start, names)
    parent = trail.passed[-1] if trail.passed else None
    if isinstance(trail.obstacle, NoSuchChild):
        return Target(None, names[-1], parent, None, trail.rest, slash, trail.passed)
    if trail.rest:
        if isinstance(start, UnknownCap) or (trail.child is not None and trail.child.kind == "unknown"):
            raise Refusal(404, "No Such Resource")
        raise _below_a_file(trail.rest[0], None if trail.child is None else trail.child.name, creating)
    cap = trail.cap
    if cap is None:
        cap = UnknownCap((trail.child.caps.writable or trail.child.caps.readonly or "") if trail.child is not None else "")
    return Target(cap, names[-1] if names else "", parent, trail.child, (), slash, trail.passed)


def _below_a_file(name: str, file_name: str | None, creating: bool) -> Refusal:
    if not creating:
        return Refusal(400, f"Files have no children named '{name}'")
    if file_name is None:
        return Refusal(409, f"Cannot create directory '{name}', because its parent is a file, not a directory")
    return Refusal(409, f"Unable to create directory '{file_name}': a file was in the way")
