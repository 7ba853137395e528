"""lafs hash-password: a line that opens an account, and nothing secret in it but the capability."""
from __future__ import annotations

from pathlib import Path
from unittest import TestCase

from click.testing import CliRunner

from frontends.accounts import read_accounts
from frontends.passwords import matches
from lafs.capability import parse
from lafs.cli.main import main

CAP = "URI:DIR2:6suvpluhljkc2gp7zzhrwh7osm:ddbuhsgjkoruefojlt7u3hf6l3tnmjr4lbk5oez7myjwbawqmhzq"


class HashPassword(TestCase):
    """The command that makes lines of an accounts file."""

    def run_with(self, *arguments: str, typed: str = "open sesame\nopen sesame\n") -> str:
        return CliRunner().invoke(main, ["-d", str(Path("nowhere")), "hash-password", *arguments], input=typed).output

    def test_the_line_opens_the_account_with_the_password_that_was_typed(self) -> None:
        line = next(line for line in self.run_with("alice", CAP).splitlines() if line.startswith("alice "))
        account = read_accounts(line.encode())["alice"]
        self.assertEqual(account.root, parse(CAP))
        self.assertEqual([matches(word, account.passwords[0]) for word in ("open sesame", "open")], [True, False])
        self.assertNotIn("sesame", line)

    def test_names_that_would_not_be_read_back_are_refused(self) -> None:
        for name in ("two words", "#alice", "", "a\tb"):
            self.assertIn("The name of an account", self.run_with(name, CAP))

    def test_a_file_is_no_account(self) -> None:
        self.assertIn("directory", self.run_with("alice", f"{CAP}/file"))
