"""FURLs and hints."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.certificate_ids import tub_id
from lafs.protocol.furl import MOST_HINTS, BadFurl, Furl, Hint
from tests.vectors_loader import load

TUB = "fsq7x6fylqrtzkydu33e6ltuaealtdfd"


class Furls(SynchronousTestCase):
    """A FURL is read the way Foolscap reads it, and keeps its secret."""

    def test_known_furls_are_read_and_written_unchanged(self) -> None:
        for vector in load("storage_containers")["tub_identity"]:
            furl = Furl.parse(vector["storage_furl"])
            self.assertEqual(furl.tub_id, vector["tubid"])
            self.assertEqual(furl.hints, tuple(vector["tub_location"].split(",")))
            self.assertEqual(furl.name, vector["swissnum"])
            self.assertEqual(furl.text, vector["storage_furl"])

    def test_a_tub_is_named_by_its_certificate(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        for vector in load("storage_containers")["tub_identity"]:
            certificate = x509.load_pem_x509_certificate(vector["node_pem"].encode())
            self.assertEqual(tub_id(certificate.public_bytes(Encoding.DER)), vector["tubid"])

    def test_only_32_characters_of_the_tub_id_count(self) -> None:
        self.assertEqual(Furl.parse(f"pb://{TUB}.future@tcp:h:1/name").tub_id, TUB)

    def test_a_furl_may_have_no_hints_and_slashes_in_its_name(self) -> None:
        furl = Furl.parse(f"pb://{TUB}@/a/b")
        self.assertEqual((furl.hints, furl.name), ((), "a/b"))

    def test_what_is_no_furl_is_refused(self) -> None:
        for text in (
            "",
            "pb://",
            f"pb://{TUB}@tcp:h:1",
            f"pb://{TUB}@tcp:h:1/",
            f"pb://{TUB[:-1]}@tcp:h:1/swordfish",
            f"pb://{TUB[:-1]}1@tcp:h:1/swordfish",
            f"pb://{TUB}@tcp:h:1,,tcp:h:2/swordfish",
            f"pb://{TUB}@tcp:h:1/sword fish",
            f"pb://{TUB}@tcp:h:1/swordfish\n",
            f" pb://{TUB}@tcp:h:1/swordfish",
            f"http://{TUB}@tcp:h:1/swordfish",
            f"pb://{TUB}@" + ",".join(["tcp:h:1"] * (MOST_HINTS + 1)) + "/swordfish",
            f"pb://{TUB}@tcp:h:1/" + "n" * 10_000,
        ):
            with self.assertRaises(BadFurl) as caught:
                Furl.parse(text)
            self.assertNotIn("sword", str(caught.exception))

    def test_the_secret_part_is_not_shown(self) -> None:
        self.assertNotIn("swordfish", repr(Furl.parse(f"pb://{TUB}@tcp:h:1/swordfish")))

    @given(st.text())
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for candidate in (text, f"pb://{text}", f"pb://{TUB}@{text}"):
            try:
                furl = Furl.parse(candidate)
            except BadFurl:
                continue
            self.assertEqual(Furl.parse(furl.text), furl)
            self.assertEqual(len(furl.tub_id_bytes), 20)


class Hints(SynchronousTestCase):
    """Where a Tub may be reached."""

    def test_all_forms_are_read(self) -> None:
        for text, hint in {
            "tcp:example.org:3457": Hint("tcp", "example.org", 3457),
            "example.org:3457": Hint("tcp", "example.org", 3457),
            "tcp:192.0.2.9:1": Hint("tcp", "192.0.2.9", 1),
            "tcp:[2001:db8::1]:65535": Hint("tcp", "2001:db8::1", 65535),
            "tcp:[fe80::1%eth0]:1": Hint("tcp", "fe80::1%eth0", 1),
            "tcp:[::ffff:192.0.2.9]:1": Hint("tcp", "::ffff:192.0.2.9", 1),
            "tor:abcdef.onion:80": Hint("tor", "abcdef.onion", 80),
        }.items():
            self.assertEqual(Hint.parse(text), hint)
            self.assertEqual(Hint.parse(hint.text), hint)

    def test_what_leads_nowhere_is_refused(self) -> None:
        for text in ("", "tcp:", "tcp:h", "tcp:h:0", "tcp:h:65536", "tcp:h:http", "tcp:::1:80", "udp:h:1", "tcp:h h:1"):
            self.assertRaises(BadFurl, Hint.parse, text)

    @given(st.text())
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            hint = Hint.parse(text)
        except BadFurl:
            return
        self.assertEqual(Hint.parse(hint.text), hint)
