"""Write caps of children, kept from those who may only read the directory."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.directory_entries import backup_directory_key, decrypt_write_cap, encrypt_write_cap, mac
from tests.crypto.vector_groups import group

keys = st.binary(min_size=16, max_size=16)


class Vectors(SynchronousTestCase):
    """Known answers."""

    def test_encryption(self) -> None:
        for case in group("dirnode_rwcap_encrypt"):
            key, cap = bytes.fromhex(case["in"]["writekey_hex"]), bytes.fromhex(case["in"]["rwcap_hex"])
            entry_field = encrypt_write_cap(key, cap)
            self.assertEqual(entry_field.hex(), case["out"]["field_hex"])
            self.assertEqual(entry_field[:16].hex(), case["out"]["salt_hex"])
            self.assertEqual(entry_field[-32:].hex(), case["out"]["mac_hex"])

    def test_decryption(self) -> None:
        for case in group("dirnode_rwcap_decrypt"):
            with self.subTest(case["in"]["label"]):
                entry_field = bytes.fromhex(case["in"]["field_hex"])
                read = decrypt_write_cap(bytes.fromhex(case["in"]["writekey_hex"]), entry_field)
                self.assertEqual(read.text.hex(), case["out"]["rwcap_hex"])
                if case["in"]["label"] in ("good", "random-salt", "trailing-spaces", "empty"):
                    self.assertTrue(read.authentic)
                elif case["in"]["label"] in ("bad-mac", "short-47", "short-20"):
                    # The peer does not look at the MAC.
                    self.assertFalse(read.authentic)

    def test_macs(self) -> None:
        for case in group("mac"):
            key, data = bytes.fromhex(case["in"]["key_hex"]), bytes.fromhex(case["in"]["data_hex"])
            self.assertEqual(mac(key, data).hex(), case["out"]["mac_hex"])

    def test_names_of_backed_up_directories(self) -> None:
        for case in group("backupdb_dirhash"):
            children = [(name, cap.encode("utf-8")) for name, cap in case["in"]["children"]]
            self.assertEqual(backup_directory_key(children), case["out"]["dirhash_b32"])
            self.assertEqual(backup_directory_key(reversed(children)), case["out"]["dirhash_b32"])


class Entries(SynchronousTestCase):
    """What holds for all entries."""

    @given(keys, st.binary(max_size=150).map(lambda cap: cap.rstrip(b" ")))
    def test_a_cap_comes_back(self, key: bytes, cap: bytes) -> None:
        entry_field = encrypt_write_cap(key, cap)
        read = decrypt_write_cap(key, entry_field)
        self.assertEqual((read.text, read.authentic), (cap, True))
        self.assertEqual(len(entry_field), len(cap) + 48)
        self.assertEqual(encrypt_write_cap(key, cap), entry_field)

    @given(keys, st.binary(max_size=150), st.data())
    def test_any_change_is_noticed(self, key: bytes, cap: bytes, data: st.DataObject) -> None:
        changed = bytearray(encrypt_write_cap(key, cap))
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
        self.assertFalse(decrypt_write_cap(key, bytes(changed)).authentic)

    @given(keys, st.binary(max_size=150))
    def test_any_field_reads_as_something_that_does_not_show(self, key: bytes, entry_field: bytes) -> None:
        read = decrypt_write_cap(key, entry_field)
        self.assertLessEqual(len(read.text), max(0, len(entry_field) - 48))
        if read.text:
            self.assertNotIn(repr(read.text), repr(read))
