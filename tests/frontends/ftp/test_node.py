"""The certificate of the FTP server, and what a configuration may say of it."""
from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from frontends.virtual_tree import TreeTools
from lafs.errors import ConfigurationError, NodeError
from lafs.node import ftp
from lafs.node.config import Configuration
from lafs.node.lifetime import Lifetime
from lafs.node.settings import Ftpd
from lafs.tasks import spawn
from tests.process.harness import run


class Cost(SynchronousTestCase):
    def test_a_node_that_serves_no_ftp_loads_nothing_of_it(self) -> None:
        script = "import sys, lafs.node.client_node; print([name for name in sys.modules if 'ftp' in name])"
        self.assertEqual(run([sys.executable, "-c", script]).text, "[]")


class Credentials(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lafs-ftp-"))
        self.addCleanup(shutil.rmtree, self.directory)

    def configured(self, settings: Ftpd) -> Configuration:
        return Configuration(self.directory, "client", ftpd=settings)

    def test_they_are_made_once_and_nobody_else_can_read_the_key(self) -> None:
        for settings in (Ftpd(), Ftpd(certificate="private/here.pem", key="private/there.pem")):
            configuration = self.configured(settings)
            key, certificate, chain = ftp._credentials(configuration)
            again = ftp._credentials(configuration)
            self.assertEqual(certificate.to_cryptography(), again[1].to_cryptography())
            self.assertEqual(certificate.to_cryptography().public_key(), key.to_cryptography_key().public_key())  # type: ignore[union-attr]
            self.assertEqual(chain, [])
            self.assertEqual((self.directory / (settings.key or settings.certificate)).stat().st_mode & 0o777, 0o600)

    def test_clients_on_this_machine_find_its_names_in_it(self) -> None:
        certificate = ftp._credentials(self.configured(Ftpd()))[1].to_cryptography()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["localhost"])
        self.assertEqual([str(each) for each in names.get_values_for_type(x509.IPAddress)], ["127.0.0.1", "::1"])

    def test_those_who_vouch_for_it_are_sent_with_it(self) -> None:
        ftp._credentials(self.configured(Ftpd()))
        path = self.directory / "private" / "ftp.pem"
        ftp._credentials(self.configured(Ftpd(certificate="private/other.pem")))
        other = (self.directory / "private" / "other.pem").read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2]
        path.write_bytes(path.read_bytes() + other)
        self.assertEqual(len(ftp._credentials(self.configured(Ftpd()))[2]), 1)

    def test_what_does_not_belong_together_is_told_and_never_replaced(self) -> None:
        private = self.directory / "private"
        ftp._credentials(self.configured(Ftpd(certificate="private/a", key="private/a.key")))
        ftp._credentials(self.configured(Ftpd(certificate="private/b", key="private/b.key")))
        key = serialization.load_pem_private_key((private / "a.key").read_bytes(), None)
        encryption = serialization.BestAvailableEncryption(b"x")
        (private / "locked").write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        (private / "nonsense").write_bytes(b"nonsense")
        for settings, words in (
            (Ftpd(certificate="private/a", key="private/b.key"), "not that of the certificate"),
            (Ftpd(certificate="private/a", key="private/missing"), "missing"),
            (Ftpd(certificate="private/missing", key="private/a.key"), "missing"),
            (Ftpd(certificate="private/nonsense", key="private/a.key"), "no certificate"),
            (Ftpd(certificate="private/a", key="private/nonsense"), "no certificate"),
            (Ftpd(certificate="private/a", key="private/locked"), "without password"),
        ):
            error = self.assertRaises(NodeError, ftp._credentials, self.configured(settings))
            self.assertIn(words, str(error))
        self.assertEqual(sorted(path.name for path in private.iterdir()), ["a", "a.key", "b", "b.key", "locked", "nonsense"])

    def test_only_tcp_is_listened_on(self) -> None:
        configuration = self.configured(Ftpd(port="ssl:990:privateKey=k"))
        serving = spawn(ftp.serve(configuration, object(), cast(TreeTools, None), Lifetime()))
        self.failureResultOf(serving, ConfigurationError)
