from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import urlencode

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.children_json import parse_children
from frontends.web.errors import Refusal
from frontends.web.request import Arguments
from lafs.errors import BadChild
from tests.web.harness import Response, multipart, q, request_bytes
from tests.web.test_transcripts import GridGateway


class OnGrid(SynchronousTestCase):
    """A gateway on a real client, and an empty directory."""

    def setUp(self) -> None:
        self.gateway = GridGateway()
        self.root = self.gateway.request("POST", "/uri?t=mkdir").text
        self.at = f"/uri/{q(self.root)}"

    def post(self, t: str, path: str = "", **arguments: str) -> Response:
        return self.gateway.request("POST", f"{self.at}{path}?{urlencode({'t': t, **arguments})}")

    def facts(self, path: str = "") -> dict[str, Any]:
        return dict(self.gateway.get(f"{self.at}{path}?t=json").json()[1])

    def names(self) -> list[str]:
        return list(self.facts()["children"])


class DefaultFormat(OnGrid):
    def test_new_directories_have_the_format_the_node_is_configured_for(self) -> None:
        gateway = GridGateway()
        gateway.site._gateway = attrs.evolve(gateway.site._gateway, default_format="MDMF")
        root = gateway.request("POST", "/uri?t=mkdir").text
        gateway.request("PUT", f"/uri/{q(root)}/on/the/way", b"x")
        on_the_way = gateway.get(f"/uri/{q(root)}/on?t=uri").text
        self.assertEqual([cap[:14] for cap in (root, on_the_way)], ["URI:DIR2-MDMF:"] * 2)
        chosen = gateway.request("POST", "/uri?t=mkdir&format=sdmf").text
        self.assertTrue(chosen.startswith("URI:DIR2:"))


class Changes(OnGrid):
    def test_twenty_files_put_into_one_directory_at_once_are_all_in_it(self) -> None:
        connections = [self.gateway.connect() for _ in range(20)]
        for number, connection in enumerate(connections):
            connection.send(request_bytes("PUT", f"{self.at}/{number:02}", b"contents %d" % number))
        for connection in connections:
            self.gateway.wait_for(connection)
            self.assertEqual([response.status for response in connection.responses("PUT")], [201])
        self.assertEqual(self.names(), [f"{number:02}" for number in range(20)])
        self.assertEqual(self.gateway.get(f"{self.at}/13").text, "contents 13")

    def test_nothing_is_changed_through_a_cap_that_reads(self) -> None:
        self.gateway.request("PUT", f"{self.at}/there", b"x")
        readonly = f"/uri/{q(self.gateway.get(f'{self.at}?t=readonly-uri').text)}"
        self.assertEqual(self.gateway.request("PUT", f"{readonly}/new", b"x").status, 403)
        self.assertEqual(self.gateway.request("PUT", f"{readonly}/a/b?t=mkdir", b"").status, 403)
        self.assertEqual(self.gateway.request("DELETE", f"{readonly}/there").status, 403)
        for query in ("t=unlink&name=there", "t=mkdir&name=new", "t=rename&from_name=there&to_name=new", "t=set_children"):
            self.assertEqual(self.gateway.request("POST", f"{readonly}?{query}").status, 403, query)
        self.assertEqual(self.names(), ["there"])

    def test_refused_arguments_leave_no_directories_on_the_way(self) -> None:
        for path in ("/a/b?format=none", "/a/b?replace=maybe", "/a/b?offset=x", "/a/b?t=bogus", "/a/b/?t="):
            self.assertIn(self.gateway.request("PUT", self.at + path, b"x").status, (400, 404), path)
        self.assertEqual(self.post("unlink", "/a/b").status, 404)
        self.assertEqual(self.names(), [])

    def test_a_write_beyond_the_end_of_a_mutable_file_is_refused_and_changes_nothing(self) -> None:
        for file_format in ("SDMF", "MDMF"):
            path = f"{self.at}/{file_format}"
            self.assertEqual(self.gateway.request("PUT", f"{path}?format={file_format}", b"0123456789").status, 201)
            self.assertEqual(self.gateway.request("PUT", f"{path}?offset=11", b"x").status, 400)
            self.assertEqual(self.gateway.request("PUT", f"{path}?offset=-1", b"x").status, 400)
            self.assertEqual(self.gateway.request("PUT", f"{path}?offset=8", b"abc").status, 200)
            self.assertEqual(self.gateway.get(path).text, "01234567abc")

    def test_a_bare_cap_is_not_deleted_nor_replaced(self) -> None:
        file = self.gateway.request("PUT", "/uri", b"small").text
        for method, query in (("DELETE", ""), ("PUT", ""), ("PUT", "?t=uri")):
            self.assertEqual(self.gateway.request(method, f"/uri/{q(file)}{query}", b"").status, 400, (method, query))

    def test_a_link_is_made_without_looking_whether_there_is_one(self) -> None:
        file = self.gateway.request("PUT", "/uri", b"small").text.encode()
        self.gateway.request("PUT", f"{self.at}/first?t=uri", file)
        network = self.gateway.grid.network
        before = sum(network.requests.values())
        answer = self.gateway.request("PUT", f"{self.at}/second?t=uri", file)
        self.assertEqual((answer.status, answer.body, sum(network.requests.values()) - before), (200, file, 1))
        self.assertEqual(self.gateway.request("PUT", f"{self.at}/second?t=uri&replace=false", file).status, 409)
        self.assertEqual(self.gateway.request("PUT", f"{self.at}/second?t=uri", file).status, 200)
        self.assertEqual(self.names(), ["first", "second"])

    def test_a_directory_moved_below_itself_stays(self) -> None:
        self.post("mkdir", "/a/b")
        self.assertEqual(self.post("relink", from_name="a", to_dir=f"{self.root}/a/b").status, 409)
        self.assertEqual(self.names(), ["a"])

    def test_a_name_moved_to_itself_stays(self) -> None:
        self.post("mkdir", "/a")
        self.assertEqual(self.post("rename", from_name="a", to_name="a").status, 200)
        self.assertEqual(self.names(), ["a"])

    def test_children_without_caps_are_refused_together_with_the_others(self) -> None:
        body = {"good": ["filenode", {"ro_uri": "URI:LIT:me"}], "bad": ["filenode", {}]}
        response = self.gateway.request("POST", f"{self.at}?t=set_children", json.dumps(body).encode())
        self.assertEqual((response.status, self.names()), (400, []))


