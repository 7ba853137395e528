"""Names that follow from a TLS certificate."""
from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.certificate_ids import key_pin, tub_id
from tests.crypto.vector_groups import group


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_names_of_certificates(self) -> None:
        for case in group("certificate_ids"):
            der = b64decode(case["in"]["certificate_der_b64"])
            self.assertEqual({"spki_hash": key_pin(der), "tubid": tub_id(der)}, case["out"])

    def test_bytes_that_are_no_certificate_are_refused(self) -> None:
        for der in (b"", b"no certificate", bytes(100)):
            self.assertRaises(ValueError, key_pin, der)
