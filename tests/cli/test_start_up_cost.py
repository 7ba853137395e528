"""What a command imports. A node's libraries cost half a second; a command has a tenth."""
from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_gateway import FakeGateway, Stored
from tests.cli.fake_grid import FakeGrid

HEAVY = frozenset({
    "twisted", "foolscap", "cryptography", "OpenSSL", "Crypto", "zfec", "attr", "attrs", "zope", "jinja2", "yaml", "asyncio",
    "html", "tempfile", "lafs.capability", "lafs.interfaces", "lafs.node",
})
"""Modules that no file command may import."""


def imported_by(*arguments: str) -> set[str]:
    """All modules that a run of the command imports. The run must succeed."""
    code = "import sys; from lafs.cli.main import main; sys.argv[0] = 'lafs'; main()"
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr[-1000:]
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip() for line in lines}


class Imports(SynchronousTestCase):
    def check(self, *arguments: str) -> None:
        modules = imported_by(*arguments)
        self.assertIn("click", modules)
        heavy = {name for name in modules if name in HEAVY or name.partition(".")[0] in HEAVY}
        # What this Python's start-up files bring (editable installs, coverage) is not the command's doing.
        self.assertEqual(heavy - brought_by_start_up(), set())

    def test_version_and_help_are_light(self) -> None:
        self.check("--version")
        self.check("--help")

    def test_file_commands_are_light(self) -> None:
        with FakeGateway() as gateway:
            gateway.stored["/uri/URI:CHK:a:b:1:1:4"] = Stored(b"data", '"etag-"')
            self.check("get", "URI:CHK:a:b:1:1:4", "-u", gateway.url)
            self.check("get", "URI:CHK:a:b:1:1:4", self.mktemp(), "-u", gateway.url)
            self.check("put", __file__, "-u", gateway.url)

    def test_commands_for_directories_are_light(self) -> None:
        with FakeGrid() as grid:
            root = grid.directory()
            self.check("put", __file__, f"{root}/x", "-u", grid.url)
            self.check("ls", root, "-u", grid.url)
            self.check("ln", f"{root}/x", f"{root}/y", "-u", grid.url)


def brought_by_start_up() -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())