class Pages(OnGrid):
    def test_names_are_escaped(self) -> None:
        self.gateway.request("PUT", f"{self.at}/{q('<script>alert(1)</script>')}", b"x")
        markup = self.gateway.get(f"{self.at}/").text
        self.assertNotIn("<script>alert", markup)
        self.assertIn("&lt;script&gt;alert", markup)

    def test_forms_lead_back_and_nowhere_else(self) -> None:
        response = self.post("mkdir", name="one", when_done=".")
        self.assertEqual((response.status, response.header("Location")), (302, "."))
        self.assertEqual(self.post("mkdir", name="two", when_done="https://elsewhere.example/").status, 400)
        self.assertEqual(self.names(), ["one"])

    def test_an_uploaded_form_becomes_a_child(self) -> None:
        body, headers = multipart(("t", None, b"upload"), ("file", "picture", b"bytes"))
        self.assertEqual(self.gateway.request("POST", self.at, body, headers).status, 200)
        self.assertEqual(self.gateway.get(f"{self.at}/picture").text, "bytes")

    def test_a_directory_that_cannot_be_read_says_so(self) -> None:
        lost = "URI:DIR2:aaaaaaaaaaaaaaaaaaaaaaaaaa:" + "a" * 52
        self.assertEqual(self.gateway.get(f"/uri/{q(lost)}/").status, 200)
        response = self.gateway.get(f"/uri/{q(lost)}?t=json")
        self.assertEqual((response.status, list(response.json())), (410, ["error"]))
        self.assertNotIn(lost, response.text)


class Parsers(SynchronousTestCase):
    @given(st.binary() | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ).map(lambda value: json.dumps(value).encode()))
    def test_any_body_is_children_or_refused(self, body: bytes) -> None:
        with contextlib.suppress(Refusal, BadChild):
            parse_children(body)

    @given(st.text())
    def test_any_argument_is_understood_or_refused(self, value: str) -> None:
        arguments = Arguments({"replace": value, "offset": value, "format": value, "private-key": value})
        for parse in (arguments.replace, arguments.offset, arguments.file_format, arguments.private_key):
            with contextlib.suppress(Refusal):
                parse()
