"""`lafs status`: what the gateway says, as a person or a program wants to read it."""
from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.status import overview
from tests.cli.fake_gateway import FakeGateway, Stored, lafs

NODE = {
    "introducers": {"statuses": ["Connected to tcp:10.0.0.1:1 via tcp", "Trying to connect"]},
    "servers": [
        {
            "nodeid": "v0-abcdefghijkl", "connection_status": "Connected to tcp:10.0.0.2:2 via tcp", "nickname": "alice",
            "available_space": 1_500_000_000, "version": "tahoe-lafs/1.20.0", "last_received_data": 1000.0,
        },
        {
            "nodeid": "v0-zyxwvutsrqpo", "connection_status": "Trying to connect", "nickname": "bob",
            "available_space": None, "version": None, "last_received_data": None,
        },
    ],
}
STATISTICS = {
    "counters": {"uploader.bytes_uploaded": 15_530, "uploader.files_uploaded": 51},
    "stats": {"node.uptime": 390.0},
}
OPERATIONS = {
    "active": [
        {
            "type": "upload", "storage-index-string": "aaaa", "total-size": 500, "status": "pushing",
            "progress-hash": 1.0, "progress-ciphertext": 0.5, "progress-encode-push": 0.0,
        }
    ],
    "recent": [
        {"type": "download", "storage-index-string": "bbbb", "total-size": 9520, "status": "Finished", "progress": 1.0},
        {"type": "mapupdate", "storage-index-string": "cccc", "total-size": "-NA-", "mode": "MODE_READ", "status": "Finished"},
    ],
}
FACTS: dict[str, Any] = {"node": NODE, "statistics": STATISTICS, "operations": OPERATIONS}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "introducers", "statuses", "servers", "nodeid", "connection_status", "available_space", "last_received_data",
            "counters", "stats", "node.uptime", "uploader.bytes_uploaded", "active", "recent", "type", "total-size", "progress",
        ]),
        inner, max_size=6,
    ),
    max_leaves=20,
)


class Overview(SynchronousTestCase):
    """Everything that matters, one line each."""

    def text(self, verbose: bool = False) -> str:
        return "\n".join(overview(FACTS, verbose, now=1030.0))

    def test_servers_are_counted_and_listed(self) -> None:
        text = self.text()
        self.assertIn("Servers: 1 of 2 connected", text)
        self.assertRegex(text, r"yes +alice +abcdefgh +1\.50 GB +tahoe-lafs/1\.20\.0 +30 seconds ago +Connected to")
        self.assertRegex(text, r"no +bob +zyxwvuts +- +- +- +Trying to connect")

    def test_introducers_are_counted_and_listed(self) -> None:
        self.assertIn("Introducers: 1 of 2 connected\n  Connected to tcp:10.0.0.1:1 via tcp\n", self.text())

    def test_totals_read_as_the_peers(self) -> None:
        self.assertIn(
            "Statistics (for last 6 minutes):\n    uploaded 15.53 kB in 51 files\n  downloaded 0 B in 0 files", self.text()
        )

    def test_transfers_are_shown_and_the_rest_on_demand(self) -> None:
        text, more = self.text(), self.text(verbose=True)
        self.assertRegex(text, r"put +aaaa +500 B +50% +pushing")
        self.assertRegex(text, r"get +bbbb +9\.52 kB +Finished")
        self.assertIn("Skipped 1 non-upload/download operations", text)
        self.assertRegex(more, r"mapup +cccc +MODE_READ +Finished")
        self.assertNotIn("Skipped", more)

    @given(st.fixed_dictionaries({name: st.dictionaries(st.text(), JSON) | JSON for name in FACTS}))
    def test_whatever_a_gateway_says_is_survived(self, facts: dict[str, Any]) -> None:
        facts = {name: value if isinstance(value, dict) else {} for name, value in facts.items()}
        self.assertTrue(list(overview(facts, True, now=0.0)))


class Command(SynchronousTestCase):
    """Asks the gateway three questions; exits 2 when there is no answer."""

    def setUp(self) -> None:
        self.gateway = self.enterContext(FakeGateway())
        for path, facts in (("/?t=json", NODE), ("/statistics?t=json", STATISTICS), ("/status?t=json", OPERATIONS)):
            self.gateway.stored[path] = Stored(json.dumps(facts).encode())

    def test_a_person_reads_a_table(self) -> None:
        result = lafs("status", "-u", self.gateway.url)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn("Servers: 1 of 2 connected", result.stdout)

    def test_a_program_reads_json(self) -> None:
        self.assertEqual(json.loads(lafs("status", "--json", "-u", self.gateway.url).stdout), FACTS)

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        hostile = {"servers": [{"nickname": "\x1b]0;owned\x07"}]}
        self.gateway.stored["/?t=json"] = Stored(json.dumps(hostile).encode())
        result = lafs("status", "-u", self.gateway.url)
        self.assertEqual(result.exit_code, 0)
        self.assertNotIn("\x1b", result.stdout)

    def test_no_gateway_exits_2(self) -> None:
        result = lafs("-d", self.mktemp(), "status")
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn("no node is running", result.stderr)

    def test_an_answer_of_another_kind_exits_2(self) -> None:
        for stored in (Stored(b"[]"), Stored(b"<html>"), Stored(b"", status=500)):
            self.gateway.stored["/?t=json"] = stored
            self.assertEqual(lafs("status", "-u", self.gateway.url).exit_code, 2)
