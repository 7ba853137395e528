"""The documents tell everything that the program can do. When one of these fails: `make docs`."""
from __future__ import annotations

import re
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.main import COMMANDS, main
from lafs.node import settings

ROOT = Path(__file__).parents[1]


class ManualPage(SynchronousTestCase):
    def test_every_command_and_every_option_is_in_it(self) -> None:
        text = (ROOT / "docs" / "lafs.1").read_text(encoding="utf-8").replace("\\-", "-")
        root = click.Context(main, help_option_names=["-h", "--help"])
        before, *sections = text.split("\n.SS lafs ")
        told = {"lafs": before, **{section.split(None, 1)[0]: section for section in sections}}
        for name, command in {"lafs": main, **{name: row.load() for name, row in COMMANDS.items()}}.items():
            context = root if command is main else click.Context(command, info_name=name, parent=root)
            for parameter in command.get_params(context):
                if isinstance(parameter, click.Option) and not parameter.hidden:
                    for option in (*parameter.opts, *parameter.secondary_opts):
                        self.assertIn(option, told[name], f"lafs {name} {option}")


class ConfigurationPage(SynchronousTestCase):
    def test_every_option_of_every_section_is_in_it(self) -> None:
        text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        told = {section.split("]", 1)[0]: section for section in text.split("\n### `[")[1:]}
        for name, section in {**settings.CLIENT, "storage:NAME": settings.Folder}.items():
            for _, option in settings.options_of(section).values():
                self.assertIn(f"| `{option.name}` |", told[name], f"[{name}] {option.name}")
                self.assertIn(option.says, told[name], f"[{name}] {option.name}")


class Links(SynchronousTestCase):
    def test_every_file_that_a_document_links_to_exists(self) -> None:
        for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_every_command_that_a_document_shows_exists(self) -> None:
        shown = set()
        for page in (ROOT / "README.md", ROOT / "docs" / "configuration.md", ROOT / "docs" / "lafs.1"):
            shown |= set(re.findall(r"(?:^\$? ?|`)lafs ([a-z][a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        self.assertIn("up", shown)
        self.assertEqual(shown - set(COMMANDS), set())
