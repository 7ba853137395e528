"""The verbs about files and directories that need no data connection. Spec: 09 §18; RFC 959 §4.1.3, RFC 3659."""
from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime

from frontends.ftp.commands import Command
from frontends.ftp.listings import FACTS, facts_line, timestamp
from frontends.ftp.paths import entry, is_sayable, quoted, resolve
from frontends.ftp.replies import Refusal, Reply
from frontends.ftp.session import Session
from frontends.open_files import AttributeChange, Attributes
from frontends.paths import Names, path_of

_MODE = re.compile(r"CHMOD ([0-7]{3,4}) (.+)", re.IGNORECASE)
_OWNER_WRITES = 0o200


# --- where we are ---


async def working_directory(session: Session, command: Command) -> Reply:
    return Reply(257, f"{quoted(session.current)} is where you are.")


async def change_directory(session: Session, command: Command) -> Reply:
    return await _enter(session, resolve(session.current, command.text))


async def change_up(session: Session, command: Command) -> Reply:
    return await _enter(session, session.current[:-1])


async def _enter(session: Session, path: Names) -> Reply:
    if (await session.tree.attributes(path)).kind != "directory":
        raise Refusal(550, "This is not a directory.")
    session.current = path
    return Reply(250, f"{quoted(path)} is where you are now.")


# --- changes ---


async def make_directory(session: Session, command: Command) -> Reply:
    path = _new(session, command)
    await session.tree.make_directory(path, parents=False, exist_ok=False)
    return Reply(257, f"{quoted(path)} was made.")


async def remove_directory(session: Session, command: Command) -> Reply:
    await session.tree.remove_directory(entry(session.current, command.text))
    return Reply(250, "The directory was removed.")


async def delete(session: Session, command: Command) -> Reply:
    await session.tree.remove(entry(session.current, command.text))
    return Reply(250, "The file was removed.")


async def rename_from(session: Session, command: Command) -> Reply:
    path = entry(session.current, command.text)
    await session.tree.attributes(path)
    session.renaming = path
    return Reply(350, "And its new name?")


async def rename_to(session: Session, command: Command) -> Reply:
    source, session.renaming = session.renaming, None
    if source is None:
        raise Refusal(503, "Say RNFR first.")
    await session.tree.rename(source, _new(session, command), overwrite=True)
    return Reply(250, "It was renamed.")


async def set_modified(session: Session, command: Command) -> Reply:
    stamp, _, name = command.text.partition(" ")
    path = entry(session.current, name)
    await session.tree.set_attributes(path, AttributeChange(modified=_seconds(stamp)))
    return Reply(213, f"Modify={stamp}; {path_of(path)}")


async def site(session: Session, command: Command) -> Reply:
    found = _MODE.fullmatch(command.text)
    if found is None:
        raise Refusal(504, "SITE CHMOD is the only one there is.")
    path = entry(session.current, found[2])
    await session.tree.set_attributes(path, AttributeChange(writable=bool(int(found[1], 8) & _OWNER_WRITES)))
    return Reply(200, "Done.")


# --- what is there ---


async def size(session: Session, command: Command) -> Reply:
    if session.is_text:
        raise Refusal(550, "The size of a file as text is not known; say TYPE I first.")
    attributes = await _file(session, command)
    return Reply(213, str(attributes.size))


async def modified(session: Session, command: Command) -> Reply:
    attributes = await session.tree.attributes(resolve(session.current, command.text))
    if attributes.modified is None:
        raise Refusal(550, "Nobody knows when this was changed.")
    return Reply(213, timestamp(attributes.modified))


async def facts(session: Session, command: Command) -> Reply:
    path = resolve(session.current, command.text)
    attributes = await session.tree.attributes(path)
    return Reply(250, "Facts", (facts_line(path_of(path), attributes, session.facts),))


async def options(session: Session, command: Command) -> Reply:
    name, _, value = command.text.partition(" ")
    if name.upper() in ("UTF8", "UTF-8") and value.upper() in ("ON", "", "NLST"):
        return Reply(200, "Names are UTF-8 in any case.")
    if name.upper() != "MLST":
        raise Refusal(501, "Only OPTS UTF8 ON and OPTS MLST are known.")
    wanted = {fact.lower() for fact in value.split(";")}
    session.facts = tuple(fact for fact in FACTS if fact.lower() in wanted)
    return Reply(200, "MLST OPTS " + "".join(f"{fact};" for fact in session.facts))


def _new(session: Session, command: Command) -> Names:
    """A path under which something is going to be: its name must be one that clients can be told."""
    path = entry(session.current, command.text)
    if not is_sayable(path[-1]):
        raise Refusal(553, "Nothing can have this name.")
    return path


async def _file(session: Session, command: Command) -> Attributes:
    path = entry(session.current, command.text)
    attributes = await session.tree.attributes(path)
    if attributes.kind != "file" or attributes.size is None:
        raise Refusal(550, "This is not a file.")
    return attributes


def _seconds(stamp: str) -> int:
    try:
        if re.fullmatch(r"[0-9]{14}(\.[0-9]+)?", stamp):
            return timegm(datetime.strptime(stamp[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timetuple())
    except ValueError:
        pass
    raise Refusal(501, "A time is YYYYMMDDHHMMSS.")
