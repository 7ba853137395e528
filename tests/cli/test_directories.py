"""Aliases, and the commands for directories."""
from __future__ import annotations

import json
import os
import webbrowser
from pathlib import Path

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.listing import layout
from lafs.cli.quoting import quoted
from lafs.cli.remote_objects import below
from tests.cli.fake_gateway import lafs
from tests.cli.fake_grid import FakeGrid, Said

REAL_DIRECTORY = "URI:DIR2:{}:{}".format("a" * 26, "a" * 52)


class GridCase(SynchronousTestCase):
    """A node directory whose alias `tahoe` is an empty directory of a fake grid."""

    def setUp(self) -> None:
        self.grid = self.enterContext(FakeGrid())
        self.node = Path(self.mktemp()).absolute()
        (self.node / "private").mkdir(parents=True)
        (self.node / "node.url").write_text(self.grid.url + "/\n")
        self.root = self.grid.directory()
        self.write_aliases(f"tahoe: {self.root}\n")

    def write_aliases(self, text: str) -> None:
        (self.node / "private" / "aliases").write_text(text, encoding="utf-8")

    def run_lafs(self, *arguments: str, status: int = 0) -> Result:
        result = lafs("-d", str(self.node), *arguments)
        self.assertEqual(result.exit_code, status, result.stderr)
        return result

    def works(self, *arguments: str) -> str:
        return self.run_lafs(*arguments).stdout

    def fails(self, *arguments: str, status: int = 1) -> str:
        result = self.run_lafs(*arguments, status=status)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def local(self, name: str, content: bytes = b"content") -> str:
        path = self.node.parent / f"{self.node.name}-{name}"
        path.write_bytes(content)
        return str(path)

    @property
    def tree(self) -> dict[str, object]:
        return self.grid.tree(self.root)


class Aliases(GridCase):
    """The table of short names is shared with Tahoe-LAFS, and with a person's editor."""

    def test_a_created_alias_is_a_directory_and_can_be_used(self) -> None:
        self.assertEqual(self.works("create-alias", "photos:"), "Alias 'photos' created\n")
        self.works("put", self.local("f"), "photos:f")
        self.assertEqual(self.works("get", "photos:f"), "content")
        self.assertEqual((self.node / "private" / "aliases").stat().st_mode & 0o777, 0o600)

    def test_a_line_that_cannot_be_read_costs_only_itself(self) -> None:
        self.write_aliases(f"\n# remark\nnonsense\n{{}}: {self.root}\nbad: nothing\ntahoe: {self.root}")
        result = self.run_lafs("list-aliases")
        self.assertEqual(result.stdout, f"  tahoe: {self.root}\n     {{}}: {self.root}\n")
        self.assertIn("line 3", result.stderr)
        self.assertIn("'bad'", result.stderr)
        self.assertNotIn(self.root, result.stderr)

    def test_an_entry_is_added_behind_a_line_without_an_end(self) -> None:
        self.write_aliases(f"tahoe: {self.root}")
        self.assertEqual(self.works("add-alias", "new", REAL_DIRECTORY), "Alias 'new' added\n")
        lines = (self.node / "private" / "aliases").read_text().splitlines()
        self.assertEqual(lines, [f"tahoe: {self.root}", f"new: {REAL_DIRECTORY}"])

    def test_listing_as_json_tells_both_caps(self) -> None:
        self.write_aliases(f"a: {REAL_DIRECTORY}\n")
        told = json.loads(self.works("list-aliases", "--json"))
        self.assertEqual(told["a"]["readwrite"], REAL_DIRECTORY)
        self.assertTrue(told["a"]["readonly"].startswith("URI:DIR2-RO:"))
        self.assertEqual(self.works("list-aliases", "--readonly-uri").split()[1], told["a"]["readonly"])

    def test_aliases_need_no_gateway_to_be_listed_or_added(self) -> None:
        (self.node / "node.url").unlink()
        self.works("add-alias", "new", REAL_DIRECTORY)
        self.assertIn("new", self.works("list-aliases"))

    def test_names_that_could_not_be_used_are_refused(self) -> None:
        for name, word in (("a:b", "colons"), ("a b", "spaces"), ("a/b", "slashes"), ("", "name"), ("URI", "name"), ("#x", "name")):
            self.assertIn(word, self.fails("create-alias", name))
        self.assertIn("already exists", self.fails("create-alias", "tahoe"))
        self.assertEqual(self.grid.requests, [])

    def test_only_a_directory_can_have_an_alias(self) -> None:
        for cap in ("URI:CHK:a:b:3:10:5", "nonsense", "http://host/uri"):
            self.fails("add-alias", "new", cap)

    def test_a_cap_that_could_not_be_saved_is_not_lost(self) -> None:
        """The directory is there, its cap is nowhere else."""
        self.patch(os, "replace", failing_replace)
        result = self.run_lafs("create-alias", "new", status=1)
        self.assertIn(result.stdout.strip(), self.grid.directories)
        self.assertIn("No space left", result.stderr)

    def test_unknown_aliases_are_named(self) -> None:
        self.assertIn("Unknown alias 'bogus'", self.fails("ls", "bogus:"))
        self.write_aliases("")
        self.assertIn("create-alias tahoe", self.fails("ls"))

    def test_the_default_can_be_given_and_may_come_from_an_old_file(self) -> None:
        other = self.grid.directory(inner=self.grid.file(b"x"))
        self.assertEqual(self.works("ls", "--dir-cap", other), "inner\n")
        self.write_aliases("")
        (self.node / "private" / "root_dir.cap").write_text(other + "\n")
        self.assertEqual(self.works("ls"), "inner\n")


