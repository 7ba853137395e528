"""`lafs check`, `deep-check`, `manifest`, `stats`: what they print, and above all their exit status."""
from __future__ import annotations

import json
import os
import time
from typing import Any

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.tree_facts import abbreviated, histogram
from tests.cli.fake_gateway import FakeGateway, Stored, lafs

CAP = "URI:DIR2:" + "a" * 26 + ":" + "b" * 52
INDEX = "c" * 26


def results(good: int = 10, corrupt: int = 0) -> dict[str, Any]:
    healthy = good == 10
    return {
        "storage-index": INDEX,
        "summary": "Healthy" if healthy else f"Not Healthy: {good} shares (enc 3-of-10)",
        "results": {
            "count-shares-good": good,
            "count-shares-needed": 3,
            "count-shares-expected": 10,
            "count-wrong-shares": 0,
            "list-corrupt-shares": [["v0-abc", INDEX, number] for number in range(corrupt)],
            "healthy": healthy,
        },
    }


def repaired(before: dict[str, Any], after: dict[str, Any], attempted: bool = True) -> dict[str, Any]:
    return {
        "storage-index": INDEX,
        "repair-attempted": attempted,
        "repair-successful": attempted and after["results"]["healthy"],
        "pre-repair-results": before,
        "post-repair-results": after,
    }


LITERAL = {"storage-index": "", "results": {"healthy": True}}


class FakeNode(SynchronousTestCase):
    """A gateway that says what a test wants."""

    def setUp(self) -> None:
        self.gateway = self.enterContext(FakeGateway())

    def run_lafs(self, *arguments: str, status: int = 0) -> Result:
        result = lafs(*arguments, "-u", self.gateway.url, CAP)
        self.assertEqual(result.exit_code, status, result.stderr)
        return result

    def says(self, query: str, *lines: Any, chunked: bool = False, cut_at: int | None = None, status: int = 200) -> None:
        content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()
        self.gateway.stored[f"/uri/{CAP}{query}"] = Stored(content, chunked=chunked, cut_at=cut_at, status=status)


class Check(FakeNode):
    """The exit status is 0 only if the object is healthy in the end."""

    def test_healthy(self) -> None:
        self.says("?t=check&output=JSON", results())
        self.assertEqual(
            self.run_lafs("check").stdout,
            f"Summary: Healthy\n storage index: {INDEX}\n good-shares: 10 (encoding is 3-of-10)\n wrong-shares: 0\n",
        )

    def test_not_healthy(self) -> None:
        self.says("?t=check&verify=true&add-lease=true&output=JSON", results(7, corrupt=1))
        shown = self.run_lafs("check", "--verify", "--add-lease", status=1).stdout
        self.assertIn("Summary: Not Healthy: 7 shares (enc 3-of-10)\n", shown)
        self.assertIn(f" corrupt shares:\n  server v0-abc, SI {INDEX}, shnum 0\n", shown)

    def test_literal(self) -> None:
        for query, options in (("", ()), ("&repair=true", ("--repair",))):
            self.says(f"?t=check{query}&output=JSON", LITERAL)
            self.assertEqual(self.run_lafs("check", *options).stdout, "Summary: Healthy (LIT)\n storage index: \n")

    def test_what_counts_after_a_repair_is_how_it_is_then(self) -> None:
        query = "?t=check&repair=true&output=JSON"
        self.says(query, repaired(results(7), results(10)))
        shown = self.run_lafs("check", "--repair").stdout
        self.assertTrue(shown.startswith("Summary: not healthy\n"))
        self.assertTrue(shown.endswith(" repair successful\n"))
        self.says(query, {**repaired(results(7), results(7)), "repair-trouble": "no server took\nany"})
        self.assertTrue(self.run_lafs("check", "--repair", status=1).stdout.endswith(" repair failed\n  no server took any\n"))
        self.says(query, repaired(results(7), results(7), attempted=False))
        self.run_lafs("check", "--repair", status=1)

    def test_raw(self) -> None:
        self.says("?t=check&output=JSON", results(7))
        self.assertEqual(json.loads(self.run_lafs("check", "--raw", status=1).stdout), results(7))

    def test_nothing_that_a_gateway_says_reaches_the_terminal_as_it_is(self) -> None:
        evil = results(7, corrupt=1)
        evil["summary"] = evil["storage-index"] = evil["results"]["count-shares-good"] = "x\x1b[2J\ny"
        evil["results"]["list-corrupt-shares"] = [["\x1b]0;", "\x07", "\x1b"], "odd", []]
        self.says("?t=check&output=JSON", evil)
        shown = self.run_lafs("check", status=1).stdout
        self.assertFalse(any(character < " " and character != "\n" for character in shown), shown)

    def test_no_answer_that_makes_sense_is_no_success(self) -> None:
        self.says("?t=check&output=JSON", "<html>")
        self.run_lafs("check", status=1)
        self.says("?t=check&output=JSON", "NotEnoughSharesError: 410", status=410)
        self.assertIn("410", self.run_lafs("check", status=1).stderr)


