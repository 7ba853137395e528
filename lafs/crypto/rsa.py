"""RSA: the key pair behind each mutable file, whose very bytes are the root of its caps. Spec: 01 §8.

A stored key is never re-encoded: the write key is a hash of its exact bytes, and old keys differ in their ways of writing the
same numbers. Signatures are PSS with SHA-256 and a salt of exactly 32 bytes, on reading too.
"""
from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from lafs.crypto.derivations import fingerprint_of_public_key, write_key_of_private_key

KEY_BITS = 2048
PUBLIC_EXPONENT = 65537
"""Of keys made here. Old keys have 17; any valid one is read."""

_PADDING = PSS(mgf=MGF1(SHA256()), salt_length=32)
_HASH = SHA256()
_PKCS8_START = bytes.fromhex("02010030")
"""What follows the outermost header in PKCS#8: version 0, then a sequence. In PKCS#1 a number comes there."""


class PublicKey:
    """Tells whether the holder of a mutable file's private key signed something."""

    __slots__ = ("_key", "der")

    def __init__(self, der: bytes, key: rsa.RSAPublicKey) -> None:
        self.der = der
        self._key = key

    @classmethod
    def parse(cls, der: bytes) -> PublicKey:
        """From SubjectPublicKeyInfo or PKCS#1 DER, of any size of key. Raises ValueError.

        Check `fingerprint` against the cap before using it for anything.
        """
        try:
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("not an RSA public key") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError("a public key of another kind than RSA")
        return cls(der, key)

    @property
    def fingerprint(self) -> bytes:
        """32 bytes, as they stand in caps: of the bytes as received."""
        return fingerprint_of_public_key(self.der)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is a valid one over exactly these bytes."""
        try:
            self._key.verify(signature, message, _PADDING, _HASH)
        except (InvalidSignature, ValueError):
            return False
        return True


class PrivateKey:
    """Signs the contents of one mutable file. `der` are its PKCS#8 bytes, exactly as they were made."""

    __slots__ = ("_key", "der")

    def __init__(self, der: bytes, key: rsa.RSAPrivateKey) -> None:
        self.der = der
        self._key = key

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new key. Takes a tenth of a second or more, so it belongs in a worker thread.

        The randomness is the library's own: no way to lend it another keeps its speed.
        """
        key = rsa.generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
        return cls(_pkcs8(key), key)

    @classmethod
    def parse(cls, der: bytes) -> PrivateKey:
        """From unencrypted PKCS#8 DER, kept as it is, or PKCS#1 DER, which becomes PKCS#8. Raises ValueError.

        Refuses other sizes than 2048 bits, other kinds of key, PEM, bytes left over, and numbers that do not fit together.
        """
        key = _loaded(der, skip_validation=False)
        is_pkcs8 = der[4:].startswith(_PKCS8_START)  # the header of so long a sequence has four bytes
        return cls(der if is_pkcs8 else _pkcs8(key), key)

    @classmethod
    def parse_owners(cls, der: bytes) -> PrivateKey:
        """From the PKCS#8 DER bytes of a key that is known to be the one its owner made. Raises ValueError.

        A hundred times faster than `parse`, for it does not ask again whether the primes are primes, only whether the numbers
        fit together: nothing worse than invalid signatures can come of it.
        """
        key = _loaded(der, skip_validation=True)
        numbers = key.private_numbers()
        p, q, d, public = numbers.p, numbers.q, numbers.d, numbers.public_numbers
        fitting = (
            p > 2 and q > 2 and p % 2 and q % 2 and p * q == public.n
            and d * public.e % (p - 1) == 1 and d * public.e % (q - 1) == 1
            and numbers.dmp1 == d % (p - 1) and numbers.dmq1 == d % (q - 1) and numbers.iqmp * q % p == 1
        )
        if not fitting:
            raise ValueError("the numbers of the private key do not fit together")
        return cls(der, key)

    @property
    def write_key(self) -> bytes:
        """16 bytes, from which all caps of the file follow."""
        return write_key_of_private_key(self.der)

    @property
    def public_key(self) -> PublicKey:
        key = self._key.public_key()
        return PublicKey(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), key)

    def sign(self, message: bytes) -> bytes:
        """256 bytes over `message`, different every time."""
        return self._key.sign(message, _PADDING, _HASH)

    def __repr__(self) -> str:
        return "<PrivateKey>"


def _loaded(der: bytes, skip_validation: bool) -> rsa.RSAPrivateKey:
    try:
        key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=skip_validation)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("not an RSA private key") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("a private key of another kind than RSA")
    if key.key_size != KEY_BITS:
        raise ValueError(f"the private key of a mutable file has {KEY_BITS} bits, not {key.key_size}")
    return key


def _pkcs8(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
