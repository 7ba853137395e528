"""Capabilities: every family reads, prints and weakens as the peer's do; nothing secret shows; nothing typed breaks them."""
from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import (
    Cap,
    DirectoryCap,
    ImmutableReadCap,
    ImmutableVerifyCap,
    LiteralCap,
    MutableReadCap,
    MutableVerifyCap,
    MutableWriteCap,
    UnknownCap,
    from_user,
    parse,
)
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import BadCapability
from tests.crypto.vector_groups import group
from tests.vectors_loader import available, load

FILE = "URI:CHK:3ddgzbplsxzqq7rxz6tnablnca:4a5oyqrdp4v6wibf3yuthdjtjpg5flwb6tusuujdzv6hrabu62ga:3:10:1234"
DIRECTORY = "URI:DIR2:ccvrlzmlyjatf3lwpcds6rr2u4:ricm4zobovzxiti6xtj5klv2cd3xgpfihktupcoby5g2bakdissa"


def kind_of(cap: Cap) -> str:
    """The name the vectors give to a kind: its label in lower case."""
    return cap.text.split(":")[1].lower()


def inner(cap: Cap) -> Cap:
    return cap.content if isinstance(cap, DirectoryCap) else cap


FIELDS: dict[str, str] = {
    "key_hex": "key",
    "ueb_hash_hex": "ueb_hash",
    "uri_extension_hash_hex": "ueb_hash",
    "data_hex": "content",
    "writekey_hex": "write_key",
    "readkey_hex": "read_key",
    "fingerprint_hex": "fingerprint",
    "needed_shares": "needed",
    "total_shares": "total",
    "size": "size",
}
"""Field of a vector -> attribute of the cap."""

DESCRIBED = {
    *("known", "kind", "canonical", "readonly", "verifier", "is_readonly", "is_mutable", "storage_index_b32"),
    *("abbrev", "abbrev_si"),
}
"""Fields of a vector that are no attribute of their own. "abbrev" shows bits of a key, so nothing here makes it."""


class Vectors(SynchronousTestCase):
    """Known answers of the peer."""

    def test_each_text_reads_as_the_peer_reads_it(self) -> None:
        for case in group("cap_parse"):
            with self.subTest(case["id"]):
                # Code points up to 255 stand for bytes.
                cap = parse(case["in"]["text"].encode("latin-1"), case["in"]["deep_immutable"])
                expected = case["out"]
                if expected["known"]:
                    self.check_known(cap, expected)
                else:
                    self.check_unknown(cap, case["in"]["text"], expected)

    def check_known(self, cap: Cap, expected: dict[str, Any]) -> None:
        self.assertEqual(kind_of(cap), expected["kind"])
        self.assertEqual(cap.text, expected["canonical"])
        self.assertEqual(parse(cap.text), cap)
        self.assertEqual((cap.is_readonly, cap.is_mutable), (expected["is_readonly"], expected["is_mutable"]))
        index = cap.storage_index
        self.assertEqual(index.text if index else None, expected["storage_index_b32"])
        if expected.get("abbrev_si") and index:
            self.assertEqual(index.abbreviated, expected["abbrev_si"])
        readonly, verifier = cap.readonly(), cap.verifier()
        self.assertEqual(readonly.text if readonly else None, expected["readonly"])
        if "verifier" in expected:
            self.assertEqual(verifier.text if verifier else None, expected["verifier"])
        else:
            # The peer fails to name the verifier of these verifiers; it is the cap itself.
            self.assertIs(type(inner(cap)), type(inner(verifier)) if verifier else None)
            self.assertEqual(verifier, cap)
        for name in expected.keys() - DESCRIBED:
            value = getattr(inner(cap), FIELDS[name])
            self.assertEqual(value.hex() if isinstance(value, bytes) else value, expected[name], name)

    def check_unknown(self, cap: Cap, text: str, expected: dict[str, Any]) -> None:
        assert isinstance(cap, UnknownCap), cap
        self.assertEqual(cap.text.encode("utf-8", "surrogateescape"), text.encode("latin-1"))
        self.assertEqual(cap.error.kind if cap.error else None, expected["error"])
        if expected["error"] in ("must-be-readonly", "must-be-deep-immutable"):
            assert cap.error is not None
            self.assertEqual(cap.error.message, expected["message"])

    def test_contents_of_a_literal_cap_are_in_its_text(self) -> None:
        for case in group("literal_cap"):
            literal = LiteralCap(bytes.fromhex(case["in"]["content_hex"]))
            self.assertEqual(literal.text, case["out"]["lit"])
            self.assertEqual(DirectoryCap(literal).text, case["out"]["dir2_lit"])

    def test_a_pasted_address_opens_what_the_peer_finds_in_it(self) -> None:
        for case in group("dump_cap_url"):
            with self.subTest(case["id"]):
                # A final slash and percent signs outside of an address mean nothing to the peer; people get what they meant.
                index = from_user(case["in"]["text"]).storage_index
                assert index is not None
                if "storage_index_b32" in case["out"]:
                    self.assertEqual(index.text, case["out"]["storage_index_b32"])
                else:
                    self.assertEqual(case["out"], {"unknown": True})

    def test_published_caps_of_whole_files(self) -> None:
        if not available("caps_end_to_end"):
            self.skipTest("no folder of vectors has caps_end_to_end.json")
        for case in load("caps_end_to_end")["cases"]:
            with self.subTest(case["id"]):
                expected = case["expected"]
                cap = parse(expected["cap"])
                readonly, verifier, index = cap.readonly(), cap.verifier(), cap.storage_index
                assert readonly is not None
                assert verifier is not None
                assert index is not None
                self.assertEqual(cap.text, expected["cap"])
                self.assertEqual(readonly.text, expected["readonly"])
                self.assertEqual(verifier.text, expected["verifier"])
                self.assertEqual(index.text, expected["storage_index_b32"])
                for name in expected.keys() & FIELDS.keys():
                    self.assertEqual(getattr(cap, FIELDS[name]).hex(), expected[name])


