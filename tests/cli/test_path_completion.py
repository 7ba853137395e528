"""TAB behind a half-written remote path."""
from __future__ import annotations

import os

from click.testing import CliRunner

from lafs.cli.main import main
from tests.cli.test_directories import GridCase


class Completion(GridCase):
    def offered(self, *words: str) -> list[str]:
        line = ["lafs", "-d", str(self.node), *words]
        environment = {"COMP_WORDS": " ".join(line), "COMP_CWORD": str(len(line) - 1), "_LAFS_COMPLETE": "bash_complete"}
        result = CliRunner().invoke(main, [], env={**os.environ, **environment}, prog_name="lafs")
        return [line.partition(",")[2] for line in result.stdout.split()]

    def test_aliases(self) -> None:
        self.works("create-alias", "photos")
        self.assertEqual(self.offered("ls", "ph"), ["photos:"])
        self.assertEqual(self.offered("cp", "ph"), ["photos:"])

    def test_names_below_a_directory(self) -> None:
        self.works("mkdir", "album/2024")
        self.works("mkdir", "album/2025")
        self.assertEqual(self.offered("get", "tahoe:al"), ["tahoe:album/"])
        self.assertEqual(self.offered("mv", "album/202"), ["album/2024/", "album/2025/"])

    def test_failure_is_quiet(self) -> None:
        self.assertEqual(self.offered("ls", "bogus:x"), [])
        (self.node / "node.url").write_text("http://127.0.0.1:1/")
        self.assertEqual(self.offered("ls", "tahoe:x"), [])
