"""A click group that imports a command only when it is run, and is kind to people who type.

Used by lafs.cli.main. A table row names a command, the one line that `--help` shows for it, and where its code is; so neither
`lafs --help` nor `lafs get` pays for importing a whole node. Spec: 08 §1.1 (unique prefixes of long options), §24 C3, C5, C24.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from lafs.cli.remote_paths import conceal
from lafs.errors import LafsError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Lazy(NamedTuple):
    """Where a command is ("module:attribute"), what it does in one line, and under which heading `--help` lists it."""

    target: str
    summary: str
    heading: str = "Commands"

    def load(self) -> click.Command:
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), self.target
        return command


def complete_prefixes(command: click.Command, context: click.Context, arguments: Sequence[str]) -> list[str]:
    """Spell out long options given by a unique prefix (`--vers` is `--version`). An ambiguous prefix is a usage error."""
    options = {name: each for each in command.get_params(context) for name in (*each.opts, *each.secondary_opts)}
    spelt: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--" or not (argument.startswith("-") or command.allow_interspersed_args):
            spelt.append(argument)
            break
        name, equals, value = argument.partition("=")
        if len(name) > 2 and name.startswith("--") and name not in options:
            longer = sorted(each for each in options if each.startswith(name))
            if len({options[each].name for each in longer}) > 1:
                raise click.UsageError(f"option {name} could be any of {', '.join(longer)}", context)
            if longer:
                name, argument = longer[0], longer[0] + equals + value
        spelt.append(argument)
        option = options.get(name)
        if isinstance(option, click.Option) and not (equals or option.is_flag or option.count):
            spelt.extend(islice(rest, 1))  # its value, which may look like an option
    return spelt + list(rest)


class LazyGroup(click.Group):
    """A group whose commands are in a table. Ends the process with the exit statuses of spec 08 §1.3."""

    def __init__(self, *args: Any, table: Mapping[str, Lazy], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = self.table.get(cmd_name)
        return row.load() if row else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the global options. With nothing at all to parse, show the help."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(1)
        return super().parse_args(ctx, complete_prefixes(self, ctx, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            self.fail_unknown(ctx, args[0])
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            rest = complete_prefixes(command, ctx, rest)
        return name, command, rest

    def fail_unknown(self, context: click.Context, name: str) -> NoReturn:
        """Usage error naming the nearest command."""
        from difflib import get_close_matches  # only a person's mistake pays for it

        nearest = get_close_matches(name, self.table, n=1, cutoff=0.5)
        raise click.UsageError(f"Unknown command: {name}." + (f" Did you mean '{nearest[0]}'?" if nearest else ""), context)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by heading, from the table: nothing is imported for `--help`."""
        for heading in dict.fromkeys(row.heading for row in self.table.values()):
            with formatter.section(heading):
                formatter.write_dl([(name, row.summary) for name, row in self.table.items() if row.heading == heading])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names from the table, so that a TAB costs no import; the options as click does."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=row.summary) for name, row in self.table.items() if name.startswith(incomplete)]

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = "lafs", complete_var: str | None = None,
        standalone_mode: bool = True, **extra: Any,
    ) -> Any:
        """Run, and turn every way of failing into one line on stderr and an exit status; see `report`."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        except Exception as error:
            report(error)
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


def report(error: Exception) -> None:
    """Say on stderr what went wrong: what a person can act on, no traceback, no cap.

    An error nobody foresaw is named by its class and place only, since its text may hold a secret; LAFS_TRACEBACK=1 shows all.
    """
    if os.environ.get("LAFS_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
        return
    if isinstance(error, click.UsageError):
        if error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        text = conceal(error.format_message())
        if error.ctx is not None:
            text += f"\nTry '{error.ctx.command_path} --help'."
    elif isinstance(error, click.ClickException):
        text = conceal(error.format_message())
    elif isinstance(error, LafsError):
        text = conceal(str(error))
    elif isinstance(error, OSError):
        # filename is a local path typed by the person; strerror is the system's.
        where = f"{error.filename}: " if error.filename else ""
        text = conceal(f"{where}{error.strerror or type(error).__name__}")
    else:
        text = f"unexpected {type(error).__name__} ({place_of(error)}); LAFS_TRACEBACK=1 shows more"
    click.echo(f"lafs: {text}", err=True)


def place_of(error: Exception) -> str:
    """The last line of our code that an unforeseen error came through, as "file:line"."""
    place = "unknown place"
    trace = error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if f"{os.sep}lafs{os.sep}" in filename:
            place = f"{os.path.basename(filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
