"""The SFTP server of a client node: its host keys, its accounts, its port. Imported only when [sftpd] is enabled. Spec: 09 §1.

SSH itself is imported when the first client comes, so that a node which nobody mounts does not pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
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
from lafs.errors import ConfigurationError, NodeError, TimedOut
from lafs.node import ports
from lafs.node.config import Configuration
from lafs.node.files import PUBLIC, SECRET, make_private, read_small, write_whole
from lafs.node.lifetime import Lifetime
from lafs.node.web import Door
from lafs.tasks import spawn, within

if TYPE_CHECKING:
    from frontends.sftp.server import Server

_log = Logger(namespace="lafs.node")

MOUNTS_FILE = "private/mounts"
"""The accounts of `lafs mount`, in the form of an accounts file."""

MOUNT_KEY = "mount_key"
SSH_CONFIG = "ssh_config"
KNOWN_HOSTS = "ssh_known_hosts"
SSH_HOST = "lafs"

ED25519_FILE = "ssh_host_ed25519_key"
RSA_FILE = "ssh_host_rsa_key"
RSA_BITS = 3072

STORING_SECONDS = 60.0
"""How long a node that is told to stop goes on storing."""

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
    host_keys = _host_keys(configuration, trees, lifetime)
    door = Door(_OnDemand(accounts, trees, reactor, host_keys))
    port = await ports.bound(ports.server_endpoint(reactor, _PORT, settings.port).listen(door), _PORT, settings.port)
    lifetime.then(partial(_let_finish, trees, reactor))
    lifetime.then(door.close)
    lifetime.then(port.stopListening)
    _write_client_files(configuration, port.getHost(), host_keys)
    _log.info("SFTP at port {port}", port=port.getHost().port)


async def _let_finish(trees: TreeTools, reactor: Any) -> None:
    """Wait a while for what is just being stored: some clients went away believing that it will be."""
    try:
        await within(STORING_SECONDS, reactor, trees.writers.stored())
    except TimedOut:
        _log.warn("files that were closed could not be stored before the end")


def _write_client_files(configuration: Configuration, address: Any, host_keys: Sequence[Path]) -> None:
    """What `lafs mount` needs of this server: a key, and the configuration of ssh with which it is found and recognised."""
    private = make_private(configuration.directory)
    key = private / MOUNT_KEY
    if not key.exists():
        _write(key, Ed25519PrivateKey.generate())
    host = {"0.0.0.0": ports.LOOPBACK, "": ports.LOOPBACK, "::": "::1"}.get(address.host, address.host)
    lines = [f"{SSH_HOST} {_public(path)}\n" for path in host_keys if path.exists()]
    write_whole(private / KNOWN_HOSTS, "".join(lines).encode(), SECRET)
    text = _SSH_CONFIG.format(name=SSH_HOST, host=host, port=address.port, hosts=_quoted(private / KNOWN_HOSTS), key=_quoted(key))
    write_whole(private / SSH_CONFIG, text.encode(), SECRET)


_SSH_CONFIG = """\
# Written by lafs at every start. With it, ssh finds this node's SFTP server and recognises it:
#   sftp -F this-file NAME@{name}      where NAME is an account in the file "mounts", or in your accounts file with a key of its own
Host {name}
    HostName {host}
    Port {port}
    HostKeyAlias {name}
    UserKnownHostsFile {hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    IdentityFile {key}
    IdentitiesOnly yes
    IdentityAgent none
    BatchMode yes
    ForwardAgent no
    ForwardX11 no
    ClearAllForwardings yes
    ControlPath none
    ServerAliveInterval 15
"""


def _quoted(path: Path) -> str:
    """As ssh reads it."""
    return '"' + str(path.absolute()).replace("%", "%%") + '"'


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


def _host_keys(configuration: Configuration, trees: TreeTools, lifetime: Lifetime) -> Sequence[Path]:
    """The files of an Ed25519 and an RSA key: what the configuration names, and in private/ what it does not; made if missing."""
    private = make_private(configuration.directory)
    named = configuration.path(configuration.sftpd.private_key) if configuration.sftpd.private_key else None
    if named is not None and named.exists():
        kind = _kind(named)
        others = [private / name for name, its in ((ED25519_FILE, "ssh-ed25519"), (RSA_FILE, "ssh-rsa")) if its != kind]
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
    """The type of the private key in `path`, as SSH calls it. Raises NodeError if there is none."""
    return _public(path).split(" ")[0]


def _public(path: Path) -> str:
    """The public half of the private key in `path`: type and key. Raises NodeError."""
    data = read_small(path) or b""
    try:
        key: Any = load_ssh_private_key(data, None) if b"OPENSSH" in data[:64] else load_pem_private_key(data, None)
        public: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except Exception:  # of the library and of the libraries below it
        raise NodeError(f"{path} is not an SSH private key without a passphrase") from None
    return public.decode()
