"""The FTP server of a client node: certificate, accounts, port. Imported only when [ftpd] is enabled. Spec: 09 §18, §19."""

from __future__ import annotations

import datetime
from ipaddress import ip_address
from pathlib import Path
from secrets import randbelow
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import crypto
from twisted.logger import Logger

from frontends.accounts import Accounts
from frontends.ftp.server import FtpServer, tls_contexts
from frontends.ftp.session import Tools
from frontends.virtual_tree import Tree, TreeTools
from lafs.errors import ConfigurationError, NodeError
from lafs.node import ports
from lafs.node.config import Configuration
from lafs.node.files import SECRET, make_private, read_small, write_whole
from lafs.node.lifetime import Lifetime
from lafs.node.web import Door

_log = Logger(namespace="lafs.node")

VALID_DAYS = 3650
_LOCAL_NAMES = ("127.0.0.1", "::1")
_PORT = "[ftpd] port"


async def serve(configuration: Configuration, reactor: Any, trees: TreeTools, lifetime: Lifetime) -> None:
    """Serve FTP until `lifetime` ends. Raises ConfigurationError, NodeError."""
    settings = configuration.ftpd
    if not settings.port.startswith(("tcp:", "tcp6:")):
        raise ConfigurationError(f"{_PORT}: it must be a tcp: or tcp6: endpoint; clients ask for TLS on it themselves")
    accounts_file = configuration.path(settings.accounts)
    if not accounts_file.exists():
        _log.warn("[ftpd] accounts.file: {path} is not there, so nobody can log in by FTP", path=str(accounts_file))
    tools = Tools(
        reactor,
        reactor,
        Accounts(accounts_file, trees.workers, reactor),
        lambda root: Tree(trees, root),
        tls_contexts(*_credentials(configuration)),
        randbelow,
        settings.allow_plain,
        settings.passive_ports,
        settings.passive_address,
    )
    door = Door(FtpServer(tools))
    text = ports.on_loopback(settings.port)
    port = await ports.bound(ports.server_endpoint(reactor, _PORT, text).listen(door), _PORT, text)
    lifetime.then(door.close)
    lifetime.then(port.stopListening)
    _log.info("FTP at port {port}", port=port.getHost().port)


def _credentials(configuration: Configuration) -> tuple[crypto.PKey, crypto.X509, list[crypto.X509]]:
    """Key, certificate, and those that vouch for it. Made if neither file is there. Raises NodeError."""
    make_private(configuration.directory)
    certificate_path = configuration.path(configuration.ftpd.certificate)
    key_path = configuration.path(configuration.ftpd.key or configuration.ftpd.certificate)
    if not certificate_path.exists() and not key_path.exists():
        _make(certificate_path, key_path)
    certificates, key = (read_small(path) for path in (certificate_path, key_path))
    missing = [str(path) for path, data in ((certificate_path, certificates), (key_path, key)) if data is None]
    if certificates is None or key is None:
        raise NodeError(f"[ftpd] tls: {missing[0]} is missing, and belongs to one that is there")
    try:
        first, *chain = x509.load_pem_x509_certificates(certificates)
        private = serialization.load_pem_private_key(key, None)
        if private.public_key() != first.public_key():
            raise NodeError(f"[ftpd] tls: the key in {key_path} is not that of the certificate in {certificate_path}")
        secret = crypto.PKey.from_cryptography_key(cast(Any, private))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NodeError(f"[ftpd] tls: {certificate_path} or {key_path} is no certificate, or no key without password") from None
    return secret, crypto.X509.from_cryptography(first), [crypto.X509.from_cryptography(each) for each in chain]


def _make(certificate_path: Path, key_path: Path) -> None:
    """A key, and a certificate by which clients recognise this server when they come again."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lafs FTP server")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(each)) for each in _LOCAL_NAMES)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if key_path == certificate_path:
        write_whole(key_path, secret + shown, SECRET)
    else:
        write_whole(key_path, secret, SECRET)
        write_whole(certificate_path, shown)
