"""RSA keys for new mutable files, known beforehand: making one takes a tenth of a second, and is different every time."""
from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, repeat

from lafs.crypto.rsa import PrivateKey
from tests import vectors_loader


@cache
def _all() -> list[PrivateKey]:
    group = vectors_loader.load("crypto_and_caps")["groups"]["rsa_to_caps"]
    found = {b64decode(vector["in"]["private_key_b64"]) for vector in group}
    mutable = vectors_loader.load("mutable_shares")
    found |= {bytes.fromhex(each["privkey_der_hex"]) for each in [*mutable["files"], *mutable["scenario_sets"]]}
    return [PrivateKey.parse(der) for der in sorted(found)]


def known_keys() -> Callable[[], PrivateKey]:
    """A maker of keys, the first few dozen of which are the same in every run and cost no time."""
    keys: Iterator[Callable[[], PrivateKey]] = chain(map(_given, _all()), repeat(PrivateKey.generate))
    return lambda: next(keys)()


def _given(key: PrivateKey) -> Callable[[], PrivateKey]:
    return lambda: key
