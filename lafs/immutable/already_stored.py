"""Recognising a file that is complete on the grid, so that uploading it again costs a hash and not an encoding.

The cap of a file names its UEB, and the UEB can be had from any holder of a share; but a lying server could hand out one that
leads nowhere. So it is believed only if as many servers as the upload was to reach all hand out the same one, and if it is what
this upload would have written: ciphertext hashes are compared with those of the bytes at hand. Called by the uploader when it
finds nothing to send. Spec: 02 §17.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.python.failure import Failure

from lafs.crypto.hashes import ueb_hash
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import CorruptShare, ServerError
from lafs.immutable import ueb
from lafs.immutable.encoder import Encoder
from lafs.immutable.layout import ShareLayout
from lafs.interfaces import GridServer
from lafs.tasks import Clock, settle, within

READ_SECONDS = 10.0


async def recognise(
    encoder: Encoder,
    layout: ShareLayout,
    storage_index: StorageIndex,
    holders: Mapping[int, Sequence[GridServer]],
    happy: int,
    clock: Clock,
) -> bytes | None:
    """The UEB hash of the file that `encoder` reads, if its shares on `holders` are beyond doubt those of that very file.

    None if there is any doubt; the source of `encoder` has then been read, and must be rewound. Raises SourceFailed.
    """
    servers = list(dict.fromkeys(server for share in sorted(holders) for server in holders[share]))
    answers = await settle(
        within(READ_SECONDS, clock, _read_extension(server, storage_index, layout)) for server in servers
    )
    extensions = [answer for answer in answers if not isinstance(answer, Failure)]
    if len(extensions) < happy or len(set(extensions)) != 1:
        encoder.close()
        return None
    extension = extensions[0]
    try:
        told = ueb.parse(extension, layout.segmentation.needed)
    except CorruptShare:
        encoder.close()
        return None
    hashes = await encoder.ciphertext_hashes()
    ours = ueb.pack_for_upload(
        layout.segmentation,
        layout.total,
        ciphertext_hash=hashes.flat,
        ciphertext_root=hashes.root,
        share_root=told.share_root,
    )
    return ueb_hash(extension) if extension == ours else None


async def _read_extension(server: GridServer, storage_index: StorageIndex, layout: ShareLayout) -> bytes:
    """The UEB of one of the server's shares, if it lies where this client would have put it. Raises ServerError."""
    readers = await server.storage.list_shares(storage_index)
    if not readers:
        raise ServerError("the share is gone")
    offsets = layout.offsets
    length = offsets.ueb_length_size
    read = await readers[min(readers)].read(offsets.ueb, length + layout.ueb_size)
    return bytes(read[length:])