def record(path: list[str], facts: dict[str, Any], key: str = "check-results") -> dict[str, Any]:
    return {
        "path": path, "cap": CAP, "type": "file", "verifycap": "", "repaircap": "", "storage-index": facts["storage-index"],
        key: facts,
    }  # fmt: skip


STATS = {"type": "stats", "stats": {"count-files": 2}}


class DeepCheck(FakeNode):
    """The exit status is 0 only if everything was seen and is healthy in the end."""

    QUERY = "?t=stream-deep-check"

    def test_all_healthy(self) -> None:
        self.says(self.QUERY, record([], results()), record(["b\u00e9"], LITERAL), STATS, chunked=True)
        self.assertEqual(self.run_lafs("deep-check").stdout, "done: 2 objects checked, 2 healthy, 0 unhealthy\n")
        self.assertEqual(
            self.run_lafs("deep-check", "-v").stdout,
            "'<root>': Healthy\n'b\u00e9': Healthy (LIT)\ndone: 2 objects checked, 2 healthy, 0 unhealthy\n",
        )

    def test_one_unhealthy(self) -> None:
        self.says(self.QUERY, record([], results()), record(["x", "y"], results(4, corrupt=1)), STATS)
        shown = self.run_lafs("deep-check", "--verbose", status=1).stdout
        self.assertIn(f"'x/y': Not Healthy: 4 shares (enc 3-of-10)\n corrupt: server v0-abc, SI {INDEX}, shnum 0\n", shown)
        self.assertIn("done: 2 objects checked, 1 healthy, 1 unhealthy\n", shown)

    def test_repaired(self) -> None:
        key = "check-and-repair-results"
        lines = [
            record([], repaired(results(), results(), attempted=False), key),
            record(["x"], repaired(results(4), results()), key),
            record(["y"], {"storage-index": "", "repair-attempted": False}, key),
        ]
        self.says(self.QUERY + "&repair=true", *lines, STATS)
        self.assertEqual(
            self.run_lafs("deep-check", "--repair").stdout,
            " repair successful\ndone: 3 objects checked\n pre-repair: 2 healthy, 1 unhealthy\n"
            " 1 repairs attempted, 1 successful, 0 failed\n post-repair: 3 healthy, 0 unhealthy\n",
        )
        self.says(self.QUERY + "&repair=true", *lines, record(["z"], repaired(results(2), results(2)), key), STATS)
        self.run_lafs("deep-check", "--repair", status=1)

    def test_progress(self) -> None:
        self.says(self.QUERY, *[record([str(number)], results()) for number in range(250)], STATS)
        lines = self.run_lafs("deep-check").stdout.splitlines()
        self.assertEqual(lines[:2], ["100 objects checked..", "200 objects checked.."])

    def test_an_error_line_is_told_and_no_success(self) -> None:
        self.says(self.QUERY, record([], results()), "ERROR: UnrecoverableFileError(no)", "Traceback")
        result = self.run_lafs("deep-check", status=1)
        self.assertEqual((result.stdout, result.stderr), ("", "ERROR: UnrecoverableFileError(no)\nTraceback\n"))

    def test_a_stream_that_breaks_off_is_no_success(self) -> None:
        self.says(self.QUERY, record([], results()))
        self.assertIn("broke off", self.run_lafs("deep-check", status=1).stderr)
        self.says(self.QUERY, record([], results()), STATS, cut_at=100)
        self.run_lafs("deep-check", status=1)

    def test_raw(self) -> None:
        self.says(self.QUERY, record([], results()), STATS)
        shown = [json.loads(line) for line in self.run_lafs("deep-check", "--raw").stdout.splitlines()]
        self.assertEqual(shown, [record([], results()), STATS])


