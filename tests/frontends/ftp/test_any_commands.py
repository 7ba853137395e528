"""Whatever a client says, in whatever order: each command gets its answer, and nothing happens that nobody foresaw."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from frontends.ftp.verbs import VERBS
from tests.frontends.ftp.harness import Server

_VERBS = sorted(VERBS.keys() - {"QUIT"})
_ARGUMENTS = st.sampled_from(
    [
        "", "file", "dir", "dir/é", "new", "/", "..", ".", "*", "[", "-la", "a" * 300, "/uri", "/uri/URI:LIT:ifqq",
        "/uri/URI:DIR2:x:y", "/uri/URI:LIT:ifqq/x",
        "file/below", "5", "100000000000", "A", "I", "P", "C", "ALL", "2", "alice", "sécret", "MLST size;",
        "UTF8 ON", "CHMOD 444 file", "CHMOD 644 dir", "20200101000000 file", "20209999000000 file", "|1|198.51.100.7|1|", "TLS\x00",
    ]
)  # fmt: skip
_COMMANDS = st.lists(st.tuples(st.sampled_from(_VERBS), _ARGUMENTS), max_size=25)


class AnyCommands(SynchronousTestCase):
    @given(_COMMANDS, st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_each_is_answered_and_none_is_a_surprise(self, commands: list[tuple[str, str]], connects: bool) -> None:
        server = Server()
        server.put("file", b"contents" * 20)
        client = server.alice()
        for verb, argument in commands:
            ports = len(server.reactor.ports)
            client.tell(f"{verb} {argument}".rstrip(" "))
            reply = client.reply()
            if len(server.reactor.ports) > ports and connects:
                data = client.connect(server.reactor.ports[-1])
                data.deliver(b"some bytes")
                server.grid.clock.callLater(5, data.end)
            if reply.startswith("150 "):
                reply = client.reply()
            self.assertRegex(reply, r"^[2-5][0-9][0-9][ -]")
            self.assertNotIn("should not have", reply, f"{verb} {argument}")
            if client.wire.ended is not None or reply.startswith(("421", "234")):
                return
        client.expect(200, "NOOP")
        self.assertTrue(client.is_silent())
