"""Keys, secrets, indexes and places that follow from others."""
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto import base32
from lafs.crypto.aes import ctr
from lafs.crypto.derivations import (
    ConvergenceHasher,
    data_key,
    default_permutation_seed,
    lease_secrets,
    mutable_container_magic,
    permutation_seed,
    read_key_of_write_key,
    ring_position,
    storage_index_of_mutable_read_key,
    storage_index_of_read_key,
    stored_lease_secret,
    write_enabler,
    write_enabler_master,
)
from lafs.crypto.hashes import tagged_hash
from lafs.crypto.storage_index import StorageIndex
from tests.crypto.vector_groups import content, group


class Immutable(SynchronousTestCase):
    """From contents to storage index."""

    def test_storage_indexes(self) -> None:
        for case in group("chk_storage_index"):
            index = storage_index_of_read_key(bytes.fromhex(case["in"]["key_hex"]))
            self.assertEqual(index.raw.hex(), case["out"]["storage_index_hex"])
            self.assertEqual(index.text, case["out"]["storage_index_b32"])
            self.assertEqual(f"{index.text[:2]}/{index}", case["out"]["storage_dir"])
            self.assertEqual(StorageIndex.parse(index.text), index)

    def test_convergent_keys(self) -> None:
        for case in group("convergence_key"):
            asked, expected = case["in"], case["out"]
            parameters = (bytes.fromhex(asked["secret_hex"]), asked["k"], asked["n"], asked["segment_size"])
            if "error" in expected:
                self.assertRaises(ValueError, ConvergenceHasher, *parameters)
                continue
            data = content(asked["content"])
            hasher = ConvergenceHasher(*parameters)
            for start in range(0, len(data), 1000):
                hasher.update(data[start : start + 1000])
            self.assertEqual(hasher.digest().hex(), expected["key_hex"])
            self.assertEqual(hasher.digest(), tagged_hash(bytes.fromhex(expected["tag_hex"]), data, 16))
            self.assertEqual(storage_index_of_read_key(hasher.digest()).raw.hex(), expected["storage_index_hex"])


class Leases(SynchronousTestCase):
    """Secrets shown to servers."""

    def test_lease_secrets(self) -> None:
        for case in group("lease_secrets"):
            asked, expected = case["in"], case["out"]
            tub_id = bytes.fromhex(asked["server_tubid_hex"])
            index = StorageIndex(bytes.fromhex(asked["storage_index_hex"]))
            renew, cancel = lease_secrets(bytes.fromhex(asked["lease_secret_hex"]), index, tub_id)
            self.assertEqual(renew.hex(), expected["bucket_renewal_hex"])
            self.assertEqual(cancel.hex(), expected["bucket_cancel_hex"])
            self.assertEqual(base32.encode(tub_id), expected["server_tubid_b32"])

    def test_secrets_for_no_server_are_refused(self) -> None:
        index = StorageIndex(bytes(16))
        for size in (0, 19, 21, 32):
            self.assertRaises(ValueError, lease_secrets, b"secret", index, bytes(size))
            self.assertRaises(ValueError, write_enabler, bytes(16), bytes(size))

    def test_secrets_as_stored(self) -> None:
        for case in group("lease_stored_hash"):
            self.assertEqual(stored_lease_secret(bytes.fromhex(case["in"]["secret_hex"])).hex(), case["out"]["stored_hex"])


class Mutable(SynchronousTestCase):
    """The chain from the write key down."""

    def test_the_chain(self) -> None:
        for case in group("ssk_key_chain"):
            write_key, tub_id, salt = (bytes.fromhex(case["in"][name]) for name in ("writekey_hex", "server_tubid_hex", "salt_hex"))
            read_key = read_key_of_write_key(write_key)
            self.assertEqual(
                {
                    "readkey_hex": read_key.hex(),
                    "storage_index_hex": storage_index_of_mutable_read_key(read_key).raw.hex(),
                    "write_enabler_master_hex": write_enabler_master(write_key).hex(),
                    "write_enabler_hex": write_enabler(write_key, tub_id).hex(),
                    "data_key_hex": data_key(salt, read_key).hex(),
                },
                case["out"],
            )

    def test_segments(self) -> None:
        for case in group("ssk_segment_encryption"):
            read_key, salt, plaintext = (bytes.fromhex(case["in"][name]) for name in ("readkey_hex", "salt_hex", "plaintext_hex"))
            key = data_key(salt, read_key)
            self.assertEqual(key.hex(), case["out"]["data_key_hex"])
            self.assertEqual(ctr(key, plaintext).hex(), case["out"]["ciphertext_hex"])

    def test_container_magic(self) -> None:
        for case in group("mutable_container_magic"):
            self.assertEqual(mutable_container_magic(case["in"]["version"]).hex(), case["out"]["magic_hex"])


class Ring(SynchronousTestCase):
    """Where servers stand."""

    def test_order_of_servers(self) -> None:
        for case in group("server_order"):
            index = StorageIndex(bytes.fromhex(case["in"]["storage_index_hex"]))
            seeds = [bytes.fromhex(seed) for seed in case["in"]["seeds_hex"]]
            preferred = case["in"]["preferred"]
            positions = [ring_position(index, seed) for seed in seeds]
            order = sorted(range(len(seeds)), key=lambda server: (server not in preferred, positions[server]))
            self.assertEqual([position.hex() for position in positions], case["out"]["permuted_hex"])
            self.assertEqual(order, case["out"]["order"])

    def test_seeds_of_announced_servers(self) -> None:
        for case in group("announcement_seed"):
            asked, expected = case["in"], case["out"]
            seed = permutation_seed(asked["server_id"], asked["permutation_seed_base32"])
            self.assertEqual(seed.hex(), expected["permutation_seed_hex"])
            tub_id = asked["furl"].removeprefix("pb://").partition("@")[0].lower()
            self.assertEqual(base32.decode_lax(tub_id).hex(), expected["tubid_hex"])

    def test_a_server_id_that_only_looks_like_a_key_still_has_a_seed(self) -> None:
        # 52 characters that are no base32: the announcement is malformed, and says so.
        self.assertRaises(ValueError, permutation_seed, "v0-" + "1" * 52, None)
        self.assertRaises(ValueError, permutation_seed, "v0-x", "not base32!")
        for server_id in ("", "v0-", "v0-" + "a" * 51, "v0-" + "é" * 52, "a" * 52):
            self.assertEqual(len(permutation_seed(server_id, None)), 32)

    def test_seeds_of_new_servers(self) -> None:
        for case in group("default_permutation_seed"):
            server_id = case["in"]["public"].removeprefix("pub-")
            announced = default_permutation_seed(server_id)
            self.assertEqual(announced, case["out"]["permutation_seed_base32"])
            self.assertEqual(permutation_seed(server_id, announced).hex(), case["out"]["permutation_seed_hex"])
