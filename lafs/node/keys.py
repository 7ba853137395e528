"""The secrets and identities in a node directory: made once, never overwritten, and never guessed when damaged.

A file that is missing is made; one that is there and unreadable stops the start with what to do, because a node that quietly
took a new identity would lose its shares, its leases and its friends. All files are written whole; secrets are for the owner
only. Called by `services` and `creation`. Spec: 05 §§13.3, 14, 15; 08 §18.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lafs.crypto import base32
from lafs.crypto.derivations import default_permutation_seed, permutation_seed
from lafs.crypto.ed25519 import SigningKey
from lafs.errors import NodeError
from lafs.node.files import PUBLIC, SECRET, make_private, read_small, read_text, write_whole

RandomBytes = Callable[[int], bytes]
"""Like `os.urandom`: that many unguessable bytes."""

_RESTORE = "restore it from a backup; remove it only if this node may become another one"
_FURL = re.compile(r"pb://(?P<tub>[a-z2-7]{32})[^@/]*@[^/]*/(?P<name>\S+)")


class Keys:
    """The files of identity in `directory`, a node directory. Every method raises NodeError for a file it cannot use."""

    def __init__(self, directory: Path, random: RandomBytes) -> None:
        self._directory = directory
        self._private = make_private(directory)
        self._random = random

    # --- who this node is ---

    def tub_certificate(self) -> bytes:
        """private/node.pem: the certificate (PEM) and its key that are this node's TubID. Spec: 05 §15.2."""
        path = self._private / "node.pem"
        pem = read_small(path)
        if pem is None:
            pem = _new_certificate()
            write_whole(path, pem, SECRET)
        elif b"-----BEGIN CERTIFICATE-----" not in pem or b"PRIVATE KEY-----" not in pem:
            raise NodeError(f"{path} is damaged: it should hold a certificate and its key; {_RESTORE}")
        return pem

    def signing_key(self) -> SigningKey:
        """private/node.privkey: signs announcements; its public half is the server id. Spec: 05 §15.3."""
        path = self._private / "node.privkey"
        text = read_text(path)
        if text is None:
            key = SigningKey.generate(self._random)
            write_whole(path, f"{key.text}\n".encode(), SECRET)
            return key
        try:
            return SigningKey.parse(text)
        except ValueError:
            raise NodeError(f"{path} is damaged: it should hold one line, priv-v0-...; {_RESTORE}") from None

    def publish(self, tub_id: str, signing_key: SigningKey) -> None:
        """Write my_nodeid and node.pubkey, which other programs read."""
        write_whole(self._directory / "my_nodeid", f"{tub_id}\n".encode(), PUBLIC)
        write_whole(self._directory / "node.pubkey", f"{signing_key.verifying_key.text}\n".encode(), PUBLIC)

    # --- secrets of the client ---

    def lease_secret(self) -> bytes:
        """private/secret: what this client's lease secrets are derived from. Not empty."""
        secret = self._secret("secret")
        if not secret:
            raise NodeError(f"{self._private / 'secret'} is empty; {_RESTORE}")
        return secret

    def convergence_secret(self) -> bytes:
        """private/convergence: who has the same gets the same cap for the same file. May be empty. Spec: 08 §18."""
        return self._secret("convergence")

    def _secret(self, name: str) -> bytes:
        path = self._private / name
        text = read_text(path)
        if text is None:
            secret = self._random(32)
            write_whole(path, f"{base32.encode(secret)}\n".encode(), SECRET)
            return secret
        try:
            return base32.decode_lax(text)
        except ValueError:
            raise NodeError(f"{path} is damaged: it should hold one line of base32; {_RESTORE}") from None

    def renew_api_token(self) -> str:
        """private/api_auth_token: a new one at every start, for programs on this machine. 44 characters."""
        token = urlsafe_b64encode(self._random(32)).decode("ascii")
        write_whole(self._private / "api_auth_token", f"{token}\n".encode(), SECRET)
        return token

    # --- what a storage server says of itself ---

    def permutation_seed(self, server_id: str, tub_id: str, storage: Path) -> str:
        """permutation-seed: this server's place in the ring of every file; kept for ever. Spec: 05 §14.2.

        A server that had shares before it had this file stays where its clients look for them: at its TubID.
        """
        path = self._directory / "permutation-seed"
        seed = read_text(path)
        if seed is None:
            seed = tub_id if _holds_shares(storage) else default_permutation_seed(server_id)
            write_whole(path, f"{seed}\n".encode(), PUBLIC)
        try:
            permutation_seed(server_id, seed)
        except ValueError:
            raise NodeError(
                f"{path} is damaged: it should hold one line of base32; restore it from a backup,"
                " or clients will look for the shares of this server in the wrong order"
            ) from None
        return seed

    def next_sequence_number(self, now: float) -> int:
        """announcement-seqnum, counted up. Spec: 05 §13.3.

        Others remember the highest number they saw and ignore lower ones, so a damaged file is continued from `now`
        (seconds since the epoch), which is higher than a count of starts.
        """
        path = self._directory / "announcement-seqnum"
        text = (read_small(path) or b"0").strip()
        number = int(text) + 1 if re.fullmatch(rb"[0-9]{1,18}", text) else int(now)
        write_whole(path, f"{number}\n".encode(), PUBLIC)
        return number

    # --- FURLs under which others reach this node ---

    def name_in_furl(self, file: str, tub_id: str) -> str:
        """The secret last part of the FURL in private/`file`; a new one if there is no such file. Spec: 05 §15.1."""
        path = self._private / file
        text = read_text(path)
        if text is None:
            return base32.encode(self._random(20))
        found = _FURL.fullmatch(text)
        if not found:
            raise NodeError(f"{path} is damaged: it should hold one FURL; {_RESTORE}")
        if found["tub"] != tub_id:
            raise NodeError(
                f"{path} was made with another private/node.pem: its FURL names another node;"
                " restore node.pem, or remove the file and tell everybody the new FURL"
            )
        return found["name"]

    def write_furl(self, file: str, furl: str) -> None:
        """Record `furl`, with the hints of today, in private/`file`."""
        if read_text(self._private / file) != furl:
            write_whole(self._private / file, f"{furl}\n".encode(), SECRET)


def _holds_shares(storage: Path) -> bool:
    try:
        return any(entry.name != "incoming" for entry in (storage / "shares").iterdir())
    except OSError:
        return False


def _new_certificate() -> bytes:
    """A self-signed certificate and its key, RSA 2048, in PEM. Only its hash is ever looked at. Spec: 05 §15.2."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "newpb_thingy")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 12, 31, tzinfo=UTC))
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
