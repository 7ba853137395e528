"""`lafs get`: all bytes or an error; a broken download is continued; nothing of the person's is harmed."""
from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_gateway import FakeGateway, Stored, lafs

CAP = "URI:CHK:key:hash:3:10:1000000"
OTHER_CAP = "URI:CHK:other:hash:3:10:1000000"
CONTENT = os.urandom(1_000_000)
ETAG = '"storageindex-"'


class GetCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.gateway = self.enterContext(FakeGateway())
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.path, self.part = folder / "file", folder / "file.part"
        self.sidecar = folder / "file.part.json"
        self.serve(Stored(CONTENT, ETAG))

    def serve(self, stored: Stored, cap: str = CAP) -> None:
        self.gateway.stored[f"/uri/{cap}"] = stored

    def get(self, *arguments: str, cap: str = CAP) -> Result:
        return lafs("get", cap, *arguments, "-u", self.gateway.url)

    def break_off(self, at: int = 600_000) -> None:
        """Leave the part of a download that stopped."""
        self.serve(Stored(CONTENT, ETAG, cut_at=at))
        self.assertEqual(self.get(str(self.path)).exit_code, 1)
        self.serve(Stored(CONTENT, ETAG))
        self.gateway.seen.clear()

    def completed(self, result: Result) -> None:
        self.assertEqual(result.exit_code, 0, result.stderr)
        self.assertEqual(self.path.read_bytes(), CONTENT)
        self.assertFalse(self.part.exists())
        self.assertFalse(self.sidecar.exists())


class Whole(GetCase):
    """A file comes back as it is, to a name or to standard output."""

    def test_to_standard_output(self) -> None:
        for arguments in ((), ("-",)):
            result = self.get(*arguments)
            self.assertEqual((result.exit_code, result.stdout_bytes, result.stderr), (0, CONTENT, ""))

    def test_to_a_file(self) -> None:
        result = self.get(str(self.path))
        self.completed(result)
        self.assertIn(f"written to {self.path.absolute()}", result.stderr)

    def test_chunked_answers_and_empty_files(self) -> None:
        self.serve(Stored(CONTENT, chunked=True))
        self.completed(self.get(str(self.path)))
        self.serve(Stored(b""))
        self.assertEqual(self.get(str(self.path)).exit_code, 0)
        self.assertEqual(self.path.read_bytes(), b"")

    def test_below_a_directory(self) -> None:
        self.gateway.stored["/uri/URI:DIR2:a:b/sub/name"] = Stored(b"child")
        self.assertEqual(self.get(cap="URI:DIR2:a:b/sub/name").stdout_bytes, b"child")

    def test_by_the_address_of_its_page(self) -> None:
        self.assertEqual(self.get(cap=f"http://elsewhere:1/file/{CAP}/@@named=/x").stdout_bytes, CONTENT)

    def test_a_stored_page_is_a_file(self) -> None:
        self.serve(Stored(b"<html>mine</html>", content_type="text/html"))
        self.assertEqual(self.get().stdout_bytes, b"<html>mine</html>")


class Replacing(GetCase):
    """The old file stays until the new one is complete, and lends it its permissions."""

    def test_an_error_leaves_the_old_file(self) -> None:
        self.path.write_bytes(b"old")
        self.serve(Stored(CONTENT, cut_at=10))
        self.assertEqual(self.get(str(self.path)).exit_code, 1)
        self.assertEqual(self.path.read_bytes(), b"old")
        self.serve(Stored(b"gone", status=410))
        self.get(str(self.path))
        self.assertEqual(self.path.read_bytes(), b"old")

    def test_permissions_are_kept(self) -> None:
        self.path.write_bytes(b"old")
        self.path.chmod(0o640)
        self.completed(self.get(str(self.path)))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)

    def test_a_symbolic_link_stays_one(self) -> None:
        target = self.path.with_name("target")
        target.write_bytes(b"old")
        self.path.symlink_to("target")
        self.assertEqual(self.get(str(self.path)).exit_code, 0)
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(target.read_bytes(), CONTENT)

    def test_a_device_is_written_to_not_replaced(self) -> None:
        self.assertEqual(self.get("/dev/null").exit_code, 0)
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))


