"""lafs mount, unmount: a directory of the grid as a folder of this machine, by sshfs and the node's own SFTP server.

No password is asked: the node has made a key, and each mount gets an account that only that key opens, in NODEDIR/private/mounts,
which the node reads again when it changes. No cap is ever an argument of another program. Spec: 09 §2, §14.
"""
from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import click

from lafs.cli.aliases import Aliases
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.errors import ConfigurationError, NodeError

SSH_HOST = "lafs"
_MOST_BYTES = 4 * 1024 * 1024
_SYNC_SECONDS = 24 * 3600.0

_NO_SERVER = """\
The node in '{directory}' serves no SFTP, by which folders are mounted. Is it running (lafs up, lafs run)? If it is, these lines in
its lafs.cfg, and a restart, switch it on:

  [sftpd]
  enabled = true
  port = tcp:0:interface=127.0.0.1
"""

_NO_SSHFS = """\
sshfs is not installed; it is what shows the grid as a folder. To install it:

  Debian, Ubuntu:  sudo apt install sshfs
  Fedora:          sudo dnf install fuse-sshfs
  Arch:            sudo pacman -S sshfs
  macOS:           macFUSE and sshfs, see https://macfuse.github.io
"""


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="[REMOTE] FOLDER")
@pass_invocation
def mount(invocation: Invocation, /, places: tuple[str, ...]) -> None:
    """Show REMOTE (an alias, alias:path or a directory's cap; default: your root directory) as FOLDER of this machine.

    FOLDER is made if it is not there. What programs write is stored when they close a file; `lafs unmount` waits for the last.
    """
    if len(places) > 2:
        raise click.UsageError("mount takes what to show, and where")
    directory = invocation.directory()
    sshfs = shutil.which("sshfs")
    if sshfs is None:
        raise NodeError(_NO_SSHFS.rstrip())
    place = Aliases(invocation).locate(places[0] if len(places) == 2 else "")
    assert place.cap is not None
    configuration = _ssh_configuration(directory)
    folder = _mount_point(Path(places[-1]))
    name = _account_name(folder)
    public = (directory / "private" / "mount_key.pub").read_text("ascii").split()
    with _mounts(directory) as lines:
        lines[name] = f"{name} {public[0]} {public[1]} {place.cap}"
    options = f"reconnect,idmap=none,uid={os.getuid()},gid={os.getgid()},dcache_timeout=5,fsname=lafs,subtype=sshfs"
    if sys.platform == "darwin":
        options += ",volname=lafs"
    target = f"{name}@{SSH_HOST}:/{place.path.strip('/')}"
    status = subprocess.run(
        [sshfs, "-F", configuration, "-o", options, target, folder], stdin=subprocess.DEVNULL, check=False
    ).returncode
    if status:
        _forget(directory, name)
        raise NodeError("sshfs could not mount it; what it said is above")
    invocation.say(f"Mounted at '{folder}'. `lafs unmount {folder}` takes it away again.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@pass_invocation
def unmount(invocation: Invocation, /, folder: Path) -> None:
    """Take away what `lafs mount` shows at FOLDER, once all that was written is stored."""
    directory, folder = invocation.directory(), folder.absolute()
    name = _account_name(folder)
    _run_unmount(folder)
    stored = _wait_until_stored(directory, name)
    _forget(directory, name)
    if not stored:
        raise NodeError(
            f"'{folder}' is unmounted, but the node did not say that everything written there is stored. Its log says more."
        )


def _ssh_configuration(directory: Path) -> Path:
    """The file that the node writes when it starts. Raises NodeError."""
    path = directory / "private" / "ssh_config"
    if not path.exists():
        raise NodeError(_NO_SERVER.format(directory=directory).rstrip())
    return path


def _mount_point(folder: Path) -> Path:
    """`folder`, empty and ours. Raises ConfigurationError."""
    folder = folder.absolute()
    if folder.is_mount():
        raise ConfigurationError(f"Something is mounted at '{folder}' already.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(f"'{folder}' is not empty; what is in it would be hidden.")
    except OSError as error:
        raise ConfigurationError(f"'{folder}' cannot be used: {error.strerror}") from None
    return folder


def _run_unmount(folder: Path) -> None:
    for program, *options in (("fusermount3", "-u"), ("fusermount", "-u"), ("umount",)):
        if shutil.which(program):
            done = subprocess.run([program, *options, folder], capture_output=True, check=False, text=True)
            if done.returncode:
                raise NodeError(f"'{folder}' cannot be unmounted: {done.stderr.strip()}")
            return
    raise NodeError("there is no program that unmounts (fusermount3)")


def _wait_until_stored(directory: Path, name: str) -> bool:
    """Ask the node to say when everything that was closed is stored: sshfs does not wait for it."""
    ssh = shutil.which("ssh")
    configuration = directory / "private" / "ssh_config"
    if ssh is None or not configuration.exists():
        return False
    command: list[str | Path] = [ssh, "-F", configuration, f"{name}@{SSH_HOST}", "sync"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SYNC_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return not done.returncode


# --- the accounts of mounts ----------------------------------------------------------------------------------------------


def _account_name(folder: Path) -> str:
    """One for each mount point: mounting again there takes the place of what was mounted before."""
    return "mount-" + sha256(os.fsencode(folder)).hexdigest()[:16]


def _forget(directory: Path, name: str) -> None:
    with _mounts(directory) as lines:
        lines.pop(name, None)


@contextmanager
def _mounts(directory: Path) -> Iterator[dict[str, str]]:
    """The lines of the file by account, to be changed; written back whole, under a lock."""
    private = directory / "private"
    path, temporary = private / "mounts", private / "mounts.tmp"
    lock = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = path.read_bytes()[:_MOST_BYTES].decode("utf-8", "replace") if path.exists() else ""
        lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
        before = dict(lines)
        yield lines
        if lines == before:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines.values())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        os.fsync(lock)
    finally:
        os.close(lock)


# --- accounts with passwords ---------------------------------------------------------------------------------------------


@click.command("hash-password")
@click.argument("name")
@click.argument("remote", required=False)
@pass_invocation
def hash_password(invocation: Invocation, /, name: str, remote: str | None) -> None:
    """Print the line of an accounts file that lets NAME log in by SFTP or FTP, with a password that is asked for.

    NAME sees REMOTE (an alias or a directory's cap; default: your root directory). The line holds a slow hash, not the password.
    """
    from frontends.passwords import SALT_SIZE, hash_password

    if not name.isprintable() or name.startswith("#") or len(name.split()) != 1:
        raise ConfigurationError("The name of an account has no blanks in it, and does not begin with #.")
    place = Aliases(invocation).locate(remote or "")
    if not place.is_directory_cap:
        raise ConfigurationError("An account needs a directory's capability, or an alias.")
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    click.echo(f"{name} {hash_password(password, os.urandom(SALT_SIZE))} {place.cap}")
