from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.web.ranges import Span, Unsatisfiable, already_has, range_still_valid, requested_span


class Ranges(SynchronousTestCase):
    """The table of the web API chapter, for a file of 100 bytes."""

    def test_what_can_be_served(self) -> None:
        for header, span in {
            "bytes=0-0": Span(0, 1),
            "bytes=0-99": Span(0, 100),
            "bytes=5-": Span(5, 95),
            "bytes=0-600": Span(0, 100),
            "bytes=99-99": Span(99, 1),
            "bytes=-2": Span(98, 2),
            "bytes=-100": Span(0, 100),
            "bytes=-1000": Span(0, 100),
            "bytes= 1 - 3 ": Span(1, 3),
            "bytes=0-1,3-4": Span(0, 2),
            "bytes=3-4 , 0-1": Span(3, 2),
        }.items():
            self.assertEqual(requested_span(header, 100), span, header)

    def test_what_asks_for_nothing_that_exists(self) -> None:
        for header in ("bytes=100-", "bytes=100-200", "bytes=500-600", "bytes=-0", "bytes=99999999999-"):
            with self.assertRaises(Unsatisfiable, msg=header):
                requested_span(header, 100)

    def test_no_range_of_an_empty_file_exists(self) -> None:
        for header in ("bytes=0-", "bytes=-5", "bytes=0-0"):
            with self.assertRaises(Unsatisfiable, msg=header):
                requested_span(header, 0)

    def test_what_makes_no_sense_is_ignored(self) -> None:
        for header in (
            None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "Bytes=0-1", "lines=0-1", "bytes=0-1,", "bytes=0-1,x",
            "bytes=--1", "bytes=1-2-3", "bytes=+1-2", "bytes=0x1-2", "bytes=١-٢", "bytes=" + "9" * 5000 + "-",
        ):
            self.assertIsNone(requested_span(header, 100), header)

    def test_content_range_counts_from_zero_and_includes_the_last_byte(self) -> None:
        self.assertEqual(Span(5, 95).content_range(100), "bytes 5-99/100")

    @given(st.text(), st.integers(0, 10**12))
    def test_any_header_gives_a_part_of_the_file_or_none(self, text: str, size: int) -> None:
        for header in (text, "bytes=" + text):
            try:
                span = requested_span(header, size)
            except Unsatisfiable:
                continue
            if span is not None:
                self.assertTrue(0 <= span.offset < span.offset + span.size <= size)

    @given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
    def test_two_numbers_mean_the_same_as_a_slice(self, first: int, last: int, size: int) -> None:
        contents = bytes(range(size))
        wanted = contents[first : last + 1]
        try:
            span = requested_span(f"bytes={first}-{last}", size)
        except Unsatisfiable:
            self.assertEqual((wanted, last >= first), (b"", True))
            return
        if span is None:
            self.assertLess(last, first)
        else:
            self.assertEqual(contents[span.offset : span.offset + span.size], wanted)


class Tags(SynchronousTestCase):
    def test_every_way_to_write_the_tag_back_is_understood(self) -> None:
        for header in ('"abc-"', "abc-", 'W/"abc-"', "*", '"x", "abc-"', "x abc-", 'x,abc-', 'W/"x",W/"abc-"'):
            self.assertTrue(already_has([header], "abc-"), header)

    def test_another_tag_does_not_match(self) -> None:
        for header in ('"abc"', "abc", '"xabc-"', "", '"', "abc-json", '"abc-json"', '"*"x'):
            self.assertFalse(already_has([header], "abc-"), header)

    def test_headers_sent_separately_count_together(self) -> None:
        self.assertTrue(already_has(['"x"', '"abc-"'], "abc-"))

    def test_a_range_is_served_only_from_the_same_version(self) -> None:
        self.assertTrue(range_still_valid(None, None))
        self.assertTrue(range_still_valid('"abc-"', "abc-"))
        self.assertTrue(range_still_valid("abc-", "abc-"))
        self.assertFalse(range_still_valid('W/"abc-"', "abc-"))
        self.assertFalse(range_still_valid('"other"', "abc-"))
        self.assertFalse(range_still_valid("Tue, 15 Nov 1994 12:45:26 GMT", "abc-"))
        self.assertFalse(range_still_valid('"abc-"', None))

    @given(st.text())
    def test_any_header_is_survived(self, text: str) -> None:
        already_has([text], "abc-")
        range_still_valid(text, "abc-")
