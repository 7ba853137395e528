"""The gateway over TLS and HTTP/2, with curl."""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from tests.process.harness import LAFS, Node, free_port, set_options

pytestmark = pytest.mark.process


def make_certificate(key_file: Path, certificate_file: Path) -> None:
    """A self-signed one for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class OverTls(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lafs-tls-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        directory, self.port = self.folder / "node", free_port()
        up = Node(directory, LAFS, ["up", "-C", directory, "-p", str(self.port), "--no-open"])
        up.start().wait_running()
        up.stop()
        make_certificate(directory / "private" / "web.key", directory / "private" / "web.pem")
        endpoint = f"ssl:{self.port}:privateKey=private/web.key:certKey=private/web.pem:interface=127.0.0.1"
        set_options(directory / "lafs.cfg", "node", {"web.port": endpoint, "web.access_log": "logs/web.log"})
        self.node = Node(directory, LAFS, ["run", directory])
        self.addCleanup(lambda: self.node.kill() if self.node.is_alive else None)
        self.node.start().wait_running()
        self.certificate = directory / "private" / "web.pem"
        self.log = directory / "logs" / "web.log"

    def curl(self, path: str, *options: str, content: bytes | None = None) -> bytes:
        command = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(self.certificate), "--max-time", "120", *options]
        url = f"https://127.0.0.1:{self.port}/{path}"
        return subprocess.run([*command, url], input=content, stdout=subprocess.PIPE, check=True).stdout

    def test_files_up_and_down_and_parts_of_them(self) -> None:
        content = os.urandom(20_000_000)
        for protocol in ("--http2", "--http1.1"):
            version = self.curl("?t=json", protocol, "-o", os.devnull, "-w", "%{http_version}")
            self.assertEqual(version, protocol.removeprefix("--http").encode())
            cap = quote(self.curl("uri", protocol, "-T", "-", content=content).decode().strip(), safe="")
            self.assertEqual(hashlib.sha256(self.curl(f"uri/{cap}", protocol)).digest(), hashlib.sha256(content).digest())
            self.assertEqual(self.curl(f"uri/{cap}", protocol, "-r", "12345678-12345777"), content[12_345_678:12_345_778])

    def test_many_at_once_down_one_connection(self) -> None:
        caps = [quote(self.curl("uri", "-T", "-", content=b"%d" % number * 100_000).decode(), safe="") for number in range(20)]
        urls = [f"https://127.0.0.1:{self.port}/uri/{cap}" for cap in caps[:-1]]
        files = [each for number in range(20) for each in ("-o", str(self.folder / str(number)))]
        self.curl(f"uri/{caps[-1]}", "--http2", "--parallel", *files, *urls)
        for number in range(20):
            self.assertEqual((self.folder / str(number)).read_bytes(), b"%d" % number * 100_000)
        log = self.log.read_text()
        self.assertIn("Z 127.0.0.1 GET /uri/[CHK~", log)
        for cap in caps:
            self.assertNotIn(cap, log)

    def test_the_commands_work_when_they_know_the_certificate(self) -> None:
        os.environ["SSL_CERT_FILE"] = str(self.certificate)
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        cap = LAFS.run("-d", self.node.directory, "put", "-", stdin=b"content" * 100).text
        self.assertEqual(LAFS.run("-d", self.node.directory, "get", cap, "-").stdout, b"content" * 100)
        self.assertRegex(LAFS.run("-d", self.node.directory, "web", "--print").text, r"^https://.*/open\?ticket=")
