"""The file commands against real gateways: ours, and the peer's."""
from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.partial import FORMAT, fingerprint
from lafs.cli.remote_paths import parse
from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Finished, Node, free_port, peer, set_options, wait_until

pytestmark = [pytest.mark.process]

CONTENT = bytes(range(256)) * 12_000


class Promises:
    """What holds for every gateway. One grid for all tests of a class: starting one takes seconds."""

    base: ClassVar[Path]
    nodes: ClassVar[list[Node]]
    directory: ClassVar[Path]
    gateway: ClassVar[Gateway]

    @classmethod
    def setUpClass(cls) -> None:
        cls.base = Path(tempfile.mkdtemp(prefix="lafs-cli-"))
        cls.nodes = []
        cls.directory = cls.base / "node"
        cls.gateway = Gateway(free_port())
        try:
            cls.start()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def start(cls) -> None:
        """Make and start the grid: `directory` is the node whose gateway is used."""
        raise NotImplementedError

    @classmethod
    def tearDownClass(cls) -> None:
        for node in cls.nodes:
            if node.is_alive:
                node.kill()
        shutil.rmtree(cls.base, ignore_errors=True)

    @classmethod
    def run_node(cls, node: Node) -> None:
        cls.nodes.append(node)
        node.start().wait_running()

    def lafs(self, *arguments: str | Path, stdin: bytes | None = None, expect: int = 0) -> Finished:
        return LAFS.run("-d", self.directory, *arguments, stdin=stdin, expect=expect)

    def path(self, name: str, content: bytes = b"") -> Path:
        path = self.base / name
        path.write_bytes(content)
        return path

    def test_files_come_back(self) -> None:
        for content in (b"", b"small", CONTENT):
            cap = self.lafs("put", self.path("in", content)).text
            self.assertEqual(self.lafs("put", stdin=content).text, cap)
            self.assertEqual(self.lafs("get", cap).stdout, content)
            self.lafs("get", cap, self.base / "out")
            self.assertEqual((self.base / "out").read_bytes(), content)

    def test_a_broken_download_is_continued(self) -> None:
        cap = self.lafs("put", self.path("in", CONTENT)).text
        answer = self.gateway.ask("GET", f"/{parse(cap).web_path()}")
        out = self.base / "continued"
        origin = {
            "format": FORMAT, "fingerprint": fingerprint(parse(cap).web_path()),
            "etag": answer.headers["ETag"], "size": len(CONTENT),
        }
        self.path("continued.part.json", json.dumps(origin).encode())
        self.path("continued.part", CONTENT[:1_000_000] + b"problem during download\n")
        self.assertIn(b"continuing after 1.00 MB", self.lafs("get", cap, out).stderr)
        self.assertEqual(out.read_bytes(), CONTENT)

    def test_a_file_that_is_lost_is_explained_and_not_written(self) -> None:
        lost = "URI:CHK:" + "a" * 26 + ":" + "a" * 52 + ":1:1:1000000"
        said = self.lafs("get", lost, self.base / "lost", expect=1).stderr.decode()
        self.assertIn("410 Gone: NoSharesError", said)
        self.assertNotIn("aaaa", said)
        self.assertEqual(list(self.base.glob("lost*")), [])

    def test_status_shows_the_servers(self) -> None:
        self.assertRegex(self.lafs("status").text, r"Servers: (\d) of \1 connected")
        self.assertEqual(set(json.loads(self.lafs("status", "--json").text)), {"node", "statistics", "operations"})

    def test_directories_are_made_filled_moved_and_listed(self) -> None:
        self.lafs("create-alias", "work")
        tree = self.base / "tree"
        (tree / "inner").mkdir(parents=True)
        for name in ("a", "b", "inner/c"):
            (tree / name).write_bytes(CONTENT[: 60_000 + ord(name[-1])])
        (tree / "small").write_bytes(b"small")
        self.lafs("cp", "-r", tree, "work:")
        self.lafs("cp", "-r", tree, "work:")
        self.assertEqual(self.lafs("ls", "-F", "work:tree").text.split(), ["a", "b", "inner/", "small"])
        self.lafs("cp", "-r", "work:tree/", "work:copy/again")
        self.lafs("mv", "work:copy/again/tree/a", "work:")
        self.lafs("ln", "work:tree/b", "work:b")
        self.lafs("rm", "work:copy/again/tree/b")
        self.lafs("mkdir", "work:copy/again/tree/deep/er")
        self.assertIn(b"itself", self.lafs("mv", "work:copy", "work:copy/again/", expect=1).stderr)
        self.assertIn(b"same entry", self.lafs("mv", "work:a", "work:", expect=1).stderr)
        self.lafs("cp", "-r", "work:", self.base / "down")
        down = sorted(str(path.relative_to(self.base / "down")) for path in (self.base / "down").rglob("*") if path.is_file())
        self.assertEqual(
            down, ["a", "b", "copy/again/tree/inner/c", "copy/again/tree/small", "tree/a", "tree/b", "tree/inner/c", "tree/small"]
        )
        self.assertEqual((self.base / "down/copy/again/tree/inner/c").read_bytes(), (tree / "inner/c").read_bytes())
        self.lafs("ls", "work:nothing", expect=2)

    def test_a_mutable_file_is_changed_in_place(self) -> None:
        for kind in ("SDMF", "MDMF"):
            cap = self.lafs("put", "--format", kind, self.path("in", b"old")).text
            self.assertEqual(self.lafs("put", self.path("in", CONTENT[:200_000]), cap).text, cap)
            self.assertEqual(self.lafs("get", cap).stdout, CONTENT[:200_000])

    def test_the_address_of_a_page_is_a_cap(self) -> None:
        cap = self.lafs("put", self.path("in", CONTENT)).text
        self.assertEqual(self.lafs("get", f"http://127.0.0.1:1/file/{cap}/@@named=/x").stdout, CONTENT)


