"""`lafs cp`. Several files at a time, each over a connection that is kept; each directory is changed once. Spec: 08 §10.

First everything is looked at (lafs.cli.copy_plan), then files are moved, then directories are linked, from the innermost out.
Immutable files that are on the grid already are linked, not moved. Nothing is held in memory whole.
"""
from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import click

from lafs.cli.aliases import Aliases, remote_options
from lafs.cli.answer import PIECE_SIZE, CutOff
from lafs.cli.copy_plan import CannotCopy, Folder, Place, Reader, Source, check, lay_over_local, lay_over_remote, read_place
from lafs.cli.fetching import expect_file
from lafs.cli.gateway import Gateway, find
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.path_completion import complete_place
from lafs.cli.progress import Progress, progress_for
from lafs.cli.remote_objects import (
    DIRECTORY,
    FILE,
    RemoteObject,
    below,
    expect_cap,
    link,
    make_directory,
    make_directory_of,
    set_children,
)
from lafs.cli.remote_paths import parse
from lafs.errors import SourceFailed

CONNECTIONS = 8


@click.command("cp", short_help="Copy files and directories to, from and on the grid.")
@click.argument("places", metavar="FROM... TO", nargs=-1, shell_complete=complete_place)
@click.option("-r", "--recursive", is_flag=True, help="Copy directories, with all that is in them.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is being done.")
@click.option("--caps-only", is_flag=True, help="Write the capabilities of remote files to local ones, not their contents.")
@remote_options
@pass_invocation
def cp(
    invocation: Invocation, places: tuple[str, ...], recursive: bool, verbose: bool, caps_only: bool,
    node_url: str | None, dir_cap: str | None,
) -> None:
    """Copy files and directories. A place on the grid is ALIAS:PATH or CAP/PATH; any other is a local one.

    A directory with a name goes into TO under its name; of ALIAS: or a bare CAP the contents do.
    """
    if len(places) < 2:
        raise click.UsageError("cp requires at least two arguments")
    aliases = Aliases(invocation, dir_cap)
    with find(invocation, node_url) as gateway:

        def look(text: str) -> Place:
            place = parse(text)
            return read_place(text, aliases.locate, place.cap is None and place.alias is None, gateway)

        target, sources = look(places[-1]), [look(text) for text in places[:-1]]
        check(sources, target, recursive)
        say: Callable[[str], None] = (lambda text: click.echo(text, err=True)) if verbose else (lambda text: None)
        one_file = len(sources) == 1 and not sources[0].is_directory and not target.is_directory
        with Carrier(gateway, invocation, caps_only) as carrier:
            if one_file:
                copy_one(carrier, sources[0], target)
            else:
                copy_all(carrier, sources, target, say, invocation.say)
    if not invocation.quiet:
        click.echo("Success: file copied" if one_file else "Success: files copied")


def copy_one(carrier: Carrier, source: Place, target: Place) -> None:
    """A file to a file that is there or not."""
    origin = source.found or source.local
    assert origin is not None
    carrier.begin([origin])
    if target.local is not None:
        carrier.to_local(origin, target.local)
        return
    assert target.remote is not None
    address = target.remote.web_path()
    in_place = target.found is not None and target.found.is_mutable
    if isinstance(origin, RemoteObject) and not origin.is_mutable and not in_place:
        link(carrier.gateway, address, origin.read_cap)
    else:
        carrier.send(origin, address)