class Manifest(FakeNode):
    QUERY = "?t=stream-manifest"

    def test_caps_and_paths(self) -> None:
        other = {**record(["a", "it's"], LITERAL), "verifycap": "URI:v", "storage-index": ""}
        self.says(self.QUERY, record([], results()), other, STATS)
        self.assertEqual(self.run_lafs("manifest").stdout, f"{CAP} \n{CAP} \"a/it's\"\n")
        self.assertEqual(self.run_lafs("manifest", "-s").stdout, f"{INDEX}\n")
        self.assertEqual(self.run_lafs("manifest", "--verify-cap").stdout, "URI:v\n")
        self.assertEqual(len(self.run_lafs("manifest", "--raw").stdout.splitlines()), 3)

    def test_an_error_is_no_success(self) -> None:
        self.says(self.QUERY, record([], results()), "ERROR: UnrecoverableFileError(no)")
        result = self.run_lafs("manifest", status=1)
        self.assertEqual(result.stderr, "ERROR: UnrecoverableFileError(no)\n")
        self.assertIn("ERROR:", self.run_lafs("manifest", "--raw", status=1).stdout)

    def test_a_line_that_is_no_json_is_passed_over(self) -> None:
        self.says(self.QUERY, "{", record([], results()), STATS)
        result = self.run_lafs("manifest")
        self.assertIn("could not decode/parse", result.stderr)
        self.assertEqual(result.stdout, f"{CAP} \n")

    def test_what_is_no_directory_is_an_error(self) -> None:
        self.says(self.QUERY, "POST to file: bad t=stream-manifest", status=400)
        self.assertIn("bad t=stream-manifest", self.run_lafs("manifest", status=1).stderr)


FACTS = {
    "finished": True, "count-immutable-files": 1, "count-files": 1, "size-immutable-files": 3000,
    "size-files-histogram": [[4, 10, 2], [1001, 3162, 1]],
}  # fmt: skip


class Stats(FakeNode):
    def setUp(self) -> None:
        super().setUp()
        self.patch(os, "urandom", bytes)
        self.waits: list[float] = []
        self.patch(time, "sleep", self.waits.append)
        self.says(f"?t=start-deep-stats&ophandle={'a' * 26}")

    def answer(self, facts: dict[str, Any]) -> None:
        path = f"/operations/{'a' * 26}?t=status&output=JSON&release-after-complete=true"
        self.gateway.stored[path] = Stored(json.dumps(facts).encode())

    def test_printed_as_the_peer_does(self) -> None:
        self.answer(FACTS)
        self.assertEqual(
            self.run_lafs("stats").stdout,
            "Counts and Total Sizes:\n"
            " count-immutable-files: 1\n"
            "           count-files: 1\n"
            "  size-immutable-files: 3000    (3.00 kB, 2.93 kiB)\n"
            "Size Histogram:\n"
            "   4-10   : 2    (10 B, 10 B)\n"
            "   ...\n"
            "1001-3162 : 1    (3.16 kB, 3.09 kiB)\n",
        )
        self.assertEqual(json.loads(self.run_lafs("stats", "--raw").stdout), FACTS)
        self.assertLess(sum(self.waits), 1)

    def test_what_could_not_be_read_is_told_and_no_success(self) -> None:
        self.answer({**FACTS, "count-unreadable-directories": 2})
        self.assertIn("2 directories could not be read", self.run_lafs("stats", status=1).stderr)

    def test_columns_and_sizes(self) -> None:
        self.assertEqual(list(histogram([[0, 0, 5], [1, 3, 12]])), ["0-0 :  5    (0 B, 0 B)", "1-3 : 12    (3 B, 3 B)"])
        self.assertEqual([abbreviated(size, 1024, "iB") for size in (1023, 1024, 5 * 2**40)], ["1023 B", "1.00 kiB", "5.00 TiB"])
