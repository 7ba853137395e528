"""`lafs put` and `lafs get`. Spec: 08 §9.3, §9.4, §24 C5-C7, C12."""
from __future__ import annotations

import base64
import os
import re
import stat
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import click

from lafs.cli import fetching
from lafs.cli.aliases import Aliases, remote_options
from lafs.cli.answer import PIECE_SIZE, CutOff
from lafs.cli.gateway import Gateway, find
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.path_completion import complete_remote
from lafs.cli.progress import Progress, progress_for
from lafs.cli.quoting import quoted
from lafs.cli.remote_paths import CAP_PREFIXES, RemotePath
from lafs.errors import BadCapability, ConfigurationError, SourceFailed

STANDARD_INPUT = 0
"""Its descriptor: Python's own object reads ahead."""

KEY_LIMIT = 64 * 1024

STATUS_WORDS = {200: "200 OK", 201: "201 Created"}


@click.command(short_help="Store a file on the grid and print its capability.")
@click.argument("local_file", metavar="[FILE|-]", required=False, default="-", type=click.Path())
@click.argument("remote", metavar="[PATH]", required=False, shell_complete=complete_remote)
@click.option("-m", "--mutable", is_flag=True, help="Make a file that can be changed later.")
@click.option(
    "--format", "file_format", type=click.Choice(["SDMF", "MDMF", "CHK"], case_sensitive=False),
    help="The kind of file to make.",
)
@click.option(
    "--private-key-path", metavar="PEM", type=click.Path(path_type=Path), help="With --mutable: the RSA key to use for the file."
)
@click.option("--json", "as_json", is_flag=True, help='Print {"cap": ..., "size": ...}.')
@remote_options
@pass_invocation
def put(
    invocation: Invocation, local_file: str, remote: str | None, mutable: bool, file_format: str | None,
    private_key_path: Path | None, as_json: bool, node_url: str | None, dir_cap: str | None,
) -> None:
    """Store FILE, or standard input, on the grid, and print the capability that reads it.

    With PATH (ALIAS:PATH, CAP/PATH, or below the default alias) the file is also linked there; missing directories are made.
    PATH may also be the write cap of a mutable file, which gets the new contents.
    """
    if private_key_path is not None and not mutable:
        raise ConfigurationError("a private key can only be given for a mutable file: --mutable")
    private_key = "" if private_key_path is None else read_private_key(private_key_path.expanduser())
    target = target_of(Aliases(invocation, dir_cap).locate(remote)) if remote else "uri"
    parameters = (("mutable", "true" * mutable), ("private-key", private_key), ("format", file_format))
    query = [f"{name}={value}" for name, value in parameters if value]
    with find(invocation, node_url) as gateway, open_source(invocation, local_file) as file:
        cap, size = store(invocation, gateway, target + "?" * bool(query) + "&".join(query), file)
    if as_json:
        import json

        click.echo(json.dumps({"cap": cap, "size": size}))
    else:
        click.echo(cap)


def target_of(place: RemotePath) -> str:
    """Where to put a file that is to be linked at `place`. Raises BadCapability."""
    if place.path.startswith("/"):
        raise BadCapability(
            "The remote filename must not start with a slash. "
            f"Please try again, perhaps with {quoted((f'{place.alias}:' if place.alias else '') + place.path.lstrip('/'))}"
        )
    return place.web_path()


def read_private_key(path: Path) -> str:
    """The key in a PEM file, as the web API takes it. Raises BadCapability, OSError. Spec: 08 §9.4."""
    with path.open("rb") as file:
        text = file.read(KEY_LIMIT)
    match = re.search(rb"-----BEGIN (?:RSA )?PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END ", text)
    if match is None:
        raise BadCapability(f"there is no RSA private key without a password in {path}")
    try:
        return base64.urlsafe_b64encode(base64.b64decode(match[1])).decode()
    except ValueError:
        raise BadCapability(f"the private key in {path} is damaged") from None


def open_source(invocation: Invocation, local_file: str) -> FileIO:
    """The bytes to store: unbuffered, and left open if they are standard input. Raises OSError."""
    if local_file != "-":
        return Path(local_file).expanduser().open("rb", buffering=0)
    invocation.say("waiting for file data on stdin..")
    return open(STANDARD_INPUT, "rb", buffering=0, closefd=False)


def store(invocation: Invocation, gateway: Gateway, target: str, file: FileIO) -> tuple[str, int]:
    """Send the rest of `file` to `target`: its cap, and how many bytes it was."""
    facts = os.fstat(file.fileno())
    size = facts.st_size - file.seek(0, os.SEEK_CUR) if stat.S_ISREG(facts.st_mode) else None
    with progress_for(invocation, size) as progress:
        answer = gateway.put(target, body_of(file, size, progress), size).expect(*STATUS_WORDS)
        cap = answer.text().strip()
    if not cap.startswith(CAP_PREFIXES):
        raise CutOff("the gateway did not answer with a capability; is it a lafs or Tahoe-LAFS node?")
    invocation.say(STATUS_WORDS[answer.status])
    return cap, progress.done


def body_of(file: FileIO, size: int | None, progress: Progress) -> Iterator[memoryview]:
    """The pieces to send: exactly `size` bytes if that is known. Raises SourceFailed if there are not so many."""
    buffer = memoryview(bytearray(PIECE_SIZE))
    while size is None or progress.done < size:
        wanted = PIECE_SIZE if size is None else min(PIECE_SIZE, size - progress.done)
        count = readinto(file, buffer[:wanted])
        if not count and size is not None:
            raise SourceFailed("the file became shorter while it was being sent")
        if not count:
            break
        yield buffer[:count]
        progress.advance(count)
    progress.waiting("all sent; waiting for the grid")


def readinto(file: FileIO, buffer: memoryview) -> int:
    """Fill as much of `buffer` as one read does. Raises SourceFailed, so that it is told from trouble with the network."""
    try:
        return file.readinto(buffer) or 0
    except OSError as error:
        raise SourceFailed(f"the file cannot be read: {error.strerror}") from None


@click.command(short_help="Fetch a file from the grid.")
@click.argument("remote", metavar="PATH", shell_complete=complete_remote)
@click.argument("local_file", metavar="[FILE|-]", required=False, default="-", type=click.Path())
@remote_options
@pass_invocation
def get(invocation: Invocation, remote: str, local_file: str, node_url: str | None, dir_cap: str | None) -> None:
    """Fetch a file from the grid into FILE, or to standard output.

    PATH is ALIAS:PATH, CAP/PATH, or below the alias 'tahoe'; CAP may also be the address of the file's page in a web browser.
    FILE appears when it is complete; until then its bytes are in FILE.part. If the download breaks off, the same command
    continues it.
    """
    place = Aliases(invocation, dir_cap).locate(remote)
    if place.is_directory_cap:
        raise BadCapability("this is a directory's capability; name a file in it: CAP/PATH")
    with find(invocation, node_url) as gateway:
        if local_file == "-":
            fetching.to_stream(invocation, gateway, place.web_path(), sys.stdout.buffer)
            return
        path = Path(local_file).expanduser()
        if path.exists() and not path.is_file() and not path.is_dir():  # a device, a pipe
            with path.open("wb", buffering=0) as device:
                fetching.to_stream(invocation, gateway, place.web_path(), device)
        else:
            fetching.to_file(invocation, gateway, place.web_path(), path)
        invocation.say(f"retrieved and written to {path.absolute()}")
