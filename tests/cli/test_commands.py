"""The command as a whole: help, mistakes, exit statuses."""
from __future__ import annotations

import os
from pathlib import Path

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lafs import __version__
from lafs.cli.commands import Lazy, LazyGroup
from lafs.cli.invocation import Invocation, pass_invocation
from lafs.cli.main import COMMANDS, main
from lafs.errors import NodeError
from tests.cli.fake_gateway import lafs

CAP = "URI:CHK:3ddgzbplsxzqq7rxz6tnablnca:4a5oyqrdp4v6wibf3yuthdjtjpg5flwb6tusuujdzv6hrabu62ga:3:10:1234"


@click.command()
@click.argument("what", required=False)
@click.option("--recursive", is_flag=True)
@click.option("--recover")
@pass_invocation
def probe(invocation: Invocation, what: str | None, recursive: bool, recover: str | None) -> None:
    """Says how it was called, or fails as it is told."""
    failures: dict[str | None, BaseException] = {
        "foreseen": NodeError(f"cannot use {CAP}"),
        "unforeseen": RuntimeError(f"secret {CAP}"),
        "interrupt": KeyboardInterrupt(),
        "system": FileNotFoundError(2, "No such file or directory", "/some/where"),
    }
    if what in failures:
        raise failures[what]
    click.echo(f"{what} {recursive} {recover} {invocation.node_directory}")
    invocation.say("chatter")


def run(*arguments: str) -> Result:
    """The real group's options and callback, with a command of our own in the table."""
    table = {"probe": Lazy(f"{__name__}:probe", "Probe."), "other": Lazy("no.such.module:other", "Never imported.")}
    group = LazyGroup(table=table, callback=main.callback, params=list(main.params), context_settings=main.context_settings)
    return CliRunner().invoke(group, list(arguments))


class Parsing(SynchronousTestCase):
    """Options are taken as people type them."""

    def test_options_may_follow_arguments(self) -> None:
        self.assertIn("x True", run("probe", "x", "--recursive").stdout)

    def test_a_unique_prefix_of_a_long_option_is_enough(self) -> None:
        self.assertIn("None True None", run("probe", "--recur").stdout)
        self.assertIn("None False a", run("probe", "--recov=a").stdout)
        self.assertIn(__version__, run("--vers").stdout)
        self.assertIn(f"{os.sep}node", run("--node-dir", "/node", "probe").stdout)

    def test_an_ambiguous_prefix_is_an_error_that_names_the_choices(self) -> None:
        result = run("probe", "--rec")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("--recover, --recursive", result.stderr)

    def test_the_value_of_an_option_is_never_completed(self) -> None:
        self.assertIn("None False --recur", run("probe", "--recover", "--recur").stdout)

    def test_nothing_after_two_dashes_is_an_option(self) -> None:
        self.assertIn("--recur False", run("probe", "--", "--recur").stdout)

    def test_a_global_prefix_is_not_looked_for_behind_the_command(self) -> None:
        result = run("probe", "--quie")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("--quie", result.stderr)

    def test_the_node_directory_is_handed_to_the_command(self) -> None:
        self.assertIn(f"None False None {Path('/some/node')}", run("-d", "/some/node", "probe").stdout)

    def test_quiet_silences_chatter_and_not_results(self) -> None:
        loud, quiet = run("probe"), run("-q", "probe")
        self.assertEqual(loud.stderr, "chatter\n")
        self.assertEqual(quiet.stderr, "")
        self.assertEqual(quiet.stdout, loud.stdout)


class Failing(SynchronousTestCase):
    """Every failure is a line on stderr and an exit status, never a traceback or a cap."""

    def fails(self, result: Result, status: int) -> str:
        self.assertEqual(result.exit_code, status)
        self.assertEqual(result.stdout, "")
        self.assertNotIn("Traceback", result.stderr)
        self.assertNotIn("3ddgz", result.stderr)
        return result.stderr

    def test_a_foreseen_error_is_one_line(self) -> None:
        self.assertEqual(self.fails(run("probe", "foreseen"), 1), "lafs: cannot use URI:[hidden]\n")

    def test_an_unforeseen_error_tells_its_kind_and_not_its_text(self) -> None:
        message = self.fails(run("probe", "unforeseen"), 1)
        self.assertIn("unexpected RuntimeError", message)
        self.assertNotIn("secret", message)

    def test_a_system_error_names_the_file(self) -> None:
        self.assertEqual(self.fails(run("probe", "system"), 1), "lafs: /some/where: No such file or directory\n")

    def test_an_interrupt_exits_as_shells_expect(self) -> None:
        self.fails(run("probe", "interrupt"), 130)

    def test_a_usage_error_exits_1_and_hides_caps(self) -> None:
        self.assertIn("URI:[hidden]", self.fails(run("probe", "x", CAP), 1))

    def test_an_unknown_command_names_the_nearest(self) -> None:
        self.assertIn("Did you mean 'probe'?", self.fails(run("prob"), 1))
        self.assertNotIn("Did you mean", self.fails(run("xyzzy"), 1))

    def test_no_command_at_all_shows_the_help(self) -> None:
        self.assertIn("Usage:", self.fails(run(), 1))


class Help(SynchronousTestCase):
    """-h and --help work everywhere, and list what there is."""

    def test_help_lists_every_command_without_importing_it(self) -> None:
        result = run("-h")
        self.assertEqual(result.exit_code, 0)
        self.assertIn("other", result.stdout)

    def test_every_command_in_the_table_exists_and_says_what_it_does(self) -> None:
        for name, row in COMMANDS.items():
            result = lafs(name, "-h")
            self.assertEqual(result.exit_code, 0, name)
            self.assertIn("Usage:", result.stdout, name)
            self.assertEqual(row.load().name, name)

    def test_version_is_one_line(self) -> None:
        for option in ("-V", "--version", "--version-and-path"):
            self.assertEqual(lafs(option).stdout, f"lafs/{__version__}\n")


class Completion(SynchronousTestCase):
    """Shells learn the commands without importing them."""

    def test_each_shell_gets_a_script(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            result = lafs("completion", shell)
            self.assertEqual(result.exit_code, 0, shell)
            self.assertIn("_LAFS_COMPLETE", result.stdout)

    def test_commands_are_completed_from_the_table(self) -> None:
        table = {"alpha": Lazy("no.such.module:x", "A."), "beta": Lazy("no.such.module:x", "B.")}
        group = LazyGroup(table=table)
        names = [item.value for item in group.shell_complete(click.Context(group), "al")]
        self.assertEqual(names, ["alpha"])
