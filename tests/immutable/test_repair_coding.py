"""A repair gives shares the UEB that the file was stored with, whatever is in it, and only if it is true of them."""
from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import ImmutableReadCap
from lafs.crypto.aes import ctr
from lafs.crypto.derivations import storage_index_of_read_key
from lafs.errors import BadCiphertext
from lafs.immutable import ueb
from lafs.immutable.encoder import EncodedSegment, Encoder, Trailers
from lafs.immutable.layout import ShareLayout
from lafs.immutable.segmentation import Segmentation
from lafs.interfaces import LeaseSecrets
from lafs.sources import BytesSource
from lafs.tasks import spawn
from lafs.workers import InlineWorkers
from tests.memory_grid import Grid, random_bytes
from tests.simulation.machines import MachineGrid

KEY = b"k" * 16
CONTENT = random_bytes(5_000, seed=11)
CIPHERTEXT = ctr(KEY, CONTENT)
LAYOUT = ShareLayout.of(Segmentation(len(CONTENT), 999, 3), 10)


class OldExtensions(SynchronousTestCase):
    """Very old writers put hashes of the plaintext into the UEB."""

    def code(self, ciphertext: bytes, layout: ShareLayout, extension: bytes | None) -> tuple[list[EncodedSegment], Trailers]:
        encoder = Encoder(BytesSource(ciphertext), None, layout, InlineWorkers(), extension)
        segments = []
        while (segment := self.successResultOf(spawn(encoder.next()))) is not None:
            segments.append(segment)
        return segments, self.successResultOf(spawn(encoder.finish()))

    def old(self) -> tuple[ShareLayout, bytes]:
        """The layout and the UEB of the file as an old writer stored it."""
        _, trailers = self.code(CIPHERTEXT, LAYOUT, None)
        extension = trailers.trailers[0][-LAYOUT.ueb_size :]
        old = ueb.pack({**ueb.parse_fields(extension), "plaintext_hash": bytes(32), "plaintext_root_hash": bytes(32)})
        return evolve(LAYOUT, ueb_size=len(old)), old

    def test_the_given_one_is_kept_to_the_byte(self) -> None:
        layout, extension = self.old()
        _, trailers = self.code(CIPHERTEXT, layout, extension)
        for trailer in trailers.trailers:
            self.assertTrue(trailer.endswith(extension))

    def test_one_that_is_not_true_ends_it(self) -> None:
        layout, extension = self.old()
        encoder = Encoder(BytesSource(CIPHERTEXT[::-1]), None, layout, InlineWorkers(), extension)
        while self.successResultOf(spawn(encoder.next())) is not None:
            pass
        self.failureResultOf(spawn(encoder.finish()), BadCiphertext)

    def test_such_a_file_is_repaired_on_a_grid(self) -> None:
        layout, extension = self.old()
        segments, trailers = self.code(CIPHERTEXT, layout, extension)
        cap = ImmutableReadCap(KEY, trailers.ueb_hash, 3, 10, len(CONTENT))
        index = storage_index_of_read_key(KEY)
        shares = {
            number: b"".join([layout.header(), *(bytes(each.blocks[number]) for each in segments), trailers.trailers[number]])
            for number in range(10)
        }
        grid = Grid(servers=10)
        servers = MachineGrid(grid.machines).for_upload(index)
        secrets = LeaseSecrets(bytes(32), bytes(32))
        for number, server in zip(range(4), servers, strict=False):
            size = len(shares[number])
            allocation = grid.run(server.storage.allocate_shares(index, frozenset({number}), size, secrets))
            grid.run(allocation.writers[number].write(0, shares[number]))
            grid.run(allocation.writers[number].close())

        done = grid.run(grid.client.check_and_repair(cap.verifier(), verify=True))
        assert done is not None
        self.assertEqual((done.before.good_shares, done.successful, done.trouble), (4, True, ""))
        self.assertEqual({number: grid.share(cap, number) for number in range(10)}, shares)
        grid.lose_shares(cap, range(4))
        grid.forget()
        self.assertEqual(grid.download(cap).content, CONTENT)
