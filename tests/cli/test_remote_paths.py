"""Names of things on the grid, as people write them."""
from __future__ import annotations

from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.remote_paths import RemotePath, conceal, parse
from lafs.errors import BadCapability
from tests.vectors_loader import load

FILE_CAP = "URI:CHK:3ddgzbplsxzqq7rxz6tnablnca:4a5oyqrdp4v6wibf3yuthdjtjpg5flwb6tusuujdzv6hrabu62ga:3:10:1234"
DIRECTORY_CAP = "URI:DIR2:ccvrlzmlyjatf3lwpcds6rr2u4:ricm4zobovzxiti6xtj5klv2cd3xgpfihktupcoby5g2bakdissa"


class Parsing(SynchronousTestCase):
    """Text is read as the peer reads it."""

    def test_caps_with_paths_are_split_as_by_the_peer(self) -> None:
        cases = load("crypto_and_caps")["groups"]["cli_cap_path"]
        self.assertTrue(cases)
        for case in cases:
            expected = case["out"]
            place = parse(case["in"]["text"])
            self.assertEqual(place.cap, expected["cap"], case["id"])
            self.assertEqual(place.path.encode().hex(), expected["path_hex"], case["id"])

    def test_an_alias_is_what_stands_before_the_first_colon(self) -> None:
        self.assertEqual(parse("photos:summer/a:b"), RemotePath(alias="photos", path="summer/a:b"))
        self.assertEqual(parse("photos:"), RemotePath(alias="photos"))
        self.assertEqual(parse(" photos: x "), RemotePath(alias="photos", path=" x"))

    def test_a_colon_after_a_slash_belongs_to_a_name(self) -> None:
        self.assertEqual(parse("./a:b"), RemotePath(path="./a:b"))
        self.assertEqual(parse("plain"), RemotePath(path="plain"))

    def test_only_a_bare_directory_cap_is_a_directory(self) -> None:
        self.assertTrue(parse(DIRECTORY_CAP).is_directory_cap)
        self.assertTrue(parse("imm.URI:DIR2-CHK:a:b:1:2:3").is_directory_cap)
        self.assertFalse(parse(DIRECTORY_CAP + "/name").is_directory_cap)
        self.assertFalse(parse(FILE_CAP).is_directory_cap)

    @given(st.text())
    def test_any_text_is_a_place_or_a_typed_refusal(self, text: str) -> None:
        try:
            place = parse(text)
        except BadCapability:
            return
        self.assertFalse(place.cap is not None and place.alias is not None)

    @given(st.lists(st.text(min_size=1).filter(lambda name: "/" not in name and name[:1] != "."), min_size=1))
    def test_a_path_below_a_cap_reaches_the_gateway_unharmed(self, names: list[str]) -> None:
        path = "/".join(names).rstrip(" ")
        web_path = parse(f"{DIRECTORY_CAP}/{path}").web_path()
        self.assertTrue(web_path.isascii())
        self.assertNotIn("?", web_path)
        self.assertNotIn("#", web_path)
        self.assertEqual(unquote(web_path), f"uri/{DIRECTORY_CAP}/{path}")


class PastedAddresses(SynchronousTestCase):
    """The address of any gateway's page stands for the object on it."""

    def test_every_kind_of_page_is_understood(self) -> None:
        cap = quote(FILE_CAP, safe="")
        for address in (
            f"http://127.0.0.1:3456/uri/{cap}",
            f"https://example.org/prefix/uri/{cap}",
            f"http://127.0.0.1:3456/cap/{FILE_CAP}?filename=x",
            f"http://127.0.0.1:3456/file/{cap}/@@named=/holiday.jpg",
            f"http://127.0.0.1:3456/named/{cap}/holiday.jpg",
            f"http://127.0.0.1:3456/uri?uri={cap}",
        ):
            self.assertEqual(parse(address), RemotePath(cap=FILE_CAP), address)

    def test_names_below_a_directory_are_kept(self) -> None:
        address = f"http://127.0.0.1:3456/uri/{quote(DIRECTORY_CAP)}/a%20b/c%3Ad"
        self.assertEqual(parse(address), RemotePath(cap=DIRECTORY_CAP, path="a b/c:d"))

    def test_an_address_without_a_cap_is_refused(self) -> None:
        for address in ("http://127.0.0.1:3456/", "http://127.0.0.1:3456/uri/", "http://[", "https://x/uri/nonsense"):
            self.assertRaises(BadCapability, parse, address)

    def test_a_name_with_a_slash_in_it_is_refused_rather_than_misread(self) -> None:
        self.assertRaises(BadCapability, parse, f"http://h/uri/{quote(DIRECTORY_CAP)}/a%2Fb")


class Concealment(SynchronousTestCase):
    """No cap is shown, however it is written."""

    def test_caps_are_hidden_in_any_spelling(self) -> None:
        for cap in (FILE_CAP, DIRECTORY_CAP, quote(FILE_CAP, safe=""), "ro.URI:SSK-RO:abc:def", "URI:future-kind"):
            shown = conceal(f"trouble with <{cap}>, sorry")
            self.assertEqual(shown, "trouble with <URI:[hidden]>, sorry")

    def test_repr_hides_the_cap(self) -> None:
        self.assertNotIn("3ddgz", repr(parse(FILE_CAP)))

    def test_other_text_is_left_alone(self) -> None:
        self.assertEqual(conceal("give a capability (URI:...): thanks"), "give a capability (URI:...): thanks")