class Truncated(GetCase):
    """A download that breaks off is an error, and says so."""

    def test_to_standard_output(self) -> None:
        for chunked in (False, True):
            self.serve(Stored(CONTENT, cut_at=600_000, chunked=chunked))
            result = self.get()
            self.assertEqual(result.exit_code, 1)
            self.assertIn("broke off after", result.stderr)

    def test_to_a_file_which_can_be_continued(self) -> None:
        self.serve(Stored(CONTENT, ETAG, cut_at=600_000))
        result = self.get(str(self.path))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("broke off after 600000 of 1000000 bytes; the same command will continue", result.stderr)
        self.assertFalse(self.path.exists())
        self.assertEqual(self.part.read_bytes(), CONTENT[:600_000])

    def test_what_can_change_is_not_kept(self) -> None:
        self.serve(Stored(CONTENT, cut_at=600_000))
        self.assertEqual(self.get(str(self.path)).exit_code, 1)
        self.assertEqual(list(self.path.parent.iterdir()), [])


class Resumed(GetCase):
    """The same command continues, after making sure that the part is a part of this file."""

    def ranges(self) -> list[str]:
        return [request.headers.get("range", "whole") for request in self.gateway.seen]

    def test_only_the_rest_and_an_overlap_are_fetched(self) -> None:
        self.break_off()
        result = self.get(str(self.path))
        self.completed(result)
        self.assertIn("continuing after 600.00 kB", result.stderr)
        self.assertEqual(self.ranges(), [f"bytes={600_000 - 65536}-"])
        self.assertEqual(self.gateway.seen[0].headers["if-range"], ETAG)

    def test_a_part_that_was_complete_is_only_checked(self) -> None:
        self.break_off()
        self.part.write_bytes(CONTENT)
        self.completed(self.get(str(self.path)))
        self.assertEqual(self.ranges(), [f"bytes={1_000_000 - 65536}-"])

    def test_a_small_part_is_continued(self) -> None:
        self.break_off(at=100)
        self.completed(self.get(str(self.path)))

    def test_a_spoilt_end_is_mended(self) -> None:
        self.break_off()
        with self.part.open("ab") as file:
            file.write(b"problem during download\n")
        self.completed(self.get(str(self.path)))
        self.assertEqual(len(self.gateway.seen), 1)

    def test_other_bytes_are_not_continued(self) -> None:
        self.break_off()
        self.part.write_bytes(bytes(600_000))
        self.completed(self.get(str(self.path)))
        self.assertEqual(self.ranges()[1:], ["whole"])

    def test_another_version_is_not_continued(self) -> None:
        self.break_off()
        self.serve(Stored(CONTENT, '"another-"'))
        self.completed(self.get(str(self.path)))
        self.assertEqual(self.ranges()[1:], ["whole"])

    def test_a_gateway_that_marks_etags_differently_is_the_same(self) -> None:
        self.break_off()
        self.serve(Stored(CONTENT, "storageindex-"))
        self.completed(self.get(str(self.path)))
        self.assertEqual(len(self.gateway.seen), 1)

    def test_another_file_is_fetched_whole(self) -> None:
        self.break_off()
        self.serve(Stored(b"other", '"other-"'), OTHER_CAP)
        self.assertEqual(self.get(str(self.path), cap=OTHER_CAP).exit_code, 0)
        self.assertEqual(self.path.read_bytes(), b"other")
        self.assertEqual(self.ranges(), ["whole"])

    def test_a_gateway_without_ranges_sends_it_whole(self) -> None:
        self.break_off()
        self.serve(Stored(CONTENT, ETAG, ranges=False))
        self.completed(self.get(str(self.path)))

    def test_a_second_break_keeps_what_there_is(self) -> None:
        self.break_off()
        self.serve(Stored(CONTENT, ETAG, cut_at=200_000))
        self.assertIn("of 1000000 bytes", self.get(str(self.path)).stderr)
        self.assertEqual(self.part.read_bytes(), CONTENT[: 600_000 - 65536 + 200_000])

    def test_an_unreadable_sidecar_is_no_reason_to_fail_or_to_overwrite(self) -> None:
        for content in (b"", b"{", b"[1]", b'{"format": "lafs get 1"}', b"\xff", b"[" * 4000):
            self.part.write_bytes(b"precious")
            self.sidecar.write_bytes(content)
            self.assertIn("in the way", self.get(str(self.path)).stderr)
            self.assertEqual(self.part.read_bytes(), b"precious")


