from __future__ import annotations

import webbrowser

from tests.cli.fake_grid import Said
from tests.cli.test_directories import GridCase

TICKETS = "POST /session/tickets"


class Entering(GridCase):
    """`lafs web` asks the node for a ticket; a gateway that gives none is shown as it is."""

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[str] = []
        self.patch(webbrowser, "open", lambda url: not self.seen.append(url))

    def test_the_browser_gets_a_ticket_and_no_capability(self) -> None:
        (self.node / "private" / "web_token").write_text("token\n")
        self.grid.failures[TICKETS] = Said(200, b"open?ticket=abc")
        self.works("web")
        self.works("web", "a b")
        self.works("webopen", "--info", "a b")
        self.assertEqual(self.seen, [f"{self.grid.url}/open?ticket=abc"] * 3)

    def test_or_the_user_does(self) -> None:
        (self.node / "private" / "web_token").write_text("token\n")
        self.grid.failures[TICKETS] = Said(200, b"open?ticket=abc")
        self.assertEqual(self.works("web", "--print"), f"{self.grid.url}/open?ticket=abc\n")
        self.assertEqual(self.seen, [])

    def test_the_token_goes_to_no_gateway_but_our_own(self) -> None:
        (self.node / "private" / "web_token").write_text("token\n")
        self.assertEqual(self.works("web", "--print", "-u", self.grid.url), f"{self.grid.url}/\n")
        self.assertEqual(self.grid.requests, [])

    def test_a_gateway_of_the_peer_shows_what_the_address_names(self) -> None:
        self.assertEqual(self.works("web", "--print", "x"), f"{self.grid.url}/uri/{self.root.replace(':', '%3A')}/x\n")

    def test_a_refusal_is_told_without_the_token(self) -> None:
        (self.node / "private" / "web_token").write_text("token\n")
        self.grid.failures[TICKETS] = Said(401, b"This needs the token of the node, private/web_token.")
        self.assertIn("This needs the token", self.fails("web"))
