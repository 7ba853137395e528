"""`lafs put`: the bytes reach the gateway, and its cap the person."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_gateway import FakeGateway, Stored, lafs

CAP = "URI:CHK:key:hash:3:10:5"
LARGE = bytes(range(256)) * 4096
RUN = [sys.executable, "-c", "from lafs.cli.main import main; main()"]


class PutCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = self.enterContext(FakeGateway())
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)

    def file(self, content: bytes) -> str:
        path = self.folder / "file"
        path.write_bytes(content)
        return str(path)

    def put_standard_input(self, content: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Pipe `content` into a real process."""
        return subprocess.run(
            [*RUN, "put", "-u", self.gateway.url, *arguments], input=content, capture_output=True, check=False, timeout=60
        )


class PutFile(PutCase):
    """A file is sent with its length, and the cap alone goes to standard output."""

    def test_the_cap_is_the_result_and_the_status_is_chatter(self) -> None:
        result = lafs("put", self.file(LARGE), "-u", self.gateway.url)
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, CAP + "\n", "200 OK\n"))
        request = self.gateway.seen[0]
        self.assertEqual((request.method, request.path, request.body), ("PUT", "/uri", LARGE))
        self.assertEqual(request.headers["content-length"], str(len(LARGE)))

    def test_quiet_still_prints_the_cap(self) -> None:
        result = lafs("-q", "put", self.file(b"x"), "-u", self.gateway.url)
        self.assertEqual((result.stdout, result.stderr), (CAP + "\n", ""))

    def test_an_empty_file_is_a_file(self) -> None:
        result = lafs("put", self.file(b""), "-u", self.gateway.url)
        self.assertEqual(result.stdout, CAP + "\n")
        self.assertEqual(self.gateway.seen[0].headers["content-length"], "0")

    def test_json_tells_cap_and_size(self) -> None:
        result = lafs("put", "--json", self.file(b"12345"), "-u", self.gateway.url)
        self.assertEqual(json.loads(result.stdout), {"cap": CAP, "size": 5})

    def test_a_file_can_be_linked_below_a_directory(self) -> None:
        self.gateway.put_answer = Stored(CAP.encode(), status=201)
        result = lafs("put", self.file(b"x"), "URI:DIR2:a:b/sub/n\xe4me", "-u", self.gateway.url)
        self.assertEqual(result.stderr, "201 Created\n")
        self.assertEqual(self.gateway.seen[0].path, "/uri/URI:DIR2:a:b/sub/n\xe4me")

    def test_kinds_of_file_are_asked_for_as_the_peer_does(self) -> None:
        lafs("put", "--mutable", "--format", "mdmf", self.file(b"x"), "-u", self.gateway.url)
        self.assertEqual(self.gateway.seen[0].path, "/uri?mutable=true&format=MDMF")


class PutStandardInput(PutCase):
    """Standard input is streamed; its length is told when the system knows it."""

    def test_a_pipe_is_sent_in_chunks(self) -> None:
        result = self.put_standard_input(LARGE)
        self.assertEqual(result.stdout, CAP.encode() + b"\n")
        self.assertIn(b"waiting for file data on stdin", result.stderr)
        request = self.gateway.seen[0]
        self.assertEqual(request.headers["transfer-encoding"], "chunked")
        self.assertEqual(request.body, LARGE)

    def test_an_empty_pipe_is_an_empty_file(self) -> None:
        self.assertEqual(self.put_standard_input(b"", "-").returncode, 0)
        self.assertEqual(self.gateway.seen[0].body, b"")

    def test_a_redirected_file_is_sent_from_where_it_stands(self) -> None:
        with open(self.file(LARGE), "rb") as file:
            os.lseek(file.fileno(), 1000, os.SEEK_SET)
            subprocess.run([*RUN, "-q", "put", "-u", self.gateway.url], stdin=file, check=True, capture_output=True, timeout=60)
        self.assertEqual(self.gateway.seen[0].headers["content-length"], str(len(LARGE) - 1000))
        self.assertEqual(self.gateway.seen[0].body, LARGE[1000:])


class PutFailures(PutCase):
    """What goes wrong is said in a line, without the cap it concerns."""

    def fails(self, *arguments: str) -> str:
        result = lafs("put", "-u", self.gateway.url, *arguments)
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        return result.stderr

    def test_a_missing_file(self) -> None:
        self.assertIn("No such file or directory", self.fails(str(self.folder / "missing")))

    def test_a_directory(self) -> None:
        self.assertIn("Is a directory", self.fails(str(self.folder)))

    def test_the_gateway_says_why(self) -> None:
        self.gateway.put_answer = Stored(b"UploadUnhappinessError: shares could be placed on only 2 servers", status=503)
        self.assertEqual(
            self.fails(self.file(b"x")),
            "lafs: Error during PUT: 503 Service Unavailable: UploadUnhappinessError: shares could be placed on only 2 servers\n",
        )

    def test_a_refusal_in_the_middle_of_a_large_upload_is_heard(self) -> None:
        self.gateway.reads_uploads = False
        self.gateway.put_answer = Stored(b"too large", status=413)
        path = self.folder / "sparse"
        with path.open("wb") as file:
            file.truncate(64 * 1024 * 1024)
        message = self.fails(str(path))
        self.assertTrue("413" in message or "closed without an answer" in message, message)

    def test_success_before_everything_was_sent_is_no_success(self) -> None:
        self.gateway.reads_uploads = False
        path = self.folder / "sparse"
        with path.open("wb") as file:
            file.truncate(64 * 1024 * 1024)
        message = self.fails(str(path))
        self.assertTrue("before it had everything" in message or "closed without an answer" in message, message)

    def test_an_answer_that_is_no_cap_is_an_error(self) -> None:
        self.gateway.put_answer = Stored(b"<html>welcome to some other server</html>")
        self.assertIn("did not answer with a capability", self.fails(self.file(b"x")))

    def test_an_alias_is_explained(self) -> None:
        self.assertIn("Unknown alias", self.fails(self.file(b"x"), "photos:name"))
        self.assertEqual(self.gateway.seen, [])
