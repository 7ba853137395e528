"""Whatever way a command links something, the link has a time: people sort by it."""
from __future__ import annotations

import json
from typing import Any
from unittest.mock import Mock

from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.remote_objects import RemoteObject, make_directory_of, set_children

CAP = "URI:LIT:nbswy3dpbi"


class Times(SynchronousTestCase):
    def sent_by(self, request: Any) -> Any:
        gateway = Mock()
        gateway.send.return_value.expect.return_value.text.return_value = "URI:DIR2:a:b"
        request(gateway, {"name": RemoteObject("filenode", read_cap=CAP)})
        (_, _, body), _ = gateway.send.call_args
        return json.loads(body)["name"][1]

    def test_children_of_a_new_directory_bring_theirs_since_nobody_else_adds_them(self) -> None:
        child = self.sent_by(make_directory_of)
        times = child["metadata"]["tahoe"]
        self.assertEqual((child["ro_uri"], set(times)), (CAP, {"linkcrtime", "linkmotime"}))
        self.assertEqual(times["linkcrtime"], times["linkmotime"])
        self.assertGreater(times["linkmotime"], 1.7e9)

    def test_others_get_theirs_from_the_gateway_and_keep_their_metadata(self) -> None:
        child = self.sent_by(lambda gateway, children: set_children(gateway, "URI:DIR2:a:b", children))
        self.assertEqual(child, {"ro_uri": CAP})
