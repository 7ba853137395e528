"""Share files that a disk, or the owner of a server, has changed: what is served stays right, and somebody is told."""
from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import parse
from tests.process.gateway import path_of
from tests.process.grids import Encoding, Grid
from tests.process.harness import LAFS

pytestmark = pytest.mark.process

CONTAINER_HEADER = 12
"""Bytes before the share in its file. Spec: 05 §2.2."""

SIZE = 300_000

grid: Grid


def setUpModule() -> None:
    global grid
    grid = Grid([LAFS] * 4, encoding=Encoding(needed=2, happy=4, total=4))


def tearDownModule() -> None:
    grid.close()


def fields(share: bytes) -> Mapping[str, tuple[int, int]]:
    """Every field of a share (version 1): name -> (offset, size). Spec: 02 §8."""
    version, _, data_size, data, _, ciphertext, blocks, chain, ueb = struct.unpack_from(">9I", share)
    assert version == 1
    return {
        "version": (0, 4),
        "offset of the data": (12, 4),
        "offset of the ciphertext hash tree": (20, 4),
        "offset of the block hashes": (24, 4),
        "offset of the share hashes": (28, 4),
        "offset of the extension block": (32, 4),
        "data": (data, data_size),
        "ciphertext hash tree": (ciphertext, blocks - ciphertext),
        "block hashes": (blocks, chain - blocks),
        "share hashes": (chain, ueb - chain),
        "length of the extension block": (ueb, 4),
        "extension block": (ueb + 4, len(share) - ueb - 4),
    }


class DamagedShares(SynchronousTestCase):
    """Two of four shares of a file are damaged, in the same way; the two others bring it back."""

    def _after(self, damage: Callable[[bytearray], bytes | bytearray]) -> tuple[str, bytes]:
        """A new file, two shares of which were damaged on the disk: (cap, content)."""
        content = os.urandom(SIZE)
        cap = grid.client().put(content)
        files = sorted(self._share_files(cap).items(), key=lambda item: item[0][1])
        self.assertEqual(len(files), 4)
        # Those that would be preferred, since they need no decoding.
        for _, path in files[:2]:
            path.write_bytes(damage(bytearray(path.read_bytes())))
        return cap, content

    def _share_files(self, cap: str) -> Mapping[tuple[int, int], Path]:
        index = parse(cap).storage_index
        assert index is not None
        return grid.share_files(index.text)

    def _advisories(self, cap: str) -> list[Path]:
        index = parse(cap).storage_index
        assert index is not None
        return [
            path for server in grid.servers for path in (server.directory / "storage/corruption-advisories").glob(f"*{index.text}*")
        ]

    def test_one_byte_changed_in_any_field_harms_nobody(self) -> None:
        sample = next(iter(self._share_files(grid.client().put(os.urandom(SIZE))).values())).read_bytes()
        for name, (offset, size) in fields(sample[CONTAINER_HEADER:]).items():
            with self.subTest(field=name):

                def flip(file: bytearray, at: int = CONTAINER_HEADER + offset + size // 2) -> bytearray:
                    file[at] ^= 0x41
                    return file

                cap, content = self._after(flip)
                self.assertEqual(grid.client().get(cap), content, name)

    def test_servers_are_told_of_damaged_data(self) -> None:
        def flip(file: bytearray) -> bytearray:
            file[CONTAINER_HEADER + 36 + 100] ^= 0x41
            return file

        cap, content = self._after(flip)
        self.assertEqual(grid.client().get(cap), content)
        self.assertEqual(len(self._advisories(cap)), 2)
        for path in self._advisories(cap):
            self.assertNotIn(cap.split(":")[2], path.read_text())

    def test_files_cut_short_anywhere_harm_nobody(self) -> None:
        for size in (0, 5, CONTAINER_HEADER, CONTAINER_HEADER + 20, 1000, SIZE // 2):
            with self.subTest(size=size):
                cap, content = self._after(lambda file, size=size: file[:size])  # type: ignore[misc]
                self.assertEqual(grid.client().get(cap), content)

    def test_files_overwritten_with_noise_harm_nobody(self) -> None:
        cap, content = self._after(lambda file: os.urandom(len(file)))
        self.assertEqual(grid.client().get(cap), content)

    def test_shares_that_vanished_harm_nobody(self) -> None:
        content = os.urandom(SIZE)
        cap = grid.client().put(content)
        for path in list(self._share_files(cap).values())[:2]:
            path.unlink()
        self.assertEqual(grid.client().get(cap), content)

    def test_with_three_damaged_nothing_wrong_is_served(self) -> None:
        content = os.urandom(SIZE)
        cap = grid.client().put(content)
        for path in list(self._share_files(cap).values())[:3]:
            file = bytearray(path.read_bytes())
            file[CONTAINER_HEADER + 36] ^= 1
            path.write_bytes(file)
        answer = grid.client().ask("GET", path_of(cap))
        self.assertNotEqual(answer.body, content)
        self.assertEqual(answer.status, 410)

    def test_a_server_starts_over_a_directory_full_of_rubbish(self) -> None:
        server = grid.servers[0]
        content = os.urandom(SIZE)
        cap = grid.client().put(content)
        server.stop()
        shares = server.directory / "storage" / "shares"
        (shares / "zz").mkdir(exist_ok=True)
        (shares / "zz" / "not a storage index").mkdir()
        (shares / "zz" / "rubbish").write_bytes(os.urandom(100))
        (shares / "rubbish").write_bytes(os.urandom(100))
        server.start()
        grid.wait_connected()
        self.assertEqual(grid.client().get(cap), content)
        self.assertEqual(grid.client().get(grid.client().put(content[::-1])), content[::-1])
