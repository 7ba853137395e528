"""Commands that make and run nodes: create-node, create-client, create-introducer, run, up.

Each turns its options into a plan and hands it to lafs.node; nothing of Twisted is imported before a node really starts.
Used through the table of lafs.cli.main. Spec: 08 §§2, 6, 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lafs.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from lafs.immutable.parameters import EncodingParameters

Command = TypeVar("Command", bound=Callable[..., Any])

_NO_TOR = "this release of lafs has no Tor and no I2P"


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, shown by --help in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_PLACE: Callable[[Any], Any] = _options(
    click.argument("nodedir", required=False, type=click.Path(path_type=Path)),
    click.option("-C", "--basedir", type=click.Path(path_type=Path), metavar="DIR", help="The node directory."),
)

_CLIENT: Callable[[Any], Any] = _options(
    click.option("-n", "--nickname", metavar="NAME", help="The name other people see."),
    click.option(
        "-i", "--introducer", "introducers", multiple=True, metavar="FURL", help="An introducer. May be repeated."
    ),
    click.option(
        "-p", "--webport", metavar="ENDPOINT", default="tcp:3456:interface=127.0.0.1", show_default=True,
        help="Where the web gateway listens, or none.",
    ),
    click.option("--shares-needed", metavar="K", default="3", show_default=True, help="Shares that suffice to read a file."),
    click.option("--shares-happy", metavar="H", help="Servers an upload must reach. Default: 7, or N if that is less."),
    click.option("--shares-total", metavar="N", default="10", show_default=True, help="Shares made of each file."),
    click.option("--join", metavar="CODE", help="Not in this release."),
)  # fmt: skip

_LISTENING: Callable[[Any], Any] = _options(
    click.option("--port", metavar="ENDPOINT", help="Where other nodes reach this one, e.g. tcp:3457. Needs --location."),
    click.option("--location", metavar="HINTS", help="What to tell others of that place, e.g. tcp:example.org:3457."),
    click.option("--hostname", metavar="NAME", help="The name of this machine; a free port is chosen."),
    click.option("--listen", metavar="LIST", default="tcp", show_default=True, help="tcp, or none."),
    click.option("--tor-launch", is_flag=True, help="Not in this release."),
    click.option("--tor-executable", metavar="PATH", help="Not in this release."),
    click.option("--tor-control-port", metavar="ENDPOINT", help="Not in this release."),
    click.option("--i2p-launch", is_flag=True, help="Not in this release."),
    click.option("--i2p-executable", metavar="PATH", help="Not in this release."),
    click.option("--i2p-sam-port", metavar="ENDPOINT", help="Not in this release."),
)  # fmt: skip

_HIDING: Callable[[Any], Any] = click.option("--hide-ip", is_flag=True, help="Not in this release.")


@click.command("create-node")
@_PLACE
@_CLIENT
@_LISTENING
@_HIDING
@click.option("--no-storage", is_flag=True, help="Store nothing for others.")
@click.option("--storage-dir", metavar="PATH", help="Where the shares go. Default: storage, in the node directory.")
@click.option("--helper", is_flag=True, help="Run an upload helper for others.")
@pass_invocation
def create_node(invocation: Invocation, /, nodedir: Path | None, basedir: Path | None, **options: Any) -> None:
    """Create a node that stores shares for others and serves the web gateway.

    With no options it listens on a free port, at all addresses of this machine.
    """
    directory = _place(invocation, nodedir, basedir, Path.home() / ".lafs")
    _create_client(invocation, directory, options)


@click.command("create-client")
@_PLACE
@_CLIENT
@_HIDING
@pass_invocation
def create_client(invocation: Invocation, /, nodedir: Path | None, basedir: Path | None, **options: Any) -> None:
    """Create a node that uses the grid and stores nothing for others."""
    directory = _place(invocation, nodedir, basedir, Path.home() / ".lafs")
    _create_client(invocation, directory, {**options, "listen": "none", "no_storage": True})


@click.command("create-introducer")
@_PLACE
@_LISTENING
@_HIDING
@pass_invocation
def create_introducer(invocation: Invocation, /, nodedir: Path | None, basedir: Path | None, **options: Any) -> None:
    """Create an introducer, by which the nodes of a grid find each other. Its FURL is there at once."""
    from lafs.node.creation import Plan, create
    from lafs.node.introducer_node import record_introducer_furl

    directory = _place(invocation, nodedir, basedir, None)
    _refuse_hiding(options)
    port, location = _listening(invocation, options)
    if port == "disabled":
        raise click.UsageError("--listen=none: an introducer that does not listen is of no use to anybody")
    _refuse_taken(directory)
    node = {
        "type": "introducer",
        "reveal-IP-address": "true",
        "web.port": "",
        "web.static": "public_html",
        "tub.port": port,
        "tub.location": location,
    }
    create(directory, Plan("introducer", {"node": node}), record_introducer_furl)
    click.echo(f"Introducer created in '{directory}'")
    invocation.say(f" Give the FURL in '{directory}/private/introducer.furl' to the nodes of the grid")
    invocation.say(f" Start it with: lafs run {directory}")


@click.command("run")
@_PLACE
@click.option("--allow-stdin-close", is_flag=True, help="Accepted for old scripts: a node does not read stdin.")
@click.option("--logfile", metavar="FILE", type=click.Path(path_type=Path), help="Log there instead of to stdout.")
@pass_invocation
def run(
    invocation: Invocation, /, nodedir: Path | None, basedir: Path | None, allow_stdin_close: bool, logfile: Path | None
) -> int:
    """Run the node in a node directory, in the foreground, until SIGTERM or SIGINT.

    The directory may have been made by lafs or by Tahoe-LAFS.
    """
    from lafs.node.process import run as run_process

    directory = _place(invocation, nodedir, basedir, invocation.directory())
    click.echo(f"'lafs run' in '{directory}'")
    return run_process(
        directory,
        logfile=None if logfile is None or str(logfile) == "-" else logfile.absolute(),
        ready=lambda url: click.echo(f"ready: {url}" if url else "ready"),
    )


@click.command("up")
@_PLACE
@click.option(
    "--storage", "storage", multiple=True, metavar="DIR", type=click.Path(path_type=Path),
    help="A folder (best: a disk of its own) to spread files over. May be repeated; remembered.",
)
@click.option("-p", "--webport", metavar="PORT", type=click.IntRange(1, 65535), help="Port of the web page; remembered.")
@click.option("--open/--no-open", "open_browser", default=None, help="Show the web page. Default: on a desktop, from a terminal.")
@pass_invocation
def up(
    invocation: Invocation, /, nodedir: Path | None, basedir: Path | None, storage: tuple[Path, ...],
    webport: int | None, open_browser: bool | None,
) -> int:  # fmt: skip
    """Start a grid of one machine: a web page and five storage folders, or the disks you name.

    Needs no configuration. Everything is kept in ~/.lafs, and a second start finds it again. Files survive the loss of two
    folders of five (--storage given N times: about two of every five). On the first start a root directory is made, with the
    alias 'tahoe', which the commands for files use when none is named.
    """
    from lafs.cli.root_directory import make_root
    from lafs.cli.web import address_of_files
    from lafs.node.embedded import up as start

    directory = _place(invocation, nodedir, basedir, Path.home() / ".lafs")
    return start(
        directory,
        [folder.expanduser().absolute() for folder in storage],
        web_port=webport,
        open_browser=open_browser,
        say=click.echo,
        when_ready=lambda: make_root(Invocation(directory, invocation.quiet)),
        page=lambda: address_of_files(Invocation(directory, invocation.quiet)),
    )


# --- from options to a plan -----------------------------------------------------------------------------------------------


def _place(invocation: Invocation, /, nodedir: Path | None, basedir: Path | None, default: Path | None) -> Path:
    """The one directory that was named, or the default. Spec: 08 §2."""
    if invocation.node_directory is not None and basedir is not None:
        raise click.UsageError("The --node-directory (or -d) and --basedir (or -C) options cannot both be used.")
    if invocation.node_directory is not None and nodedir is not None:
        raise click.UsageError("The --node-directory (or -d) option and a basedir argument cannot both be used.")
    if basedir is not None and nodedir is not None:
        raise click.UsageError("The --basedir (or -C) option and a basedir argument cannot both be used.")
    chosen = invocation.node_directory or basedir or nodedir or default
    if chosen is None:
        raise click.UsageError(
            "No default basedir available, you must provide one with --node-directory, --basedir, or a basedir argument"
        )
    return Path(chosen).expanduser().absolute()


def _create_client(invocation: Invocation, directory: Path, options: dict[str, Any]) -> None:
    from lafs.node.creation import Plan, create, petnames
    from lafs.node.values import furl

    encoding = _encoding(options["shares_needed"], options["shares_happy"], options["shares_total"])
    _refuse_hiding(options)
    port, location = _listening(invocation, options)
    stores = not options.get("no_storage") and port != "disabled"
    if not stores and not options.get("no_storage"):
        invocation.say("Nobody could reach its storage, since it does not listen: storage is switched off.")
    if options["join"] is not None:
        raise click.UsageError("--join is not in this release; ask for the introducer's FURL and give it with --introducer")
    for given in options["introducers"]:
        try:
            furl(given)
        except ValueError as error:
            raise click.UsageError(f"--introducer {error}") from None
    _refuse_taken(directory)
    webport = "" if options["webport"].lower() == "none" else options["webport"]
    node = {
        "type": "client",
        **({} if options["nickname"] is None else {"nickname": options["nickname"]}),
        "reveal-IP-address": "true",
        "web.port": _checked_endpoint(webport),
        "web.static": "public_html",
        "tub.port": port,
        "tub.location": location,
    }
    client = {
        "helper.furl": "",
        "shares.needed": str(encoding.needed),
        "shares.happy": str(encoding.happy),
        "shares.total": str(encoding.total),
    }
    storage = {"enabled": "true" if stores else "false", "reserved_space": "1G"}
    if options.get("storage_dir"):
        storage["storage_dir"] = options["storage_dir"]
    sections = {"node": node, "client": client, "storage": storage}
    if options.get("helper"):
        sections["helper"] = {"enabled": "true"}
    create(directory, Plan("client", sections, petnames(options["introducers"])))
    click.echo(f"Node created in '{directory}'")
    if not options["introducers"]:
        invocation.say(f" Please add introducers to '{directory}/private/introducers.yaml'!")
        invocation.say(" The node cannot connect to a grid without it.")
    if options["nickname"] is None:
        invocation.say(f" Please set [node]nickname= in '{directory}/lafs.cfg'")
    invocation.say(f" Start it with: lafs run {directory}")


def _encoding(needed: str, happy: str | None, total: str) -> EncodingParameters:
    from lafs.immutable.parameters import EncodingParameters

    numbers = {"needed": needed, "total": total, **({} if happy is None else {"happy": happy})}
    for name, text in numbers.items():
        if not re.fullmatch("[0-9]{1,9}", text):
            raise click.UsageError(f"--shares-{name} must be an integer")
    if happy is None:
        numbers["happy"] = str(min(7, int(total)))
    try:
        return EncodingParameters(**{name: int(text) for name, text in numbers.items()})
    except ValueError as error:
        raise click.UsageError(str(error).replace("shares.", "--shares-")) from None


def _checked_endpoint(text: str) -> str:
    from lafs.node.values import endpoint_text

    try:
        return endpoint_text(text) if text else ""
    except ValueError as error:
        raise click.UsageError(f"--webport: {error}") from None


def _refuse_hiding(options: dict[str, Any]) -> None:
    if options.get("hide_ip"):
        raise click.UsageError(f"--hide-ip was specified but no IP-hiding listener is installed: {_NO_TOR}")


def _refuse_taken(directory: Path) -> None:
    from lafs.node.creation import is_taken

    if is_taken(directory):
        click.echo(
            f"The base directory '{directory}' is not empty.\n"
            "To avoid clobbering anything, I am going to quit now.\n"
            "Please use a different directory, or empty this one.",
            err=True,
        )
        raise click.exceptions.Exit(255)


def _listening(invocation: Invocation, options: dict[str, Any]) -> tuple[str, str]:
    """`tub.port` and `tub.location` from the options, checked in the order of spec 08 §6.2."""
    port, location, hostname = (options.get(name) for name in ("port", "location", "hostname"))
    kinds = [kind.strip() for kind in options["listen"].split(",")]
    for wrong, message in (
        ("none" in kinds and hostname, "--hostname cannot be used when --listen=none"),
        ("none" in kinds and (port or location), "--port/--location cannot be used when --listen=none"),
        (location and not port, "--location must be used with --port"),
        (port and not location, "--port must be used with --location"),
        (port and hostname, "--hostname cannot be used with --location/--port"),
        (not set(kinds) <= {"tcp", "tor", "i2p", "none"}, "--listen= must be one/some of: i2p, none, tcp, tor"),
        ("tcp" not in kinds and hostname, "--listen= must be tcp to use --hostname"),
        ("tor" in kinds or any(options.get(name) for name in _TOR_OPTIONS), f"Tor cannot be used: {_NO_TOR}"),
        ("i2p" in kinds or any(options.get(name) for name in _I2P_OPTIONS), f"I2P cannot be used: {_NO_TOR}"),
    ):
        if wrong:
            raise click.UsageError(message)
    if "none" in kinds:
        return "disabled", "disabled"
    if port and location:
        return _checked_listening(port, location)
    from lafs.node.ports import free_port

    chosen = free_port()
    if hostname:
        return f"tcp:{chosen}", f"tcp:{hostname}:{chosen}"
    invocation.say(f"Other nodes will reach this one on TCP port {chosen}, at any address of this machine.")
    invocation.say("If it has a name that others know, say so instead: --hostname=NAME")
    return f"tcp:{chosen}", "AUTO"


_TOR_OPTIONS = ("tor_launch", "tor_executable", "tor_control_port")
_I2P_OPTIONS = ("i2p_launch", "i2p_executable", "i2p_sam_port")


def _checked_listening(port: str, location: str) -> tuple[str, str]:
    from lafs.node.values import tub_location, tub_port

    for option, parse, text in (("--port", tub_port, port), ("--location", tub_location, location)):
        try:
            parse(text)
        except ValueError as error:
            raise click.UsageError(f"{option}: {error}") from None
    return port, location
