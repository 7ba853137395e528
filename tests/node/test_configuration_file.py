"""The language of the configuration: the same values as the peer's reader, and a line for every mistake."""

from __future__ import annotations

import configparser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import ConfigurationError
from lafs.node.configuration_file import LARGEST_FILE, escaped, parse, with_option

SAMPLE = b"""\
# a comment
[node]
nickname = hal
  9000
web.port: 3456

[client]
Shares.Needed = 3
shares.needed = 4
; another comment
[node]
tempdir = half%%full
"""


class Reading(SynchronousTestCase):
    def test_values_and_lines_are_those_of_the_file(self) -> None:
        sections = parse("f", SAMPLE)
        found = {(name, option): (entry.value, entry.line) for name, s in sections.items() for option, entry in s.options.items()}
        self.assertEqual(
            found,
            {
                ("node", "nickname"): ("hal\n9000", 3),
                ("node", "web.port"): ("3456", 5),
                ("node", "tempdir"): ("half%full", 12),
                ("client", "shares.needed"): ("4", 9),
            },
        )
        self.assertEqual([(name, section.line) for name, section in sections.items()], [("node", 2), ("client", 7)])

    def test_a_byte_order_mark_and_foreign_line_ends_are_no_matter(self) -> None:
        sections = parse("f", b"\xef\xbb\xbf" + SAMPLE.replace(b"\n", b"\r\n"))
        self.assertEqual(sections["node"].options["tempdir"].value, "half%full")

    def test_options_may_refer_to_others_of_their_section(self) -> None:
        sections = parse("f", b"[s]\na = x\nb = %(a)sy\n")
        self.assertEqual(sections["s"].options["b"].value, "xy")

    def test_defaults_appear_in_every_section_with_their_own_line(self) -> None:
        sections = parse("f", b"[DEFAULT]\nx = 1\n[s]\ny = 2\n")
        self.assertEqual(sections["s"].options["x"].line, 2)

    def test_mistakes_are_reported_with_file_and_line_and_without_the_text(self) -> None:
        for data, where in {
            b"secret = 1\n": "f:1",
            b"[s]\na = 1\nsecret\n": "f:3",
            b"[s]\n\na = secret%\n": "f:3",
            b"[s]\na = %(secret)s\n": "f:2",
            b"[s]\nsecret = \xff\n": "f:2",
            b"\n" * (LARGEST_FILE + 1): "f: larger",
        }.items():
            error = self.assertRaises(ConfigurationError, parse, "f", data)
            self.assertTrue(str(error).startswith(where), str(error))
            if b"secret = " not in data:
                self.assertNotIn("secret", str(error))

    @given(st.binary(max_size=300) | st.text(alphabet="[]=:%()#; \n\tab\x0b\x1c\u2028", max_size=60).map(str.encode))
    def test_arbitrary_bytes_give_sections_or_a_configuration_error(self, data: bytes) -> None:
        try:
            sections = parse("f", data)
        except ConfigurationError:
            return
        reference = configparser.ConfigParser(strict=False)
        reference.read_string(data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
        self.assertEqual(
            {name: {option: entry.value for option, entry in section.options.items()} for name, section in sections.items()},
            {name: dict(reference[name]) for name in reference.sections()},
        )


class Writing(SynchronousTestCase):
    def test_an_option_is_replaced_where_it_stands_and_nothing_else(self) -> None:
        text = "# mine\n[node]\n# keep\nweb.port = 1\n  continued\nnickname = x\n[client]\nweb.port = 2\n"
        self.assertEqual(
            with_option(text, "node", "web.port", "tcp:3457"),
            "# mine\n[node]\n# keep\nweb.port = tcp:3457\nnickname = x\n[client]\nweb.port = 2\n",
        )

    def test_a_new_option_goes_into_its_section_and_a_new_section_to_the_end(self) -> None:
        self.assertEqual(with_option("[node]\na = 1", "node", "b", "2"), "[node]\nb = 2\na = 1\n")
        self.assertEqual(with_option("[node]\na = 1\n", "s", "b", "2"), "[node]\na = 1\n\n[s]\nb = 2\n")
        self.assertEqual(with_option("", "s", "b", ""), "[s]\nb =\n")

    @given(st.text(max_size=30))
    def test_what_is_written_is_read_back(self, value: str) -> None:
        try:
            text = with_option("[s]\nb = 0\n", "s", "b", value)
        except ConfigurationError:
            self.assertTrue(any(not character.isprintable() or character.isspace() for character in value))
            return
        self.assertEqual(parse("f", text.encode("utf-8", "surrogatepass"))["s"].options["b"].value, value.strip())

    def test_line_breaks_cannot_be_smuggled_in(self) -> None:
        for value in ("a\nb", "a\rb", "a\x85b", "a\u2028b", "\x00"):
            self.assertRaises(ConfigurationError, escaped, value)