def copy_all(
    carrier: Carrier, sources: list[Place], target: Place, say: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Anything into a directory, which is made if it is not there."""
    root = Reader(carrier.gateway, warn).tree(sources)
    folders = list(root.all())
    files = sum(len(folder.files) for folder in folders)
    say(f"attaching sources to targets, {files} files / {len(folders)} dirs in root")
    if target.local is not None:
        lay_over_local(root, target.local)
        for folder in reversed(folders):
            assert folder.local is not None
            folder.local.mkdir(parents=True, exist_ok=True)
    else:
        assert target.remote is not None
        found = target.found or RemoteObject(DIRECTORY, make_directory(carrier.gateway, target.remote.web_path()))
        lay_over_remote(carrier.gateway, root, found)
    say(f"starting copy, {files} files, {len(folders)} directories")
    carrier.begin([source for folder in folders for source in folder.files.values()])
    carrier.each([(folder, name) for folder in folders for name in folder.files])
    if target.local is None:
        for folder in folders:
            attach(carrier.gateway, folder)
    say(f"{files}/{files} files, {len(folders)}/{len(folders)} directories")


def attach(gateway: Gateway, folder: Folder) -> None:
    """Link all that is new in a directory, in one change; the directories in it have their caps already."""
    made = {name: RemoteObject(DIRECTORY, inner.cap) for name, inner in folder.folders.items() if inner.is_new}
    children = {**folder.linked, **made}
    if not folder.cap:
        folder.cap, folder.is_new = make_directory_of(gateway, children), True
    elif children:
        set_children(gateway, folder.cap, children)


class Carrier:
    """Moves files, several at a time. Each of its threads has a connection of its own."""

    def __init__(self, gateway: Gateway, invocation: Invocation, caps_only: bool) -> None:
        self.gateway = gateway
        self._invocation = invocation
        self._caps_only = caps_only
        self._own = threading.local()
        self._gateways: list[Gateway] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._progress = Progress(None, stream=None)

    def __enter__(self) -> Carrier:
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.__exit__(None, None, None)
        for gateway in self._gateways:
            gateway.close()

    def begin(self, sources: list[Source]) -> None:
        """Show how far all of these are."""
        sizes = [each.size or 0 if isinstance(each, RemoteObject) else each.stat().st_size for each in sources]
        self._progress = progress_for(self._invocation, sum(sizes))

    def each(self, files: list[tuple[Folder, str]]) -> None:
        """Move all of these. The first failure ends it, after what is under way."""
        if not files:
            return
        waiting = iter(files)

        def work() -> None:
            while not self._stopped:
                with self._lock:
                    item = next(waiting, None)
                if item is None:
                    return
                self._place(*item)  # may raise: the others stop after the file they are at

        with ThreadPoolExecutor(min(CONNECTIONS, len(files))) as pool:
            workers = [pool.submit(work) for _ in range(min(CONNECTIONS, len(files)))]
            try:
                wait(workers, return_when=FIRST_EXCEPTION)
            finally:
                self._stopped = True
            for each in workers:
                each.result()

    def _place(self, folder: Folder, name: str) -> None:
        """One file of a plan."""
        source = folder.files[name]
        if folder.local is not None:
            self.to_local(source, folder.local / name)
        elif name in folder.in_place:
            self.send(source, below(folder.in_place[name]))
        elif isinstance(source, RemoteObject) and not source.is_mutable:
            folder.linked[name] = RemoteObject(FILE, "", source.read_cap)
            self._advance(source.size or 0)
        else:
            folder.linked[name] = RemoteObject(FILE, "", self.send(source, "uri"))

    def send(self, source: Source, address: str) -> str:
        """Store a file's contents at `address`: the cap."""
        up, down = self._connections()
        if isinstance(source, RemoteObject):
            answer = expect_file(down.get(below(source.read_cap)))
            pieces = self._counted(answer.pieces())
            return expect_cap(up.put(address, pieces, answer.length).expect(200, 201).text())
        with source.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size

            def body() -> Iterator[memoryview]:
                file.seek(0)
                buffer, left = memoryview(bytearray(min(PIECE_SIZE, size))), size
                while left:
                    try:
                        count = file.readinto(buffer[: min(len(buffer), left)]) or 0
                    except OSError as error:
                        raise SourceFailed(f"a file cannot be read: {error.strerror}") from None
                    if not count:
                        raise SourceFailed("a file became shorter while it was being sent")
                    left -= count
                    yield buffer[:count]
                    self._advance(count)

            return expect_cap(up.upload(address, body, size).expect(200, 201).text())

    def to_local(self, source: Source, path: Path) -> None:
        """Write a file under another name beside `path`, then give it that one."""
        path = path.resolve()
        if isinstance(source, Path) and path.exists() and path.samefile(source):
            raise CannotCopy("a file cannot be copied onto itself")
        descriptor, name = tempfile.mkstemp(prefix=".lafs-cp-", dir=path.parent)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                for piece in self._contents(source):
                    while piece:
                        piece = piece[file.write(piece) :]
                mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~UMASK
                os.fchmod(file.fileno(), mode)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _contents(self, source: Source) -> Iterator[memoryview]:
        if isinstance(source, Path):
            with source.open("rb") as file:
                while piece := file.read(PIECE_SIZE):
                    yield memoryview(piece)
        elif self._caps_only:
            yield memoryview(source.read_cap.encode())
        else:
            answer = expect_file(self._connections()[1].get(below(source.read_cap)))
            if source.size is not None and not source.is_mutable and answer.length not in (None, source.size):
                raise CutOff("the gateway sent something else than the file")
            yield from self._counted(answer.pieces())

    def _counted(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            yield piece
            self._advance(len(piece))

    def _advance(self, count: int) -> None:
        with self._lock:
            self._progress.advance(count)

    def _connections(self) -> tuple[Gateway, Gateway]:
        """This thread's: one to send, one to receive."""
        if not hasattr(self._own, "pair"):
            self._own.pair = (self.gateway.another(), self.gateway.another())
            with self._lock:
                self._gateways += self._own.pair
        pair: tuple[Gateway, Gateway] = self._own.pair
        return pair


UMASK = os.umask(0o077)
os.umask(UMASK)