def failing_replace(source: object, target: object) -> None:
    raise OSError(28, "No space left on device")


class Directories(GridCase):
    def test_mkdir_makes_directories_on_the_way(self) -> None:
        cap = self.works("mkdir", "a/b/").strip()
        self.assertIn(cap, self.grid.directories)
        self.assertEqual(self.tree, {"a": {"b": {}}})

    def test_mkdir_without_a_path_is_unlinked(self) -> None:
        for arguments in ((), ("tahoe:",), ("--format", "mdmf")):
            self.assertIn(self.works("mkdir", *arguments).strip(), self.grid.directories)
        self.assertEqual(self.tree, {})

    def test_a_failed_mkdir_is_a_failure(self) -> None:
        """The peer prints an empty line and exits 0."""
        self.grid.failures["POST"] = Said(500, b"no servers")
        self.assertIn("no servers", self.fails("mkdir", "a"))

    def test_put_refuses_a_leading_slash_and_says_what_to_do(self) -> None:
        self.assertIn("tahoe:a/b", self.fails("put", self.local("f"), "tahoe:/a/b"))

    def test_a_mutable_file_is_written_in_place(self) -> None:
        cap = self.works("put", "--mutable", self.local("f")).strip()
        self.assertEqual(self.works("put", self.local("g", b"newer"), cap).strip(), cap)
        self.assertEqual(self.works("get", cap), "newer")

    def test_a_private_key_is_sent_with_a_mutable_file_only(self) -> None:
        key = self.local("key", b"-----BEGIN RSA PRIVATE KEY-----\n/+8=\n-----END RSA PRIVATE KEY-----\n")
        self.works("put", "--mutable", "--private-key-path", key, self.local("f"))
        self.assertIn("PUT /uri?mutable=true&private-key=_-8=", self.grid.requests)
        self.assertIn("--mutable", self.fails("put", "--private-key-path", key, self.local("f")))
        self.assertIn("RSA", self.fails("put", "-m", "--private-key-path", self.local("f"), self.local("f")))

    def test_unlink_removes_an_entry_and_nothing_else(self) -> None:
        self.works("put", self.local("f"), "a/f")
        self.works("put", self.local("f"), "a/g")
        self.assertEqual(self.works("rm", "a/f"), "200 OK\n")
        self.assertEqual(self.tree, {"a": {"g": b"content"}})
        self.assertIn("a path must be given", self.fails("unlink", "tahoe:"))
        self.assertIn("No such child", self.fails("unlink", "nothing"))


