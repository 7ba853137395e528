"""A gateway that fails at something is no gateway that says "there is nothing": what follows from that must not happen."""
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_gateway import FakeGateway, Stored, lafs

ONE = "URI:DIR2:" + "a" * 26 + ":" + "b" * 52
OTHER = "URI:DIR2:" + "c" * 26 + ":" + "d" * 52


class Trouble(SynchronousTestCase):
    def test_mv_moves_nothing_if_it_cannot_tell_whether_both_are_one(self) -> None:
        with FakeGateway() as gateway:
            gateway.stored[f"/uri/{ONE}/x?t=json"] = Stored(b'["filenode", {"ro_uri": "URI:LIT:pa"}]')
            gateway.stored[f"/uri/{ONE}?t=readonly-uri"] = Stored(b"UnrecoverableFileError", status=410)
            result = lafs("mv", f"{ONE}/x", f"{OTHER}/x", "-u", gateway.url)
            self.assertEqual(result.exit_code, 1)
            self.assertIn("410", result.stderr)
            self.assertEqual({seen.method for seen in gateway.seen}, {"GET"})

    def test_ls_tells_an_unreachable_gateway_from_a_missing_file(self) -> None:
        with FakeGateway() as gateway:
            self.assertEqual(lafs("ls", f"{ONE}/x", "-u", gateway.url).exit_code, 2)
        result = lafs("ls", f"{ONE}/x", "-u", gateway.url)
        self.assertEqual(result.exit_code, 255)
        self.assertIn("no node is running at", result.stderr)
