"""The grid as a folder: `lafs mount` with sshfs, and what people and programs do in a folder. Spec: 09 §9, §14, §21."""
from __future__ import annotations

import os
import random
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import ClassVar

import pytest
import twisted
from twisted.trial.unittest import SynchronousTestCase

from tests.frontends.sftp_client import SftpNode
from tests.process.harness import LAFS, Finished, run, wait_until

pytestmark = pytest.mark.process

FEWEST_FILES = 1_000


class Mounts(SynchronousTestCase):
    """Two mounts of one node; each test has a folder of its own in them."""

    server: ClassVar[SftpNode]
    first: ClassVar[Path]
    second: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        for program in ("sshfs", "fusermount3", "git"):
            assert shutil.which(program), f"{program} is missing: install sshfs, fuse3 and git"
        cls.server = SftpNode(folders=2)  # two thousand files in five would be slow
        cls.first, cls.second = cls.server.base / "first mount", cls.server.base / "second"
        for folder in (cls.first, cls.second):
            cls.lafs("mount", str(folder))

    @classmethod
    def tearDownClass(cls) -> None:
        for folder in (cls.first, cls.second):
            subprocess.run(["fusermount3", "-u", "-z", folder], check=False, capture_output=True)
        cls.server.close()

    @classmethod
    def lafs(cls, *arguments: str, expect: int | None = 0) -> Finished:
        return LAFS.run("-d", cls.server.directory, *arguments, expect=expect)

    def setUp(self) -> None:
        self.here = self.first / self._testMethodName[:60]
        self.here.mkdir()
        self.there = self.second / self.here.name

    def test_a_source_tree_is_copied_in_and_comes_back_as_it_was(self) -> None:
        tree = self.server.base / "tree"
        copied = _source_tree(tree, FEWEST_FILES)
        run(["cp", "-r", str(tree), str(self.here)], seconds=300)
        run(["cp", "-r", str(self.here / "tree"), str(self.server.base / "back")], seconds=300)
        run(["diff", "-r", str(tree), str(self.server.base / "back")])
        self.assertGreaterEqual(copied, FEWEST_FILES)

    def test_git_clones_into_it_and_works_there(self) -> None:
        origin, clone = self.server.base / "origin", self.here / "clone"
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
        run([*git, "init", "-q", str(origin)])
        for number in range(20):
            (origin / f"file{number}").write_text(f"{number}\n" * 100)
        run([*git, "-C", str(origin), "add", "."])
        run([*git, "-C", str(origin), "commit", "-q", "-m", "first"])
        run([*git, "clone", "-q", str(origin), str(clone)])
        (clone / "file3").write_text("changed\n")
        run([*git, "-C", str(clone), "commit", "-q", "-a", "-m", "second"])
        self.assertEqual(run([*git, "-C", str(clone), "status", "--porcelain"]).text, "")
        self.assertIn("second", run([*git, "-C", str(clone), "log", "--oneline"]).text)
        run([*git, "-C", str(clone), "fsck"])

    def test_editors_save_by_renaming(self) -> None:
        file = self.here / "letter"
        file.write_bytes(b"old" * 1000)
        beside = self.here / "letter.tmp"
        beside.write_bytes(b"new" * 1000)
        beside.replace(file)
        self.assertEqual((file.read_bytes(), os.listdir(self.here)), (b"new" * 1000, ["letter"]))

    def test_pieces_are_written_into_a_large_file(self) -> None:
        expected = bytearray(random.Random(1).randbytes(3_000_000))
        file = self.here / "large"
        file.write_bytes(expected)
        piece = self.server.file("piece", b"piece" * 1000)
        for block in (0, 100, 599):
            run(["dd", f"if={piece}", f"of={file}", "bs=5000", f"seek={block}", "conv=notrunc", "status=none"])
            expected[block * 5000 : block * 5000 + 5000] = b"piece" * 1000
        self.assertEqual(file.read_bytes(), expected)
        os.truncate(file, 1_000_001)
        with file.open("ab") as end:
            end.write(b"end")
        self.assertEqual(file.read_bytes(), expected[:1_000_001] + b"end")

    def test_a_file_behaves_like_a_local_one_whatever_is_done_to_it(self) -> None:
        draw, expected, path = random.Random(3), bytearray(), self.here / "file"
        path.touch()
        file = path.open("r+b", buffering=0)
        for step in range(250):
            what, where = draw.choice(["write", "write", "read", "read", "truncate", "reopen", "rename"]), draw.randrange(400_000)
            size = draw.choice([1, 100, 5_000, 100_000])
            if what == "write":
                file.seek(where)
                file.write(data := draw.randbytes(size))
                expected.extend(bytes(max(0, where - len(expected))))
                expected[where : where + size] = data
            elif what == "read":
                file.seek(where)
                self.assertEqual(file.read(size), expected[where : where + size], step)
            elif what == "truncate":
                file.truncate(where)
                del expected[where:]
                expected.extend(bytes(where - len(expected)))
            else:
                file.close()
                if what == "rename":
                    path = path.rename(self.here / f"file {step}")
                self.assertEqual(path.stat().st_size, len(expected), step)
                file = path.open("r+b", buffering=0)
        file.close()
        self.assertEqual(path.read_bytes(), expected)

    def test_what_one_mount_writes_the_other_sees(self) -> None:
        (self.here / "both").write_bytes(b"x" * 100_000)
        wait_until(self.there.is_dir, "the folder to be seen")
        self.assertEqual((self.there / "both").read_bytes(), b"x" * 100_000)
        (self.there / "back").write_bytes(b"y" * 100_000)
        wait_until((self.here / "back").exists, "the file to be seen")
        self.assertEqual((self.here / "back").read_bytes(), b"y" * 100_000)

    def test_names_of_any_script_and_times_stay(self) -> None:
        file = self.here / "Brøt — 無.txt"
        file.write_bytes(b"x")
        os.utime(file, (1_000_000_000, 1_000_000_000))
        self.assertEqual((os.listdir(self.here), int(file.stat().st_mtime)), ([file.name], 1_000_000_000))
        self.assertGreater(shutil.disk_usage(self.here).free, 10**9)

    def test_a_full_directory_is_not_removed_and_a_missing_file_is_missing(self) -> None:
        (self.here / "full").mkdir()
        (self.here / "full" / "file").write_bytes(b"x")
        self.assertRaises(OSError, (self.here / "full").rmdir)
        self.assertRaises(FileNotFoundError, (self.here / "nösuch").read_bytes)
        with self.assertRaises(FileExistsError):
            (self.here / "full" / "file").open("xb")
        shutil.rmtree(self.here / "full")
        self.assertEqual(os.listdir(self.here), [])

    def test_after_unmount_everything_is_stored_even_if_the_node_is_killed_then(self) -> None:
        folder = self.server.base / "third"
        self.lafs("mount", "tahoe:", str(folder))
        self.assertNotEqual(self.lafs("mount", str(folder), expect=None).status, 0)
        contents = random.Random(2).randbytes(10_000_000)
        (folder / self.here.name / "last").write_bytes(contents)
        self.lafs("unmount", str(folder))
        self.server.node.kill()
        self.server.node.start().wait_running()
        self.assertEqual(self.lafs("get", f"tahoe:{self.here.name}/last").stdout, contents)
        self.assertEqual(os.listdir(folder), [])
        # The other mounts find the node again, at its new port.
        wait_until(lambda: _readable(self.here / "last"), "the mount to come back")

    def test_nothing_secret_is_an_argument_or_a_name(self) -> None:
        shown = run(["ps", "-eo", "args"]).stdout.decode() + Path("/proc/mounts").read_text()
        self.assertNotIn("URI:", "\n".join(line for line in shown.splitlines() if str(self.server.base) in line))
        for name in ("mount_key", "mounts", "ssh_config"):
            self.assertEqual((self.server.directory / "private" / name).stat().st_mode & 0o077, 0, name)


class NoServer(SynchronousTestCase):
    """Mounting where that cannot work."""

    def test_a_node_without_sftp_says_how_to_switch_it_on(self) -> None:
        server = Path(self.mktemp())
        LAFS.run("create-client", server)
        said = LAFS.run("-d", server, "mount", "URI:DIR2:x:y", server / "folder", expect=1).stderr.decode()
        self.assertIn("[sftpd]" if shutil.which("sshfs") else "install sshfs", said)


def _source_tree(target: Path, enough: int) -> int:
    """Copy whole folders of Python's and Twisted's sources until there are so many files."""
    target.mkdir()
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    folders = [each for each in sorted(stdlib.iterdir()) if each.is_dir() and each.name not in _NO_SOURCES]
    count = 0
    for folder in (Path(twisted.__file__).parent, *folders):
        shutil.copytree(folder, target / folder.name, symlinks=False, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.a"))
        count += sum(len(files) for _, _, files in os.walk(target / folder.name))
        if count >= enough:
            break
    return count


_NO_SOURCES = ("site-packages", "dist-packages", "__pycache__", "test")


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False
