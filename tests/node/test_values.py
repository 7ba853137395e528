"""What an option may say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.node import values

FURL = "pb://" + "a" * 32 + "@tcp:127.0.0.1:1234/" + "b" * 32

GOOD: list[tuple[Callable[[str], object], str, object]] = [
    (values.boolean, "Yes", True),
    (values.boolean, "0", False),
    (values.whole_number(1, 256), " 256 ", 256),
    (values.optional(values.whole_number(1, 9)), " ", None),
    (values.optional(values.furl, "None"), "None", None),
    (values.one_of("full", "relaxed"), "FULL", "full"),
    (values.path, "~/x", "~/x"),
    (values.size, "1G", 10**9),
    (values.size, "1GiB", 2**30),
    (values.size, "100mb", 10**8),
    (values.size, "1024Ki", 2**20),
    (values.size, "7", 7),
    (values.size, "2B", 2),
    (values.reserve, "", 0),
    (values.duration, "60 days", 60 * 86_400),
    (values.duration, "2mo", 62 * 86_400),
    (values.duration, "1year", 365 * 86_400),
    (values.date, "2009-03-16", 1_237_161_600),
    (values.furl, FURL, FURL),
    (values.names, " a, ,b ", ("a", "b")),
    (values.tub_port, "disabled", ()),
    (values.tub_port, "3457", ("tcp:3457",)),
    (values.tub_port, "tcp:3457:interface=127.0.0.1, listen:tor", ("tcp:3457:interface=127.0.0.1", "listen:tor")),
    (values.tub_location, "disabled", ()),
    (values.tub_location, "AUTO,tcp:[::1]:3457", ("AUTO", "tcp:[::1]:3457")),
    (values.endpoint_text, "3456:interface=127.0.0.1", "tcp:3456:interface=127.0.0.1"),
    (values.endpoint_text, "tcp:port=3456", "tcp:port=3456"),
    (values.endpoint_text, "ssl:3456:privateKey=k:certKey=c", "ssl:3456:privateKey=k:certKey=c"),
    (values.port_range, "", ()),
    (values.port_range, " 50000 - 50002 ", (50000, 50001, 50002)),
    (values.ipv4_address, " 192.0.2.1", "192.0.2.1"),
    (values.content_host, " files.example.org ", "files.example.org"),
    (values.content_host, "https://*.files.example.org:8443", "https://*.files.example.org:8443"),
    (values.content_host, "none", "none"),
]

BAD: list[tuple[Callable[[str], object], list[str]]] = [
    (values.boolean, ["", "maybe", "2"]),
    (values.whole_number(1, 256), ["", "0", "257", "-1", "3.0", "٣", "1" * 40]),
    (values.one_of("age", "cutoff-date"), ["", "ages"]),
    (values.path, ["", "a\0b"]),
    (values.size, ["", "1 G", "1.5G", "G", "1Z", "-1", "1GG"]),
    (values.duration, ["", "60", "60 Days", "60 weeks", "1 seconds"]),
    (values.date, ["", "2009-3-16", "20090316", "2009-13-01", "2009-W12-1", "2009-03-16x"]),
    (values.furl, ["", "http://x", FURL + "#1", "pb://short@tcp:h:1/x"]),
    (values.tub_port, ["", "0", "tcp:0", "tcp:port=0", "tcp:0:interface=127.0.0.1", "3457,0", "tcp:99999", "tcp:abc"]),
    (values.tub_location, ["", "tcp:a b:1", "pb://x@y/z"]),
    (values.endpoint_text, ["tcp:", "web", "tcp:http", "99999", "tcp:1\n2"]),
    (values.port_range, ["1", "2-1", "0-5", "1-65536", "a-b", "1-2-3"]),
    (values.ipv4_address, ["", "localhost", "::1", "192.0.2.256"]),
    (values.content_host, ["a b", "-x", "http://", "ftp://x", "x:123456", "x/y", "x@y", "*", "x\ny"]),
    (values.public_key, ["", "pub-v0-abc", "priv-v0-" + "a" * 52]),
]


class OptionValues(SynchronousTestCase):
    def test_good_values_are_what_they_say(self) -> None:
        for parse, text, expected in GOOD:
            self.assertEqual(parse(text), expected, text)

    def test_bad_values_are_refused(self) -> None:
        for parse, texts in BAD:
            for text in texts:
                self.assertRaises(ValueError, parse, text)

    def test_refusing_a_furl_does_not_quote_its_secret(self) -> None:
        for text in (FURL + "#1", "pb://bad@h/swissnum"):
            error = self.assertRaises(ValueError, values.furl, text)
            self.assertNotIn(text.rpartition("/")[2], str(error))

    @given(st.text(max_size=40))
    def test_any_text_is_a_value_or_a_value_error(self, text: str) -> None:
        for parse, *_ in {id(row[0]): row for row in [*GOOD, *BAD]}.values():
            with contextlib.suppress(ValueError):
                parse(text)