class Moving(GridCase):
    def setUp(self) -> None:
        super().setUp()
        self.works("put", self.local("f"), "x")
        self.works("mkdir", "d/e")

    def test_an_entry_gets_another_name(self) -> None:
        self.assertEqual(self.works("mv", "x", "y"), "OK\n")
        self.assertEqual(self.works("ln", "y", "d/z"), "OK\n")
        self.assertEqual(self.tree, {"y": b"content", "d": {"e": {}, "z": b"content"}})

    def test_a_directory_takes_it_under_its_old_name(self) -> None:
        self.works("ln", "x", "d/")
        self.works("ln", "x", self.grid.directories[self.root]["d"][1] + "/e/")
        self.works("mv", "d/e/x", "tahoe:")
        self.assertEqual(self.tree, {"x": b"content", "d": {"e": {}, "x": b"content"}})

    def test_a_bare_alias_is_a_directory(self) -> None:
        """The peer fails with HTTP 500."""
        self.works("create-alias", "fun")
        self.works("mv", "x", "fun:")
        self.works("mv", "d/e", "fun:/")
        self.assertEqual(self.works("ls", "fun:"), "e\nx\n")

    def test_an_entry_moved_onto_itself_is_kept(self) -> None:
        """The peer removes it."""
        self.write_aliases(f"tahoe: {self.root}\ndd: {self.grid.directories[self.root]['d'][1]}\n")
        self.works("ln", "x", "d/x")
        before = self.tree
        for source, target in (("x", "x"), ("x", "tahoe:"), ("x", self.root + "/x"), ("d/x", "dd:x")):
            self.assertIn("same entry", self.fails("mv", source, target))
        self.assertEqual(self.tree, before)

    def test_a_directory_is_never_put_into_itself(self) -> None:
        """The peer loses it."""
        self.write_aliases(f"tahoe: {self.root}\ndd: {self.grid.directories[self.root]['d'][1]}\n")
        for target in ("d/", "d/new", "d/e/new", "dd:new", "dd:e/"):
            self.assertIn("itself", self.fails("mv", "d", target))
            self.assertIn("itself", self.fails("ln", "d", target))
        self.assertEqual(self.tree, {"x": b"content", "d": {"e": {}}})

    def test_a_directory_is_not_overwritten(self) -> None:
        self.assertIn("You can't overwrite a directory with a file", self.fails("mv", "x", "d"))
        self.assertIn("x", self.tree)

    def test_a_link_that_failed_removes_nothing(self) -> None:
        self.grid.failures["PUT"] = Said(500, b"no servers")
        self.assertIn("NOT removing the original", self.fails("mv", "x", "y"))
        self.assertIn("x", self.tree)

    def test_an_original_that_could_not_be_removed_has_its_own_status(self) -> None:
        self.grid.failures["DELETE"] = Said(500, b"no servers")
        self.assertIn("Error deleting original after move", self.fails("mv", "x", "y", status=2))


class Listing(GridCase):
    def setUp(self) -> None:
        super().setUp()
        self.works("put", self.local("f", b"12345"), "b")
        self.works("mkdir", "a")

    def test_names_are_sorted(self) -> None:
        self.assertEqual(self.works("ls"), "a\nb\n")
        self.assertEqual(self.works("ls", "-F", "/"), "a/\nb\n")

    def test_a_long_listing_has_rights_and_sizes(self) -> None:
        self.assertEqual(self.works("ls", "-l"), "drwx - - a\n-r-- 5 - b\n")

    def test_caps_are_shown_on_request(self) -> None:
        lines = self.works("ls", "--uri", "--readonly-uri").splitlines()
        self.assertEqual(lines[0].split(), [*self.grid.directories[self.root]["a"][1:], "a"])

    def test_a_file_is_one_row(self) -> None:
        self.assertEqual(self.works("ls", "-l", "b"), "-r-- 5 - b\n")

    def test_json_is_the_gateways_own(self) -> None:
        self.assertEqual(json.loads(self.works("ls", "--json"))[0], "dirnode")

    def test_statuses_tell_scripts_what_happened(self) -> None:
        self.assertEqual(self.fails("ls", "nothing", status=2), "lafs: No such file or directory\n")
        self.assertIn("400", self.fails("ls", "a//b", status=144))

    def test_columns(self) -> None:
        self.assertEqual(layout([["a", "URI:x", "n"], ["aa", "URI:longer", "name"]]), [" a URI:x         n", "aa URI:longer name"])
        self.assertEqual(layout([]), [])


class Quoting(SynchronousTestCase):
    def test_as_the_peer_does(self) -> None:
        for text, expected in (
            ("a b", "'a b'"), ('a"b', "'a\"b'"), ("a$b", "'a$b'"), ("it's", '"it\'s"'), ("nl\nx", '"nl\\x0ax"'),
            ("\t", '"\\x09"'), ("é", "'é'"), ("😀", '"\\U0001f600"'),
        ):
            self.assertEqual(quoted(text), expected)
        self.assertEqual(quoted("é", encoding="ascii"), '"\\xe9"')
        self.assertEqual(quoted("nl\nx", marks=False), "nl\nx")


class Recovery(GridCase):
    def test_the_cap_alone_is_the_result(self) -> None:
        result = self.run_lafs("recovery")
        self.assertEqual(result.stdout, self.root + "\n")
        self.assertIn("add-alias tahoe -", result.stderr)

    def test_a_telephone_can_read_it(self) -> None:
        self.assertIn("\N{FULL BLOCK}", self.works("recovery", "--qr", "tahoe:"))


class Browsing(GridCase):
    def test_the_browser_is_sent_to_the_gateway(self) -> None:
        seen: list[str] = []
        self.patch(webbrowser, "open", seen.append)
        self.works("webopen")
        self.works("webopen", "--info", "a b")
        self.assertEqual(seen, [f"{self.grid.url}/", f"{self.grid.url}/{below(self.root, 'a b')}?t=info"])
