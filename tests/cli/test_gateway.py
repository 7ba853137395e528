"""Finding a gateway, and what is said when there is none."""
from __future__ import annotations

import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.cli.answer import CutOff, plain_text
from lafs.cli.gateway import Gateway, Unreachable, find, read_url
from lafs.cli.invocation import Invocation
from lafs.errors import ConfigurationError
from tests.cli.fake_gateway import FakeGateway, Stored, lafs

CAP = "URI:CHK:key:hash:3:10:5"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Finding(SynchronousTestCase):
    """-u, else node.url of -d, else of ~/.lafs, else of ~/.tahoe."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.patch(Path, "home", lambda: self.home)

    def node(self, name: str, url: str = "http://127.0.0.1:3456/\n") -> Path:
        directory = self.home / name
        directory.mkdir()
        (directory / "node.url").write_text(url)
        return directory

    def message(self, invocation: Invocation, node_url: str | None = None) -> str:
        with self.assertRaises((Unreachable, ConfigurationError)) as caught:
            find(invocation, node_url)
        return str(caught.exception)

    def test_ours_is_preferred_to_the_peers(self) -> None:
        self.node(".tahoe", "http://127.0.0.1:1/")
        self.assertEqual(find(Invocation(), None).address.port, 1)
        self.node(".lafs", "http://127.0.0.1:2/")
        self.assertEqual(find(Invocation(), None).address.port, 2)

    def test_a_named_directory_is_used(self) -> None:
        directory = self.node("elsewhere", "https://[::1]:7/prefix")
        address = find(Invocation(directory), None).address
        self.assertEqual((address.scheme, address.host, address.port, address.prefix), ("https", "::1", 7, "/prefix/"))

    def test_no_node_at_all_tells_how_to_make_one(self) -> None:
        self.assertIn("`lafs up`", self.message(Invocation()))

    def test_a_node_that_does_not_run_tells_how_to_start_it(self) -> None:
        (self.home / ".lafs").mkdir()
        self.assertIn("`lafs up`", self.message(Invocation()))
        elsewhere = self.home / "elsewhere"
        elsewhere.mkdir()
        self.assertIn(f"`lafs run {elsewhere}`", self.message(Invocation(elsewhere)))

    def test_a_spoilt_node_url_is_named(self) -> None:
        directory = self.node("spoilt", "\x00\xff nonsense")
        self.assertIn("node.url does not hold an address", self.message(Invocation(directory)))

    def test_a_bad_option_is_explained(self) -> None:
        for url in ("nonsense", "ftp://host", "http://", "http://host:port", "http://user@host/", "http://h/?q"):
            self.assertIn("--node-url must look like", self.message(Invocation(), url))

    @given(st.text())
    def test_any_text_is_an_address_or_none(self, text: str) -> None:
        address = read_url(text, "")
        self.assertTrue(address is None or address.place.startswith("http"))


class Talking(SynchronousTestCase):
    """One connection, many requests; silence and lies are errors."""

    def setUp(self) -> None:
        self.server = self.enterContext(FakeGateway())
        address = read_url(self.server.url, "start it")
        assert address is not None
        self.gateway = self.enterContext(Gateway(address))

    def test_requests_share_a_connection(self) -> None:
        self.server.stored["/a"] = Stored(b"first")
        self.assertEqual([self.gateway.get("a").text() for _ in range(3)], ["first"] * 3)
        self.assertEqual(len({request.connection for request in self.server.seen}), 1)

    def test_a_connection_grown_stale_is_replaced(self) -> None:
        self.server.stored["/a"] = Stored(b"first")
        self.gateway.get("a").text()
        connection = self.gateway._connection
        assert connection is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        self.assertEqual(self.gateway.get("a").text(), "first")

    def test_an_answer_left_unread_does_not_disturb_the_next(self) -> None:
        self.server.stored["/large"] = Stored(bytes(5_000_000))
        self.server.stored["/a"] = Stored(b"first")
        self.gateway.get("large")
        self.assertEqual(self.gateway.get("a").text(), "first")

    def test_a_prefix_is_kept(self) -> None:
        self.server.stored["/prefix/a"] = Stored(b"there")
        address = read_url(self.server.url + "/prefix", "")
        assert address is not None
        with Gateway(address) as gateway:
            self.assertEqual(gateway.get("a").text(), "there")

    def test_what_is_not_json_is_said_to_be_none(self) -> None:
        for content in (b"<html>", b"", b"[" * 100_000, b"\xff"):
            self.server.stored["/a"] = Stored(content)
            self.assertRaises(CutOff, self.gateway.get("a").json)


class Silence(SynchronousTestCase):
    """A gateway that is not there, or says nothing."""

    def test_nothing_listening_is_told_without_the_cap(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        for arguments in (("get", CAP), ("put", __file__, f"URI:DIR2:a:b/{CAP}")):
            result = lafs(*arguments, "-u", url)
            self.assertEqual(result.exit_code, 1)
            self.assertIn(f"no node is running at {url}", result.stderr)
            self.assertNotIn("hash", result.stderr)

    def test_a_connection_closed_without_a_word(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = read_url(f"http://127.0.0.1:{listener.getsockname()[1]}", "start it")
            assert address is not None
            gateway = Gateway(address)
            gateway._connect(1.0)
            listener.accept()[0].close()
            with self.assertRaises(Unreachable) as caught:
                gateway.get(f"uri/{CAP}")
        self.assertNotIn("hash", str(caught.exception))


class ErrorTexts(SynchronousTestCase):
    """A gateway's text is shown as text."""

    def test_a_page_becomes_its_words(self) -> None:
        page = b"<html><head><title>404 - Error</title><style>x{}</style></head><body><h1>Error</h1>\n<p>No such child: a&amp;b</p>"
        self.assertEqual(plain_text(page, html=True), "No such child: a&b")

    def test_caps_and_terminal_controls_are_removed(self) -> None:
        self.assertEqual(plain_text("\x1b[2Jno \x9b URI:CHK:a:b:1:2:3\r\n".encode(), html=False), "[2Jno URI:[hidden]")

    @given(st.binary(), st.booleans())
    def test_any_bytes_become_printable_text(self, body: bytes, html: bool) -> None:
        text = plain_text(body, html)
        self.assertTrue(all(character.isprintable() or character == "\n" for character in text))