class OurGateway(Promises, SynchronousTestCase):
    """The gateway of `lafs up`."""

    @classmethod
    def start(cls) -> None:
        command = ["up", "-C", cls.directory, "--webport", str(cls.gateway.port), "--no-open"]
        cls.run_node(Node(cls.directory, command=command))

    def test_a_root_directory_is_there_from_the_first_start(self) -> None:
        cap = wait_until(lambda: read(self.directory / "private" / "aliases"), "the alias").split()[1]
        self.assertEqual(self.lafs("recovery").text, cap)
        self.lafs("put", self.path("in", b"mine"), "mine")
        self.assertEqual(self.lafs("get", "tahoe:mine").stdout, b"mine")


@pytest.mark.peer
class PeersGateway(Promises, SynchronousTestCase):
    """The gateway of a Tahoe-LAFS node."""

    @classmethod
    def start(cls) -> None:
        introducer, port = cls.base / "introducer", free_port()
        peer().run(
            "create-introducer", f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}", introducer
        )
        cls.run_node(Node(introducer, peer()))
        furl = wait_until(lambda: read(introducer / "private" / "introducer.furl"), "the introducer's FURL")
        peer().run(
            "create-node", f"--introducer={furl}", "--hostname=127.0.0.1",
            f"--webport=tcp:{cls.gateway.port}:interface=127.0.0.1",
            "--shares-needed=1", "--shares-happy=1", "--shares-total=1", cls.directory,
        )
        set_options(cls.directory / "tahoe.cfg", "client", {"force_foolscap": "true"})
        cls.run_node(Node(cls.directory, peer()))
        wait_until(lambda: cls.gateway.connected() == 1, "the node to find its storage server")

    def test_a_file_is_linked_below_a_directory_and_fetched_from_there(self) -> None:
        directory = self.gateway.ask("POST", "/uri?t=mkdir").text
        self.assertIn(b"201 Created", self.lafs("put", self.path("in", CONTENT), f"{directory}/sub/\xfc ber").stderr)
        self.assertEqual(self.lafs("get", f"{directory}/sub/\xfc ber").stdout, CONTENT)
        self.assertIn(b"directory", self.lafs("get", f"{directory}/sub", expect=1).stderr)
        self.assertIn(b"No such child: nosuch", self.lafs("get", f"{directory}/nosuch", expect=1).stderr)


def read(path: Path) -> str:
    """The text of a file, "" while there is none."""
    return path.read_text().strip() if path.exists() else ""
