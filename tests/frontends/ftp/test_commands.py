"""Lines and commands: every parser survives every byte."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.ftp.commands import LONGEST_LINE, Command, Lines, parse
from frontends.ftp.replies import Refusal


class Parsing(SynchronousTestCase):
    def test_a_verb_is_known_in_any_case_and_the_rest_is_kept_as_it_is(self) -> None:
        self.assertEqual(parse(b"retr  two  blanks "), Command("RETR", b" two  blanks "))
        self.assertEqual(parse(b"Pwd"), Command("PWD"))
        self.assertEqual(parse("CWD ordner/ä".encode()).text, "ordner/ä")

    def test_telnet_commands_before_abor_do_not_hide_it(self) -> None:
        self.assertEqual(parse(b"\xff\xf4\xff\xf2ABOR"), Command("ABOR"))
        self.assertEqual(parse(b"\xff\xfb\x01NOOP"), Command("NOOP"))

    def test_what_is_no_command_is_refused(self) -> None:
        for line in (b"", b" ", b"AB", b"ABCDE", b"A\xc3\xa4BC", b"12345", b"\0PWD", b"PWD\tx", b" PWD", b"GET / HTTP/1.1"[:2]):
            self.assertEqual(self.assertRaises(Refusal, parse, line).code, 500)

    def test_no_name_holds_a_line_end_or_nul(self) -> None:
        for line in (b"MKD a\0b", b"MKD a\rb", b"PASS \0"):
            self.assertEqual(self.assertRaises(Refusal, parse, line).code, 501)

    def test_what_is_not_utf8_is_refused_when_it_is_used(self) -> None:
        self.assertEqual(self.assertRaises(Refusal, lambda: parse(b"MKD \xe4").text).code, 501)

    def test_a_password_is_in_no_repr(self) -> None:
        self.assertNotIn("secret", repr(parse(b"PASS secret")))

    def test_the_longest_line_is_taken_and_a_longer_one_is_not(self) -> None:
        longest = b"CWD " + b"x" * (LONGEST_LINE - 4)
        for end in (b"\r\n", b"\n"):
            lines = Lines().feed(longest + end + longest + b"x" + end + b"NOOP" + end)
            self.assertEqual(parse(lines[0]).argument, longest[4:])
            self.assertEqual(self.assertRaises(Refusal, parse, lines[1]).code, 500)
            self.assertEqual(parse(lines[2]), Command("NOOP"))

    @given(st.binary(max_size=200))
    def test_any_line_is_a_command_or_a_refusal(self, line: bytes) -> None:
        try:
            command = parse(line)
        except Refusal:
            return
        self.assertTrue(3 <= len(command.verb) <= 4 and command.verb.isalpha() and command.verb.isupper())
        self.assertFalse(set(command.argument) & set(b"\r\0"))

    @given(st.text(alphabet=st.characters(exclude_characters="\r\n\0\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=50))
    def test_every_name_that_can_be_said_arrives(self, name: str) -> None:
        (line,) = Lines().feed(f"MKD {name}\r\n".encode())
        self.assertEqual(parse(line).text, name)


class Splitting(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=30)), st.binary(max_size=30))
    def test_lines_are_the_same_however_they_are_cut(self, pieces: list[bytes], rest: bytes) -> None:
        whole, cut = Lines(), Lines()
        data = b"\n".join([*pieces, rest])
        self.assertEqual([line for byte in data for line in cut.feed(bytes([byte]))], list(whole.feed(data)))
        self.assertEqual(whole.is_empty, cut.is_empty)

    def test_a_line_without_an_end_takes_no_memory_for_it(self) -> None:
        lines = Lines()
        for _ in range(100):
            lines.feed(bytes(10_000))
        self.assertLess(len(lines._begun), LONGEST_LINE + 10)
