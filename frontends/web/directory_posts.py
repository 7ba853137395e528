"""POST on a directory: children are made, uploaded, linked, moved and unlinked. Spec: 07 §8.3; on a file: §6.4."""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from frontends.web.answers import Reply, text
from frontends.web.children_json import new_child, read_children
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.links import (
    link,
    mkdir_here,
    mkdir_immutable_here,
    mkdir_with_children_here,
    overwrite,
)
from frontends.web.new_objects import NewFile, new_directory
from frontends.web.request import Arguments, Request
from frontends.web.targets import Target
from lafs.capability import Cap, DirectoryCap, parse
from lafs.directory.directory import Directory
from lafs.errors import BadCapability, ChildExists, NoSuchChild, NotADirectory
from lafs.interfaces import NewChild, Replace


def writable(gateway: Gateway, target: Target) -> Directory:
    """The directory itself, to be changed. Raises NotWriteable."""
    return Target(None, parent=gateway.files.open_directory(target.known)).writable_parent


def refused_unless_there(arguments: Arguments, name: str, message: str) -> str:
    """The value of an argument that must be given."""
    if name not in arguments:
        raise Refusal(400, message)
    return arguments.get(name)


# --- making ---------------------------------------------------------------------------------------------------------------


async def mkdir(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=mkdir`, with `name=` or of the path itself."""
    if not request.arguments.get("name"):
        return await mkdir_here(gateway, request, target)
    return await _make_child(gateway, request, target, request.arguments.replace(), ())


async def mkdir_with_children(gateway: Gateway, request: Request, target: Target) -> Reply:
    if not request.arguments.get("name"):
        return await mkdir_with_children_here(gateway, request, target)
    writable(gateway, target)
    return await _make_child(gateway, request, target, "never", await read_children(request.exchange.body))


async def mkdir_immutable(gateway: Gateway, request: Request, target: Target) -> Reply:
    if not request.arguments.get("name"):
        return await mkdir_immutable_here(gateway, request, target)
    writable(gateway, target)
    return await _make_child(gateway, request, target, "never", await read_children(request.exchange.body), immutable=True)


async def _make_child(
    gateway: Gateway,
    request: Request,
    target: Target,
    replace: Replace,
    children: list[NewChild] | tuple[()],
    immutable: bool = False,
) -> Reply:
    name, directory = request.arguments.get("name"), writable(gateway, target)
    if replace == "never":
        await _require_free(directory, name)
    cap = await new_directory(gateway, request, children, immutable)
    await directory.add([new_child(name, cap.text)], replace)
    return text(cap.text)


async def _require_free(directory: Directory, name: str) -> None:
    """Raise ChildExists early, before anything is made in vain. Whoever comes in between is noticed when the child is linked."""
    try:
        await directory.get(name)
    except NoSuchChild:
        return
    raise ChildExists("There was already a child by that name, and you asked me to not replace it.")


# --- uploading --------------------------------------------------------------------------------------------------------------


async def upload_into(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=upload` on a directory: the file of the form becomes a child of it."""
    form = request.form
    if form is None or form.file is None:
        raise Refusal(400, "An upload needs a multipart form with the file in its field 'file'.")
    directory, new = writable(gateway, target), NewFile.asked_for(request.arguments)
    request.arguments.replace()
    # A name that comes behind a large file is not known yet.
    name = _upload_name(request.arguments, form.file.name) if not form.late or request.arguments.get("name") else None
    existing = await _existing(directory, name) if name is not None else None
    if existing is not None:
        return await _upload_over(gateway, request, directory, existing)
    cap = await new.store(gateway, form.file.source)
    arguments = await new.all_arguments(request)
    replace = arguments.replace()
    if name is None:
        name = _upload_name(arguments, form.file.name)
        existing = await _existing(directory, name)
        if existing is not None and _is_mutable_file(existing.cap):
            raise Refusal(409, "A mutable file is there. To overwrite it, the form must have name= before the file.")
    await directory.add([new_child(name, cap.text)], "only-files" if replace == "always" else replace)
    return text(cap.text)


async def _existing(directory: Directory, name: str) -> Target | None:
    try:
        child = await directory.get(name)
    except NoSuchChild:
        return None
    return Target(child.cap, child.name, directory, child)


def _is_mutable_file(cap: Cap | None) -> bool:
    return cap is not None and cap.is_mutable and not isinstance(cap, DirectoryCap)


async def _upload_over(gateway: Gateway, request: Request, directory: Directory, existing: Target) -> Reply:
    if isinstance(existing.cap, DirectoryCap):
        raise ChildExists("a directory is there under that name, and an upload does not replace one")
    return await upload_here(gateway, request, existing)


async def upload_here(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=upload` on a file, or on a name that is not there yet: it gets the contents of the form's file."""
    form = request.form
    if form is None or form.file is None:
        raise Refusal(400, "An upload needs a multipart form with the file in its field 'file'.")
    cap, replace = target.cap, request.arguments.replace()
    if cap is not None and _is_mutable_file(cap):
        if cap.is_readonly:
            raise Refusal(400, "POST to a mutable file: replace requested with read-only cap")
        await overwrite(gateway, cap, form.file.source)
        return text(cap.text)
    target.require_writable()
    if cap is not None and replace == "never":
        raise ChildExists("the name is taken")
    new = NewFile.asked_for(request.arguments)
    stored = await new.store(gateway, form.file.source)
    replace = (await new.all_arguments(request)).replace()
    await link(gateway, target, new_child(target.name, stored.text), replace)
    return text(stored.text)


def _upload_name(arguments: Arguments, file_name: str) -> str:
    name = (arguments.get("name") or file_name).strip()
    if not name:
        raise Refusal(400, "upload requires a name")
    if "/" in name:
        raise Refusal(400, "name= may not contain a slash")
    return name


# --- linking ----------------------------------------------------------------------------------------------------------------


async def link_cap(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=uri`: links the cap in `uri=` under `name=`; the directory is made if it is not there."""
    arguments = request.arguments
    cap_text = refused_unless_there(arguments, "uri", "set-uri requires a uri")
    name = refused_unless_there(arguments, "name", "set-uri requires a name")
    await _fill(gateway, target, [new_child(name, cap_text.strip())], arguments.replace())
    return text(cap_text)


async def set_children(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=set_children`: links all children in the JSON of the body at once; the directory is made if it is not there."""
    replace = request.arguments.replace()
    if target.cap is None:
        target.require_writable()
    else:
        writable(gateway, target)
    await _fill(gateway, target, await read_children(request.exchange.body), replace)
    return text("Okay so I did it.")


async def _fill(gateway: Gateway, target: Target, children: list[NewChild], replace: Replace) -> None:
    """Link `children` in the directory that `target` is, or is to be: it appears, with those on the way to it, when it has them."""
    if target.cap is not None:
        await writable(gateway, target).add(children, replace)
        return
    parent = target.writable_parent
    made = await gateway.files.create_directory(format=gateway.default_format)
    await made.add(children, replace)
    try:
        await link(gateway, target, new_child(target.name, made.cap.text), "never")
    except ChildExists:  # Somebody else was faster: into theirs.
        directory = await gateway.files.make_directories(parent.cap, target.missing, gateway.default_format)
        await directory.add(children, replace)


async def unlink(gateway: Gateway, request: Request, target: Target) -> Reply:
    await writable(gateway, target).remove(request.arguments.get("name"))
    return text("thing unlinked")


async def rename(gateway: Gateway, request: Request, target: Target) -> Reply:
    arguments = request.arguments
    if "to_dir" in arguments:
        raise Refusal(400, "to_dir= is not valid for rename")
    refused_unless_there(arguments, "to_name", "to_name= is required for rename")
    return await relink(gateway, request, target)


async def relink(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=relink` and `t=rename`: moves a child to another name, or another directory.

    `to_dir=` names that as the peer has it, by cap and path; `to_path=` (from a button, `to_path_chosen=`) is a path below what the
    request's own path begins with, so that a page can ask for a move without holding a cap.
    """
    arguments = request.arguments
    source = writable(gateway, target)
    name = await _as_it_is(source, refused_unless_there(arguments, "from_name", "from_name= is required"))
    new_name = arguments.get("to_name").strip() or name
    for argument, value in (("from_name", name), ("to_name", new_name)):
        if "/" in value:
            raise Refusal(400, f"{argument}= may not contain a slash")
    replace, destination, passed = arguments.replace(), source, target.passed
    path = arguments.get("to_path_chosen") or arguments.get("to_path")
    if path and not arguments.get("to_dir"):
        root = target.passed[0].cap if target.passed else target.known
        destination, passed = await _directory_below(gateway, root, path.strip("/").split("/") if path.strip("/") else [])
    if arguments.get("to_dir"):
        destination, passed = await _destination_directory(gateway, arguments.get("to_dir"))
    await gateway.files.move(source, name, destination, new_name, replace, passed)
    return text("thing moved")


async def _as_it_is(directory: Directory, name: str) -> str:
    """`name`, without the blanks around it as the peer has it, unless a child has them in its name."""
    stripped = name.strip()
    if stripped != name:
        with suppress(NoSuchChild):
            return (await directory.get(name)).name
    return stripped


async def _destination_directory(gateway: Gateway, place: str) -> tuple[Directory, tuple[Directory, ...]]:
    """What `to_dir=CAP/PATH` means, and the directories on the way."""
    root, *names = place.strip("/").split("/")
    try:
        return await _directory_below(gateway, parse(root.strip()), names)
    except BadCapability:
        raise Refusal(400, "to_dir is not a directory") from None


async def _directory_below(gateway: Gateway, root: Cap, names: list[str]) -> tuple[Directory, tuple[Directory, ...]]:
    """The directory that `names` lead to from `root`, and those on the way. Raises Refusal, NoSuchChild."""
    with suppress(NotADirectory):
        trail = await gateway.files.resolve(root, names)
        if isinstance(trail.cap, DirectoryCap):
            return gateway.files.open_directory(trail.cap), trail.passed
    raise Refusal(400, "to_dir is not a directory")


POSTS: Mapping[str, Callable[[Gateway, Request, Target], Awaitable[Reply]]] = {
    "mkdir": mkdir,
    "mkdir-with-children": mkdir_with_children,
    "mkdir-immutable": mkdir_immutable,
    "upload": upload_into,
    "uri": link_cap,
    "unlink": unlink,
    "delete": unlink,
    "rename": rename,
    "relink": relink,
    "set_children": set_children,
    "set-children": set_children,
}
"""By the argument `t`."""