keys = st.binary(min_size=16, max_size=16)
hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(min_value=0, max_value=10**30)
formats = st.sampled_from(["SDMF", "MDMF"])
indexes = keys.map(StorageIndex)
file_caps: st.SearchStrategy[Cap] = st.one_of(
    st.builds(ImmutableReadCap, keys, hashes, numbers, numbers, numbers),
    st.builds(ImmutableVerifyCap, indexes, hashes, numbers, numbers, numbers),
    st.builds(LiteralCap, st.binary(max_size=200)),
    st.builds(MutableWriteCap, formats, keys, hashes),
    st.builds(MutableReadCap, formats, keys, hashes),
    st.builds(MutableVerifyCap, formats, indexes, hashes),
)
caps: st.SearchStrategy[Cap] = st.one_of(file_caps, st.builds(DirectoryCap, file_caps))


class EveryCap(SynchronousTestCase):
    """What holds for all caps there can be."""

    @given(caps)
    def test_its_text_reads_back_as_itself(self, cap: Cap) -> None:
        self.assertEqual(parse(cap.text), cap)
        self.assertEqual(parse(cap.text.encode("ascii")), cap)
        self.assertEqual(from_user(cap.text), cap)

    @given(caps)
    def test_its_text_and_keys_do_not_show(self, cap: Cap) -> None:
        shown = repr(cap) + str(cap) + f"{cap}" + repr([cap])
        secrets = [field for field in cap.text.split(":")[2:] if len(field) >= 16]
        for secret in secrets:
            self.assertNotIn(secret, shown)
        for value in (getattr(inner(cap), name, None) for name in ("key", "write_key", "read_key", "content")):
            if isinstance(value, bytes) and len(value) > 4:
                self.assertNotIn(repr(value), shown)
                self.assertNotIn(value.hex(), shown)

    @given(caps)
    def test_weakening_never_gives_more_and_keeps_the_file(self, cap: Cap) -> None:
        readonly, verifier = cap.readonly(), cap.verifier()
        assert readonly is not None
        self.assertTrue(readonly.is_readonly)
        self.assertEqual(readonly.readonly(), readonly)
        self.assertEqual(readonly.storage_index, cap.storage_index)
        if verifier is not None:
            self.assertEqual(verifier.verifier(), verifier)
            self.assertEqual(verifier.readonly(), verifier)
            self.assertEqual(verifier.storage_index, cap.storage_index)
            self.assertEqual(readonly.verifier(), verifier)

    @given(caps)
    def test_texts_of_weaker_caps_are_those_of_the_weaker_caps(self, cap: Cap) -> None:
        for known in (cap, parse(cap.text)):
            readonly, verifier = known.readonly(), known.verifier()
            self.assertEqual(known.readonly_text, readonly and readonly.text)
            self.assertEqual(known.verifier_text, verifier and verifier.text)

    @given(caps, st.data())
    def test_however_a_cap_is_spelled_its_text_is_canonical(self, cap: Cap, data: st.DataObject) -> None:
        spelled = cap.text
        if isinstance(inner(cap), ImmutableReadCap | ImmutableVerifyCap):
            zeros = data.draw(st.lists(st.integers(0, 2), min_size=3, max_size=3))
            head, *numbers = spelled.rsplit(":", 3)
            spelled = ":".join([head, *("0" * count + number for count, number in zip(zeros, numbers, strict=True))])
        elif isinstance(inner(cap), MutableWriteCap | MutableReadCap | MutableVerifyCap) and "MDMF" in spelled:
            spelled += data.draw(st.sampled_from(["", ":3:131073", ":", ":0"]))
        spelled = data.draw(st.sampled_from(["", "ro."] if cap.is_readonly else [""])) + spelled
        spelled += data.draw(st.sampled_from(["", "\n"]))
        read = parse(spelled)
        self.assertEqual((read, read.text), (cap, cap.text))

    @given(caps)
    def test_an_immutable_place_takes_no_cap_that_can_change(self, cap: Cap) -> None:
        for read in (parse("imm." + cap.text), parse(cap.text, deep_immutable=True)):
            self.assertEqual(isinstance(read, UnknownCap), cap.is_mutable)
        self.assertEqual(isinstance(parse("ro." + cap.text), UnknownCap), not cap.is_readonly)

    @given(st.text() | st.binary())
    def test_any_text_reads_as_something(self, text: str | bytes) -> None:
        cap = parse(text)
        if isinstance(cap, UnknownCap):
            raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
            self.assertEqual(cap.text.encode("utf-8", "surrogateescape" if isinstance(text, bytes) else "surrogatepass"), raw)

    @given(
        st.sampled_from(["", "ro.", "imm."]),
        st.sampled_from(["CHK", "CHK-Verifier", "LIT", "SSK-RO", "MDMF", "DIR2", "DIR2-CHK", "DIR2-LIT", "DIR2-MDMF-RO"]),
        st.text(alphabet="a27q:10 \n-é", max_size=120),
    )
    def test_any_body_reads_as_something(self, prefix: str, label: str, body: str) -> None:
        cap = parse(f"{prefix}URI:{label}:{body}")
        self.assertEqual(parse(cap.text), cap if not isinstance(cap, UnknownCap) else parse(cap.text))

    @given(caps, st.data())
    def test_a_lost_character_is_noticed_or_makes_another_cap(self, cap: Cap, data: st.DataObject) -> None:
        text = cap.text
        lost = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
        self.assertNotEqual(parse(text[:lost] + text[lost + 1 :]).text, text)


