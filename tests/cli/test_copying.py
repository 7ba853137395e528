"""`lafs cp`: every kind of source to every kind of target."""
from __future__ import annotations

import os
import threading
from pathlib import Path

from tests.cli.fake_grid import Said, reader
from tests.cli.test_directories import GridCase


class CopyCase(GridCase):
    def setUp(self) -> None:
        super().setUp()
        self.here = self.node.parent / "here"
        for name, content in (("f", b"one"), ("d/a", b"two"), ("d/e/b", b"three"), ("d/e/empty", b"")):
            path = self.here / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (self.here / "d" / "nothing").mkdir(exist_ok=True)

    def path(self, name: str) -> str:
        return str(self.here / name)

    D = {"a": b"two", "e": {"b": b"three", "empty": b""}, "nothing": {}}  # noqa: RUF012


class Files(CopyCase):
    def test_one_file_up_down_and_across(self) -> None:
        self.assertEqual(self.works("cp", self.path("f"), "tahoe:x/y"), "Success: file copied\n")
        self.works("cp", "tahoe:x/y", self.path("back"))
        self.assertEqual((self.here / "back").read_bytes(), b"one")
        self.works("cp", "tahoe:x/y", "tahoe:z")
        self.assertEqual(self.tree, {"x": {"y": b"one"}, "z": b"one"})

    def test_into_a_directory_under_its_name(self) -> None:
        self.assertEqual(self.works("cp", self.path("f"), self.path("d/a"), "tahoe:"), "Success: files copied\n")
        self.assertEqual(self.tree, {"f": b"one", "a": b"two"})

    def test_a_file_on_the_grid_is_linked_and_not_moved(self) -> None:
        """The peer downloads it and uploads it again."""
        self.works("cp", self.path("f"), "tahoe:f")
        self.grid.requests.clear()
        self.works("cp", "tahoe:f", "tahoe:g")
        self.works("cp", "tahoe:f", "tahoe:g", "tahoe:new")
        self.assertEqual(self.tree["new"], {"f": b"one", "g": b"one"})
        self.assertFalse([each for each in self.grid.requests if each.startswith("PUT /uri?") or "URI:CHK" in each])

    def test_a_mutable_target_gets_the_contents_in_place(self) -> None:
        cap = self.grid.file(b"old", mutable=True)
        self.grid.directories[self.root]["m"] = self.grid.entry(cap)
        self.works("cp", self.path("f"), "tahoe:m")
        self.assertEqual(self.grid.files[cap], b"one")
        self.works("cp", "-r", self.path("d/a"), self.path("f"), "tahoe:")
        (self.here / "m").write_bytes(b"newest")
        self.works("cp", self.path("m"), "tahoe:")
        self.assertEqual(self.grid.files[cap], b"newest")

    def test_a_mutable_source_becomes_a_file_of_its_own(self) -> None:
        self.grid.directories[self.root]["m"] = self.grid.entry(self.grid.file(b"old", mutable=True))
        self.works("cp", "tahoe:m", "tahoe:copy")
        self.assertTrue(self.grid.directories[self.root]["copy"][2].startswith("URI:CHK"))

    def test_caps_only(self) -> None:
        self.works("cp", self.path("f"), "tahoe:f")
        self.works("cp", "--caps-only", "tahoe:f", self.path("cap"))
        self.assertTrue((self.here / "cap").read_text().startswith("URI:CHK"))

    def test_a_local_file_keeps_its_permissions_and_a_failure_leaves_it(self) -> None:
        self.works("cp", self.path("d/a"), "tahoe:f")
        (self.here / "f").chmod(0o640)
        self.works("cp", "tahoe:f", self.path("f"))
        self.assertEqual(((self.here / "f").read_bytes(), (self.here / "f").stat().st_mode & 0o777), (b"two", 0o640))
        self.grid.failures["GET /uri/URI:CHK"] = Said(410, b"NotEnoughShares")
        self.assertIn("NotEnoughShares", self.fails("cp", "tahoe:f", self.path("f")))
        self.assertEqual((self.here / "f").read_bytes(), b"two")
        self.assertFalse([name for name in os.listdir(self.here) if name.startswith(".lafs")])


