"""The two names a TLS certificate gives its holder: TubID, and pin of an HTTPS storage server. Spec: 01 §6.9."""
from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha1, sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lafs.crypto import base32


def tub_id(certificate_der: bytes) -> str:
    """The Foolscap TubID of the holder: 32 base32 characters."""
    return base32.encode(sha1(certificate_der).digest())


def key_pin(certificate_der: bytes) -> str:
    """The pin of the holder's public key, which outlives one certificate: 43 characters. Raises ValueError."""
    public_key = x509.load_der_x509_certificate(certificate_der).public_key()
    key_info = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return urlsafe_b64encode(sha256(key_info).digest()).decode("ascii").rstrip("=")
