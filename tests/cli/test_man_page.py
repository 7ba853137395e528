"""docs/lafs.1 tells everything that the command can do."""
from __future__ import annotations

from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.main import COMMANDS, main

PAGE = Path(__file__).parents[2] / "docs" / "lafs.1"


class ManPage(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = PAGE.read_text(encoding="utf-8").replace("\\-", "-")

    def test_every_command_and_every_option_is_in_it(self) -> None:
        """If this fails: `make man`."""
        root = click.Context(main, help_option_names=["-h", "--help"])
        sections = self.text.split("\n.SS lafs ")
        told = {section.split(None, 1)[0]: section for section in sections[1:]} | {"lafs": sections[0]}
        for name, command in {"lafs": main, **{name: row.load() for name, row in COMMANDS.items()}}.items():
            context = root if command is main else click.Context(command, info_name=name, parent=root)
            for parameter in command.get_params(context):
                if isinstance(parameter, click.Option) and not parameter.hidden:
                    for option in (*parameter.opts, *parameter.secondary_opts):
                        self.assertIn(option, told[name], f"lafs {name} {option}")