class Sidecar(GetCase):
    """What is left on the disk tells nobody how to read the file."""

    def test_it_does_not_hold_the_cap(self) -> None:
        self.break_off()
        text = self.sidecar.read_text()
        self.assertNotIn("URI", text)
        self.assertEqual(stat.S_IMODE(self.sidecar.stat().st_mode), 0o600)
        self.assertEqual(json.loads(text)["size"], len(CONTENT))


class Neighbours(GetCase):
    """Files of the person's own, links planted by others, and a second command are left alone."""

    def refused(self) -> None:
        result = self.get(str(self.path))
        self.assertEqual(result.exit_code, 1)
        self.assertFalse(self.path.exists())

    def test_a_part_of_some_other_program_is_not_touched(self) -> None:
        self.part.write_bytes(b"of a browser")
        self.refused()
        self.assertEqual(self.part.read_bytes(), b"of a browser")

    def test_an_empty_part_is_what_a_crash_left(self) -> None:
        self.part.touch()
        self.completed(self.get(str(self.path)))

    def test_a_planted_link_is_not_followed(self) -> None:
        self.break_off()
        victim = self.path.with_name("victim")
        victim.write_bytes(b"precious")
        self.part.unlink()
        self.part.symlink_to("victim")
        self.refused()
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_a_planted_sidecar_link_is_replaced(self) -> None:
        victim = self.path.with_name("victim")
        victim.write_bytes(b"precious")
        self.sidecar.symlink_to("victim")
        self.completed(self.get(str(self.path)))
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_a_hard_link_is_not_written_through(self) -> None:
        self.break_off()
        self.part.unlink()
        victim = self.path.with_name("victim")
        victim.write_bytes(b"precious")
        self.part.hardlink_to(victim)
        self.refused()
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_two_commands_do_not_write_one_part(self) -> None:
        self.break_off()
        with self.part.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            self.assertIn("another `lafs get`", self.get(str(self.path)).stderr)
        self.completed(self.get(str(self.path)))


class Refusals(GetCase):
    """What cannot be fetched is explained, and nothing is written."""

    def refused(self, result: Result) -> str:
        self.assertEqual((result.exit_code, result.stdout_bytes), (1, b""))
        self.assertEqual(list(self.path.parent.iterdir()), [])
        self.assertNotIn("hash", result.stderr)
        return result.stderr

    def test_a_directory_cap(self) -> None:
        self.assertIn("directory", self.refused(self.get(str(self.path), cap="URI:DIR2:a:b")))
        self.assertEqual(self.gateway.seen, [])

    def test_a_directory_at_the_end_of_a_path(self) -> None:
        self.gateway.stored["/uri/URI:DIR2:a:b/sub"] = Stored(b"<html>", content_type="text/html", is_file=False)
        self.assertIn("directory", self.refused(self.get(str(self.path), cap="URI:DIR2:a:b/sub")))
        self.gateway.stored["/uri/URI:DIR2:a:b/sub"] = Stored(b"", status=302)
        self.assertIn("directory", self.refused(self.get(str(self.path), cap="URI:DIR2:a:b/sub")))

    def test_too_few_shares_in_the_gateways_words(self) -> None:
        self.serve(Stored(f"NotEnoughSharesError: {CAP}\nThe full error message is:\nfound 2, need 3".encode(), status=410))
        message = self.refused(self.get(str(self.path)))
        self.assertIn("410 Gone: NotEnoughSharesError: URI:[hidden]", message)
        self.assertIn("found 2, need 3", message)

    def test_a_missing_child(self) -> None:
        self.assertIn("404 Not Found: No such child", self.refused(self.get(cap="URI:DIR2:a:b/nosuch")))

    def test_a_directory_as_the_local_name(self) -> None:
        self.assertIn("is a directory", self.refused(self.get(str(self.path.parent))))

    def test_an_alias(self) -> None:
        self.assertIn("Unknown alias", self.refused(self.get(cap="photos:x")))