class Trees(CopyCase):
    def test_up_and_down_again(self) -> None:
        self.works("cp", "-r", self.path("d"), "tahoe:")
        self.assertEqual(self.tree, {"d": self.D})
        self.works("cp", "-r", "tahoe:d", self.path("back"))
        self.assertEqual((self.here / "back/d/e/b").read_bytes(), b"three")
        self.assertTrue((self.here / "back/d/nothing").is_dir())

    def test_a_missing_target_is_made_and_holds_the_source(self) -> None:
        self.works("cp", "-r", self.path("d/"), "tahoe:new/er")
        self.assertEqual(self.tree, {"new": {"er": {"d": self.D}}})

    def test_of_a_bare_cap_the_contents_are_copied(self) -> None:
        source = self.grid.directory(x=self.grid.file(b"x"))
        self.works("cp", "-r", source, "tahoe:")
        self.assertEqual(self.tree, {"x": b"x"})

    def test_what_is_there_is_merged(self) -> None:
        self.works("cp", "-r", self.path("d"), "tahoe:")
        (self.here / "d" / "e" / "b").write_bytes(b"changed")
        (self.here / "d" / "e" / "more").write_bytes(b"more")
        (self.here / "d" / "a").unlink()
        self.works("cp", "-r", self.path("d"), "tahoe:")
        self.assertEqual(self.tree, {"d": {**self.D, "e": {"b": b"changed", "empty": b"", "more": b"more"}}})

    def test_a_directory_into_itself_ends(self) -> None:
        self.works("cp", "-r", self.path("d"), "tahoe:")
        self.works("cp", "-r", "tahoe:d", "tahoe:d")
        self.assertEqual(self.tree, {"d": {**self.D, "d": self.D}})

    def test_each_directory_is_changed_once_over_few_connections(self) -> None:
        many = self.here / "many"
        many.mkdir()
        for number in range(100):
            (many / str(number)).write_bytes(b"content %d" % number)
        self.works("cp", "-r", str(many), "tahoe:")
        changes = [each for each in self.grid.requests if each.startswith("POST")]
        self.assertEqual(len(changes), 2)
        self.assertLess(len(self.grid.requests), 105)
        self.assertLess(len(self.grid.connections), 12)

    def test_a_loop_of_links_is_left_out(self) -> None:
        os.symlink(self.path("d"), self.path("d/e/up"))
        os.symlink("nowhere", self.path("d/dangling"))
        os.mkfifo(self.path("d/pipe"))
        result = self.run_lafs("cp", "-r", self.path("d"), "tahoe:")
        self.assertEqual(self.tree, {"d": self.D})
        self.assertIn("up", result.stderr)
        self.assertIn("pipe", result.stderr)


class Refusals(CopyCase):
    """Nothing is changed when something cannot be copied."""

    def refused(self, *arguments: str) -> str:
        before = self.tree
        message = self.fails("cp", *arguments)
        self.assertEqual(self.tree, before)
        return message

    def test_what_makes_no_sense(self) -> None:
        self.works("cp", self.path("f"), "tahoe:file")
        unnamed = self.grid.file(b"unnamed")
        for expected, arguments in (
            ("at least two", ("x",)),
            ("cannot copy directories without --recursive", (self.path("d"), "tahoe:")),
            ("target is not a directory, but ends with a slash", (self.path("f"), "tahoe:file/")),
            ("target is not a directory, but ends with a slash", (self.path("f"), "tahoe:new/")),
            ("copying multiple things requires target be a directory", (self.path("f"), self.path("d/a"), "tahoe:file")),
            ("cannot copy directory into a file", ("-r", self.path("d"), "tahoe:file")),
            ("is unnamed", (unnamed, "tahoe:")),
            ("No such file or directory", (self.path("nothing"), "tahoe:")),
            ("No such file or directory 'tahoe:nothing'", ("tahoe:nothing", self.path("x"))),
            ("is not a directory, but ends with a slash", (self.path("f") + "/", "tahoe:")),
            ("multiple files with the same name", (self.path("f"), "tahoe:file", self.path("d/../f"), "tahoe:")),
            ("neither a file nor a directory", ("/dev/null", "tahoe:")),
        ):
            self.assertIn(expected, self.refused(*arguments))

    def test_what_is_in_the_way(self) -> None:
        self.works("mkdir", "f")
        self.works("cp", self.path("f"), "tahoe:d")
        self.assertIn("in the way", self.refused(self.path("f"), "tahoe:"))
        self.assertIn("in the way", self.refused("-r", self.path("d"), "tahoe:"))
        self.assertIn("in the way", self.refused("tahoe:d", str(self.here)))

    def test_a_read_only_target(self) -> None:
        self.assertIn("read-only", self.refused(self.path("f"), self.path("d/a"), self.root.replace("DIR2:", "DIR2-RO:")))

    def test_a_name_that_leaves_the_directory(self) -> None:
        self.grid.directories[self.root]["../evil"] = self.grid.entry(self.grid.file(b"x"))
        self.assertIn("no local file can have the name", self.refused("-r", "tahoe:", self.path("out")))
        self.assertFalse((self.here / "evil").exists())

    def test_directories_on_the_grid_are_read_together(self) -> None:
        inner = {self.grid.directory(x=self.grid.file(b"x")) for _ in range(4)}
        for number, cap in enumerate(sorted(inner)):
            self.grid.directories[self.root][f"d{number}"] = self.grid.entry(cap)
        all_there = threading.Barrier(len(inner), timeout=20)
        readers = tuple(f"/uri/{reader(cap)}?t=json" for cap in inner)
        self.grid.arriving = lambda request: request.endswith(readers) and all_there.wait()
        self.works("cp", "-r", "tahoe:", self.path("out"))
        self.assertEqual(sorted(path.name for path in (self.here / "out").iterdir()), ["d0", "d1", "d2", "d3"])

    def test_a_directory_on_the_grid_that_contains_itself(self) -> None:
        self.grid.directories[self.root]["loop"] = self.grid.entry(self.root)
        self.assertIn("contains itself", self.fails("cp", "-r", "tahoe:", str(Path(self.path("out")))))

    def test_a_failed_upload_links_nothing(self) -> None:
        self.grid.failures["PUT /uri"] = Said(500, b"no servers")
        self.assertIn("no servers", self.refused("-r", self.path("d"), "tahoe:"))
