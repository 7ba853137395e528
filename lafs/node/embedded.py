"""`lafs up`: a grid of one machine in one process, without configuration.

The node directory it makes is an ordinary one (`lafs run` starts it too): a client whose lafs.cfg names folders, each a
[storage:NAME] of its own, to be used without a network. How files are spread follows from the number of folders. What it finds
out once (the folders, a free port for the web page) it writes down. Called by lafs/cli/nodes.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lafs.errors import NodeError
from lafs.node import folders, ports, settings
from lafs.node.config import OUR_FILE, Configuration, read
from lafs.node.configuration_file import with_option
from lafs.node.creation import Plan, create, is_taken
from lafs.node.files import read_small, read_text, write_whole
from lafs.node.process import run
from lafs.node.process_file import ProcessFile

DEFAULT_FOLDERS = 5
DEFAULT_PORT = 3456
RESERVED_SPACE = "1G"

Say = Callable[[str], object]


def up(
    directory: Path,
    storage: Sequence[Path],
    *,
    web_port: int | None = None,
    open_browser: bool | None = None,
    say: Say = print,
    random: Callable[[int], bytes] = os.urandom,
    when_ready: Callable[[], None] = lambda: None,
    page: Callable[[], str | None] = lambda: None,
) -> int:
    """Start the grid in `directory`, making it first if need be; `storage` are folders to use. Returns the exit status.

    `when_ready` is called in a thread of its own when the web gateway answers, so it may use it; then so is `page`, for the
    address at which a browser shows the files.
    Raises LafsError.
    """
    directory = directory.absolute()
    if not is_taken(directory):
        _make(directory, storage, _usable_port(web_port or DEFAULT_PORT), random)
        say(f"Made a grid of {len(storage) or DEFAULT_FOLDERS} storage folders: '{directory}'")
    elif ProcessFile(directory).running_pid() is not None:
        return _already_running(directory, storage, open_browser, say, page)
    else:
        _update(directory, storage, web_port, random, say)

    def ready(url: str | None) -> None:
        configuration = read(directory)
        encoding = configuration.encoding
        say(f"\nlafs is running: {url}\n")
        say(f" Files are spread over {encoding.total} folders; any {encoding.needed} of them bring back everything.")
        say(" Caps are shown for what you store: keep them, they are the only way back. Ctrl-C stops.")
        if url is not None:
            threading.Thread(target=greet, args=(url,), daemon=True).start()

    def greet(url: str) -> None:
        when_ready()
        if _wants_browser(open_browser):
            webbrowser.open(page() or url)
        elif sys.stdout.isatty() and (address := page()):
            say(f" Your files in a web browser, once and within ten minutes: {address}\n Later: lafs web")

    log = directory / "logs" / "lafs.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    return run(directory, logfile=log, ready=ready, tell=say)


def _already_running(
    directory: Path, storage: Sequence[Path], open_browser: bool | None, say: Say, page: Callable[[], str | None]
) -> int:
    if storage:
        raise NodeError("lafs is running; stop it before giving it more storage")
    url = read_text(directory / "node.url")
    say(f"lafs is already running: {url or 'its web page is not ready yet'}")
    if url and _wants_browser(open_browser):
        webbrowser.open(page() or url)
    return 0


# --- making it ------------------------------------------------------------------------------------------------------------


def _make(directory: Path, storage: Sequence[Path], port: int, random: Callable[[int], bytes]) -> None:
    named: Mapping[str, Path] = _names(storage, taken=())
    if not storage:
        named = {str(number): Path("storage", str(number)) for number in range(1, DEFAULT_FOLDERS + 1)}
    sections = {
        "node": {
            "type": "client",
            "nickname": "lafs up",
            "web.port": _endpoint(port),
            "tub.port": "disabled",
            "tub.location": "disabled",
        },
        "storage": {"enabled": "false"},
        "sftpd": {"enabled": "true", "port": _endpoint(0)},
        **{settings.FOLDER_PREFIX + name: _folder_options(folder) for name, folder in named.items()},
    }

    def finish(site: Path) -> None:
        if not storage:
            (site / "storage").mkdir(mode=0o700)
        for folder in named.values():
            folders.adopt(site / folder, random)

    create(directory, Plan("client", sections), finish)


def _update(directory: Path, storage: Sequence[Path], web_port: int | None, random: Callable[[int], bytes], say: Say) -> None:
    """Bring the lafs.cfg of an existing grid up to date: more folders, another port."""
    configuration = read(directory)
    if not configuration.folders:
        raise NodeError(
            f"'{directory}' is a node of another kind; start it with 'lafs run', or give another directory: lafs up -C DIR"
        )
    path = directory / OUR_FILE
    before = text = (read_small(path) or b"").decode("utf-8-sig")
    for name, folder in _names(_new(configuration, storage), taken=configuration.folders).items():
        folders.adopt(folder, random)
        for option, value in reversed(_folder_options(folder).items()):
            text = with_option(text, settings.FOLDER_PREFIX + name, option, value)
        say(f"Storage folder added: {folder}")
    text = _with_port(configuration, text, web_port, say)
    if text != before:
        write_whole(path, text.encode("utf-8"))


def _with_port(configuration: Configuration, text: str, wanted: int | None, say: Say) -> str:
    current = ports.port_of(configuration.node.web_port or "")
    if wanted is None and (not current or ports.is_free(current)):
        return text
    port = _usable_port(wanted or current or DEFAULT_PORT)
    if wanted is None:
        say(f"Port {current} is in use by another program; the web page moves to port {port}")
    return with_option(text, "node", "web.port", _endpoint(port))


def _usable_port(first: int) -> int:
    """`first`, or the next port after it that is free."""
    for port in range(first, min(first + 200, 65_536)):
        if ports.is_free(port):
            return port
    return ports.free_port()


def _endpoint(port: int) -> str:
    return f"tcp:{port}:interface={ports.LOOPBACK}"


def _folder_options(folder: Path) -> dict[str, str]:
    return {"directory": str(folder), "reserved_space": RESERVED_SPACE}


def _new(configuration: Configuration, storage: Iterable[Path]) -> list[Path]:
    known = {configuration.path(folder.directory).resolve() for folder in configuration.folders.values()}
    return [folder for folder in storage if folder.resolve() not in known]


def _names(storage: Iterable[Path], taken: Iterable[str]) -> dict[str, Path]:
    """A short name for each folder, made of its own; the same folder named twice counts once."""
    used = set(taken)
    named: dict[str, Path] = {}
    for folder in dict.fromkeys(each.resolve() for each in storage):
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-") or "disk"
        candidates = [base, *(f"{base}-{number}" for number in range(2, len(used) + 3))]
        name = next(candidate for candidate in candidates if candidate not in used)
        used.add(name)
        named[name] = folder
    return named


def _wants_browser(asked: bool | None) -> bool:
    if asked is not None:
        return asked
    desktop = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return desktop and sys.stdout.isatty()