class Ranges(SynchronousTestCase):
    """Numbers in a cap are only text until they are checked."""

    def cap(self, needed: int = 3, total: int = 10, size: int = 1000) -> ImmutableReadCap:
        return ImmutableReadCap(bytes(16), bytes(32), needed, total, size)

    def test_numbers_of_a_real_file_pass(self) -> None:
        for cap in (self.cap(), self.cap(1, 1), self.cap(256, 256), self.cap(size=2**63 - 1)):
            cap.check_ranges()
            cap.verifier().check_ranges()
            DirectoryCap(cap).check_ranges()

    def test_absurd_numbers_are_refused_before_use(self) -> None:
        for cap in (self.cap(needed=0), self.cap(11, 10), self.cap(3, 257), self.cap(size=0), self.cap(size=2**63)):
            for same in (cap, cap.verifier(), DirectoryCap(cap)):
                self.assertRaises(BadCapability, parse(same.text).check_ranges)

    def test_a_number_too_long_to_convert_is_malformed(self) -> None:
        cap = parse(FILE.replace(":1234", ":" + "9" * 5000))
        assert isinstance(cap, UnknownCap)
        assert cap.error is not None
        self.assertEqual(cap.error.kind, "malformed")

    def test_caps_without_numbers_have_nothing_to_check(self) -> None:
        for text in ("URI:LIT:", DIRECTORY, "future:x"):
            parse(text).check_ranges()


