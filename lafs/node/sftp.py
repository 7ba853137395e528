"""The SFTP server of a client node: its host keys, its accounts, its port. Imported only when [sftpd] is enabled. Spec: 09 §1.

SSH itself is imported when the first client comes, so that a node which nobody mounts does not pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

from frontends.accounts import Accounts
from frontends.virtual_tree import Tree, TreeTools
from lafs.errors import ConfigurationError, NodeError
from lafs.node import ports
from lafs.node.config import Configuration
from lafs.node.files import PUBLIC, SECRET, make_private, read_small, write_whole
from lafs.node.lifetime import Lifetime
from lafs.node.web import Door
from lafs.tasks import spawn

if TYPE_CHECKING:
    from frontends.sftp.server import Server

_log = Logger(namespace="lafs.node")

ADDRESS_FILE = "sftp.url"
"""Tells `lafs mount` where the server is."""

MOUNTS_FILE = "private/mounts"
"""The accounts of `lafs mount`, in the form of an accounts file."""

ED25519_FILE = "ssh_host_ed25519_key"
RSA_FILE = "ssh_host_rsa_key"
RSA_BITS = 3072
_PORT = "[sftpd] port"


async def serve(configuration: Configuration, reactor: Any, trees: TreeTools, lifetime: Lifetime) -> None:
    """Serve SFTP until `lifetime` ends. Raises ConfigurationError, NodeError."""
    settings = configuration.sftpd
    files = [configuration.path(MOUNTS_FILE)]
    if settings.accounts:
        files.insert(0, configuration.path(settings.accounts))
        if not files[0].exists():
            raise ConfigurationError(f"[sftpd] accounts.file: {files[0]} is not there")
    trees = evolve(trees, times=cast(Literal["modified", "linked"], settings.times))
    accounts = Accounts(files, trees.workers, reactor)
    door = Door(_OnDemand(accounts, trees, reactor, await _host_keys(configuration, trees, lifetime)))
    port = await ports.bound(ports.server_endpoint(reactor, _PORT, settings.port).listen(door), _PORT, settings.port)
    address_file = configuration.path(ADDRESS_FILE)
    lifetime.then(trees.writers.stored)
    lifetime.then(door.close)
    lifetime.then(port.stopListening)
    host = port.getHost()
    shown = {"0.0.0.0": ports.LOOPBACK, "": ports.LOOPBACK, "::": "::1"}.get(host.host, host.host)
    write_whole(address_file, f"sftp://{f'[{shown}]' if ':' in shown else shown}:{host.port}/\n".encode(), PUBLIC)
    lifetime.then(lambda: address_file.unlink(missing_ok=True))
    _log.info("SFTP at port {port}", port=host.port)


@implementer(IProtocolFactory)
class _OnDemand:
    """Makes the factory of SSH connections when the first is needed."""

    noisy = False

    def __init__(self, accounts: Accounts, trees: TreeTools, reactor: Any, host_keys: Sequence[Path]) -> None:
        self._accounts = accounts
        self._trees = trees
        self._reactor = reactor
        self._host_keys = host_keys
        self._server: Server | None = None

    def doStart(self) -> None:
        pass

    def doStop(self) -> None:
        if self._server is not None:
            self._server.doStop()  # type: ignore[no-untyped-call]

    def buildProtocol(self, address: Any) -> Any:
        if self._server is None:
            from twisted.conch.ssh.keys import Key

            from frontends.sftp.server import Server

            # One that is just being made is left out.
            keys = [Key.fromString(data) for path in self._host_keys if (data := read_small(path)) is not None]
            self._server = Server(self._accounts, lambda root: Tree(self._trees, root), self._reactor, keys)
            self._server.doStart()  # type: ignore[no-untyped-call]
        return self._server.buildProtocol(address)


# --- host keys -----------------------------------------------------------------------------------------------------------


async def _host_keys(configuration: Configuration, trees: TreeTools, lifetime: Lifetime) -> Sequence[Path]:
    """The files of an Ed25519 and an RSA key: what the configuration names, and in private/ what it does not; made if missing."""
    private = make_private(configuration.directory)
    named = configuration.path(configuration.sftpd.private_key) if configuration.sftpd.private_key else None
    if named is not None and named.exists():
        kind = _kind(named)
        others = [path for path in (private / ED25519_FILE, private / RSA_FILE) if kind not in path.name]
    else:
        others = [private / ED25519_FILE, named or private / RSA_FILE]
    for path in others:
        if path.exists():
            _kind(path)
        elif path.name == ED25519_FILE:
            _write(path, Ed25519PrivateKey.generate())
        else:
            # It takes a second, for which nobody need wait: most clients do not even ask for it.
            making = spawn(trees.workers.run(_make_rsa, path))
            making.addErrback(lambda failure: _log.failure("no RSA host key could be made", failure))
            lifetime.then(making.cancel)
    return [*([named] if named is not None and named not in others else []), *others]


def _make_rsa(path: Path) -> None:
    _write(path, generate_private_key(public_exponent=65537, key_size=RSA_BITS))


def _write(path: Path, key: Any) -> None:
    write_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), SECRET)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    write_whole(path.with_name(f"{path.name}.pub"), public + b"\n", PUBLIC)


def _kind(path: Path) -> str:
    """ "ed25519", "rsa" or another kind of the private key in `path`. Raises NodeError if there is none."""
    data = read_small(path) or b""
    try:
        key: Any = load_ssh_private_key(data, None) if b"OPENSSH" in data[:64] else load_pem_private_key(data, None)
    except Exception:  # of the library and of the libraries below it
        raise NodeError(f"{path} is not an SSH private key without a passphrase") from None
    name = type(key).__name__.lower()
    return "ed25519" if "ed25519" in name else "rsa" if "rsa" in name else name
