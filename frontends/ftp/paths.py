"""Paths as FTP clients write and are told them, relative to where they are. Pure. Spec: 09 §4, RFC 959 appendix II."""
from __future__ import annotations

from frontends.ftp.replies import Refusal
from frontends.paths import Names, can_be_shown, names_of, path_of


def resolve(current: Names, text: str) -> Names:
    """Where `text` leads from the directory `current`: absolute with a leading slash. Above the root is the root.

    Raises `Refused` for what is no path.
    """
    return names_of(text if text.startswith("/") else f"{path_of(current)}/{text}")


def entry(current: Names, text: str) -> Names:
    """Like `resolve`, for what needs a name: raises Refusal for an empty argument and for the root."""
    names = resolve(current, text)
    if not text or not names:
        raise Refusal(553, "This command needs the name of something below the root.")
    return names


def quoted(names: Names) -> str:
    """As replies quote it: quotes in it are doubled. RFC 959 appendix II."""
    return '"{}"'.format(path_of(names).replace('"', '""'))


def is_sayable(name: str) -> bool:
    """Whether a client can be told `name` in a line, and ask for it in another."""
    return can_be_shown(name) and "\r" not in name and "\n" not in name