class Pasted(SynchronousTestCase):
    """People paste caps with whatever was around them."""

    def test_blanks_quotes_and_brackets_are_taken_off(self) -> None:
        for pasted in (f"  {FILE}\n", f"<{FILE}>", f'"{FILE}"', f" '{FILE}' \r\n", f"`{FILE}`"):
            self.assertEqual(from_user(pasted).text, FILE)

    def test_a_gateway_address_is_unwrapped(self) -> None:
        quoted = quote(FILE, safe="")
        for address in (
            f"http://127.0.0.1:3456/uri/{quoted}",
            f"http://127.0.0.1:3456/uri/{FILE}",
            f"https://gateway.example/uri/{quoted}?filename=report.pdf#top",
            f"https://gateway.example/below/this/uri/{quoted}",
            f"http://127.0.0.1:3456/cap/{quoted}",
            f"http://[::1]:3456/file/{quoted}/@@named=/report.pdf",
            f"http://127.0.0.1:3456/named/{quoted}/@@named=/a/b",
            f"http://127.0.0.1:3456/file/{quoted}/report.pdf",
            f"http://127.0.0.1:3456/uri?uri={quoted}",
            f"http://127.0.0.1:3456/uri?t=json&uri={FILE}",
            f"<http://127.0.0.1:3456/uri/{quoted}/>",
            quoted,
        ):
            self.assertEqual(from_user(address).text, FILE, address)
        self.assertEqual(from_user(f"http://127.0.0.1:3456/uri/{quote(DIRECTORY)}/").text, DIRECTORY)

    def test_an_address_inside_a_directory_is_not_taken_for_the_directory(self) -> None:
        failure = self.assertRaises(BadCapability, from_user, f"http://127.0.0.1:3456/uri/{DIRECTORY}/sub/file")
        self.assertIn("inside a directory", str(failure))

    def test_an_address_without_a_cap_is_refused(self) -> None:
        for address in ("http://127.0.0.1:3456/", "http://127.0.0.1:3456/uri", "http://x/uri/", "http://[::1/uri/x", "ftp://x/y/z"):
            self.assertRaises(BadCapability, from_user, address)

    def test_the_refusal_says_what_is_wrong_and_quotes_nothing(self) -> None:
        for text, hint in (
            (FILE.replace("3ddgzb", ""), "damaged"),
            (FILE.replace("URI", "uri"), "not a capability"),
            (f"ro.{DIRECTORY}", "read-only context"),
            ("", "not a capability"),
        ):
            failure = self.assertRaises(BadCapability, from_user, text)
            self.assertIn(hint, str(failure))
            for secret in ("lsxzqq7rxz6tnablnca", "ccvrlzmlyjatf3lw"):
                self.assertNotIn(secret, str(failure))

    @given(st.text())
    def test_any_text_is_a_cap_or_refused(self, text: str) -> None:
        for pasted in (text, f"http://h/uri/{text}", f"http://{text}", f"http://h/uri?uri={text}"):
            with contextlib.suppress(BadCapability):
                self.assertNotIsInstance(from_user(pasted), UnknownCap)


class StartUp(SynchronousTestCase):
    """The command line imports caps."""

    def test_nothing_slow_is_imported(self) -> None:
        slow = ("twisted", "Crypto", "cryptography", "zfec", "foolscap", "asyncio", "urllib.parse")
        program = (
            f"import sys; slow = {slow!r}; before = set(sys.modules); import lafs.capability;"
            " print(sorted(set(slow) & (set(sys.modules) - before)))"
        )
        shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        self.assertEqual(shown.stdout.strip(), "[]")
